"""The encoder, from sparse rows to a code, the decoder, from a code to logits, and the two autoencoders of them.

An autoencoder answers what inference asks: codes without noise or dropout, and log-likelihoods.
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from .item_products import FLOAT32
from .priors import posterior_log_prob

DTYPE = torch.float32  # whatever torch's default is
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
        self.item_weight = _parameter(n_items, first)
        self.item_bias = _parameter(first)
        self.layers = _linear_layers(layer_sizes)
        self.normalizations = nn.ModuleList(
            nn.LayerNorm(size, eps=LAYER_NORM_EPS, dtype=DTYPE) if normalized else nn.Identity()
            for size in layer_sizes[:-1]
        )
        self.activation, self.output_activation = activation, output_activation
        self.skip_connections = skip_connections

    def forward(self, batch, products=FLOAT32):
        hidden = products.sum_of_rows(self.item_weight, batch) + self.item_bias  # (n_users, layer_sizes[0])
        earlier = None
        for layer, normalization in zip(self.layers, self.normalizations, strict=True):
            if earlier is not None:
                hidden = hidden + earlier
            hidden = normalization(self.activation(hidden))
            if self.skip_connections:
                earlier = hidden if earlier is None else earlier + hidden
            hidden = layer(hidden)
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
        self.item_weight = _parameter(n_items, last)
        self.item_bias = _parameter(n_items)
        self.activation = activation

    def forward(self, code, products=FLOAT32, out=None):
        return products.logits(self.hidden(code), self.item_weight, self.item_bias, out)  # (n_users, n_items)

    def hidden(self, code):
        """What the last hidden layer makes of the code, (n_users, layer_sizes[-1])."""
        for layer in self.layers:
            code = self.activation(layer(code))
        return code


class DenoisingAutoencoder(nn.Module):
    """A code without noise.

    Parameters
    ----------
    encoder : module, sparse batch to (n_users, n_components)
    decoder : module, (n_users, n_components) to (n_users, n_items)
    likelihood : object with ``log_prob`` and ``mean``
    """

    likelihood: Any

    def __init__(self, encoder, decoder, likelihood):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        vars(self)["likelihood"] = likelihood  # a module of somebody's own is no part of the network: it stays as it is

    def code(self, batch):
        """The code, shape (n_users, n_components)."""
        return self.encoder(batch.normalized())

    def log_likelihood(self, batch, noise):
        """log p(x | code(x)) of each user; a denoising autoencoder has no use for ``noise``."""
        return self.likelihood.log_prob(self.decoder(self.code(batch)), batch)


class VariationalAutoencoder(nn.Module):
    """A normal distribution over codes.

    Parameters
    ----------
    encoder : module, sparse batch to (n_users, 2 * n_components)
        Means, and logarithms of the variances.
    decoder : module, (n_users, n_components) to (n_users, n_items)
    likelihood : object with ``log_prob`` and ``mean``
    prior : object with ``log_prob`` and perhaps ``kl_divergence``, or ``given``
    """

    likelihood: Any
    prior: Any

    def __init__(self, encoder, decoder, likelihood, prior):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        vars(self).update(likelihood=likelihood, prior=prior)  # as in DenoisingAutoencoder

    def posterior(self, batch):
        """Mean and log-variance of q(z|x), each of shape (n_users, n_components)."""
        return self.encoder(batch.normalized()).chunk(2, -1)

    def code(self, batch):
        """Posterior mean, shape (n_users, n_components)."""
        return self.posterior(batch)[0]

    def log_likelihood(self, batch, noise):
        r"""Importance-weighted lower bound on log p(x) of each user.

        .. math:: \log \frac1S \sum_s p(x|z_s)\, p(z_s) / q(z_s|x)

        (Burda, Grosse, Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, equation 8):
        one draw gives the evidence lower bound, more draws a tighter one. ``noise`` has shape
        (n_draws, n_components), the same for every user, so that a user's value does not depend
        on who else is in the batch.
        """
        mean, log_variance = self.posterior(batch)
        log_weights = []
        for draw in noise:
            code = mean + (0.5 * log_variance).exp() * draw
            ratio = self.prior.log_prob(code) - posterior_log_prob(code, mean, log_variance)
            log_weights.append(self.likelihood.log_prob(self.decoder(code), batch) + ratio)
        return torch.stack(log_weights).logsumexp(0) - math.log(len(noise))  # (n_users,)


def _linear_layers(sizes):
    return nn.ModuleList(nn.Linear(i, o, dtype=DTYPE) for i, o in pairwise(sizes))


def _parameter(*shape):
    return nn.Parameter(torch.empty(shape, dtype=DTYPE))
