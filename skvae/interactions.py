"""A users x items matrix on disk that is read as it is used: written, opened, and users appended.

It is a folder with the three arrays of a CSR matrix in NumPy's format, and meta.json, which says how much of which
files counts, and which is replaced in one step, once all else is on disk: whatever happens, the matrix is the old one
or the new one. Other bytes and files are of a write that did not finish, and the next one removes them.
"""

import contextlib
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from .columns import check_same_columns, column_names
from .core.files import PREFIX_OF_PARTS, Lock, check_folder_of, written_whole
from .core.model_file import parsed_json
from .matrix import as_float32, row_blocks, row_sliceable, take_rows
from .matrix_checks import is_matrix

FORMAT = 1
META = "meta.json"
# What models compute in, and one dtype for both index arrays: scipy would make a copy of them in others
DTYPES = {"data": np.dtype("<f4"), "indices": np.dtype("<i4"), "indptr": np.dtype("<i4")}
MOST = np.iinfo(np.int32).max
USERS_PER_CHECK = 2**20
# How each file begins; the bytes of a header that was changed could be taken for those of the array
MAGIC = np.lib.format.magic(1, 0)
HEADER = re.compile(rb"\{'descr': '(<[fi]4)', 'fortran_order': False, 'shape': \(\d+,\), \} *\n")


def save_interactions(X, path):
    """Write a users x items matrix to a folder, to be opened by `open_interactions` without reading it.

    What was saved there before stays until the new one is whole and on disk, and as long as somebody has it open.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items), or iterable of such
        Non-negative interactions. The matrices of an iterable are further users of the same items, one at a time: all
        of them need not fit into memory.
    path : str or path
        Of the folder, which is made where it is missing; the one that it is in has to be there.

    Raises
    ------
    ValueError, TypeError
        Where X is no matrix of finite, non-negative numbers, its parts differ in their number of items, or it has more
        than 2 147 483 647 interactions; where the folder holds something else, or is being written by another.
    OSError
        Where the folder cannot be written. What was saved in it before is still there.

    Notes
    -----
    A folder takes 8 bytes for each interaction and 4 for each user: int32 item numbers, and values in float32, in which
    models compute. Names of rows and columns are not kept: save the `InteractionEncoder` beside it.

    Examples
    --------
    >>> import tempfile
    >>> from skvae import append_interactions, open_interactions, save_interactions
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_interactions(X[:80], folder + "/X")
    ...     append_interactions(X[80:], folder + "/X")
    ...     mapped = open_interactions(folder + "/X")
    ...     bool((mapped != X).nnz)
    False
    """
    folder = _found(path)
    _make(folder)
    with _writing(folder) as meta:
        # any number at first: workers of joblib find files by their names, and not those of a folder that is gone
        meta = _Meta(save=meta.save + 1 if meta.save else secrets.randbelow(2**31) + 1)
        for name in DTYPES:
            meta.file(folder, name).write_bytes(meta.header(name) + bytes(meta.length(name) * DTYPES[name].itemsize))
        _extend(folder, meta, X)


def append_interactions(X, path):
    """Add users to a matrix that `save_interactions` wrote; only they are written.

    Who has opened the matrix before has it without them. A Ctrl-C that comes once they are added says so.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items), or iterable of such
        Further users of the same items.
    path : str or path
        Of the folder.

    Raises
    ------
    ValueError, TypeError
        As `save_interactions` and `open_interactions`, and where X has another number of items.
    OSError
        Where the folder cannot be written. What was saved in it before is still there.
    """
    folder = _found(path)
    open_interactions(folder)  # which finds that it is whole
    before = None
    try:
        with _writing(folder) as before:
            _extend(folder, before, X)
    except KeyboardInterrupt as interrupt:
        now = None
        with contextlib.suppress(OSError, ValueError):
            now = _read_meta(folder)
        if before is None or now is None or now == before:
            raise
        raise KeyboardInterrupt(f"The users are appended: {str(folder)!r} has {now.n_users}.") from interrupt


