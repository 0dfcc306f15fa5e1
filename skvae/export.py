"""Fitted recommenders as ONNX files, which answer without skvae, torch and Python."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from . import __version__
from .autoencoder import BaseAutoencoder
from .blend import BlendRecommender
from .blend_normalizations import ROUNDING, SQUARED_IN_FLOAT32
from .core.activations import ACTIVATIONS
from .core.files import check_place, written_whole
from .linear import EASERecommender, LinearRecommender
from .parameters import flag
from .popularity import PopularityRecommender
from .wrappers import steps_and_model

# Bytes of weights in one file: protobuf reads no message of 2 GiB, and the graph takes a few kB.
MAX_BYTES_IN_FILE = 2**31 - 2**20

# In ONNX's own notation; tried with ONNX Runtime 1.15, 1.20 and 1.32.
MODEL = """
<ir_version: 8, opset_import: ["" : 18]>
recommend (int64[n_interactions] indices, float[n_interactions] data, int64[n_users_plus_1] indptr)
       => (int64[n_users, {k}] items, float[n_users, {k}] scores)
{{
    # users: who each interaction belongs to, the number of rows that end before it
    n_interactions = Shape (indices)
    n_offsets = Shape (indptr)
    n_users = Sub (n_offsets, one)
    n_rows = Max (n_users, one)  # TopK of no rows ends the process in ONNX Runtime 1.20
    row_ends = Slice (indptr, one, n_offsets)
    row_end_ones = ConstantOfShape <value = int64[1] {{1}}> (n_users)
    n_positions = Add (n_interactions, one)
    no_ends = ConstantOfShape <value = int64[1] {{0}}> (n_positions)
    ends_at = ScatterElements <reduction = "add"> (no_ends, row_ends, row_end_ones)
    ends_before = CumSum (ends_at, axis)
    users = Slice (ends_before, zero, n_interactions)
    user_column = Unsqueeze (users, one)

    # values: X as a dense block, an item given twice added up
    item_column = Unsqueeze (indices, one)
    positions = Concat <axis = 1> (user_column, item_column)
    block_shape = Concat <axis = 0> (n_rows, n_items)
    empty_block = ConstantOfShape (block_shape)
    values = ScatterND <reduction = "add"> (empty_block, positions, data)

    is_seen = Cast <to = 9> (values)

    {scoring}

    ranked = {ranked}
    best_scores, best = TopK (ranked, k)
    is_left = Greater (best_scores, minus_infinity)
    best_items = Where (is_left, best, no_item)
    scores = Slice (best_scores, zero, n_users)
    items = Slice (best_items, zero, n_users)
}}
"""

# What scores, {name} before each of its names: the last one is {name}_scores, float[n_rows, n_items]
POPULARITY = "{name}_scores = Add (empty_block, {name}_item_counts)"

# the weight rows of each user's items, weighted and summed; item_counts where all of these are 0
LINEAR = """
    {name}_data_column = Unsqueeze (data, one)
    {name}_rows = Gather ({name}_weights, indices)
    {name}_addends = Mul ({name}_rows, {name}_data_column)
    # not ScatterND: with several threads onnxruntime loses some of the additions to the same user
    {name}_rows_shape = Shape ({name}_addends)
    {name}_owners = Expand (user_column, {name}_rows_shape)
    {name}_sums = ScatterElements <axis = 0, reduction = "add"> (empty_block, {name}_owners, {name}_addends)
    {name}_sizes = Abs ({name}_sums)
    {name}_largest = ReduceMax <keepdims = 1> ({name}_sizes, one)
    {name}_is_known = Greater ({name}_largest, float_zero)
    {name}_known_scores = Where ({name}_is_known, {name}_sums, {name}_item_counts)
    {name}_scores = Add ({name}_known_scores, {name}_added)
