"""What a fit of an autoencoder will hold in memory."""

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

from . import auto_parameters
from .core.devices import is_half_precision, memory_of, product_dtype, resolve
from .core.initialization import (
    INITIALIZATIONS,
    N_EXTRA_VECTORS,
    near_ease,
    near_svd,
    users_per_pass,
    vectors_near_ease,
    vectors_near_svd,
    width_of,
)
from .core.item_products import ItemProducts, items_per_chunk, tile_size
from .core.likelihoods import Gaussian, Logistic, Multinomial, takes_item_weights
from .core.pieces import has_part
from .memory import FLOAT, Memory, Size, check_fits, gibibytes, of_checks, of_users
from .ranking import users_per_block
from .validation_users import n_held_out, refits

# How often the largest buffers are there at once, as the code that fills them has them
COPIES_OF_LOGITS = {Multinomial: 1, Logistic: 2, Gaussian: 2}
COPIES_OF_DENSE_LOGITS = 5  # of a likelihood of one's own
COPIES_OF_TILE = 2
COPIES_OF_LAYERS = 4
COPIES_OF_SCORES = 3
BYTES_PER_INTERACTION_OF_BATCH = 100  # items, users, their order and values in several forms, in 8 bytes most of them
VALIDATION_USERS = "users to validate on"
BYTES_PER_USER = 40  # row numbers, offsets, their order and lengths


class Plan(NamedTuple):
    """A fit of an autoencoder on data of a size, with all that is "auto" resolved.

    Parameters
    ----------
    network : module
        Without memory.
    objective : object
        One of `skvae.core.objectives`.
    device : torch.device
    dtype : torch.dtype
        Of the products with the decoder's item matrix.
    trained, validated, batch : Size
        Of the users that are trained on, validated on and in a batch.
    n_sampled_items : int or None
    n_own, n_columns : int
        Items that the users of a batch have, about, and items that an update takes.
    tile : int or None
        Items whose logits are held at once, where those of all are not.
    """

    network: Any
    objective: Any
    device: Any
    dtype: Any
    trained: Size
    validated: Size
    batch: Size
    n_sampled_items: int | None
    n_own: int
    n_columns: int
    tile: int | None

    @property
    def items_per_chunk(self):
        """Items whose products a CPU takes at once."""
        return min(items_per_chunk(self.dtype), self.n_columns)


def plan_of(estimator, parameters, size):
    """Resolve a fit of an autoencoder.

    Parameters
    ----------
    estimator : autoencoder
        Not changed.
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size

    Returns
    -------
    Plan
    """
    network, n_items = estimator._architecture(parameters).build(size.n_items), size.n_items
    device = resolve(parameters.device)
    half_precision = is_half_precision(parameters.precision, device)
    n_validated = 0
    if parameters.early_stopping:  # of users who can all hide an item
        required = parameters.early_stopping is True
        n_validated = n_held_out(size.n_users, size.n_users, parameters.validation_fraction, required=required)
    trained = size.part(size.n_users - n_validated)
    batch_size = auto_parameters.batch_size(parameters.batch_size, trained.n_users)
    batch = trained.part(min(batch_size, trained.n_users))
    n_own = round(n_items * -math.expm1(-batch.n_interactions / n_items))  # as if all items were as frequent
    can_sample = takes_item_weights(network.likelihood)
    n_sampled = auto_parameters.n_sampled_items(parameters.n_sampled_items, n_items, can_sample)
    tile = None
    if n_sampled is None:
        products = ItemProducts.for_training(network, half_precision, batch.n_users, None)
        if products.n_columns < n_items:
            tile = min(n_items, tile_size(batch.n_users, product_dtype(half_precision), device))
    return Plan(
        network=network,
        objective=estimator._objective(parameters, network),
        device=device,
        dtype=product_dtype(half_precision),
        trained=trained,
        validated=size.part(n_validated),
        batch=batch,
        n_sampled_items=n_sampled,
        n_own=n_own,
        n_columns=n_items if n_sampled is None else min(n_items, n_own + n_sampled),
        tile=tile,
    )


def of_autoencoder(estimator, parameters, size, refit=False, validated=False):
    """What a fit of an autoencoder holds.

    Parameters
    ----------
    estimator : autoencoder
        Not changed.
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size
    refit : bool, default=False
        Whether it is one of a blend on all users, which holds nobody out.
    validated : bool, default=False
        Whether it gets X_val, here for as many users as would be held out, and so has no refit of its own.

    Returns
    -------
    Memory
    """
    if refit:
        parameters = SimpleNamespace(**vars(parameters) | {"early_stopping": False})
    if validated:
        parameters = SimpleNamespace(**vars(parameters) | {"refit": False})
    plan = plan_of(estimator, parameters, size)
    network, n_items, is_validated = plan.network, size.n_items, plan.validated.n_users > 0
    weights, has_previous = _bytes_of(network), has_part(getattr(network, "prior", None), "given")
    throughout = of_users(parameters, size) | {"weights": weights}
    throughout["numbers of users"] = BYTES_PER_USER * size.n_users
    if is_validated:
        throughout[VALIDATION_USERS] = plan.validated.n_bytes
    training = {
        "moments of Adam": 2 * weights,
        "moving average": weights if parameters.averaging_epochs else 0,
        "weights of the best epoch": weights if is_validated else 0,
        "encoder of the epoch before": _bytes_of(network.encoder) if has_previous else 0,
        "item matrix in bfloat16": 2 * network.decoder.item_weight.numel() if plan.dtype.itemsize < FLOAT else 0,
        "logits of a batch": _bytes_of_logits(plan),
    }
    initialization = {
        "vectors of the items": _bytes_of_initialization(parameters, plan),
        "weights before the refit": weights if is_validated and refits(parameters) else 0,
    }
    phases = {
        "checks": of_checks(size),
        "initialization": initialization,
        "updates": training | _bytes_of_update(plan),
    }
    if is_validated:
        block = min(users_per_block(n_items, plan.device), plan.validated.n_users)
        phases["validation"] = training | {"scores of a block of users": COPIES_OF_SCORES * FLOAT * block * n_items}
    return Memory(throughout, {phase: _without_zeros(parts) for phase, parts in phases.items()}, weights)


