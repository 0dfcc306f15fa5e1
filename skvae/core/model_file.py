"""One file of named arrays and texts, in the layout of safetensors, with checksums of everything.

The layout: 8 bytes, the length of a header; the header, a JSON object, of each array its dtype, shape and place in what
follows, and under "__metadata__" the texts; the arrays, in C order and little-endian, one after the other without gaps.
See https://github.com/huggingface/safetensors#format. What is ours:

- Arrays begin at multiples of 64 bytes: products with a mapped array are then those with one in memory, to the bit.
  What fills the gaps are arrays too, of zeros.
- The texts hold "checksums", the SHA-256 of each array, and "sha256", that of the header with zeros in its place.
"""

import hashlib
import json
import math
import os
from itertools import pairwise

import numpy as np

NAMES = {"?": "BOOL", "i1": "I8", "u1": "U8", "<i2": "I16", "<u2": "U16", "<f2": "F16", "<i4": "I32", "<u4": "U32"}
NAMES |= {"<f4": "F32", "<i8": "I64", "<u8": "U64", "<f8": "F64"}
DTYPES = {name: np.dtype(code) for code, name in NAMES.items()}
NAMES_OF_DTYPES = {dtype: name for name, dtype in DTYPES.items()}

ALIGNMENT = 64
MAX_HEADER = 2**20  # parsed JSON is up to some 25 times as large
MAX_NDIM = 4
BLOCK = 2**24  # bytes that are read, written or looked at in one go
FILLER = "filler "
UNSIGNED = f'"sha256": "{"0" * 64}"'.encode()


# -- writing


def write_arrays(path, arrays, texts):
    """Write a file of arrays and texts.

    Parameters
    ----------
    path : Path
    arrays : dict of str to array
        Of one dimension or more; of booleans, or of integers or floats of at most 64 bits.
    texts : dict of str to str

    Raises
    ------
    ValueError
        Where the header has more than `MAX_HEADER` bytes.
    """
    entries, end = {}, 0
    for number, (name, array) in enumerate(arrays.items()):
        begin, end = end, end + array.nbytes
        entries[name] = _entry(NAMES_OF_DTYPES[array.dtype], array.shape, begin, end)
        gap = -end % ALIGNMENT
        if gap:
            begin, end = end, end + gap
            entries[f"{FILLER}{number}"] = _entry("U8", (gap,), begin, end)
    checksums = {name: _checksum(array) for name, array in arrays.items()}
    metadata = {**texts, "checksums": json.dumps(checksums), "sha256": "0" * 64}
    header = json.dumps({"__metadata__": metadata, **entries}).encode()
    header += b" " * (-(8 + len(header)) % ALIGNMENT)
    if len(header) > MAX_HEADER:
        raise ValueError(f"All but the arrays takes {len(header)} bytes, and a file holds {MAX_HEADER}: use joblib.")
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header.replace(UNSIGNED, _signature(header)))
        for array in arrays.values():
            for block in blocks(array):
                file.write(block)
            file.write(bytes(-array.nbytes % ALIGNMENT))


def _entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def _signature(header):
    return b'"sha256": "' + hashlib.sha256(header).hexdigest().encode() + b'"'


def _checksum(array):
    checksum = hashlib.sha256()
    for block in blocks(array):
        checksum.update(block)
    return checksum.hexdigest()