def open_interactions(path):
    """The matrix of a folder that `save_interactions` wrote, mapped into memory.

    Parameters
    ----------
    path : str or path
        Of the folder.

    Returns
    -------
    float32 csr_array of shape (n_users, n_items)
        Its arrays are read-only maps of the files: what is used of them is read, and the system may forget it again.
        Processes that open the same folder share one copy. Its rows, as in ``X[:1000]``, are a copy in memory.

    Raises
    ------
    ValueError
        Where it is no such folder, is damaged, or is of a newer version.
    FileNotFoundError
        Where it is not there.
    """
    folder = Path(path)
    meta = _read_meta(folder)
    while True:
        try:
            return _opened(folder, meta)
        except (FileNotFoundError, ValueError):
            before, meta = meta, _read_meta(folder)
            if meta == before:
                raise  # else it was saved meanwhile


def _opened(folder, meta):
    if not meta.save:
        raise ValueError(f"Cannot open {str(folder)!r}: its first save did not finish. Save the matrix again.")
    data, indices, indptr = (_mapped(folder, meta, name) for name in DTYPES)
    if indptr[0] != 0 or indptr[-1] != meta.nnz:
        raise _damaged(folder, f"its users have {indptr[-1] - indptr[0]} interactions, and it says {meta.nnz}")
    for first in range(0, meta.n_users, USERS_PER_CHECK):  # SciPy follows what it says without a look
        block = indptr[first : first + USERS_PER_CHECK + 1]
        if (block[1:] < block[:-1]).any():
            raise _damaged(folder, "some users have fewer than 0 interactions")
    return sp.csr_array((data, indices, indptr), shape=(meta.n_users, meta.n_items))


@dataclass(frozen=True)
class _Meta:
    """What counts in a folder: the first entries of the files of its last save."""

    save: int = 0
    n_users: int = 0
    n_items: int = 0
    nnz: int = 0

    def file(self, folder, name):
        return folder / f"{name}.{self.save}.npy"

    def length(self, name):
        """Values of an array."""
        return self.n_users + 1 if name == "indptr" else self.nnz

    def header(self, name):
        """First bytes of its file, as long for each length."""
        file = io.BytesIO()
        header = {"descr": DTYPES[name].str, "fortran_order": False, "shape": (self.length(name),)}
        np.lib.format.write_array_header_1_0(file, header)
        return file.getvalue()

    def size(self, name):
        """Bytes of its file."""
        return len(self.header(name)) + self.length(name) * DTYPES[name].itemsize

    def with_users(self, X):
        """The same, and further users."""
        n_items = self.n_items or X.shape[1]  # 0 as long as nothing is saved
        if X.shape[1] != n_items:
            raise ValueError(f"X has {X.shape[1]} items, and the users before have {n_items}: they must be the same.")
        if max(self.nnz + X.nnz, n_items) > MOST:
            raise ValueError(f"X is too large: a matrix has at most {MOST} interactions and items. Save it in parts.")
        return replace(self, n_users=self.n_users + X.shape[0], n_items=n_items, nnz=self.nnz + X.nnz)


# -- writing