def check_autoencoder(estimator, parameters, X, *, hold_out):
    """Raise where a fit of an autoencoder needs more memory than its device has.

    Parameters
    ----------
    estimator : autoencoder
        Not changed.
    parameters : SimpleNamespace
        Its parameters, checked.
    X : csr_array of shape (n_users, n_items)
    hold_out : bool
        Whether early stopping may hold out users of X.

    Raises
    ------
    MemoryError
        With what is needed, and what to change.
    """
    size, device = Size.of(X), resolve(parameters.device)
    if not hold_out:
        parameters = SimpleNamespace(**vars(parameters) | {"refit": False})

    def advice():
        return advice_for_autoencoder(estimator, parameters, size, memory_of(device))

    check_fits(estimator, of_autoencoder(estimator, parameters, size), advice, X, device)


def advice_for_autoencoder(estimator, parameters, size, available):
    """What to change in a fit that needs more than there is.

    Parameters
    ----------
    estimator : autoencoder
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size
    available : float
        Bytes.

    Returns
    -------
    str
    """
    hints = []
    for changes in _smaller(parameters):
        needed = of_autoencoder(estimator, SimpleNamespace(**vars(parameters) | changes), size).total_bytes
        if needed <= available:
            values = " and ".join(f"{name}={value!r}" for name, value in changes.items())
            hints.append(f"set {values}, which takes {gibibytes(needed)}")
            break
    if FLOAT * size.n_items**2 + size.n_bytes <= available:
        hints.append(f"use LinearRecommender, whose weights take {gibibytes(FLOAT * size.n_items**2)}")
    return ", or ".join([*hints, "keep the items with the most users"])


def _smaller(parameters):
    """Parameters of less and less memory: fewer items in an update, then layers of half the units, and so on."""
    if parameters.n_sampled_items is None:
        yield {"n_sampled_items": 20_000}
    names = [name for name in ("hidden_layer_sizes", "decoder_hidden_layer_sizes") if getattr(parameters, name, None)]
    divisor = 2
    while divisor <= parameters.n_components:
        layers = {name: tuple(max(1, n // divisor) for n in getattr(parameters, name)) for name in names}
        yield {"n_components": parameters.n_components // divisor} | layers
        divisor *= 2


def _bytes_of_logits(plan):
    """The buffer of the logits, and what the likelihood makes of them beside it."""
    copies = COPIES_OF_LOGITS.get(type(plan.network.likelihood), COPIES_OF_DENSE_LOGITS)
    if plan.tile is not None:
        return COPIES_OF_TILE * FLOAT * plan.batch.n_users * plan.tile
    return copies * plan.dtype.itemsize * plan.batch.n_users * plan.n_columns


def _bytes_of_update(plan):
    """What an update holds besides."""
    encoder, decoder = plan.network.encoder, plan.network.decoder
    layers = [*encoder.layers, *decoder.layers]
    widths = encoder.item_weight.shape[1], decoder.item_weight.shape[1]
    units = widths[0] + sum(layer.weight.shape[0] for layer in layers)
    n_rows = plan.items_per_chunk if plan.device.type == "cpu" else plan.n_columns
    gradients = sum(layer.weight.numel() for layer in layers) + 2 * n_rows * max(widths)
    parts = {
        "layers of a batch": COPIES_OF_LAYERS * FLOAT * plan.batch.n_users * units,
        "interactions of a batch": BYTES_PER_INTERACTION_OF_BATCH * plan.batch.n_interactions,
        "gradients": FLOAT * gradients,
    }
    if plan.n_sampled_items is not None:
        rows = plan.n_own * widths[0] + plan.n_columns * widths[1]
        parts["rows of the sampled items"] = 3 * FLOAT * rows + 3 * FLOAT * plan.network.decoder.item_bias.numel()
    return parts


def _bytes_of_initialization(parameters, plan):
    """Bytes beside the weights: a few matrices of items x vectors, or two of them and a block of users."""
    n_users, n_items, n_interactions = plan.trained
    name = auto_parameters.initialization(parameters.initialization, n_interactions / n_users)
    initialize = INITIALIZATIONS[name] if isinstance(name, str) else name
    width = width_of(plan.network)
    if initialize is near_svd:
        n_vectors = vectors_near_svd(width, n_users, n_items)
        n_columns = 0
    elif initialize is near_ease:
        n_vectors = vectors_near_ease(width, n_users, n_items)
        n_columns = n_vectors + max(5 * (width + N_EXTRA_VECTORS), 6 * width + 2 * N_EXTRA_VECTORS)
    else:
        return 0
    basis = n_vectors + N_EXTRA_VECTORS
    block = plan.trained.part(min(n_users, users_per_pass(n_items)))
    of_block = BYTES_PER_INTERACTION_OF_BATCH * block.n_interactions + FLOAT * block.n_users * basis
    return max(FLOAT * n_items * max(3 * basis, n_columns), FLOAT * n_items * 2 * basis + of_block)


def _bytes_of(network):
    """Bytes of all parameters of a network."""
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def _without_zeros(parts):
    return {name: n_bytes for name, n_bytes in parts.items() if n_bytes}
