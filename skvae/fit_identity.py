"""What tells a fit, or a function, from any other, in words that an error can say; and the checkpoint known by it."""

import functools
from types import CellType, CodeType, FunctionType, MethodType

import numpy as np
import scipy.sparse as sp

from .core.checkpoint import Checkpoint, NoCheckpoint
from .core.checkpoint_file import checksum
from .core.devices import is_half_precision, resolve

# Parameters that change no weight
WITHOUT_EFFECT = ("checkpoint", "n_jobs", "store_user_hashes", "verbose")
NOBODY = "users of whom none can be validated"  # an X_val that leaves a fit neither those nor any of X
MOST_CHARACTERS = 200  # of an object that is told by what it is printed as
MAX_DEPTH = 5  # of objects in attributes of objects


def given_to_validate(X_val, validation):
    """What tells the X_val of a fit from another, for `checkpoint_of` and `check_same_training`.

    Parameters
    ----------
    X_val : object
        As fit got it.
    validation : pair of csr_array, or None
        The validation users of the fit, checked.

    Returns
    -------
    pair of csr_array, NOBODY or None
        None where X_val is.
    """
    if X_val is None:
        return None
    return NOBODY if validation is None else validation


def checkpoint_of(path, estimator, X, X_val, **others):
    """The checkpoint of one fit.

    Parameters
    ----------
    path : str or None
        The parameter ``checkpoint``, checked.
    estimator : estimator
        About to be fitted.
    X : csr_array of shape (n_users, n_items)
        Checked.
    X_val : pair of csr_array, NOBODY or None
        Validation users that fit was given, checked.
    **others : object
        What else the fit depends on, instead of a parameter of that name or beside them.

    Returns
    -------
    Checkpoint or NoCheckpoint
        A context for the fit; entering it raises ValueError where the file is not that of this fit.
    """
    return NoCheckpoint() if path is None else Checkpoint(path, identity_of(estimator, X, X_val, **others))


def identity_of(estimator, X, X_val, **others):
    """What tells a fit from any other.

    Parameters
    ----------
    estimator, X, X_val, **others : object
        As in `checkpoint_of`.

    Returns
    -------
    dict of str to json
        Class of the estimator, parameters, data and others, by their names.
    """
    parameters = estimator.get_params(deep=True) | others
    kept = {name: value for name, value in parameters.items() if name.split("__")[-1] not in WITHOUT_EFFECT}
    data = {"X": X, "X_val": X_val}
    return {"estimator": type(estimator).__name__} | described(kept | data)


def check_same_training(estimator, parameters, X, X_val, processes, goes_on):
    """Raise where another process of the group fits another estimator, begins or computes otherwise, or has other data.

    Parameters
    ----------
    estimator : autoencoder
        Not changed by the fit yet.
    parameters : SimpleNamespace
        Its parameters, checked.
    X : csr_array of shape (n_users, n_items)
        Checked.
    X_val : pair of csr_array, NOBODY or None
        Validation users that fit was given, checked.
    processes : Alone or ProcessGroup
    goes_on : bool
        Whether it goes on from the fitted model.

    Raises
    ------
    ValueError
    """

    def identity():
        device = resolve(parameters.device)
        start = _start(estimator, estimator._training_state is None) if goes_on else None
        # what is summed at once depends on the kind of device, and on the precision
        others = {"device": device.type, "model to go on from": start}
        others["precision"] = "bfloat16" if is_half_precision(parameters.precision, device) else "float32"
        return identity_of(estimator, X, X_val, **others)

    processes.check_same(identity)


def checkpoint_of_training(estimator, parameters, X, X_val, processes, goes_on):
    """The checkpoint of a fit of an autoencoder, which depends on where it begins and on the device too.

    Parameters
    ----------
    estimator, parameters, X, X_val, processes, goes_on : object
        As in `check_same_training`; the first process has the checkpoint.

    Returns
    -------
    Checkpoint or NoCheckpoint
    """
    if parameters.checkpoint is None or not processes.is_first:
        return NoCheckpoint()
    start = _start(estimator, estimator._training_state) if goes_on else None
    others = {"device": str(resolve(parameters.device)), "model to go on from": start}
    return checkpoint_of(parameters.checkpoint, estimator, X, X_val, **others)


