"""Fitted models as files of arrays and JSON, in which nothing can be run.

A file says, of each estimator, the name of its class and its state: what a pickle of it holds, as far as that is
numbers, strings, arrays, other estimators and pieces of skvae. Names are looked up in the tables of
`skvae.saved_state_checks`, and no module is imported because a file says so.
"""

import decimal
import inspect
import json
import math
import os
import uuid
from itertools import pairwise

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .core.files import written_whole
from .core.model_file import parsed_json, read_arrays, write_arrays
from .preprocessing import InteractionEncoder
from .saved_state_checks import (
    FUNCTIONS,
    OF_THE_MACHINE,
    PIECES,
    check_finite,
    check_piece,
    check_state,
    classes,
    fitted_attributes,
    parameter_defaults,
)
from .wrappers import unfrozen

FORMAT = 1  # of the description; a class has a format of its own beside it
MOST_OBJECTS = 100_000  # in a model, each counted as often as others hold it
# What hostile or damaged content makes the constructors and checks of the classes raise
REFUSALS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
# Type of what an array of objects holds -> to bytes, and back. A file has the place of the type in this table.
OBJECTS = {
    str: (lambda value: value.encode("utf-8", "surrogatepass"), lambda data: data.decode("utf-8", "surrogatepass")),
    bytes: (bytes, bytes),
    uuid.UUID: (lambda value: value.bytes, lambda data: uuid.UUID(bytes=data)),
    int: (lambda value: str(value).encode(), int),
    float: (lambda value: repr(value).encode(), float),
    decimal.Decimal: (lambda value: str(value).encode(), lambda data: decimal.Decimal(data.decode())),
}


def save(model, path):
    """Write a fitted model to a file of arrays and JSON, which can be loaded without trust.

    What was at the path stays until the new file is whole and on disk. `skvae.load` reads it. A file holds parameters
    and all that fit learned; not the optimizer, callbacks and metadata requests, which only a later fit would use.

    Parameters
    ----------
    model : estimator, or tuple, list or dict
        Any recommender of skvae, `InteractionEncoder`, and a Pipeline of them after steps of these classes of
        scikit-learn: Binarizer, FunctionTransformer (of no function, or log1p, expm1, log2, exp2, sqrt, square or sign
        of NumPy), MaxAbsScaler, Normalizer, TfidfTransformer; also in a FrozenEstimator. Or several of them, with
        arrays and plain values where needed, such as ``(encoder, model)``. Likelihoods, priors, schedules and
        initializations have to be those of skvae.
    path : str or path
        Of the file, such as "model.skvae", in a folder that exists.

    Raises
    ------
    TypeError
        Where the model is, or a parameter holds, something else: a search, an object or a function of your own, a
        RandomState. joblib and skops take them.
    NotFittedError
        Where a model is not fitted.
    ValueError
        Where a parameter is out of range, or an attribute is not as fit made it.
    FileNotFoundError, IsADirectoryError
        Where the folder of ``path`` does not exist, or path is a folder.
    OSError
        Where the file cannot be written; what was at the path is untouched.

    Examples
    --------
    >>> import tempfile
    >>> import skvae
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=30, random_state=0)
    >>> model = skvae.EASERecommender().fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skvae.save(model, folder + "/model.skvae")
    ...     loaded = skvae.load(folder + "/model.skvae")
    >>> bool((loaded.decision_function(X) == model.decision_function(X)).all())
    True
    """
    if isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model is {str(model)!r}: pass the model first, as skvae.save(model, path).")
    with written_whole(path) as part:
        _check_fitted(model)
        writer = _Writer()
        root = writer.node(model, "model")
        check_finite(writer.arrays)
        description = {"format": FORMAT, "versions": _versions(), "objects": writer.objects, "model": root}
        write_arrays(part, writer.arrays, {"skvae": json.dumps(description)})


