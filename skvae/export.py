"""Fitted autoencoders as ONNX files, which answer without skvae, torch and Python."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from . import __version__
from .autoencoder import BaseAutoencoder
from .core.architecture import ACTIVATIONS
from .core.files import check_place, written_whole

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

    # normalized: each row of length 1; in double, as the square of 1e-30 is 0 in float
    double_values = Cast <to = 11> (values)
    squares = ReduceSumSquare <keepdims = 0> (double_values, one)
    square_roots = Sqrt (squares)
    lengths = Max (square_roots, tiny)
    length_of_each = Gather (lengths, users)
    double_data = Cast <to = 11> (data)
    double_normalized = Div (double_data, length_of_each)
    normalized = Cast <to = 1> (double_normalized)
    normalized_column = Unsqueeze (normalized, one)

    # sums_0: the weight rows of each user's items, weighted and summed
    rows = Gather (encoder_item_weight, indices)
    weighted_rows = Mul (rows, normalized_column)
    hidden_shape = Concat <axis = 0> (n_rows, width)
    empty_hidden = ConstantOfShape (hidden_shape)
    row_sums = ScatterND <reduction = "add"> (empty_hidden, user_column, weighted_rows)
    sums_0 = Add (row_sums, encoder_item_bias)

    {layers}

    best_scores, best = TopK (ranked, k)
    is_left = Greater (best_scores, minus_infinity)
    best_items = Where (is_left, best, no_item)
    scores = Slice (best_scores, zero, n_users)
    items = Slice (best_items, zero, n_users)
}}
"""


def to_onnx(estimator, path, *, k=10, exclude_seen=True):
    """Write ``recommend`` of a fitted autoencoder as an ONNX file.

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
    estimator : fitted MultVAERecommender or MultDAERecommender
    path : str or path
        Of the file, in a folder that exists. Weights of more than 2 GiB, which ONNX cannot hold in
        one file, are written to ``path`` + ".data" beside it: keep the two together.
    k : int, default=10
        Items a user, at most n_items; fixed in the file.
    exclude_seen : bool, default=True
        Leave out the items that a user has.

    Raises
    ------
    ImportError
        Where onnx is not installed.
    NotFittedError
        Where the estimator is not fitted.
    TypeError
        Where the estimator is of another class, or k is not an int.
    ValueError
        Where k is out of range, or the network has layers unknown here.
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
    path = Path(path)
    _check(estimator, path, k)
    weights = _weights(estimator)
    model = onnx.parser.parse_model(_text(estimator, k, exclude_seen))
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, _identifier(name))
        for name, array in {**_constants(estimator, weights, k), **weights}.items()
    )
    model.producer_name, model.producer_version = "skvae", __version__
    metadata = {
        "skvae_version": __version__,
        "estimator": type(estimator).__name__,
        "n_items": estimator.n_features_in_,
    }
    onnx.helper.set_model_props(model, {name: str(value) for name, value in metadata.items()})
    _write(onnx, model, path, is_large=sum(array.nbytes for array in weights.values()) > MAX_BYTES_IN_FILE)


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
    if not isinstance(estimator, BaseAutoencoder):
        raise TypeError(
            f"estimator must be a MultVAERecommender or MultDAERecommender, got {type(estimator).__name__}: of a "
            "Pipeline or a search pass the fitted autoencoder inside, such as search.best_estimator_."
        )
    check_is_fitted(estimator)
    check_scalar(k, "k", (int, np.integer), min_val=1, max_val=estimator.n_features_in_)
    check_place(path)


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
            f"This {type(estimator).__name__} has the weights {', '.join(sorted(weights))}; to_onnx can write plain "
            f"layers, {', '.join(sorted(known))}, without normalization or skip connections: save others with joblib."
        )
    if architecture.is_variational:
        code, n_components = layers[len(architecture.hidden_layer_sizes)], architecture.n_components
        # the first layer's matrix has a row an input, the others' a row an output
        mean = (slice(None), slice(n_components)) if code == layers[0] else slice(n_components)
        weights[code + "weight"] = weights[code + "weight"][mean]
        weights[code + "bias"] = weights[code + "bias"][:n_components]
    return weights


def _constants(estimator, weights, k):
    sizes = {"n_items": estimator.n_features_in_, "width": len(weights["encoder.item_bias"]), "k": k}
    return {name: np.array([size], np.int64) for name, size in {**sizes, "zero": 0, "one": 1}.items()} | {
        "axis": np.array(0, np.int64),
        "no_item": np.array(-1, np.int64),
        "minus_infinity": np.array(-np.inf, np.float32),
        "tiny": np.array(1e-60, np.float64),  # below any length; a row of explicit zeros is divided by it
    }


def _text(estimator, k, exclude_seen):
    """The graph in ONNX's notation, without the values of weights and constants."""
    layers, lines = _Layers.of(estimator.architecture_), []
    for number, (layer, function) in enumerate(zip(layers.names[1:], layers.functions, strict=True)):
        weight, bias = _identifier(layer + "weight"), _identifier(layer + "bias")
        lines += [
            function.format(x=f"sums_{number}", y=f"hidden_{number}"),
            f"sums_{number + 1} = Gemm <transB = 1> (hidden_{number}, {weight}, {bias})",
        ]
    logits = f"sums_{len(layers.functions)}"
    if exclude_seen:
        lines += ["is_seen = Cast <to = 9> (values)", f"ranked = Where (is_seen, minus_infinity, {logits})"]
    else:
        lines += [f"ranked = Identity ({logits})"]
    return MODEL.format(k=k, layers="\n    ".join(lines))


def _identifier(name):
    return name.replace(".", "_")


def _write(onnx, model, path, is_large):
    """Write beside the path, check what was written, and rename."""
    with written_whole(path) as part:
        data = part.name + ".data"
        onnx.save_model(model, part, save_as_external_data=is_large, location=data if is_large else None)
        onnx.checker.check_model(part, full_check=True)
        if is_large:
            os.replace(part.with_name(data), part.parent.with_name(data))
