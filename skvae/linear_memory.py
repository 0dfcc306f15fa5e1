"""What a fit of a linear model will hold in memory."""

from types import SimpleNamespace

from .core.devices import resolve
from .core.gram import ITEMS_PER_BLOCK
from .core.inversion import ROWS_OF_LAPACK, ROWS_PER_PRODUCT
from .core.item_regression import is_dual
from .linear_search import UNVALIDATED, given_by, n_grams, n_inverses
from .memory import COPY_OF_USERS, FLOAT, Memory, Size, check_fits, of_checks, of_users

BYTES_OF_BLAS = 3 * 2**24  # its own buffers, 16 to 64 MB
ADVICE_FOR_LINEAR = (
    "keep the items with the most users, or use MultDAERecommender or MultVAERecommender, whose memory grows with "
    "n_items alone"
)


def of_linear(estimator, parameters, size, refit=False, validated=False):
    """What a fit of a linear model holds.

    Parameters
    ----------
    estimator : linear model
        Not changed.
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size
    refit : bool, default=False
        Whether it is one of a blend on all users, which tries nothing.
    validated : bool, default=False
        Makes no difference: it takes no X_val.

    Returns
    -------
    Memory
    """
    n_items, matrix = size.n_items, FLOAT * size.n_items**2
    kept = {"Gram matrix": matrix} if getattr(parameters, "keep_gram", False) else {}
    throughout = of_users(parameters, size) | {"weights": matrix}
    given = given_by(parameters_of_fit(parameters, refit))
    n_tried = n_inverses(given, size.n_users) - 1
    if n_tried:
        throughout[COPY_OF_USERS] = size.n_bytes
    # values of the users, weighted and in double precision, and all by item; a block of the product, sparse and dense
    block = (16 + 2 * FLOAT) * min(ITEMS_PER_BLOCK, n_items) * n_items
    phases = {
        "checks": of_checks(size),
        "Gram matrix": kept | {"users by item": 24 * size.n_interactions, "block of the product": block},
        "inverse": kept | {"parts of the inverse": _parts_of_inverse(n_items)},
    }
    if not kept and is_dual(size.n_users, n_items, size.n_interactions):
        inverted = FLOAT * size.n_users**2 + _parts_of_inverse(size.n_users)
        phases["inverse"] = {"matrix of users and parts of its inverse": inverted}
    elif n_grams(given, size.n_users, n_items) <= n_tried:  # held from one trial to the next
        for phase in ("Gram matrix", "inverse"):
            phases[phase]["Gram matrix"] = matrix
    return Memory(throughout, phases, matrix + sum(kept.values()))


def parameters_of_fit(parameters, refit):
    """The parameters of a fit; where it is a refit none is "auto" any more.

    Parameters
    ----------
    parameters : SimpleNamespace
    refit : bool

    Returns
    -------
    SimpleNamespace
    """
    return SimpleNamespace(**vars(parameters) | UNVALIDATED._asdict()) if refit else parameters


def _parts_of_inverse(n_rows):
    """What LAPACK gets of a matrix that it does not get as a whole, and the blocks that are mirrored."""
    largest = _rows_at_once(n_rows)
    copied = FLOAT * (largest**2 + ROWS_PER_PRODUCT * largest) if largest < n_rows else 0
    return copied + 3 * FLOAT * min(ROWS_PER_PRODUCT, n_rows) ** 2 + BYTES_OF_BLAS


def _rows_at_once(n_items):
    """Rows of the largest part of a matrix that LAPACK gets: the whole, or what halves of halves of it leave."""
    return n_items if n_items <= ROWS_OF_LAPACK else _rows_at_once(n_items - n_items // 2)


def check_linear(estimator, parameters, X):
    """Raise where a fit of a linear model needs more memory than the machine has.

    Parameters
    ----------
    estimator : linear model
    parameters : SimpleNamespace
        Its parameters, checked.
    X : csr_array of shape (n_users, n_items)

    Raises
    ------
    MemoryError
        With what is needed, and what to change.
    """
    check_fits(estimator, of_linear(estimator, parameters, Size.of(X)), lambda: ADVICE_FOR_LINEAR, X, resolve("cpu"))