def load(path, *, mmap_mode=None, verify=True):
    """The model of a file that `skvae.save` wrote.

    Nothing of the file is run. All of it is checked: a checksum of every byte, shapes and dtypes, that numbers are
    finite, and parameters as fit checks them. Arrays take no more memory than the file is large; ids, which become
    objects of Python, may.

    Parameters
    ----------
    path : str or path
    mmap_mode : {None, "r"}, default=None
        "r" leaves the arrays in the file: read-only views, which are read when they are used, and of which all
        processes of a machine share one copy.
    verify : bool, default=True
        Whether to read all arrays for their checksums and values. False leaves them unread with mmap_mode="r", for
        files larger than the memory, or verified where they arrived; all else is checked nevertheless.

    Returns
    -------
    estimator, or tuple, list or dict
        What was saved. Its answers are the same to the bit on the same machine and versions.

    Raises
    ------
    ValueError
        Where the file is not one of `skvae.save`, is damaged, is of a newer version, or holds a model that cannot be.
    OSError
        Where it cannot be read.
    """
    if mmap_mode not in (None, "r"):
        raise ValueError(f'mmap_mode must be None or "r", got {mmap_mode!r}: the file is never written to.')
    path = os.fspath(path)  # a number is none, but open takes it for an open file
    if os.path.isdir(path):
        raise IsADirectoryError(
            f"{os.fsdecode(path)!r} is a folder, and skvae.save writes files: open_interactions opens a matrix on disk."
        )
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"Cannot load {os.fsdecode(path)!r}, a pipe or a device: name the file itself.")
    try:
        arrays, texts = read_arrays(path, mapped=mmap_mode == "r", verify=verify)
        if verify:
            check_finite(arrays)
        return _described(arrays, texts)
    except REFUSALS as error:
        raise ValueError(f"Cannot load {str(path)!r}: {error}") from error


def _check_fitted(model):
    """Raise unless it is a fitted estimator, or holds one, and no other."""
    estimators = list(_estimators_in(model))
    if not estimators:
        raise TypeError(f"save takes a fitted model, or a tuple, list or dict with one, got {type(model).__name__}.")
    for estimator in estimators:
        if type(estimator) in classes():  # others are refused by the writer
            check_is_fitted(estimator)
        steps = getattr(estimator, "steps", None)
        for name, step in steps if type(estimator) in classes() and steps else ():
            if isinstance(unfrozen(step), InteractionEncoder):
                raise ValueError(
                    f"The step {name!r} takes tables, and recommend, evaluate and scorers pass matrices on: fit the "
                    "other steps on the matrix of encoder.fit_transform, and save (encoder, pipeline)."
                )


def _estimators_in(value):
    if isinstance(value, BaseEstimator):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _estimators_in(part)


# -- from a model to a description