def _start(estimator, state):
    """What tells a model to go on from, with the state of its optimizer or what stands for it."""
    numbers = [estimator._seed, estimator.n_updates_, estimator.batch_size_]
    return f"one of {estimator.n_iter_} epochs (checksum {checksum([estimator.weights_, state, numbers])})"


def described(value, depth=0):
    """A parameter, or data, in json: equal for what is equal, in another process too.

    Parameters
    ----------
    value : object
    depth : int, default=0
        Of an object in attributes of objects.

    Returns
    -------
    json
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if sp.issparse(value):
        return _described_matrix(value)
    if isinstance(value, np.random.RandomState):
        return f"RandomState (checksum {checksum(value.get_state())})"
    if hasattr(value, "__array__"):
        return _described_array(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        return [described(part, depth) for part in value]
    if isinstance(value, dict):
        return {str(key): described(part, depth) for key, part in value.items()}
    if isinstance(value, functools.partial):
        return described(["partial", value.func, value.args, value.keywords], depth)
    if hasattr(value, "__qualname__"):  # a function or class
        return computation_of(value)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "get_params") or depth == MAX_DEPTH:  # the parameters have a name of their own
        return kind
    return [kind, described(_state_of(value), depth + 1)]


def computation_of(function, depth=0):
    """What tells a function, a class or an object that is called from others: its name, code and plain values.

    Parameters
    ----------
    function : callable
    depth : int, default=0
        Of a function among the values that another one knows.

    Returns
    -------
    json
        Nothing of what may change from call to call, such as lists and arrays.
    """
    if isinstance(function, functools.partial):
        plain = _plain(function.args, depth), _plain_values(function.keywords, depth)
        return [computation_of(function.func, depth), *plain]
    if isinstance(function, MethodType):
        return [computation_of(function.__func__, depth), computation_of(function.__self__, depth)]
    if not hasattr(function, "__qualname__"):
        state = _state_of(function)
        return [computation_of(type(function)), _plain_values(state, depth) if isinstance(state, dict) else state]
    name = f"{getattr(function, '__module__', None)}.{function.__qualname__}"
    if not isinstance(function, FunctionType) or ("<" not in name and function.__module__ != "__main__"):
        return name
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    knows = {name: cell.cell_contents for name, cell in cells.items() if cell != CellType()}
    defaults = _plain(function.__defaults__, depth), _plain_values(function.__kwdefaults__ or {}, depth)
    return [name, checksum(_content(function.__code__)), _plain_values(knows, depth), *defaults]


def _state_of(value):
    """The attributes of an object, those of slots too; of one that has none, as a date, what it is printed as."""
    cls, state = type(value), getattr(value, "__dict__", None)
    if all(getattr(cls, name) is getattr(object, name) for name in ("__reduce__", "__reduce_ex__")):  # else caches too
        attributes = object.__getstate__(value)
        state = (attributes[0] or {}) | attributes[1] if isinstance(attributes, tuple) else attributes or state
    if state is not None:
        return state
    printed = repr(value)
    if " at 0x" in printed:
        return {}
    return printed if len(printed) <= MOST_CHARACTERS else f"{len(printed)} characters (checksum {checksum(printed)})"


def _plain_values(values, depth):
    return {str(name): _plain(value, depth) for name, value in values.items()}


def _plain(value, depth):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item(), depth)
    if isinstance(value, tuple):
        return [_plain(part, depth) for part in value]
    if isinstance(value, (FunctionType, MethodType, functools.partial)) and depth < MAX_DEPTH:
        return computation_of(value, depth + 1)
    return type(value).__name__


def _content(code):
    constants = [_content(part) if isinstance(part, CodeType) else _constant(part) for part in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant(value):
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _described_array(array):
    array = array if hasattr(array, "cpu") else np.asarray(array)  # a tensor stays one, wherever it is
    content = array.astype(str).tolist() if array.dtype == object else array
    return f"{type(array).__name__} (checksum {checksum(content)})"


def _described_matrix(X):
    parts = X.indptr.astype(np.int64), X.indices.astype(np.int32, copy=False), X.data
    n_users, n_items = X.shape
    return f"{n_users} users x {n_items} items, {X.nnz} interactions (checksum {checksum(list(parts))})"
