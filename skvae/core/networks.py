"""The encoder, from sparse rows to a code, and the decoder, from a code to logits."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

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
        hidden = F.embedding_bag(
            batch.items,
            self.item_weight,
            batch.offsets,
            mode="sum",
            per_sample_weights=batch.values,
            include_last_offset=True,
        )
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

    def forward(self, code):
        hidden = code
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
        return F.linear(hidden, self.item_weight, self.item_bias)  # (n_users, n_items)


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
