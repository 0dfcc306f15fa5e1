"""Archives of data sets: downloaded once, or already on this machine."""

import hashlib
import io
import re
import struct
import zipfile
import zlib
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

GIB = 2**30
MAX_README = 2**20
CHUNK = 2**20
ENTRY = b"PK\x01\x02"  # with which each entry of a zip file's directory begins
# What zipfile and zlib raise where bytes of an archive are not what they were; RuntimeError: a feature they do not know
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, OverflowError, RuntimeError)
REMEDY = "delete it and fetch it again"


def fetch_archive(url, *, sha256=None, data_home=None, download_if_missing=True, n_retries=3, delay=1.0):
    """Path of the archive in data_home, downloaded where it is not there.

    Parameters
    ----------
    url : str
    sha256 : str, default=None
        What the file is checked against; None checks nothing.
    data_home : str or path-like, default=None
        As in `sklearn.datasets.get_data_home`; the file lies in its folder ``skvae``.
    download_if_missing : bool, default=True
    n_retries : int, default=3
    delay : float, default=1
        Seconds between two attempts.

    Returns
    -------
    Path

    Raises
    ------
    OSError
        Where the file is missing and may not or cannot be downloaded, or has another checksum after
        its download.
    ValueError
        Where nothing may be downloaded and the file that is there has another checksum.
    """
    from sklearn.datasets import fetch_file, get_data_home  # with scipy.io: not for everyone who imports skvae

    path = Path(get_data_home(data_home)) / "skvae" / url.rpartition("/")[2]
    if not download_if_missing:
        if not path.is_file():
            raise FileNotFoundError(f"{path} not found: set download_if_missing=True, or put {url} there.")
        if sha256 is not None and _sha256(path) != sha256:
            raise ValueError(
                f"{path} has another checksum (SHA-256) than the official file: {REMEDY}, with "
                "download_if_missing=True, or name a file of your own with path."
            )
        return path
    path.parent.mkdir(exist_ok=True)
    try:
        return fetch_file(url, path.parent, path.name, sha256=sha256, n_retries=n_retries, delay=delay)
    except (OSError, HTTPException) as error:
        raise OSError(
            f"{url} could not be downloaded ({error}): download it by other means and put it at {path}, or say "
            "where it is with path."
        ) from error


