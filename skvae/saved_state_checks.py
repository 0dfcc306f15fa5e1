"""What may be in a saved model, and what the state of each class has to be: one table.

A rule is a function of (name, value) that raises, as those of `skvae.parameters` are.
"""

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler, Normalizer

from .autoencoder import FORMAT_VERSION
from .blend import BlendRecommender
from .blend_normalizations import NORMALIZATIONS
from .core.annealing import SCHEDULES
from .core.architecture import Architecture
from .core.initialization import INITIALIZATIONS
from .core.likelihoods import LIKELIHOODS
from .core.model_file import blocks
from .core.objectives import TARGETS
from .core.priors import PRIORS
from .ids import as_ids
from .linear import NUMBERS, EASERecommender, LinearRecommender
from .multdae import MultDAERecommender
from .multvae import MultVAERecommender
from .parameters import flag, integer, number, optional, piece
from .popularity import PopularityRecommender
from .preprocessing import InteractionEncoder
from .recommender import BaseRecommender
from .recvae import RecVAERecommender

# Name -> class of an object whose attributes are its constructor's arguments
PIECES = {piece.__name__: piece for table in (LIKELIHOODS, PRIORS, SCHEDULES) for piece in table.values()}
# Name -> function that may be a parameter; those of NumPy for a FunctionTransformer
FUNCTIONS = {function.__name__: function for function in (*INITIALIZATIONS.values(), *NORMALIZATIONS.values())}
FUNCTIONS |= {name: getattr(np, name) for name in ("log1p", "expm1", "log2", "exp2", "sqrt", "square", "sign")}
# Attributes that a fitted model may have or not
OPTIONAL = {"_column_labels", "_held_out_hashes", "_share_left_out", "_sklearn_output_config", "_user_hashes"}
OPTIONAL |= {"best_iter_", "centering_", "diagonal_", "feature_names_in_", "gram_", "idf_", "refitted_", "target_"}
# What a later fit alone would use: optimizer, callbacks, requests to a routing Pipeline or search
NOT_KEPT = {"_training_state", "_skl_callbacks", "_metadata_request"}
NOT_KEPT |= {"_callback_fit_ctx", "_skl_callbacks_to_teardown"}  # of a model that a callback was given
# Parameters that say something of the machine that fitted, and have these values in a file
OF_THE_MACHINE = {"checkpoint": None}
ROUNDING_OF_SHARES = 1e-6  # of the weights of a blend, whose sum is 1
MOST_ITEMS = 2**31 - 1  # that SciPy's usual indices count
# The only array with values that are not finite: an item that was added and not yet trained has the bias -inf
MAY_BE_MINUS_INFINITE = "decoder.item_bias"


class Kind(NamedTuple):
    """What is known of a class.

    Parameters
    ----------
    format : int
        Of its state: raised when an older version could not read it or would misread it.
    check_parameters : callable
        Of an estimator; raises.
    rules : callable
        Of a fitted estimator: attribute -> rule.
    fitted : str or None
        The attribute without which it is not fitted; None where fit learns nothing that must be there.
    """

    format: int
    check_parameters: Callable
    rules: Callable
    fitted: str | None = None


def fitted_attributes(model):
    """Names of the attributes beside its parameters that a file keeps of a model.

    Parameters
    ----------
    model : estimator
        Of one of `classes`.

    Returns
    -------
    set of str
        Empty where it is not fitted, even if a fit that failed left something.
    """
    fitted = classes()[type(model)].fitted
    if fitted is not None and fitted not in vars(model):
        return set()
    return vars(model).keys() - parameter_defaults(type(model)).keys() - NOT_KEPT


def parameter_defaults(cls):
    """Parameter -> default, or `inspect.Parameter.empty`, of a class.

    Parameters
    ----------
    cls : type

    Returns
    -------
    dict of str to object
    """
    return {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}


