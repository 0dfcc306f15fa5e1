"""CSR rows to batches of the autoencoders on a device."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F

from .devices import tensor_of

# 500 users and these are 512 rows of a matrix product, of which a GPU takes 128 at a time
N_PADDING_USERS = 12


@dataclass(frozen=True)
class Part:
    """Where in a batch some of its users and their interactions are, and how many there are of all."""

    users: slice
    interactions: slice
    n_users: int
    n_interactions: int


@dataclass(frozen=True)
class SparseBatch:
    """The interactions of a batch of users, in CSR order.

    Attributes
    ----------
    items : int64 tensor of shape (n_interactions,)
    offsets : int64 tensor of shape (n_users + 1,)
        User u owns the interactions ``offsets[u]:offsets[u + 1]``.
    users : int64 tensor of shape (n_interactions,)
        Who each interaction belongs to.
    values : float tensor of shape (n_interactions,)
    n_items : int
    item_weights : float tensor of shape (n_items,), or None
        How many items each column stands for, where some were drawn for all; 1 of those that a user has.
    within : Part or None
        What it is of a larger batch, for which all random numbers are drawn.
    n_padding : int
        How many of the users, the last ones, count for nothing, as in ``UserRows.padded_batch``.
    """

    items: torch.Tensor
    offsets: torch.Tensor
    users: torch.Tensor
    values: torch.Tensor
    n_items: int
    item_weights: torch.Tensor | None = None
    within: Part | None = None
    n_padding: int = 0

    @property
    def n_users(self):
        return len(self.offsets) - 1

    def sum_per_user(self, values):
        """Sum one value per interaction into one value per user, of shape (n_users,)."""
        # in a fixed order on every device, which index_add_ is not
        return torch.segment_reduce(values, "sum", offsets=self.offsets)

    def mean_of_users(self, values):
        """Mean of one value per user, over those who count."""
        return values[: len(values) - self.n_padding].mean()

    def normalized(self):
        """Scale every user's row to Euclidean length 1; an empty row stays empty."""
        # in double: the square of 1e-30 is 0 in float32, and the row would be divided by 0
        lengths = self.sum_per_user(self.values.double().square()).sqrt()
        return replace(self, values=(self.values / lengths[self.users]).to(self.values.dtype))

    def dropped_out(self, rate, generator):
        """Zero each value with probability ``rate`` and scale the others by 1 / (1 - rate).

        Dropping a zero changes nothing, so that only the interactions need a draw.
        """
        if rate == 0:
            return self
        place, like = self.place, self.values
        draws = torch.rand(place.n_interactions, generator=generator, device=like.device, dtype=like.dtype)
        return replace(self, values=self.values * (draws[place.interactions] >= rate) / (1 - rate))

    def noise_like(self, codes, generator):
        """Standard normal numbers for the code of each user, of the shape and dtype of the codes."""
        shape = self.place.n_users, codes.shape[1]
        noise = torch.randn(shape, generator=generator, device=codes.device, dtype=codes.dtype)
        return noise[self.place.users]

    @property
    def place(self):
        """The `Part` that this is of the batch for which random numbers are drawn, which may be itself."""
        return self.within or Part(slice(None), slice(None), self.n_users, len(self.items))

    def part(self, users):
        """The batch of a slice of the users, who get the random numbers that they have in this one."""
        start, end = self.offsets[[users.start, users.stop]].tolist()
        own = slice(start, end)
        return replace(
            self,
            items=self.items[own],
            offsets=self.offsets[users.start : users.stop + 1] - start,
            users=self.users[own] - users.start,
            values=self.values[own],
            within=Part(users, own, self.n_users, len(self.items)),
        )

    def of_items(self, items):
        """The same users with what they have of a slice of the items, as a batch of these items alone."""
        inside = (self.items >= items.start) & (self.items < items.stop)
        ends = F.pad(inside.cumsum(0), (1, 0))
        return SparseBatch(
            self.items[inside] - items.start,
            ends[self.offsets],
            self.users[inside],
            self.values[inside],
            items.stop - items.start,
        )

    def to_dense(self):
        """Dense tensor of shape (n_users, n_items), for a likelihood that cannot do without."""
        dense = self.values.new_zeros(self.n_users, self.n_items)
        dense[self.users, self.items] = self.values
        return dense


