"""The encoder, from sparse rows to a code, and the decoder, from a code to logits."""

import copy
import functools
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

ACTIVATIONS = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}
# Of RecVAE. The hidden units of a user with few items differ little, and 1e-5 would blow their noise up to variance 1.
LAYER_NORM_EPS = 0.1


class Encoder(nn.Module):
    """Sparse batch to the last layer's output: mu and log sigma^2 side by side, or a code.

    Parameters
    ----------
    n_items : int
    layer_sizes : sequence of int
        Widths of all layers after the input, the output included.
    activation, output_activation : nn.Module
        After the hidden layers, and after the last one.
    normalized : bool
        Layer normalization after the activation of each hidden layer.
    skip_connections : bool
        Each hidden layer, before its activation, gets the sum of the outputs of all hidden layers before it, which
        must be as wide.
    """

    def __init__(self, n_items, layer_sizes, activation, output_activation, normalized=False, skip_connections=False):
        super().__init__()
        first, *_ = layer_sizes
        self.item_weight = nn.Parameter(torch.empty(n_items, first))
        self.item_bias = nn.Parameter(torch.empty(first))
        self.layers = _linear_layers(layer_sizes)
        self.normalizations = nn.ModuleList(
            nn.LayerNorm(size, eps=LAYER_NORM_EPS) if normalized else nn.Identity() for size in layer_sizes[:-1]
        )
        self.activation, self.output_activation = activation, output_activation
        self.skip_connections = skip_connections
        self.optimizer = None  # of a training

    def forward(self, batch):
        if torch.is_grad_enabled():
            hidden = SparseInput.apply(self.item_weight, batch, self.optimizer)
        else:
            hidden = _sum_of_rows(batch.items, self.item_weight, batch.offsets, batch.values)
        hidden = hidden + self.item_bias  # (n_users, layer_sizes[0])
        earlier = None
        for layer, normalization in zip(self.layers, self.normalizations, strict=True):
            if earlier is not None:
                hidden = hidden + earlier
            hidden = normalization(self.activation(hidden))
            if self.skip_connections:
                earlier = hidden if earlier is None else earlier + hidden
            hidden = layer(hidden)
        return self.output_activation(hidden)  # (n_users, layer_sizes[-1])

    def frozen_copy(self):
        """A copy of its weights of today, which no optimizer knows."""
        optimizer, self.optimizer = self.optimizer, None  # or all of Adam's state would be copied too
        try:
            return copy.deepcopy(self).requires_grad_(False)
        finally:
            self.optimizer = optimizer


class Decoder(nn.Module):
    """Code to logits; the output is linear.

    Parameters
    ----------
    layer_sizes : sequence of int
        Widths of the code and of all hidden layers.
    n_items : int
    activation : nn.Module
        After the hidden layers.
    """

    def __init__(self, layer_sizes, n_items, activation):
        super().__init__()
        self.n_components, last = layer_sizes[0], layer_sizes[-1]
        self.layers = _linear_layers(layer_sizes)
        self.item_weight = nn.Parameter(torch.empty(n_items, last))
        self.item_bias = nn.Parameter(torch.empty(n_items))
        self.activation = activation
        self.half_weight = None  # the item matrix in bfloat16, where its products are to be
        self.logits_buffer = None  # of all updates of a training: at most one batch is under way
        self.optimizer = None  # of a training

    def forward(self, code, out=None):
        """Logits; without gradients float32 and, where it is given, written into ``out``."""
        hidden = code
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
        if torch.is_grad_enabled():
            return _ItemOutput.apply(hidden, self.item_weight, self.item_bias, self)
        return self.item_output(hidden, hidden.new_empty(len(hidden), len(self.item_bias)) if out is None else out)

    @torch.no_grad()
    def prepare_training(self, n_users, half_precision):
        """Make the buffers for batches of up to so many users, logits in the precision of their product."""
        if half_precision:
            self.use_half_precision()
        self.logits_buffer = self.product_weight.new_empty(n_users, len(self.item_weight))

    @torch.no_grad()
    def use_half_precision(self):
        """Take the products with the item matrix in bfloat16, of a copy of what it is now."""
        if self.half_weight is None:
            self.half_weight = torch.empty_like(self.item_weight, dtype=torch.bfloat16)
        self.half_weight.copy_(self.item_weight)

    def item_output(self, hidden, logits):
        """Write hidden W' + bias into logits of shape (n_users, n_items), and return them."""
        weight, bias = self.product_weight, self.item_bias.to(logits.dtype)
        hidden = hidden.to(weight.dtype)
        if len(hidden) <= FEW_USERS and weight.device.type == "cpu" and weight.dtype == torch.float32:
            return _few_rows(hidden, weight, bias, logits)
        for items in _chunks(weight):
            if logits.dtype == weight.dtype:
                torch.addmm(bias[items], hidden, weight[items].T, out=logits[:, items])
            else:
                torch.add(hidden @ weight[items].T, bias[items], out=logits[:, items])
        return logits

    @property
    def product_weight(self):
        """The item matrix in the precision of its products."""
        return self.item_weight if self.half_weight is None else self.half_weight


# In training the gradients of the two item matrices go to the optimizer a chunk at a time: no memory, fresh or kept,
# is needed for them, and the optimizer reads them from the cache. At 20 000 items x 600 each of them takes 48 MB.


