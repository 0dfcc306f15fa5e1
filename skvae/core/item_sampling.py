"""Training by some of the items: those that the users of a batch have, and others drawn for all of them.

The products with the item matrices are those of `skvae.core.item_products`, with copies of the rows that
an update needs. No other row of them is read or written.
"""

from dataclasses import replace

import torch

from .item_products import ItemProducts


def draw_items(own, n_items, n_drawn, generator):
    """Draw items that nobody in a batch has, in order, with how many items each stands for.

    The others are divided into as many strata of neighbours as items are drawn, of one size but for 1, and one of each
    is drawn: an item of a stratum of s items with probability 1 / s, so that s times its term is right in the mean.

    Parameters
    ----------
    own : int64 tensor of shape (n_own,)
        Items of the batch, ascending.
    n_items, n_drawn : int
    generator : torch.Generator

    Returns
    -------
    items : int64 tensor of shape (min(n_drawn, n_items - n_own),)
    weights : float32 tensor of the same shape
    """
    n_others, device = n_items - len(own), own.device
    n_drawn = min(n_drawn, n_others)
    bounds = torch.arange(n_drawn + 1, device=device) * n_others // max(1, n_drawn)
    sizes = bounds.diff()
    shares = torch.rand(n_drawn, generator=generator, device=device, dtype=torch.float64)
    ranks = bounds[:-1] + (shares * sizes).long()  # among the others
    # an item is as many places behind its rank as items of the batch are before it
    n_before = torch.searchsorted(own - torch.arange(len(own), device=device), ranks, right=True)
    return ranks + n_before, sizes.float()


class SampledProducts(ItemProducts):
    """Products with sampled items, drawn by `of_batch` for each update; with all items where no gradient is asked for.

    Parameters
    ----------
    optimizer : Adam
        Gives the rows of an update, and takes their gradients.
    n_drawn : int
        Items per batch, besides those that its users have.
    half_weight : bfloat16 tensor of shape (n_items, width), default=None
        As in `ItemProducts`, for validation.
    """

    def __init__(self, optimizer, n_drawn, half_weight=None):
        super().__init__(half_weight=half_weight)
        self.optimizer, self.n_drawn, self.memory = optimizer, n_drawn, torch.empty(0)

    @classmethod
    def for_training(cls, network, half_precision, optimizer, n_drawn):
        """Products in float32, or by copies of rows in bfloat16."""
        return cls(optimizer, n_drawn, ItemProducts.for_inference(network.decoder, half_precision).half_weight)

    def takes_at_once(self, n_items):
        """Never: an update takes some of them."""
        return False

    def of_batch(self, batch, generator):
        """Products with the items of a batch and others that are drawn."""
        own, columns = batch.items.unique(return_inverse=True)
        drawn, weights = draw_items(own, batch.n_items, self.n_drawn, generator)
        weights = torch.cat([weights.new_ones(len(own)), weights]).to(batch.values.dtype)
        return _ProductsOfBatch(self, torch.cat([own, drawn]), len(own), columns, weights)

    def buffer_for(self, n_users, n_items, like):
        """Memory for the logits of an update, the same from one to the next where it is large enough."""
        if self.memory.numel() < n_users * n_items or self.memory.device != like.device:
            self.memory = like.new_empty(n_users * n_items)
        return self.memory[: n_users * n_items].view(n_users, n_items)


class _ProductsOfBatch(ItemProducts):
    """Products of one update: the items of its batch come first, then those drawn; for parts of the batch too."""

    def __init__(self, products, items, n_own, columns, weights):
        super().__init__(half_weight=products.half_weight)
        self.products, self.items, self.n_own = products, items, n_own
        self.item_columns, self.item_weights = columns, weights

    def sum_of_rows(self, weight, batch):
        if not torch.is_grad_enabled():
            return super().sum_of_rows(weight, batch)
        rows = self._rows(weight, self.items[: self.n_own])
        return ItemProducts(rows.update).sum_of_rows(rows.weight, self._in_columns(batch, n_items=self.n_own))

    def log_prob(self, hidden, weight, bias, likelihood, batch):
        rows, biases = self._rows(weight, self.items), self._rows(bias, self.items)
        products = ItemProducts(rows.update)
        if self.half_weight is not None:
            products.half_weight = rows.weight.detach().to(self.half_weight.dtype)
        products.buffer = self.products.buffer_for(len(hidden), len(self.items), products.factor(rows.weight.detach()))
        bias = _Updated.apply(biases.weight, biases)
        batch = self._in_columns(batch, n_items=len(self.items), item_weights=self.item_weights)
        return products.log_prob(hidden, rows.weight, bias, likelihood, batch)

    def _in_columns(self, batch, **others):
        return replace(batch, items=self.item_columns[batch.place.interactions], **others)

    def _rows(self, matrix, items):
        return self.products.optimizer.rows(matrix, items)


class _Updated(torch.autograd.Function):
    """Copies of rows whose gradient is given to the optimizer."""

    @staticmethod
    def forward(ctx, weight, rows):
        ctx.rows = rows
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx, grad):
        ctx.rows.update(ctx.rows.weight, slice(0, len(grad)), grad)
        return None, None