def blocks(array):
    """The values of an array in C order, without a copy of them all.

    Parameters
    ----------
    array : array of one dimension or more

    Yields
    ------
    array of one dimension
        Contiguous, of some 16 MB.
    """
    step = max(1, BLOCK * len(array) // max(1, array.nbytes))
    for first in range(0, len(array), step):
        yield np.ascontiguousarray(array[first : first + step]).reshape(-1)


# -- reading


def read_arrays(path, *, mapped=False, verify=True):
    """The arrays and texts of a file; all that is declared is checked against the file before anything is read.

    Parameters
    ----------
    path : str or Path
    mapped : bool, default=False
        Give read-only views of the file, mapped into memory, instead of arrays.
    verify : bool, default=True
        Read all arrays, and compare their checksums. The header's is always compared.

    Returns
    -------
    arrays : dict of str to array
    texts : dict of str to str

    Raises
    ------
    ValueError
        Where it is no such file, is not whole, or was changed.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, size)
        texts, entries = _checked_entries(header, size - file.tell())
        get = _mapped_reader(file) if mapped else _reader(file)
        arrays = {name: get(*entry) for name, entry in entries.items()}
    if verify:
        _verify(arrays, texts)
    return {name: array for name, array in arrays.items() if not name.startswith(FILLER)}, texts


def _read_header(file, size):
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= MAX_HEADER or size < 8:
        raise ValueError("it is no file that skvae.save wrote, or its first bytes were changed.")
    header = file.read(length)
    if len(header) < length:
        raise ValueError(f"it was cut off, after {size} bytes, before its header ends.")
    return header


def _checked_entries(header, size):
    """The texts, and of each array (dtype, shape, begin), by where they begin; size is that of all arrays."""
    try:
        parsed = parsed_json(header.decode())
    except ValueError as error:
        raise ValueError("its header was changed, or it is no file that skvae.save wrote.") from error
    texts = parsed.pop("__metadata__", None) if isinstance(parsed, dict) else None
    texts = texts if isinstance(texts, dict) else {}
    if not {"checksums", "sha256"} <= texts.keys() or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("it is no file that skvae.save wrote.")
    signature = f'"sha256": "{texts["sha256"]}"'.encode()
    if header.count(signature) != 1 or _signature(header.replace(signature, UNSIGNED)) != signature:
        raise ValueError("its header was changed: the checksum is not that of what it says.")
    entries = dict(sorted(((name, _checked_entry(entry)) for name, entry in parsed.items()), key=lambda e: e[1][2:]))
    places = [(begin, end) for *_, begin, end in entries.values()]
    if any(begin != end for (_, end), (begin, _) in pairwise([(0, 0), *places])):
        raise ValueError("its arrays overlap, or leave gaps.")
    declared = places[-1][1] if places else 0
    if declared != size:
        what = "was cut off" if declared > size else "has more than it says"
        raise ValueError(f"it {what}: its arrays take {declared} bytes, and {size} are there.")
    return texts, {name: entry[:3] for name, entry in entries.items()}


def _checked_entry(entry):
    """(dtype, shape, begin, end) of the header's entry for an array."""
    try:
        dtype, shape, (begin, end) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("an array in its header lacks a dtype, shape or place that is known.") from error
    are_places = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    if not are_places or not 1 <= len(shape) <= MAX_NDIM:
        raise ValueError("an array in its header has a shape or a place that is none.")
    if math.prod(shape) * dtype.itemsize != end - begin or (begin % dtype.itemsize and begin != end):
        raise ValueError("an array in its header has another size than its place.")
    return dtype, shape, begin, end


def _reader(file):
    """Function of (dtype, shape, begin) to an array; called in the order of the file."""

    def read(dtype, shape, begin):
        array = np.empty(shape, dtype)
        if file.readinto(array.reshape(-1).view(np.uint8)) < array.nbytes:
            raise ValueError("it was cut off while it was read.")
        return array

    return read


def _mapped_reader(file):
    """Function of (dtype, shape, begin) to a read-only view of the file."""
    first, data = file.tell(), np.memmap(file, np.uint8, "r")

    def view(dtype, shape, begin):
        n_bytes = math.prod(shape) * dtype.itemsize
        return data[first + begin : first + begin + n_bytes].view(dtype).reshape(shape)

    return view


def _verify(arrays, texts):
    checksums = parsed_json(texts["checksums"])
    for name, array in arrays.items():
        if name.startswith(FILLER):
            whole = not array.any()
        else:
            whole = isinstance(checksums, dict) and checksums.get(name) == _checksum(array)
        if not whole or (array.dtype == bool and array.size and array.view(np.uint8).max() > 1):
            raise ValueError(f"its array {name!r} was changed: the checksum is not that of its bytes.")


def parsed_json(text):
    """The value that a JSON text stands for; stricter than Python.

    Parameters
    ----------
    text : str

    Returns
    -------
    object

    Raises
    ------
    ValueError
        Where it is no JSON, nests too deep, or a name in it comes twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("its JSON nests too deep.") from error


def _without_duplicates(pairs):
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name in its JSON comes twice.")
    return names


def _no_constant(name):
    raise ValueError(f"{name} is no JSON.")