def _sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_archive(path, folder, max_size):
    """The files of a zip file, or of a folder on disk, for `open_table` and `read_text`.

    Parameters
    ----------
    path : str or path-like
        A zip file or a folder.
    folder : str
        Where the files are inside; looked for in path itself too. "" for path itself.
    max_size : int
        Bytes that a file of a zip file may have when it is unpacked.

    Yields
    ------
    object
        The files.

    Raises
    ------
    OSError
        Where path does not exist.
    ValueError
        Where path is a file but no zip file, or one that is damaged, empty, or holds names outside
        of itself.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        yield _Folder(path / folder if (path / folder).is_dir() else path)
        return
    if not path.exists():
        raise FileNotFoundError(f"path={str(path)!r} not found: it must be the zip file, or the folder it unpacks to.")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"path={str(path)!r} is no zip file, or one that was cut short: {REMEDY}, or name the folder it unpacks to."
        )
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGE, ValueError) as error:  # ValueError: names that are no text
        raise _damaged(path, error) from error
    with archive:
        _check_names(path, archive.namelist())
        yield _Zip(path, archive, folder, max_size)


class _Folder:
    """Files on disk."""

    damage = ()  # errors that would say that bytes are not what they were

    def __init__(self, folder):
        self.folder = folder

    def place(self, name):
        """What errors call a file."""
        return self.folder / name

    def has(self, name):
        return self.place(name).is_file()

    def open(self, name):
        return self.place(name).open("rb")

    def check(self):
        """Nothing to compare with: a folder has no checksums."""


class _Zip:
    """Files of an open zip file; zipfile reads of each no more than it is said to have."""

    damage = DAMAGE

    def __init__(self, path, archive, folder, max_size):
        self.path, self.archive, self.max_size = path, archive, max_size
        is_inside = any(name.startswith(f"{folder}/") for name in archive.namelist())
        self.prefix = f"{folder}/" if is_inside else ""

    def place(self, name):
        """What errors call a file."""
        return f"{self.path}/{self.prefix}{name}"

    def has(self, name):
        return self.prefix + name in self.archive.NameToInfo

    def open(self, name):
        info = self.archive.getinfo(self.prefix + name)
        if not _is_plain(info):
            raise ValueError(
                f"{self.place(name)} is encrypted, or packed by a method that the official archive does not use: "
                f"{REMEDY}, or unpack it and name the folder with path."
            )
        if info.file_size > self.max_size:
            raise ValueError(
                f"{self.place(name)} would unpack to {info.file_size / GIB:.1f} GiB, and no official file has more "
                f"than {self.max_size / GIB:g}: {REMEDY}, or unpack it and name the folder with path."
            )
        try:
            return self.archive.open(info)
        except (*DAMAGE, ValueError) as error:
            raise _damaged(self.path, error) from error

    def check(self):
        """Raise where a byte of the files is not what it was."""
        left = self.max_size
        try:
            for info in self.archive.infolist():
                # a wrong length of a name or a comment takes the next entry into it
                if ENTRY in info.comment + info.extra + info.orig_filename.encode(errors="replace"):
                    raise zipfile.BadZipFile(f"the entry of {info.filename!r} is too long")
                with self.archive.open(info) as file:  # compares the name with that before the file
                    while _is_plain(info) and left > 0 and (chunk := file.read(CHUNK)):  # at the end the checksum
                        left -= len(chunk)
        except (*DAMAGE, ValueError) as error:
            raise _damaged(self.path, error) from error


def _is_plain(info):
    """Whether a file of a zip file is not encrypted (bit 0), and stored or deflated, as all official ones are."""
    return not info.flag_bits & 1 and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def _damaged(path, error):
    return ValueError(f"{path} is damaged ({error}): {REMEDY}.")


def _check_names(path, names):
    if not names:
        raise ValueError(f"{path} is an empty zip file: {REMEDY}.")
    for name in names:
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
            raise ValueError(f"{path} holds the file {name!r}, which lies outside of its own folder: {REMEDY}.")


@contextmanager
def open_table(files, name, encoding="utf-8"):
    """A text file of an archive, opened.

    Parameters
    ----------
    files : object
        What `open_archive` gives.
    name : str
    encoding : str, default="utf-8"
        Of the official file. One that was saved again as UTF-8, with a byte order mark or without,
        is read as that.

    Yields
    ------
    text file

    Raises
    ------
    OSError
        Where the archive has no such file.
    ValueError
        Where what is read from it cannot be understood; names the file.
    """
    place = files.place(name)
    if not files.has(name):
        files.check()
        raise FileNotFoundError(f"{place} not found: the official files are needed.")
    with files.open(name) as binary:
        try:
            if encoding == "utf-8" or _first_line_of_no_utf8(files, name) is None:
                encoding = "utf-8-sig"
            with io.TextIOWrapper(binary, encoding, newline="") as file:
                yield file
        except files.damage as error:
            raise _damaged(place, error) from error
        except ValueError as error:
            files.check()  # a line that cannot be understood may be one of damaged bytes
            if isinstance(error, UnicodeDecodeError):
                reason = f"line {_first_line_of_no_utf8(files, name)} is no UTF-8 text; save it as UTF-8"
                raise ValueError(f"{place} cannot be read: {reason}, or fetch the official file again.") from error
            raise ValueError(f"{place} cannot be read: {error}") from error


def _first_line_of_no_utf8(files, name):
    """The number of the first line that is not UTF-8, from 1; None where all lines are."""
    with files.open(name) as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None


def read_text(files, name):
    """A short text of an archive, such as its README.

    Parameters
    ----------
    files : object
        What `open_archive` gives.
    name : str

    Returns
    -------
    str
        Its first 2**20 bytes; "" where the archive has no such file.

    Raises
    ------
    ValueError
        Where the archive is damaged.
    """
    if not files.has(name):
        files.check()  # its name may be what is damaged
        return ""
    with files.open(name) as file:
        try:
            return file.read(MAX_README).decode("utf-8", "replace")
        except files.damage as error:
            raise _damaged(files.place(name), error) from error


def numbered_lines(files, name):
    """The lines of a text file of an archive, to find the one that is wrong.

    Parameters
    ----------
    files : object
        What `open_archive` gives.
    name : str

    Yields
    ------
    number : int
        From 1, as `open_table` counts.
    line : str
        What is no UTF-8 is replaced.
    """
    with files.open(name) as binary, io.TextIOWrapper(binary, "utf-8-sig", "replace", newline="") as file:
        yield from enumerate(file, 1)


def line_error(number, line, expected):
    """The error of a line that is not written as in the official file.

    Parameters
    ----------
    number : int
        From 1.
    line : str
    expected : str
        What a line of the official file is, as "a user, a song and a play count".

    Returns
    -------
    ValueError
    """
    text = line.rstrip("\r\n")[:80]
    return ValueError(f"line {number} is {text!r}; it must be {expected}: mend it, or fetch the official file again.")