def _found(path):
    """Where a path leads now: a relative one may mean another folder before X, an iterable, is at its end."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or path, got {type(path).__name__}: pass the matrix first, then the path.")
    return Path(os.path.realpath(path))


def _make(folder):
    """Make a folder to write to, where it is not one already."""
    check_folder_of(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"path is {str(folder)!r}, a file: interactions need a folder of their own.")
    folder.mkdir(exist_ok=True)
    if not all(path.name.startswith(PREFIX_OF_PARTS) for path in folder.iterdir()):  # which may be left of a kill
        _read_meta(folder)


@contextlib.contextmanager
def _writing(folder):
    """What counts in a folder, for a block that alone may write to it; at its end what does not count is removed."""
    lock = Lock(folder / f"{PREFIX_OF_PARTS}lock")
    try:
        lock.acquire()
    except BlockingIOError as error:
        raise ValueError(f"{str(folder)!r} is being written by another{error}: wait for its end.") from error
    try:
        if not (folder / META).exists():  # nobody else has saved here since it was made
            _write_meta(folder, _Meta())
        _remove_rest(folder)
        yield _read_meta(folder)
    finally:
        try:
            _remove_rest(folder)
        finally:
            lock.release()


def _remove_rest(folder):
    if not (folder / META).exists():  # where the first one could not be written
        return
    meta = _read_meta(folder)
    for path in folder.glob(f"{PREFIX_OF_PARTS}*"):
        shutil.rmtree(path, ignore_errors=True)  # not the lock, which is a file
    for name in DTYPES:
        for path in folder.glob(f"{name}.*.npy"):
            # what cannot go, as on Windows while somebody has it open, or what is behind the end, counts for nothing
            with contextlib.suppress(OSError):
                if path != meta.file(folder, name):
                    path.unlink()
                elif path.stat().st_size > meta.size(name):
                    os.truncate(path, meta.size(name))


def _extend(folder, meta, X):
    """Write the users of X behind those that meta counts; they count once meta.json says so."""
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(open(meta.file(folder, name), "r+b")) for name in DTYPES}
        for name, file in files.items():
            file.seek(meta.size(name))
        for block in _blocks(X):
            n_before, meta = meta.nnz, meta.with_users(block)
            arrays = {"data": block.data, "indices": block.indices, "indptr": block.indptr[1:] + n_before}
            for name, values in arrays.items():
                files[name].write(np.ascontiguousarray(values, DTYPES[name]).data)
        if not meta.n_items:
            raise ValueError("X has no items, or is an iterable without a matrix: there is nothing to save.")
        for name, file in files.items():
            file.seek(0)
            file.write(meta.header(name))
            file.flush()
            os.fsync(file.fileno())
    _write_meta(folder, meta)


def _blocks(X):
    """Yield the users of X in their order, some at a time, as checked csr_arrays."""
    is_one = hasattr(X, "shape") or not isinstance(X, Iterable) or isinstance(X, (str, bytes))
    if is_one or (isinstance(X, (list, tuple)) and not any(map(is_matrix, X[:1]))):
        X = row_sliceable(X)
        yield from (as_float32(take_rows(X, block)) for block in row_blocks(X))
    else:
        expected = None
        for part in X:
            names = column_names(part)
            names = None if names == [*range(len(names or ()))] else names  # numbered by default
            check_same_columns(names, expected, "A table of X", "the first has", "table[first.columns]")
            expected = names if expected is None else expected
            yield from _blocks(part)


def _write_meta(folder, meta):
    about = {"format": FORMAT, "dtype": "float32", **asdict(meta)}
    with written_whole(folder / META) as part:
        part.write_text(json.dumps(about))


# -- reading


def _read_meta(folder):
    """What counts in a folder."""
    if not folder.exists():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}.")
    foreign = ValueError(f"{str(folder)!r} is no folder that save_interactions wrote, or its {META} was changed.")
    if not (folder / META).is_file():
        raise foreign
    try:
        about = dict(parsed_json((folder / META).read_text()))
        version = about.pop("format")
    except (ValueError, LookupError, TypeError) as error:
        raise foreign from error
    if type(version) is int and version > FORMAT:
        raise ValueError(
            f"{str(folder)!r} is of format {version}, this version of skvae reads {FORMAT}: upgrade skvae."
        )
    is_float = about.pop("dtype", None) == "float32"
    are_numbers = all(type(number) is int and number >= 0 for number in about.values())
    is_whole = is_float and are_numbers and about.keys() == asdict(_Meta()).keys() and about["n_items"] <= MOST
    if type(version) is not int or version < 1 or not is_whole:
        raise foreign
    return _Meta(**about)


def _mapped(folder, meta, name):
    """An array of a folder, checked to be there as far as it counts."""
    path, dtype = meta.file(folder, name), DTYPES[name]
    found, size = None, 0
    if not path.is_dir():
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            magic = file.read(10)
            header = file.read(int.from_bytes(magic[8:], "little"))
            found, size = HEADER.fullmatch(header), os.fstat(file.fileno()).st_size
    if not found or magic[:8] != MAGIC or found[1].decode() != dtype.str:
        raise _damaged(folder, f"{path.name} is no array of {dtype}, or is not there")
    offset = len(magic) + len(header)
    if size < offset + meta.length(name) * dtype.itemsize:
        raise _damaged(folder, f"{path.name} has {size} bytes, and {meta.size(name)} are needed")
    return np.memmap(path, dtype, "r", offset, (meta.length(name),))


def _damaged(folder, what):
    return ValueError(f"Cannot open {str(folder)!r}, which is damaged: {what}. Save the matrix again.")
