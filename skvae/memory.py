"""What a fit will hold in memory, told from its parameters and the sizes of its data alone, and the check that it fits.

Parts are bytes under a name. Some are held throughout, others in one phase of the fit: phases follow each other, and
the peak is that of the largest one. Here is what all kinds of models share; each has its own room.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .core.devices import memory_of
from .matrix import ENTRIES_PER_BLOCK

FLOAT = 4
BYTES_PER_INTERACTION_CHECKED = 32  # of a block of them
COPY_OF_USERS = "copy of X, split for validation"
FEWER_USERS = "fit on a part of the users"  # an advice


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


def check_fits(estimator, memory, advice, X, device):
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


def of_popularity(estimator, parameters, size, refit=False, validated=False):
    """What a fit of a PopularityRecommender holds.

    Parameters
    ----------
    estimator : PopularityRecommender
    parameters : object
        With its parameters as attributes.
    size : Size
    refit, validated : bool, default=False
        Make no difference.

    Returns
    -------
    Memory
    """
    counts = FLOAT * size.n_items
    phases = {"checks": of_checks(size), "counting": of_checks(size) | {"counts of the items": 3 * counts}}
    return Memory(of_users(parameters, size), phases, counts)