"""

AUTOENCODER = """
    # normalized: each row of length 1; in double, as the square of 1e-30 is 0 in float
    {name}_double_values = Cast <to = 11> (values)
    {name}_squares = ReduceSumSquare <keepdims = 0> ({name}_double_values, one)
    {name}_square_roots = Sqrt ({name}_squares)
    {name}_lengths = Max ({name}_square_roots, tiny)
    {name}_length_of_each = Gather ({name}_lengths, users)
    {name}_double_data = Cast <to = 11> (data)
    {name}_double_normalized = Div ({name}_double_data, {name}_length_of_each)
    {name}_normalized = Cast <to = 1> ({name}_double_normalized)
    {name}_normalized_column = Unsqueeze ({name}_normalized, one)

    # sums_0: the weight rows of each user's items, weighted and summed
    {name}_rows = Gather ({name}_encoder_item_weight, indices)
    {name}_addends = Mul ({name}_rows, {name}_normalized_column)
    {name}_hidden_shape = Concat <axis = 0> (n_rows, {name}_width)
    {name}_empty = ConstantOfShape ({name}_hidden_shape)
    # not ScatterND: with several threads onnxruntime loses some of the additions to the same user
    {name}_rows_shape = Shape ({name}_addends)
    {name}_owners = Expand (user_column, {name}_rows_shape)
    {name}_row_sums = ScatterElements <axis = 0, reduction = "add"> ({name}_empty, {name}_owners, {name}_addends)
    {name}_sums_0 = Add ({name}_row_sums, {name}_encoder_item_bias)

    {layers}
"""

# as skvae.blend_normalizations.standardized
STANDARDIZED = """
    {name}_is_unseen = Not (is_seen)
    {name}_is_finite = Greater ({name}_scores, minus_infinity)
    {name}_is_left = And ({name}_is_finite, {name}_is_unseen)
    {name}_left_ones = Cast <to = 1> ({name}_is_left)
    {name}_any_left = ReduceMax <keepdims = 1> ({name}_left_ones, one)
    {name}_some_left = Cast <to = 9> ({name}_any_left)
    {name}_none_left = Not ({name}_some_left)
    {name}_finite_instead = And ({name}_none_left, {name}_is_finite)
    {name}_is_counted = Or ({name}_is_left, {name}_finite_instead)
    {name}_counted_ones = Cast <to = 1> ({name}_is_counted)
    {name}_n_counted = ReduceSum <keepdims = 1> ({name}_counted_ones, one)
    {name}_divisor = Max ({name}_n_counted, float_one)
    {name}_counted = Where ({name}_is_counted, {name}_scores, minus_infinity)
    {name}_highest = ReduceMax <keepdims = 1> ({name}_counted, one)
    {name}_any_finite = Greater ({name}_highest, minus_infinity)
    {name}_any_best = Where ({name}_any_finite, {name}_highest, float_zero)
    {name}_counted_or_none = Where ({name}_is_counted, {name}_scores, float_zero)
    {name}_counted_sizes = Abs ({name}_counted_or_none)
    {name}_largest_counted = ReduceMax <keepdims = 1> ({name}_counted_sizes, one)
    {name}_is_above = Greater ({name}_largest_counted, float_most)
    {name}_is_below = Less ({name}_largest_counted, float_least)
    {name}_is_any_counted = Greater ({name}_largest_counted, float_zero)
    {name}_is_small = And ({name}_is_below, {name}_is_any_counted)
    {name}_is_far = Or ({name}_is_above, {name}_is_small)
    {name}_unit = Where ({name}_is_far, {name}_largest_counted, float_one)
    {name}_near = Div ({name}_scores, {name}_unit)
    {name}_best = Div ({name}_any_best, {name}_unit)
    {name}_below_best = Sub ({name}_near, {name}_best)
    {name}_counted_below = Where ({name}_is_counted, {name}_below_best, float_zero)
    {name}_sum = ReduceSum <keepdims = 1> ({name}_counted_below, one)
    {name}_mean = Div ({name}_sum, {name}_divisor)
    {name}_centred = Sub ({name}_below_best, {name}_mean)
    {name}_counted_centred = Where ({name}_is_counted, {name}_centred, float_zero)
    {name}_sum_of_squares = ReduceSumSquare <keepdims = 1> ({name}_counted_centred, one)
    {name}_variance = Div ({name}_sum_of_squares, {name}_divisor)
    {name}_root = Sqrt ({name}_variance)
    {name}_largest_in_unit = Div ({name}_largest_counted, {name}_unit)
    {name}_by_rounding = Mul ({name}_largest_in_unit, float_rounding)
    {name}_is_spread = Greater ({name}_root, {name}_by_rounding)
    {name}_unit_of_equals = Where ({name}_is_any_counted, {name}_largest_in_unit, float_one)
    {name}_deviation = Where ({name}_is_spread, {name}_root, {name}_unit_of_equals)
    {name}_normalized_scores = Div ({name}_centred, {name}_deviation)
