"""What a fit will hold in memory, told from its parameters and the sizes of its data alone, and the check that it fits.

Parts are bytes under a name. Some are held throughout, others in one phase of the fit: phases follow each other, and
the peak is that of the largest one. Here are linear models; `skvae.autoencoder_memory` has the autoencoders.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .core.devices import memory_of, resolve
from .core.gram import ITEMS_PER_BLOCK
from .core.inversion import ROWS_OF_LAPACK, ROWS_PER_PRODUCT
from .core.item_regression import is_dual
from .linear_search import given_by, n_grams, n_inverses
from .matrix import ENTRIES_PER_BLOCK

FLOAT = 4
BYTES_PER_INTERACTION_CHECKED = 32  # of a block of them
BYTES_OF_BLAS = 3 * 2**24  # its own buffers, 16 to 64 MB
COPY_OF_USERS = "copy of X, split for validation"


class Size(NamedTuple):
    """The size of the matrix that fit gets.

    Parameters
    ----------
    n_users, n_items, n_interactions : int
    """

    n_users: int
    n_items: int
    n_interactions: int

    @classmethod
    def of(cls, X):
        """The size of a matrix.

        Parameters
        ----------
        X : csr_array of shape (n_users, n_items)

        Returns
        -------
        Size
        """
        n_users, n_items = X.shape
        return cls(n_users, n_items, X.nnz)

    def part(self, n_users):
        """The size of some of the users, who have as many interactions as all have in the mean.

        Parameters
        ----------
        n_users : int

        Returns
        -------
        Size
        """
        return Size(n_users, self.n_items, round(self.n_interactions * n_users / self.n_users))

    @property
    def n_bytes(self):
        """The bytes of a float32 CSR matrix of this size, int."""
        return 8 * self.n_interactions + 4 * (self.n_users + 1)


@dataclass(frozen=True)
class Memory:
    """Bytes of a fit.

    Parameters
    ----------
    throughout : dict of str to int
        Part to bytes, from the beginning of the fit to its end.
    phases : dict of str to dict of str to int
        Phase to the parts that are held in it besides.
    model_bytes : int
        Of what is left after the fit.
    """

    throughout: dict[str, int]
    phases: dict[str, dict[str, int]]
    model_bytes: int

    @property
    def peak_phase(self):
        """Name of the largest phase, str."""
        return max(self.phases, key=lambda phase: sum(self.phases[phase].values()))

    @property
    def total_bytes(self):
        """Held at the peak, int."""
        return sum(self.throughout.values()) + sum(self.phases[self.peak_phase].values())


def check(estimator, memory, advice, X, device):
    """Raise where a fit needs more than its device has; X is not counted where it is mapped from a file.

    Parameters
    ----------
    estimator : recommender
    memory : Memory
    advice : callable
        () -> str: what to change.
    X : csr_array of shape (n_users, n_items)
    device : torch.device

    Raises
    ------
    MemoryError
    """
    parts, available = memory.throughout | memory.phases[memory.peak_phase], memory_of(device)
    if _is_mapped(X.data):
        del parts["X"]
    needed = sum(parts.values())
    if needed <= available:
        return
    largest = max(parts, key=parts.__getitem__)
    place = "this machine or container" if device.type == "cpu" else f"the device {device}"
    raise MemoryError(
        f"{type(estimator).__name__} needs {gibibytes(needed)} for a fit on {X.shape[0]} users x "
        f"{X.shape[1]} items, of which {gibibytes(parts[largest])} are for {largest}, and {place} has "
        f"{gibibytes(available)}: {advice()}."
    )


def _is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def gibibytes(n_bytes):
    """A number of bytes as errors say it.

    Parameters
    ----------
    n_bytes : int

    Returns
    -------
    str
    """
    return f"{n_bytes / 2**30:.1f} GiB"


def of_users(parameters, size):
    """What every fit holds of its users: X, and a hash of each.

    Parameters
    ----------
    parameters : SimpleNamespace
    size : Size

    Returns
    -------
    dict of str to int
    """
    return {"X": size.n_bytes, "hashes of the users": 8 * size.n_users * bool(parameters.store_user_hashes)}


def of_checks(size):
    """What is held while X is checked and the users are hashed, the first phase of every fit.

    Parameters
    ----------
    size : Size

    Returns
    -------
    dict of str to int
    """
    block = BYTES_PER_INTERACTION_CHECKED * min(size.n_interactions, ENTRIES_PER_BLOCK)
    return {"blocks of interactions": block + 8 * (size.n_users + size.n_items)}


# -- linear models


def of_linear(parameters, size):
    """What a fit of a linear model holds.

    Parameters
    ----------
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size

    Returns
    -------
    Memory
    """
    n_items, matrix = size.n_items, FLOAT * size.n_items**2
    kept = {"Gram matrix": matrix} if getattr(parameters, "keep_gram", False) else {}
    throughout = of_users(parameters, size) | {"weights": matrix}
    given = given_by(parameters)
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
    check(estimator, of_linear(parameters, Size.of(X)), lambda: ADVICE_FOR_LINEAR, X, resolve("cpu"))


ADVICE_FOR_LINEAR = (
    "keep the items with the most users, or use MultDAERecommender or MultVAERecommender, whose memory grows with "
    "n_items alone"
)
