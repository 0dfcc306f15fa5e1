"""The encoder, from sparse rows to a code, and the decoder, from a code to logits."""

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


class Encoder(nn.Module):
    """Sparse batch to the last layer's output: mu and log sigma^2 side by side, or a code.

    Parameters
    ----------
    n_items : int
    layer_sizes : sequence of int
        Widths of all layers after the input, the output included.
    activation, output_activation : nn.Module
        After the hidden layers, and after the last one.
    """

    def __init__(self, n_items, layer_sizes, activation, output_activation):
        super().__init__()
        first, *_ = layer_sizes
        self.item_weight = nn.Parameter(torch.empty(n_items, first))
        self.item_bias = nn.Parameter(torch.empty(first))
        self.layers = _linear_layers(layer_sizes)
        self.activation, self.output_activation = activation, output_activation

    def forward(self, batch):
        if self.item_weight.device.type == "cpu" and torch.is_grad_enabled():
            hidden = _SparseInput.apply(self.item_weight, batch)
        else:
            hidden = _sum_of_rows(batch.items, self.item_weight, batch.offsets, batch.values)
        hidden = hidden + self.item_bias  # (n_users, layer_sizes[0])
        for layer in self.layers:
            hidden = layer(self.activation(hidden))
        return self.output_activation(hidden)  # (n_users, layer_sizes[-1])


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
        # one buffer for all updates of a training, which sets it; at most one batch is under way
        self.logits_buffer = None

    def forward(self, code):
        hidden = code
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
        if self.logits_buffer is not None and torch.is_grad_enabled():
            return _ItemOutput.apply(hidden, self.item_weight, self.item_bias, self.logits_buffer)
        return F.linear(hidden, self.item_weight, self.item_bias)  # (n_users, n_items)


# The gradients of the two item matrices are added straight to .grad. Autograd would take fresh memory for each of them
# at each update, and 48 MB (20 000 items x 600) of fresh pages take 17 ms; the sum over a batch takes 4.


class _SparseInput(torch.autograd.Function):
    """Sum of the weight rows of each user's items, weighted by the values: sparse X times W."""

    @staticmethod
    def forward(ctx, weight, batch):
        ctx.weight, ctx.batch = weight, batch
        return _sum_of_rows(batch.items, weight, batch.offsets, batch.values)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, batch = ctx.weight, ctx.batch
        weight_grad = _grad_of(weight)
        # X' times grad: the same sum with users and items exchanged, some thousand items at a time
        order = torch.argsort(batch.items, stable=True)
        users, values = batch.users[order], batch.values[order]
        offsets = torch.zeros(len(weight) + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(batch.items, minlength=len(weight)), 0, out=offsets[1:])
        for first in range(0, len(weight), ITEMS_PER_CHUNK):
            bounds = offsets[first : first + ITEMS_PER_CHUNK + 1]
            start, end = int(bounds[0]), int(bounds[-1])
            if start < end:
                sums = _sum_of_rows(users[start:end], grad, bounds - start, values[start:end])
                weight_grad[first : first + ITEMS_PER_CHUNK] += sums
        return None, None


ITEMS_PER_CHUNK = 2048


class _ItemOutput(torch.autograd.Function):
    """hidden W' + bias, written into a buffer."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, buffer):
        ctx.hidden, ctx.weight, ctx.bias = hidden, weight, bias
        return torch.addmm(bias, hidden, weight.T, out=buffer[: len(hidden)])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _grad_of(ctx.weight).addmm_(grad.T, ctx.hidden)
        _grad_of(ctx.bias).add_(grad.sum(0))
        return grad @ ctx.weight, None, None, None


def _grad_of(parameter):
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _sum_of_rows(indices, rows, offsets, weights):
    """Row r of the result sums rows[indices[offsets[r]:offsets[r + 1]]] times their weights."""
    return F.embedding_bag(indices, rows, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True)


def _linear_layers(sizes):
    return nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))


@torch.no_grad()
def initialize(network, generator):
    """Xavier uniform weights and truncated normal biases of std 0.001 (the authors' notebook)."""
    for parameter in network.parameters():
        if parameter.ndim == 2:
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            nn.init.trunc_normal_(parameter, std=0.001, a=-0.002, b=0.002, generator=generator)