"""
UNCHANGED = "{name}_normalized_scores = Identity ({name}_scores)"
NORMALIZED = {"standard": STANDARDIZED, "none": UNCHANGED}


def to_onnx(estimator, path, *, k=10, exclude_seen=True):
    """Write ``recommend`` of a fitted recommender as an ONNX file.

    The graph gives what ``estimator.recommend(X, k, exclude_seen=exclude_seen)`` gives, equal
    scores by lower item index and users without interactions included; scores agree to float32
    rounding, so that two items whose scores differ by less may change places. Products are in
    float32 whatever the estimator's precision.

    Inputs are the three arrays of a CSR matrix X, for any number of users:

    ========= ======= ====================== ====================================================
    indices   int64   (n_interactions,)      items of the first user, then of the second, ...
    data      float32 (n_interactions,)      their values, above 0; 1 each for likes or clicks
    indptr    int64   (n_users + 1,)         user u has the items ``indices[indptr[u]:indptr[u+1]]``
    ========= ======= ====================== ====================================================

    Outputs are ``items``, int64 (n_users, k), best first, and ``scores``, float32 (n_users, k);
    where fewer than k items are left, item -1 and score -inf. An item given twice counts with
    the sum of its values. The graph checks no value: keep items within 0 to n_items - 1.

    Parameters
    ----------
    estimator : fitted recommender
        Mult-VAE, Mult-DAE, a linear model, popularity, or a blend of these whose normalization has a
        name. A linear model takes 25 bytes times n_items for each interaction of a call.
    path : str or path
        Of the file, in a folder that exists. Weights of more than 2 GiB, which ONNX cannot hold in
        one file, are written to ``path`` + ".data" beside it: keep the two together.
    k : int, default=10
        Items per user, at most n_items; fixed in the file.
    exclude_seen : bool, default=True
        Leave out the items that a user has.

    Raises
    ------
    ImportError
        Where onnx is not installed.
    NotFittedError
        Where the estimator is not fitted.
    TypeError
        Where the estimator, or a member of a blend, is of another class or has a
        ``decision_function`` of its own, or k is not an int.
    ValueError
        Where k is out of range, a network has layers unknown here, or a blend normalises by a
        function.
    FileNotFoundError
        Where the folder of ``path`` does not exist.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, onnxruntime
    >>> from skvae import MultDAERecommender
    >>> from skvae.datasets import make_interactions
    >>> from skvae.export import to_onnx
    >>> X = make_interactions(n_users=200, n_items=50, random_state=0)
    >>> model = MultDAERecommender(16, max_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(model, folder + "/model.onnx", k=5)
    ...     session = onnxruntime.InferenceSession(folder + "/model.onnx")
    >>> inputs = {"indices": X.indices.astype(np.int64)}
    >>> inputs["data"] = X.data.astype(np.float32)
    >>> inputs["indptr"] = X.indptr.astype(np.int64)
    >>> items, scores = session.run(["items", "scores"], inputs)
    >>> items.shape
    (200, 5)
    """
    onnx = _import_onnx()
    _check(estimator, path, k)
    exclude_seen = flag("exclude_seen", exclude_seen)
    scoring = _scoring(estimator, "model")
    ranked = "Where (is_seen, minus_infinity, model_scores)" if exclude_seen else "Identity (model_scores)"
    model = onnx.parser.parse_model(MODEL.format(k=k, scoring=scoring.text, ranked=ranked))
    named = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name)
        for name, array in {**_constants(estimator.n_features_in_, k), **scoring.arrays}.items()
        if name in named
    )
    model.producer_name, model.producer_version = "skvae", __version__
    metadata = {
        "skvae_version": __version__,
        "estimator": type(estimator).__name__,
        "n_items": estimator.n_features_in_,
    }
    onnx.helper.set_model_props(model, {name: str(value) for name, value in metadata.items()})
    _write(onnx, model, path, is_large=sum(array.nbytes for array in scoring.arrays.values()) > MAX_BYTES_IN_FILE)


def _import_onnx():
    try:
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
        import onnx.parser
    except ImportError as error:
        raise ImportError('to_onnx needs the package onnx: pip install "skvae[onnx]".') from error
    return onnx


def _check(estimator, path, k):
    _writer(estimator)
    check_is_fitted(estimator)
    check_scalar(k, "k", (int, np.integer), min_val=1, max_val=estimator.n_features_in_)
    check_place(path)


class _Scoring(NamedTuple):
    """Lines of the graph that score, and the arrays that they name."""

    text: str
    arrays: dict


def _scoring(estimator, name):
    return _writer(estimator)(estimator, name)


def _writer(estimator):
    """What writes the scores of an estimator; by its decision_function, so that no subclass with its own passes."""
    function = getattr(type(estimator), "decision_function", None)
    if isinstance(estimator, (tuple, list, dict)):
        raise TypeError(
            f"estimator must be a fitted recommender, got {type(estimator).__name__}: pass the model alone, as of "
            "(encoder, model); the graph speaks columns, and encoder.item_ids_ are their ids."
        )
    if function not in WRITERS:
        raise TypeError(
            "estimator must be a MultVAERecommender or MultDAERecommender, a linear model, a PopularityRecommender or "
            f"a blend of these, got {type(estimator).__name__}: of a Pipeline or a search pass the fitted recommender "
            "inside, as pipeline[-1] of search.best_estimator_, and to the graph what pipeline[:-1].transform(X) gives."
        )
    return WRITERS[function]


def _popularity(estimator, name):
    return _Scoring(POPULARITY.format(name=name), {f"{name}_item_counts": estimator.item_counts_})


def _linear(estimator, name):
    weights = estimator.weights_
    n_added = estimator.n_features_in_ - len(weights)
    added = np.repeat([0, -np.inf], [len(weights), n_added]).astype(np.float32)
    counts = np.zeros(len(weights)) + getattr(estimator, "item_counts_", 0)  # a file from before has none
    if n_added:
        weights, counts = np.pad(weights, (0, n_added)), np.pad(counts, (0, n_added))
    arrays = {"weights": weights, "item_counts": counts.astype(np.float32), "added": added}
    return _Scoring(LINEAR.format(name=name), {f"{name}_{part}": array for part, array in arrays.items()})


def _blend(estimator, name):
    normalization = estimator.normalization
    if not isinstance(normalization, str) or normalization not in NORMALIZED:
        raise ValueError(
            f"This blend normalises scores by {normalization!r}, which to_onnx cannot write: use one of "
            f"{', '.join(NORMALIZED)}, or save it with joblib."
        )
    lines: list[str] = []
    weighted: list[str] = []
    arrays: dict[str, np.ndarray] = {}
    for number, (member, weight) in enumerate(zip(estimator.estimators_, estimator.weights_, strict=True)):
        if np.float32(weight) > 0:  # as in the blend: 0 times a score of -inf is NaN
            of_member = f"{name}_{number}"
            steps, recommender = steps_and_model(member)
            if recommender.n_features_in_ != estimator.n_features_in_ and steps is None:
                raise ValueError(
                    f"The blend knows {estimator.n_features_in_} items, and a member {recommender.n_features_in_}: "
                    "add_items of the blend gives it the same, or fit it again."
                )
            text, its_arrays = _scoring(recommender if steps is None else member, of_member)
            lines += [text, NORMALIZED[normalization].format(name=of_member)]
            lines.append(f"{of_member}_weighted = Mul ({of_member}_normalized_scores, {of_member}_weight)")
            arrays |= {**its_arrays, f"{of_member}_weight": np.array(weight, np.float32)}
            weighted.append(f"{of_member}_weighted")
    return _Scoring("\n".join([*lines, f"{name}_scores = Sum ({', '.join(weighted)})"]), arrays)


def _autoencoder(estimator, name):
    weights = _weights(estimator)
    text = AUTOENCODER.format(name=name, layers="\n    ".join(_lines_of_layers(estimator, name)))
    arrays = {f"{name}_{part.replace('.', '_')}": array for part, array in weights.items()}
    return _Scoring(text, {**arrays, f"{name}_width": np.array([len(weights["encoder.item_bias"])], np.int64)})


WRITERS = {
    BaseAutoencoder.decision_function: _autoencoder,
    EASERecommender.decision_function: _linear,
    LinearRecommender.decision_function: _linear,
    PopularityRecommender.decision_function: _popularity,
    BlendRecommender.decision_function: _blend,
}


class _Layers(NamedTuple):
    """What the names of each layer's weight and bias begin with, and the function before each but the first."""

    names: list
    functions: list

    @classmethod
    def of(cls, architecture):
        n_encoder, n_decoder = len(architecture.hidden_layer_sizes), len(architecture.decoder_layer_sizes) - 1
        function = ACTIVATIONS[architecture.activation].onnx
        of_code = ACTIVATIONS["identity"].onnx if architecture.is_variational else function
        return cls(
            ["encoder.item_"]
            + [f"encoder.layers.{number}." for number in range(n_encoder)]
            + [f"decoder.layers.{number}." for number in range(n_decoder)]
            + ["decoder.item_"],
            [function] * n_encoder + [of_code] + [function] * n_decoder,
        )


def _weights(estimator):
    """Name -> float32 array; of a VAE's last encoder layer the half that gives the mean."""
    architecture, weights = estimator.architecture_, dict(estimator.weights_)
    layers = _Layers.of(architecture).names
    known = {layer + part for layer in layers for part in ("weight", "bias")}
    if weights.keys() != known or architecture.skip_connections:
        raise ValueError(
            f"to_onnx writes plain layers alone, and this {type(estimator).__name__} has skip connections, a "
            "normalization or other weights: save it with skvae.save."
        )
    if architecture.is_variational:
        code, n_components = layers[len(architecture.hidden_layer_sizes)], architecture.n_components
        # the first layer's matrix has one row per input, the others' one row per output
        mean = (slice(None), slice(n_components)) if code == layers[0] else slice(n_components)
        weights[code + "weight"] = weights[code + "weight"][mean]
        weights[code + "bias"] = weights[code + "bias"][:n_components]
    return weights


def _lines_of_layers(estimator, name):
    """From {name}_sums_0, the sums of the first layer, to {name}_scores."""
    layers, lines = _Layers.of(estimator.architecture_), []
    for number, (layer, function) in enumerate(zip(layers.names[1:], layers.functions, strict=True)):
        sums = f"{name}_sums_{number + 1}" if number + 1 < len(layers.functions) else f"{name}_scores"
        weight, bias = (f"{name}_{layer.replace('.', '_')}{part}" for part in ("weight", "bias"))
        lines += [
            function.format(x=f"{name}_sums_{number}", y=f"{name}_hidden_{number}"),
            f"{sums} = Gemm <transB = 1> ({name}_hidden_{number}, {weight}, {bias})",
        ]
    return lines


def _constants(n_items, k):
    sizes = {"n_items": n_items, "k": k, "zero": 0, "one": 1}
    return {name: np.array([size], np.int64) for name, size in sizes.items()} | {
        "axis": np.array(0, np.int64),
        "no_item": np.array(-1, np.int64),
        "minus_infinity": np.array(-np.inf, np.float32),
        "float_zero": np.array(0, np.float32),
        "float_one": np.array(1, np.float32),
        "float_least": np.array(SQUARED_IN_FLOAT32[0], np.float32),
        "float_rounding": np.array(ROUNDING, np.float32),
        "float_most": np.array(SQUARED_IN_FLOAT32[1], np.float32),
        "tiny": np.array(1e-60, np.float64),  # below any length; a row of explicit zeros is divided by it
    }


def _write(onnx, model, path, is_large):
    """Write beside the path, check what was written, and rename; a second file, of weights, gets a name not in use."""
    path = Path(os.path.realpath(path))
    names = [f"{path.name}.data", f"{path.name}.2.data"]
    before = _file_of_weights(onnx, path) if any(path.with_name(name).exists() for name in names) else None
    data = next(name for name in names if name != before)
    with written_whole(path) as part:
        onnx.save_model(model, part, save_as_external_data=is_large, location=data if is_large else None)
        onnx.checker.check_model(part, full_check=True)
        if is_large:
            with part.with_name(data).open("r+b") as file:
                os.fsync(file.fileno())
            os.replace(part.with_name(data), path.with_name(data))
    if before is not None:  # as long as the old graph was there it was needed
        with suppress(OSError):  # Windows keeps it while somebody has it mapped
            path.with_name(before).unlink()


def _file_of_weights(onnx, path):
    """Name of the second file of an export that is there, None where it has none."""
    try:
        weights = onnx.load(path, load_external_data=False).graph.initializer
    except Exception:  # it is something else
        return None
    names = {entry.value for tensor in weights for entry in tensor.external_data if entry.key == "location"}
    return next((name for name in names if name.startswith(f"{path.name}.")), None)
