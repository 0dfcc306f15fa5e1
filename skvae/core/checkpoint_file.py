"""A state in a file: dicts, lists, plain values and arrays, as json and NumPy's arrays in a .npz, without pickle."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import torch

from .files import put_in_place

# What stands for an array, and for a tuple, in the json
ARRAY, TUPLE = "#array", "#tuple"
DOCUMENT = "document"


def write(path, document, state):
    """Write a state to a file, which is complete or not there: written beside, and renamed.

    Parameters
    ----------
    path : str
    document : object
        What json can hold: of what the state is.
    state : object
        Dicts with names as keys, lists, tuples, tensors, arrays, numbers, str, bool and None.

    Raises
    ------
    OSError
        Where it cannot be written; what was there before still is.
    TypeError
        Where the state holds something else.
    """
    arrays: list = []
    text = json.dumps({DOCUMENT: document, "state": _packed(state, arrays), "n_arrays": len(arrays)})
    named: dict = {str(number): array for number, array in enumerate(arrays)}
    named[DOCUMENT] = np.frombuffer(text.encode(), np.uint8)
    with put_in_place(Path(part_of(path)), Path(path)) as part, open(part, "wb") as file:
        np.savez(file, **named)


def is_plain(state):
    """Whether `write` could write a state."""
    try:
        _packed(state, [])
    except TypeError:
        return False
    return True


def part_of(path):
    """Where a file is while it is written."""
    return f"{path}.part"


def read_document(path):
    """The document of a file, every byte of which is checked.

    Parameters
    ----------
    path : str

    Returns
    -------
    object

    Raises
    ------
    ValueError
        Where the file is damaged, or of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = {name.removesuffix(".npy") for name in archive.namelist()}
        contents = _contents(path)
        if damaged or names != {DOCUMENT, *map(str, range(contents["n_arrays"]))}:
            raise ValueError(f"{damaged or 'its list of arrays'} is not as it was written")
        return contents[DOCUMENT]
    except Exception as error:  # zipfile, zlib, json and NumPy have one of their own each
        raise ValueError(
            f"{path} is damaged, or no file of skvae: name another file, or remove it ({error})."
        ) from error


def read_state(path, as_array=np.asarray):
    """The state of a file that `read_document` has checked.

    Parameters
    ----------
    path : str
    as_array : callable, default=np.asarray
        Makes of each NumPy array, one at a time, what stands in the state.

    Returns
    -------
    object
    """
    contents = _contents(path)
    with np.load(path, allow_pickle=False) as arrays:
        return _unpacked(contents["state"], lambda number: as_array(arrays[str(number)]))


def checksum(state):
    """The checksum of a state as `write` takes it, str of 16 hexadecimal digits: other values have another one."""
    arrays: list = []
    digest = hashlib.blake2b(json.dumps(_packed(state, arrays)).encode(), digest_size=8)
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _contents(path):
    with np.load(path, allow_pickle=False) as arrays:
        return json.loads(arrays[DOCUMENT].tobytes())


def _packed(value, arrays):
    """A value as json can hold it, its arrays added to a list and replaced by their place there."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"A dict with a key that is no name cannot be written: {list(value)}")
        return {key: _packed(part, arrays) for key, part in value.items()}
    if isinstance(value, list):
        return [_packed(part, arrays) for part in value]
    if isinstance(value, tuple):
        return {TUPLE: [_packed(part, arrays) for part in value]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("An array of objects cannot be written without pickle.")
        arrays.append(value)
        return {ARRAY: len(arrays) - 1}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"A {type(value).__name__} cannot be written without pickle.")


def _unpacked(value, array):
    if isinstance(value, list):
        return [_unpacked(part, array) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {ARRAY}:
        return array(value[ARRAY])
    if value.keys() == {TUPLE}:
        return tuple(_unpacked(part, array) for part in value[TUPLE])
    return {key: _unpacked(part, array) for key, part in value.items()}
