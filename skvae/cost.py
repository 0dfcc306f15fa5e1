"""What a fit will take, before it runs: bytes by part, seconds on this device, and what to change if need be."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .autoencoder import BaseAutoencoder
from .autoencoder_memory import advice_for_autoencoder, of_autoencoder, plan_of
from .blend import BlendRecommender
from .blend_members import kept_pairs
from .blend_memory import advice_for_blend, of_blend, rounds_of
from .core.averaging import TERMS_PER_EPOCH
from .core.devices import memory_of, resolve
from .core.item_regression import device_for, operations
from .core.probe import call_rate, copy_rate, inverse_rate, product_rate
from .linear import EASERecommender, LinearRecommender
from .linear_memory import ADVICE_FOR_LINEAR, of_linear, parameters_of_fit
from .linear_search import given_by, n_grams, n_inverses, n_ranked
from .matrix import as_csr
from .matrix_checks import is_matrix
from .memory import FEWER_USERS, FLOAT, Memory, Size, of_popularity
from .parameters import integer
from .popularity import PopularityRecommender

# Bytes that go through the memory: of a logit, how often; of a weight, with its two moments read and written
BYTES_PASSED_OF_LOGIT = 8
BYTES_PASSED_BY_ADAM = 6 * FLOAT
# Copied, made up for what they missed, updated and put back: as measured, 52 to 74 floats by width
BYTES_PASSED_BY_ADAM_OF_ROWS = 52 * FLOAT
# A weight between two items, beside the inverse: as measured where a matrix of users is inverted
BYTES_PASSED_OF_ITEM_WEIGHT = 32 * FLOAT
# Of the Gram matrix a product of two interactions of a user; of a choice a score that is ranked, and a product of it.
# As measured, of interactions that all users have equally many of
BYTES_PASSED_OF_PAIR, BYTES_PASSED_OF_RANKED, BYTES_PASSED_OF_PRODUCT = 32 * FLOAT, 56 * FLOAT, 3
LARGE = 1e10  # bytes, which are told in GB
A_DAY = 86_400
ADVICE_FOR_LONG_EPOCHS = f"{FEWER_USERS}, by which all get recommendations, or lower max_iter or n_components"
ADVICE_TO_SAMPLE = "draw some of the items in each update (n_sampled_items), "
FEWEST_ITEMS_TO_SAMPLE = 50_000  # of which a tenth makes an epoch of a Mult-VAE quicker, by its estimate; not of 20 000
ADVICE_FOR_LONG_INVERSES = (
    "keep the items with the most users, give numbers for what is 'auto', or use a MultDAERecommender"
)
# For what is not counted, as measured by benchmarks/cost.py: updates took 1 to 1.5 times as long, and an operation of
# an inverse of 3000 to 5000 rows .65 to .8 times as long as one of the probe's
UPDATE_OVERHEAD, INVERSE_SPEED = 1.2, 0.75
# Calls of torch, whose time is that of an update of small layers; as measured, 500 in Mult-DAE to 1100 in RecVAE
CALLS_OF_UPDATE, CALLS_OF_PARAMETER = 300, 65


@dataclass(frozen=True, repr=False)
class Cost(Memory):
    """What `estimate_cost` says of a fit; printed, it is a table.

    Parameters
    ----------
    throughout : dict of str to int
        Part to bytes of what is held from the beginning of the fit to its end.
    phases : dict of str to dict of str to int
        Phase to the parts that are held in it besides. One phase follows the other; ``peak_phase`` is that with the
        most bytes, and ``total_bytes`` what is held then.
    model_bytes : int
        Of the fitted model.
    model : str
        Name of its class.
    n_users, n_items, n_interactions : int
        Of the matrix that fit gets.
    device : str
        Where the fit computes.
    available_bytes : float
        Memory of this machine, or of its GPU where the fit computes on that; infinite where it is not known.
    seconds : dict of str to float
        On this device: of an epoch of an autoencoder and of max_iter, and of one inverse of a linear model with its
        Gram matrix and of all, with the ranking by which they are chosen, where there are more; of the members of a
        blend with their names before. All users count as equally active. Not in it are reading and checking X,
        the start of an autoencoder from "ease" or "svd", some epochs' time, its refit of ``best_iter_`` more epochs,
        and the further inverses of a linear model whose largest lambda is the best, a quarter more, and its last one
        once more in double precision where items follow from each other. Empty without a probe.
    advice : str
        What to change, where the fit needs more than is available, or a part of it takes more than a day; else empty.
    """

    model: str
    n_users: int
    n_items: int
    n_interactions: int
    device: str
    available_bytes: float
    seconds: dict[str, float]
    advice: str

    @property
    def fits(self):
        """Whether that is available, bool."""
        return self.total_bytes <= self.available_bytes

    def __str__(self):
        title = f"{self.model}: {self.n_users:,} users x {self.n_items:,} items, {self.n_interactions:,} interactions"
        lines = [f"{title}, {self.device}"]
        unit = ("GB", 1e9) if self.total_bytes >= LARGE else ("MB", 1e6)
        for phase, parts in {"throughout": self.throughout, **self.phases}.items():
            lines.append(phase + (" (the peak)" if phase == self.peak_phase else ""))
            lines += [_line(f"  {part}", n_bytes, *unit) for part, n_bytes in parts.items() if n_bytes]
        lines += [_line("at the peak", self.total_bytes, *unit), _line("the model", self.model_bytes, *unit)]
        if self.available_bytes < float("inf"):
            lines.append(_line("available", self.available_bytes, *unit))
        lines += [f"{what:<40}{_duration(seconds):>13}" for what, seconds in self.seconds.items()]
        if any(what.endswith("epochs") for what in self.seconds):
            lines.append("besides: the start, some epochs; where users are validated, the refit of best_iter_ epochs,")
            lines.append("and early stopping, which may end it long before max_iter")
        why = "Long" if self.fits else "Too much"
        return "\n".join([*lines, *([f"{why}: {self.advice}."] if self.advice else [])])

    __repr__ = __str__


def _duration(seconds):
    for unit, size in (("days", A_DAY), ("hours", 3600), ("min", 60)):
        if seconds >= 3 * size:
            return f"{seconds / size:,.3g} {unit}"
    return f"{seconds:.3g} s"


def _line(what, n_bytes, unit, size):
    return f"{what:<40}{n_bytes / size:>10,.1f} {unit}"


def estimate_cost(model, n_users, n_items=None, n_interactions=None, *, probe=True):
    """Memory and time of a fit, from its parameters and the sizes of its data, without the fit or the data.

    Parameters
    ----------
    model : recommender of skvae
        Not fitted by this, nor changed; a blend of such recommenders too.
    n_users, n_items, n_interactions : int
        Of the matrix that fit would get; or that matrix alone.
    probe : bool, default=True
        Measure this device for about a second, once for each member of a blend, and tell seconds too: with the threads
        that torch has, and beside other work if there is any, which may make them many times as long.

    Returns
    -------
    Cost
        ``total_bytes`` at the peak of the fit, X included, by parts and phases; seconds; and where that is more than
        this machine has, what to change. Estimates take every user for one who can be validated on, and every item
        for as frequent as any other.

    Raises
    ------
    ValueError, TypeError
        Where a size is no int of at least 1, or there are more interactions than cells, where a parameter of the model
        is out of range, or the model, or a member of it, is none of skvae.

    Examples
    --------
    >>> from skvae import MultDAERecommender, estimate_cost
    >>> cost = estimate_cost(MultDAERecommender(device="cpu"), 100_000, 20_000, 5_000_000, probe=False)
    >>> cost.throughout["weights"], round(cost.total_bytes / 1e6)
    (32080800, 275)
    >>> print(estimate_cost(MultDAERecommender(device="cpu"), 10**8, 10**9, 10**10, probe=False).peak_phase)
    initialization
    """
    if n_items is None and n_interactions is None and is_matrix(n_users):
        n_users, n_items, n_interactions = Size.of(as_csr(n_users))
    sizes = {"n_users": n_users, "n_items": n_items, "n_interactions": n_interactions}
    if lacking := [name for name, n in sizes.items() if n is None]:
        raise TypeError(
            f"estimate_cost needs {' and '.join(lacking)} too: pass n_users, n_items and n_interactions, such as 50 "
            "interactions for each user, or the matrix alone."
        )
    whole = {name: int(n) if isinstance(n, float) and n.is_integer() else n for name, n in sizes.items()}  # as 5e7
    size = Size(*(integer(1)(name, n) for name, n in whole.items()))
    if size.n_interactions > size.n_users * size.n_items:
        raise ValueError(f"n_interactions == {n_interactions}, more than {n_users} users x {n_items} items have.")
    estimate = _estimate(model, size, probe)
    memory, available = estimate.memory, memory_of(estimate.device)
    advice = ""
    if memory.total_bytes > available:
        advice = estimate.advice(available)
    elif max(estimate.seconds.values(), default=0) > A_DAY:
        advice = estimate.advice_if_long
    return Cost(
        **vars(memory),
        model=type(model).__name__,
        **size._asdict(),
        device=str(estimate.device),
        available_bytes=available,
        seconds=estimate.seconds,
        advice=advice,
    )


class _Estimate(NamedTuple):
    memory: Memory
    seconds: dict[str, float]
    device: Any
    advice: Any  # (available bytes) -> str
    advice_if_long: str = ""


def _estimate(model, size, probe, refit=False):
    for kind, estimate in ESTIMATES.items():
        if isinstance(model, kind):
            return estimate(model, size, probe, refit)
    if isinstance(model, type):
        raise TypeError(f"estimate_cost takes a recommender, got the class {model.__name__}: pass {model.__name__}().")
    raise TypeError(
        f"estimate_cost knows the recommenders of skvae alone, and blends of them, got {model!r}: pass the recommender "
        "inside of it."
    )


def _of_autoencoder(model, size, probe, refit):
    parameters, seconds = model._checked_parameters(), {}
    plan = plan_of(model, parameters, size)
    gains = plan.n_sampled_items is None and size.n_items >= FEWEST_ITEMS_TO_SAMPLE  # by a sample of the items
    if probe:
        seconds["an epoch"] = _epoch_seconds(plan)
        seconds[f"max_iter={parameters.max_iter} epochs"] = parameters.max_iter * seconds["an epoch"]
    return _Estimate(
        of_autoencoder(model, parameters, size, refit),
        seconds,
        resolve(parameters.device),
        lambda available: advice_for_autoencoder(model, parameters, size, available),
        (ADVICE_TO_SAMPLE if gains else "") + ADVICE_FOR_LONG_EPOCHS,
    )


def _epoch_seconds(plan):
    """The products, and what goes through the memory beside them."""
    network, n_items, (n_users, _, n_interactions) = plan.network, plan.trained.n_items, plan.batch
    encoder_width, width = network.encoder.item_weight.shape[1], network.decoder.item_weight.shape[1]
    logits = n_users * plan.n_columns
    layers = [*network.encoder.layers, *network.decoder.layers]
    inner = sum(layer.weight.numel() for layer in layers)
    # logits, and the gradients of weights and of the hidden layer; of alternating passes one of the two
    n_products = (3 if plan.objective.n_passes == 1 else 2) + (plan.tile is not None)
    flops = 2 * n_products * logits * width + 6 * n_users * inner
    weights = n_items * (encoder_width + width)
    n_bytes = BYTES_PASSED_OF_LOGIT * plan.dtype.itemsize * logits + 4 * FLOAT * n_interactions * encoder_width
    if plan.n_sampled_items is None:
        n_bytes += BYTES_PASSED_BY_ADAM * (weights + inner)
    else:
        n_bytes += BYTES_PASSED_BY_ADAM_OF_ROWS * (plan.n_own * encoder_width + plan.n_columns * width)
    n_updates = plan.objective.n_passes * -(-plan.trained.n_users // n_users)
    of_epoch = TERMS_PER_EPOCH * 3 * FLOAT * weights
    if plan.n_sampled_items is not None:
        of_epoch += (TERMS_PER_EPOCH + 1) * BYTES_PASSED_BY_ADAM * weights
    scores = plan.validated.n_users * n_items
    product, copy = product_rate(n_users, width, plan.items_per_chunk, plan.dtype, plan.device), copy_rate(plan.device)
    validation = 2 * scores * width / product + 4 * FLOAT * scores / copy
    n_calls = CALLS_OF_UPDATE + CALLS_OF_PARAMETER * len([*network.parameters()])
    work, calls = UPDATE_OVERHEAD * (flops / product + n_bytes / copy), n_calls / call_rate(plan.device)
    of_update = work + calls if plan.device.type == "cpu" else max(work, calls)  # which a GPU does at once
    return n_updates * of_update + of_epoch / copy + validation


def _of_linear(model, size, probe, refit):
    parameters = model._checked_parameters()
    given = given_by(parameters_of_fit(parameters, refit))
    n_tried = n_inverses(given, size.n_users)
    seconds = {}
    if probe:
        numbers = size.n_users, size.n_items, size.n_interactions
        last = size.n_items**3 if getattr(parameters, "keep_gram", False) else operations(*numbers)
        of_one = INVERSE_SPEED / inverse_rate(device_for(parameters.device, size.n_items))
        copy = copy_rate(resolve("cpu"))
        of_weights = BYTES_PASSED_OF_ITEM_WEIGHT * size.n_items**2 / copy
        of_gram = 0.0
        if last == size.n_items**3:
            of_gram = BYTES_PASSED_OF_PAIR * size.n_interactions**2 / size.n_users / copy
        seconds["an inverse"] = last * of_one + of_weights + of_gram
        if n_tried > 1:
            of_score = BYTES_PASSED_OF_RANKED + BYTES_PASSED_OF_PRODUCT * size.n_interactions / size.n_users
            ranked = of_score * n_ranked(given, size.n_users) * size.n_items / copy
            of_trial = operations(*numbers, dense=False)
            is_primal = of_trial == size.n_items**3
            tried = (n_tried - 1) * (of_trial * of_one + is_primal * of_weights)
            grams = (n_grams(given, size.n_users, size.n_items) - 1) * of_gram
            seconds[f"{n_tried} inverses"] = seconds["an inverse"] + tried + grams + ranked
    memory = of_linear(model, parameters, size, refit)
    return _Estimate(memory, seconds, resolve("cpu"), lambda available: ADVICE_FOR_LINEAR, ADVICE_FOR_LONG_INVERSES)


def _of_popularity(model, size, probe, refit):
    return _Estimate(of_popularity(model, model, size), {}, resolve("cpu"), lambda available: FEWER_USERS)


def _of_blend(model, size, probe, refit):
    """The members one after another, by the first fits of which the time is told."""
    parameters = model._checked_parameters()
    pairs = [] if parameters.prefit else kept_pairs(model._checked_pairs(parameters))
    users, again = rounds_of(parameters, size, refit)["fit"]
    seconds: dict[str, float] = {}
    device, longest, advice_if_long = resolve("cpu"), 0.0, ""
    for name, member in pairs:
        estimate = _estimate(member, users, probe, again)
        device = device if device.type != "cpu" else estimate.device
        seconds |= {f"{name}: {key}": value for key, value in estimate.seconds.items()}
        if (of_member := max(estimate.seconds.values(), default=0)) > longest:
            longest, advice_if_long = of_member, f"{name}: {estimate.advice_if_long}"
    memory = of_blend(model, parameters, size, refit)
    return _Estimate(memory, seconds, device, lambda available: advice_for_blend(memory), advice_if_long)


ESTIMATES: dict[Any, Any] = {
    BaseAutoencoder: _of_autoencoder,
    (EASERecommender, LinearRecommender): _of_linear,
    PopularityRecommender: _of_popularity,
    BlendRecommender: _of_blend,
}