def check_state(model, attributes):
    """Raise where the parameters or fitted attributes of a model are not what its class has.

    Parameters
    ----------
    model : estimator
        Of one of `classes`.
    attributes : set of str
        Names of those beside the parameters.

    Raises
    ------
    ValueError, TypeError
    """
    kind = classes()[type(model)]
    kind.check_parameters(model)
    if isinstance(model, BaseRecommender):
        flag("store_user_hashes", model.store_user_hashes)
    if not attributes:
        return
    rules = kind.rules(model)
    for what, others in (
        ("has the attribute {!r}, which no file of this version holds", attributes - rules.keys()),
        ("lacks the attribute {!r}", rules.keys() - attributes - OPTIONAL),
    ):
        if others:
            raise ValueError(f"{type(model).__name__} {what.format(min(others))}.")
    for name, rule in rules.items():
        if name in attributes:
            rule(name, vars(model)[name])


def check_piece(piece):
    """Raise where the arguments of a piece are no numbers.

    Parameters
    ----------
    piece : object
        Of one of `PIECES`.

    Raises
    ------
    ValueError
    """
    for name, value in vars(piece).items():
        if not all(_is_finite(part) for part in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name} of {type(piece).__name__} must be a number, or a tuple of them, got {value!r}.")


def check_finite(arrays):
    """Raise where an array holds NaN, or infinity.

    Parameters
    ----------
    arrays : dict of str to array

    Raises
    ------
    ValueError
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            may_be = name.endswith(MAY_BE_MINUS_INFINITE)
            if not all((block < np.inf if may_be else np.isfinite(block)).all() for block in blocks(array)):
                raise ValueError(f"{name} holds a value that is not finite.")


def _is_finite(value):
    is_number = type(value) in (int, float) or isinstance(value, (np.integer, np.floating))
    return is_number and math.isfinite(value)


# -- rules


def _array(dtype, *shape):
    """Rule of an array of one of the dtypes and this shape."""

    def rule(name, value):
        if not isinstance(value, np.ndarray) or value.dtype.name not in dtype.split() or value.shape != shape:
            what = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise ValueError(f"{name} must be an array of {dtype} of shape {shape}, got {what}.")

    return rule


def _names(n_items):
    def rule(name, value):
        _array("object", n_items)(name, value)
        if not all(type(part) is str for part in value):
            raise ValueError(f"{name} must be strings.")

    return rule


def _ids(name, value):
    if not isinstance(value, np.ndarray) or value.ndim != 1 or not len(value):
        raise ValueError(f"{name} must be an array of ids.")
    if as_ids(value, name).dtype != value.dtype:
        raise ValueError(f"{name} are ids of dtype {value.dtype} that another dtype would hold.")


def _ids_or_none(name, value):
    """Ids as `_ids` has them, or none: those of users are left out where they must not leave."""
    if not isinstance(value, np.ndarray) or value.shape != (0,):
        _ids(name, value)


def _hashes(name, value):
    if value is not None:
        _array("uint64", np.size(value))(name, value)


def _curve(name, value):
    if not isinstance(value, list) or not all(map(_is_finite, value)):
        raise ValueError(f"{name} must be a list of finite numbers.")


def _output(name, value):
    if not isinstance(value, dict) or not set(value.values()) <= {None, "default", "pandas", "polars"}:
        raise ValueError(f"{name} must be what set_output sets, got {value!r}.")


# -- what each class has


def _n_items(model):
    n_items = integer(1)("n_features_in_", getattr(model, "n_features_in_", None))
    if n_items > MOST_ITEMS:
        raise ValueError(f"n_features_in_ must be at most {MOST_ITEMS}, got {n_items}.")
    return n_items


def _of_any(model):
    n_items = _n_items(model)
    return {"n_features_in_": integer(1), "feature_names_in_": _names(n_items), "_sklearn_output_config": _output}


def _of_recommender(model):
    return _of_any(model) | {"_user_hashes": _hashes, "_column_labels": _names(_n_items(model))}


def _of_popularity(model):
    return _of_recommender(model) | {"item_counts_": _array("float32", _n_items(model))}


def _of_ease(model):
    n_weighted = _n_weighted(model)
    return _of_recommender(model) | {
        "weights_": _array("float32", n_weighted, n_weighted),
        "item_counts_": _array("int64", n_weighted),
    }


def _n_weighted(model):
    """Items of a linear model that have weights: all but those that were added since."""
    weights, n_items = vars(model).get("weights_"), _n_items(model)
    return len(weights) if np.ndim(weights) == 2 and 1 <= len(weights) < n_items else n_items


def _of_linear(model):
    n_weighted = _n_weighted(model)
    return _of_ease(model) | {
        "gram_": _array("float32", n_weighted, n_weighted),
        "item_squares_": _array("float64", n_weighted),
        **{f"{name}_": check() for name, check in NUMBERS.items()},
        "diagonal_": number(minimum=0, maximum=1),
        "best_validation_score_": optional(number()),
    }


def _of_autoencoder(model):
    return _of_recommender(model) | {
        "architecture_": _architecture_of(model),
        "weights_": _weights_of(model),
        "n_iter_": integer(0),
        "n_updates_": integer(0),
        "best_iter_": integer(1),
        "loss_curve_": _curve,
        "beta_curve_": _curve,
        "validation_scores_": optional(_curve),
        "best_validation_score_": optional(number()),
        "batch_size_": integer(1),
        "n_sampled_items_": optional(integer(1)),
        "n_iter_no_change_": integer(1),
        "early_stopping_": flag,
        "refitted_": flag,
        "_held_out_hashes": optional(_hashes),
        "_seed": integer(0),
    }


def _of_dae(model):
    return _of_autoencoder(model) | {"target_": piece(TARGETS)}


def _of_vae(model):
    return _of_dae(model) | {"anneal_cap_": number(minimum=0), "total_anneal_steps_": number(minimum=0)}


def _architecture_of(model):
    def rule(name, value):
        if not isinstance(value, Architecture):
            raise ValueError(f"{name} must be an Architecture, got {type(value).__name__}.")
        of_class = model._architecture(_on_cpu(model)._checked_parameters())
        for field in fields(Architecture):
            # a parameter may have been set since; what is none is the same in all models of a class
            part, check = getattr(value, field.name), model._checks.get(field.name)
            expected = check(field.name, part) if check else getattr(of_class, field.name)
            if type(part) is not type(expected) or part != expected:
                raise ValueError(f"{name} has {part!r} as {field.name}, which is none of {type(model).__name__}.")

    return rule


def _weights_of(model):
    def rule(name, value):
        sizes = [*model.architecture_.hidden_layer_sizes, *model.architecture_.decoder_layer_sizes]
        if not isinstance(value, dict) or not all(isinstance(weight, np.ndarray) for weight in value.values()):
            raise ValueError(f"{name} must be arrays by name.")
        # before a network of these sizes is made: each layer has a weight and a bias, each unit a bias
        if len(sizes) > len(value) or max(sizes) > max((weight.size for weight in value.values()), default=0):
            raise ValueError(f"{name} are not those of a network of layers of {sizes}.")
        shapes = model.architecture_.shapes(_n_items(model))
        if value.keys() != shapes.keys():
            raise ValueError(f"{name} are {', '.join(value)}, and must be {', '.join(shapes)}.")
        for weight, shape in shapes.items():
            _array("float32", *shape)(f"{name}[{weight!r}]", value[weight])

    return rule


def _of_blend(model):
    return _of_recommender(model) | {
        "estimators_": _members_of(model),
        "weights_": _shares_of(model),
        "best_validation_score_": optional(number()),
        "_named_members": _named_members_of(model),
    }


def _members_of(model):
    def rule(name, value):
        if not isinstance(value, list) or not value or not all(hasattr(m, "decision_function") for m in value):
            raise ValueError(f"{name} must be a list of recommenders.")
        others = {getattr(member, "n_features_in_", model.n_features_in_) for member in value} - {model.n_features_in_}
        if others:
            raise ValueError(f"{name} knows {model.n_features_in_} items, and a member {min(others)}.")

    return rule


def _shares_of(model):
    def rule(name, value):
        _array("float64", len(model.estimators_))(name, value)
        if not (value >= 0).all() or not abs(value.sum() - 1) < ROUNDING_OF_SHARES:
            raise ValueError(f"{name} must not be negative and sum to 1, got {value}.")

    return rule


def _named_members_of(model):
    def rule(name, value):
        kept = [member for member in value.values() if member != "drop"] if isinstance(value, dict) else []
        if [id(member) for member in kept] != [id(member) for member in model.estimators_]:
            raise ValueError(f"{name} must be the members by name.")

    return rule


def _of_encoder(model):
    return {"user_ids_": _ids_or_none, "item_ids_": _ids, "_share_left_out": number(minimum=0, maximum=1)}


def _of_scaler(model):
    of_items = _array("float32 float64", _n_items(model))
    return _of_any(model) | {"scale_": of_items, "max_abs_": of_items, "n_samples_seen_": integer(1)}


def _of_tfidf(model):
    return _of_any(model) | {"idf_": _array("float32 float64", _n_items(model))}


def _of_nothing(model):
    return {}


# -- checks of parameters


def _on_cpu(model):
    """A clone with the same parameters but for the device, since that of a saved model may be absent."""
    parameters = model.get_params(deep=False)
    device = parameters["device"]  # what is no name is left to check_device
    return type(model)(**parameters | {"device": "cpu" if isinstance(device, str) else device})


def _check_parameters(model):
    _on_cpu(model)._checked_parameters()


def _check_blend(model):
    model._checked_pairs(model._checked_parameters())


def _check_step(model):
    model._validate_params()


def _check_function_transformer(model):
    model._validate_params()
    for name in ("kw_args", "inv_kw_args"):
        if getattr(model, name):
            raise ValueError(f"{name} of a FunctionTransformer must be None, got {getattr(model, name)!r}.")


def _check_pipeline(model):
    if model.memory is not None:  # a folder of pickles, which the next fit would read
        raise ValueError("memory of a Pipeline must be None: set_params(memory=None) changes no answer of a model.")
    if not isinstance(model.steps, list) or not all(isinstance(step, tuple) and len(step) == 2 for step in model.steps):
        raise ValueError("steps of a Pipeline must be a list of (name, step) pairs.")
    model._validate_names([name for name, _ in model.steps])
    for name, step in model.steps:
        if not (step is None or step == "passthrough" or hasattr(step, "fit")):
            raise ValueError(f"The step {name!r} must be an estimator, got {step!r}.")


def _check_frozen(model):
    if type(model.estimator) not in classes():
        raise ValueError("estimator of a FrozenEstimator must be an estimator.")


# What is of skvae, and steps of scikit-learn whose state is numbers and arrays
_CLASSES = {
    PopularityRecommender: Kind(1, lambda model: None, _of_popularity, "item_counts_"),
    EASERecommender: Kind(1, _check_parameters, _of_ease, "weights_"),
    LinearRecommender: Kind(1, _check_parameters, _of_linear, "weights_"),
    MultVAERecommender: Kind(FORMAT_VERSION, _check_parameters, _of_vae, "weights_"),
    MultDAERecommender: Kind(FORMAT_VERSION, _check_parameters, _of_dae, "weights_"),
    RecVAERecommender: Kind(FORMAT_VERSION, _check_parameters, _of_autoencoder, "weights_"),
    BlendRecommender: Kind(1, _check_blend, _of_blend, "weights_"),
    InteractionEncoder: Kind(1, lambda model: model._check_parameters(), _of_encoder, "item_ids_"),
    Binarizer: Kind(1, _check_step, _of_any),
    FunctionTransformer: Kind(1, _check_function_transformer, _of_any),
    MaxAbsScaler: Kind(1, _check_step, _of_scaler, "scale_"),
    Normalizer: Kind(1, _check_step, _of_any),
}


@functools.cache
def classes():
    """Class -> what is known of it: all that can be in a saved model.

    Returns
    -------
    dict of type to Kind
    """
    # not when skvae is imported: they bring more of scikit-learn than the rest of skvae
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    return _CLASSES | {
        FrozenEstimator: Kind(1, _check_frozen, _of_nothing),
        Pipeline: Kind(1, _check_pipeline, _of_nothing),
        TfidfTransformer: Kind(1, _check_step, _of_tfidf),
    }