class UserRows:
    """Users of a canonical CSR matrix on a device, which are gathered in batches.

    Parameters
    ----------
    X : CSR matrix of shape (n_users, n_items)
        Sorted, without duplicates or explicit zeros; wrapped, not copied, where the dtype and
        the device allow it.
    dtype : torch.dtype
    device : str or torch.device
    users : int64 array, default=None
        Row numbers of the users; None: all.
    """

    def __init__(self, X, dtype=torch.float32, device="cpu", users=None):
        self.offsets = torch.from_numpy(X.indptr.astype(np.int64)).to(device)
        self.items = tensor_of(X.indices).to(device)
        self.values = tensor_of(X.data).to(device, dtype)
        self.users = torch.from_numpy(np.arange(X.shape[0]) if users is None else users).to(device)
        self.n_users, self.n_items = len(self.users), X.shape[1]

    @cached_property
    def n_interactions(self):
        """The number of interactions of all users together."""
        return int(self._lengths(self.users).sum())

    def most_interactions(self, n_users):
        """The most interactions of so many users, three standard deviations above their mean."""
        lengths = self._lengths(self.non_empty()).double()
        return math.ceil(n_users * lengths.mean() + 3 * math.sqrt(n_users) * lengths.std(correction=0))

    @cached_property
    def n_non_empty(self):
        """Number of users with an interaction."""
        return len(self.non_empty())

    def n_batches(self, batch_size):
        """Number of batches in one pass over them."""
        return -(-self.n_non_empty // batch_size)

    def non_empty(self):
        """Row numbers of the users with an interaction, int64 tensor."""
        return self.users[self._lengths(self.users) > 0]

    def batch(self, users, n_interactions=None):
        """Gather ``users`` (int64 tensor of row numbers) as a SparseBatch, in that order.

        A GPU need not be waited for where it is known how many interactions they have.
        """
        starts = self.offsets[users]
        return self._gathered(starts, self.offsets[users + 1] - starts, n_interactions)[0]

    def padded_batch(self, users, n_interactions):
        """`batch` of ``users`` and `N_PADDING_USERS` padding users, who together have n_interactions.

        Padding users have items 0, 1, 2, ... and start again at 0 after the last.
        """
        starts = F.pad(self.offsets[users], (0, N_PADDING_USERS))
        lengths = self.offsets[users + 1] - starts[: len(users)]
        numbers = torch.arange(N_PADDING_USERS, device=users.device)
        lengths = torch.cat([lengths, (n_interactions - lengths.sum() + numbers) // N_PADDING_USERS])
        batch, ranks = self._gathered(starts, lengths, n_interactions)
        is_padding = batch.users >= len(users)
        items, values = batch.items.where(~is_padding, ranks % self.n_items), batch.values.masked_fill(is_padding, 1)
        return replace(batch, items=items, values=values, n_padding=N_PADDING_USERS)

    def _gathered(self, starts, lengths, n_interactions):
        """The batch of users whose interactions are these, and the place of each among those of its user."""
        offsets, device = F.pad(lengths.cumsum(0), (1, 0)), starts.device
        owners = torch.arange(len(lengths), device=device).repeat_interleave(lengths, output_size=n_interactions)
        ranks = torch.arange(len(owners), device=device) - offsets[owners]
        positions = starts[owners] + ranks
        return SparseBatch(self.items[positions].long(), offsets, owners, self.values[positions], self.n_items), ranks

    def shuffled(self, batch_size, generator):
        """Every non-empty user once in a random order, as a list of (users, how many interactions they have).

        The last part of it may be smaller.
        """
        users = self.non_empty()
        users = users[torch.randperm(len(users), generator=generator, device=generator.device)]
        lengths = self._lengths(users).split(batch_size)
        n_interactions = torch.stack([part.sum() for part in lengths]).tolist()  # one wait for a GPU, not one per batch
        return list(zip(users.split(batch_size), n_interactions, strict=True))

    def blocks(self, block_size):
        """Yield (first, last, batch) for all users in order, ``block_size`` at a time."""
        for first in range(0, self.n_users, block_size):
            last = min(first + block_size, self.n_users)
            yield first, last, self.batch(self.users[first:last])

    def _lengths(self, users):
        return self.offsets[users + 1] - self.offsets[users]