class _Writer:
    """Nodes of JSON for values; arrays and objects are collected beside them.

    A node is a plain value, a list of nodes, or {kind: what}.
    """

    def __init__(self):
        self.arrays, self.objects = {}, []
        self._numbers, self._written = {}, []  # id of an object -> its place; kept, so that an id stays one

    def node(self, value, where):
        """What stands for a value; where is what an error calls it, and the name of an array."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float and math.isfinite(value):
            return value
        if type(value) is list:
            if value and all(type(part) is float for part in value):
                return {"floats": self._array(np.array(value), where)}
            return self._nodes(value, where)
        if type(value) is tuple:
            return {"tuple": self._nodes(value, where)}
        if type(value) is dict:
            strange = [name for name in value if type(name) is not str]
            if strange:
                raise _refusal(where, f"a dict with the key {strange[0]!r}, which is no string")
            return {"dict": {name: self.node(part, f"{where}.{name}") for name, part in value.items()}}
        if isinstance(value, np.ndarray):
            return self._of_objects(value, where) if value.dtype == object else {"array": self._array(value, where)}
        if inspect.isroutine(value) or isinstance(value, np.ufunc):
            return self._function(value, where)
        return {"object": self._object(value, where)}

    def _nodes(self, values, where):
        return [self.node(part, f"{where}.{place}") for place, part in enumerate(values)]

    def _array(self, array, where):
        if array.ndim == 0 or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or not array.dtype.isnative:
            raise TypeError(
                f"{where} is an array of {array.dtype} and {array.ndim} dimensions, which skvae.save cannot hold: it "
                "takes numbers and booleans of one dimension or more; strings as objects, by astype(object)."
            )
        name = where
        while name in self.arrays:  # of another value, as the part "b" of a dict "a" and a value "a.b"
            name += "'"
        self.arrays[name] = array
        return name

    def _of_objects(self, array, where):
        types = list(OBJECTS)
        others = {type(value) for value in array.ravel()} - OBJECTS.keys()
        if others or array.ndim != 1:
            raise TypeError(f"{where} is an array of {', '.join(cls.__name__ for cls in others)}: no file holds it.")
        data = [OBJECTS[type(value)][0](value) for value in array]
        parts = {
            "types": np.fromiter((types.index(type(value)) for value in array), np.uint8, len(array)),
            "ends": np.cumsum(np.fromiter(map(len, data), np.int64, len(data)), dtype=np.int64),
            "bytes": np.frombuffer(b"".join(data), np.uint8),
        }
        return {"objects": {name: self._array(part, f"{where}.{name}") for name, part in parts.items()}}

    def _function(self, function, where):
        name = getattr(function, "__name__", "")
        if FUNCTIONS.get(name) is not function:
            raise _refusal(where, f"the function {name}")
        return {"function": name}

    def _object(self, value, where):
        """The place of an estimator or a piece among the objects; after those that it holds."""
        if id(value) not in self._numbers:
            if type(value) in classes():
                described = self._estimator(value, where)
            elif PIECES.get(type(value).__name__) is type(value):
                check_piece(value)
                described = {"piece": type(value).__name__, "arguments": self._parts(vars(value), f"{where}.")}
            else:
                raise _refusal(where, f"of the class {type(value).__name__}", hasattr(value, "best_estimator_"))
            self.objects.append(described)
            self._written.append(value)
            self._numbers[id(value)] = len(self.objects) - 1
        return self._numbers[id(value)]

    def _estimator(self, estimator, where):
        attributes = fitted_attributes(estimator)
        check_state(estimator, attributes)
        kept = parameter_defaults(type(estimator)).keys() | attributes
        state = {name: value for name, value in estimator.__getstate__().items() if name in kept}
        state |= {name: value for name, value in OF_THE_MACHINE.items() if name in state}
        name, where = type(estimator).__name__, "" if where == "model" else f"{where}."
        return {"class": name, "format": classes()[type(estimator)].format, "state": self._parts(state, where)}

    def _parts(self, parts, where):
        return {name: self.node(value, f"{where}{name}") for name, value in parts.items()}


def _refusal(where, what, is_search=False):
    otherwise = "save its best_estimator_" if is_search else "set another"
    return TypeError(f"{where} is {what}, which skvae.save cannot hold: {otherwise}, or save with joblib or skops.")


# -- from a description to a model


def _described(arrays, texts):
    """The model of a file's arrays and texts."""
    description = parsed_json(texts.get("skvae", "null"))
    if not isinstance(description, dict) or type(description.get("format")) is not int:
        raise ValueError("it is no file that skvae.save wrote.")
    try:
        return _model(arrays, description)
    except REFUSALS as error:
        then, now = description.get("versions"), _versions()
        if then == now:
            raise
        raise ValueError(f"{error} It was written with {then}, and here are {now}.") from error


def _model(arrays, description):
    if description["format"] > FORMAT:
        raise _newer(f"its format is {description['format']}", f"reads up to {FORMAT}")
    if description.keys() != {"format", "versions", "objects", "model"} or type(description["objects"]) is not list:
        raise ValueError("its description is not one that skvae.save wrote.")
    reader = _Reader(arrays)
    for described in description["objects"]:
        reader.read(described)
    model = reader.value(description["model"])
    if reader.unread:
        raise ValueError(f"it holds {min(reader.unread)!r}, which belongs to nothing.")
    return model


def _versions():
    from . import __version__

    return {"skvae": __version__, "scikit-learn": sklearn.__version__}


def _newer(what, otherwise):
    return ValueError(f"{what}, and this version of skvae {otherwise}: upgrade skvae, if it is a file of skvae.save.")