class SparseInput(torch.autograd.Function):
    """Sum of the weight rows of each user's items, weighted by the values: sparse X times W."""

    @staticmethod
    def forward(ctx, weight, batch, optimizer):
        ctx.weight, ctx.batch, ctx.optimizer = weight, batch, optimizer
        return _sum_of_rows(batch.items, weight, batch.offsets, batch.values)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, batch = ctx.weight, ctx.batch
        take = _taker_of_gradient(weight, ctx.optimizer)
        # X' times grad: the same sum with users and items exchanged
        sorted_items, order = torch.sort(batch.items, stable=True)
        users, values = batch.users[order], batch.values[order]
        chunks = _chunks(weight)
        offsets = torch.searchsorted(sorted_items, torch.arange(len(weight) + 1, device=weight.device))
        # where the chunks begin and end in it; nothing to ask a GPU for, which takes all items at once
        bounds = [0, *offsets[[items.stop for items in chunks[:-1]]].tolist(), len(users)]
        for items, start, end in zip(chunks, bounds[:-1], bounds[1:], strict=True):
            of_chunk = offsets[items.start : items.stop + 1] - start
            take(items, _sum_of_rows(users[start:end], grad, of_chunk, values[start:end]))
        return None, None, None


class _ItemOutput(torch.autograd.Function):
    """hidden W' + bias, written into the decoder's buffer."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, decoder):
        if decoder.half_weight is not None:
            decoder.use_half_precision()  # of today's weights
        ctx.hidden, ctx.decoder = hidden, decoder
        buffer = decoder.logits_buffer
        logits = bias.new_empty(len(hidden), len(bias)) if buffer is None else buffer[: len(hidden)]
        return decoder.item_output(hidden, logits)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, bias = ctx.decoder.product_weight, ctx.decoder.item_bias
        hidden, hidden_grad = ctx.hidden.to(weight.dtype), None
        # what is frozen takes no product
        encoder_trained, decoder_trained, *_ = ctx.needs_input_grad
        if encoder_trained:
            hidden_grad = torch.zeros_like(ctx.hidden)
        chunks = _chunks(weight)
        if decoder_trained:
            take = _taker_of_gradient(ctx.decoder.item_weight, ctx.decoder.optimizer)
            # the memory of one chunk of it, in both precisions where they differ
            product = torch.empty_like(weight[chunks[0]])
            rows = None if weight.dtype == bias.dtype else product.to(bias.dtype)
        for items in chunks:
            part, n = grad[:, items], items.stop - items.start
            if encoder_trained:
                hidden_grad += part @ weight[items]
            if decoder_trained:
                torch.mm(part.T, hidden, out=product[:n])
                take(items, product[:n] if rows is None else rows[:n].copy_(product[:n]))
        return hidden_grad, None, grad.sum(0).to(bias.dtype) if decoder_trained else None, None


# A product of a few rows is no matrix product to a CPU's library: for one user and 20 108 x 600 weights it takes 4 ms,
# and 0.9 ms as 16 products side by side; for 16 users 5.7 and 4.8 ms (two threads, AMD EPYC, float32 alone).
FEW_USERS = N_GROUPS = 16


def _few_rows(hidden, weight, bias, logits):
    """Write hidden W' + bias into logits, groups of items side by side."""
    n_items = len(weight) // N_GROUPS
    grouped, rest = slice(0, N_GROUPS * n_items), slice(N_GROUPS * n_items, None)
    groups = weight[grouped].view(N_GROUPS, n_items, weight.shape[1])
    products = torch.bmm(groups, hidden.T.expand(N_GROUPS, -1, -1))  # (N_GROUPS, n_items, n_users)
    torch.add(products.flatten(0, 1).T, bias[grouped], out=logits[:, grouped])
    torch.addmm(bias[rest], hidden, weight[rest].T, out=logits[:, rest])
    return logits


def _taker_of_gradient(weight, optimizer):
    """Function of (items, rows) for the gradient of these rows: the optimizer's, or where there is none into .grad."""
    if optimizer is not None:
        return functools.partial(optimizer.update_rows, weight)
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return lambda items, rows: weight.grad[items].add_(rows)


# What the products of a chunk of items read and write stays in the cache of a core: the logits of 500 users and 20 108
# items take 126 ms a chunk at a time and 178 ms at once (600 wide, one thread of an AMD EPYC, float32).
BYTES_PER_COLUMN = 4096  # 1024 items in float32, 2048 in bfloat16


def _chunks(weight):
    """Slices of the rows of an item matrix; all of them at once where it is not on a CPU."""
    step = BYTES_PER_COLUMN // weight.element_size() if weight.device.type == "cpu" else len(weight)
    return [slice(first, min(first + step, len(weight))) for first in range(0, len(weight), step)]


def _sum_of_rows(indices, rows, offsets, weights):
    """Row r of the result sums rows[indices[offsets[r]:offsets[r + 1]]] times their weights."""
    return F.embedding_bag(indices, rows, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True)


def has_bfloat16_products(device):
    """Whether a device is known to multiply bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(present for name, present in capabilities.items() if name.endswith("bf16"))  # avx512_bf16, amx_bf16


def _linear_layers(sizes):
    return nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