class _Reader:
    """Values of nodes; each array stands for one value, and an object for those before it alone.

    An object may be named more than once, as a member that a blend has twice. Checks go through its parameters, and
    theirs, each time, so that thirty blends that name each other twice would keep them busy for years: the number of
    objects below one, each counted as often as it is named there, is bounded.
    """

    def __init__(self, arrays):
        self.arrays, self.unread, self.objects = arrays, set(arrays), []
        self._sizes, self._size = [], 0

    def value(self, node):
        if type(node) is list:
            return [self.value(part) for part in node]
        if type(node) is not dict:
            return node
        if len(node) != 1:
            raise ValueError("its description has a value of no kind.")
        ((kind, what),) = node.items()
        read = {
            "array": self._array,
            "dict": self._dict,
            "floats": self._floats,
            "function": self._function,
            "object": self._object,
            "objects": self._of_objects,
            "tuple": self._tuple,
        }.get(kind)
        if read is None:
            raise ValueError(f"its description has a value of the kind {kind!r}, which is none.")
        return read(what)

    def read(self, described):
        """Read the next object."""
        self._sizes.append(1)
        self._size = 0
        self.objects.append(self.object(described))

    def object(self, described):
        """An estimator or a piece, checked."""
        if type(described) is dict and described.keys() == {"piece", "arguments"}:
            cls = PIECES.get(_name(described["piece"]))
            if cls is None:
                raise _newer(f"it holds a {described['piece']}", "knows none")
            piece = cls(**self._dict(described["arguments"]))
            check_piece(piece)
            return piece
        if type(described) is not dict or described.keys() != {"class", "format", "state"}:
            raise ValueError("its description has an object that is none.")
        name, number = _name(described["class"]), described["format"]
        cls = next((cls for cls in classes() if cls.__name__ == name), None)
        if cls is None:
            raise _newer(f"it holds a {name}", "knows none")
        if type(number) is not int or number > classes()[cls].format:
            raise _newer(f"the format of its {name} is {number}", f"reads up to {classes()[cls].format}")
        return self._estimator(cls, number, self._state(described["state"]))

    def _estimator(self, cls, number, state):
        defaults = parameter_defaults(cls)
        missing = [name for name in defaults if defaults[name] is inspect.Parameter.empty and name not in state]
        if missing:
            raise ValueError(f"{cls.__name__} lacks the parameter {missing[0]!r}.")
        for name, value in OF_THE_MACHINE.items():
            if state.get(name, value) != value:
                raise ValueError(f"{name} of {cls.__name__} must be {value}, as skvae.save writes it.")
        model = object.__new__(cls)
        stamps = {"_sklearn_version": sklearn.__version__, "_skvae_format": number}
        model.__setstate__(defaults | state | stamps)
        for stamp in stamps:  # classes take what is theirs
            vars(model).pop(stamp, None)
        check_state(model, state.keys() - defaults.keys())
        if hasattr(model, "architecture_"):
            model._training_state = None
        return model

    def _array(self, name):
        if _name(name) not in self.unread:
            raise ValueError(f"its description names an array {name!r} that is not there or is another value.")
        self.unread.discard(name)
        return self.arrays[name]

    def _floats(self, name):
        array = self._array(name)
        if array.ndim != 1 or array.dtype != np.float64:
            raise ValueError(f"{name} must be float64 of one dimension.")
        return array.tolist()

    def _of_objects(self, names):
        if type(names) is not dict or names.keys() != {"types", "ends", "bytes"}:
            raise ValueError("its description has an array of objects that is none.")
        types, ends, data = (self._array(names[name]) for name in ("types", "ends", "bytes"))
        if [array.dtype.name for array in (types, ends, data)] != ["uint8", "int64", "uint8"] or not (
            types.ndim == ends.ndim == data.ndim == 1 and len(types) == len(ends)
        ):
            raise ValueError(f"{names['bytes']} belongs to no array of objects.")
        bounds = np.append(0, ends)
        if bounds[-1] != len(data) or (np.diff(bounds) < 0).any() or (types >= len(OBJECTS)).any():
            raise ValueError(f"{names['ends']} are no ends of parts of {names['bytes']}.")
        readers, data = [read for _, read in OBJECTS.values()], data.tobytes()
        parts = (data[begin:end] for begin, end in pairwise(bounds.tolist()))
        try:
            values = (readers[place](part) for place, part in zip(types.tolist(), parts, strict=True))
            return np.fromiter(values, object, len(types))
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"a part of {names['bytes']} is not of its type.") from error

    def _state(self, parts):
        """The attributes of an estimator, in several of which it may have the same members."""
        state, most = {}, 0
        for name, part in _named(parts):
            self._size = 0
            state[name] = self.value(part)
            most = max(most, self._size)
        self._sizes[-1] += most
        return state

    def _dict(self, parts):
        return {name: self.value(part) for name, part in _named(parts)}

    def _tuple(self, parts):
        return tuple(self.value(part) for part in parts)

    def _function(self, name):
        if _name(name) not in FUNCTIONS:
            raise _newer(f"it holds the function {name}", "knows none")
        return FUNCTIONS[name]

    def _object(self, number):
        if type(number) is not int or not 0 <= number < len(self.objects):
            raise ValueError(f"its description names an object {number!r} that is not before it.")
        self._size += self._sizes[number]
        if self._size > MOST_OBJECTS:
            raise ValueError(f"it holds an object with more than {MOST_OBJECTS} others in it.")
        return self.objects[number]


def _named(parts):
    if type(parts) is not dict:
        raise ValueError("its description has names of nothing.")
    return parts.items()


def _name(value):
    if type(value) is not str:
        raise ValueError(f"its description has {value!r} for a name.")
    return value
