"""What a network looks like, apart from its number of items: from a description to a network and its weights."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from .activations import ACTIVATIONS
from .devices import tensor_of
from .likelihoods import LIKELIHOODS
from .networks import Decoder, DenoisingAutoencoder, Encoder, VariationalAutoencoder
from .pieces import piece_of
from .priors import PRIORS


@dataclass(frozen=True)
class Architecture:
    """Sizes and parts of an autoencoder.

    Parameters
    ----------
    n_components : int
        Size of the code.
    hidden_layer_sizes : tuple of int
        Of the encoder.
    activation : str
        One of ``ACTIVATIONS``.
    likelihood : str or object
        One of ``LIKELIHOODS``, or an object with ``log_prob`` and ``mean``.
    prior : str, object or None
        Of a variational autoencoder: one of ``PRIORS``, or an object with ``log_prob``. None: a denoising one, whose
        code has the activation too.
    decoder_hidden_layer_sizes : tuple of int or None
        None: those of the encoder, mirrored.
    layer_normalization, skip_connections : bool
        As in `skvae.core.networks.Encoder`.
    """

    n_components: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    likelihood: Any
    prior: Any = None
    decoder_hidden_layer_sizes: tuple[int, ...] | None = None
    layer_normalization: bool = False
    skip_connections: bool = False

    @property
    def is_variational(self):
        """Whether the code is a distribution."""
        return self.prior is not None

    @property
    def decoder_layer_sizes(self):
        """Widths of the code and of the decoder's hidden layers."""
        sizes = self.decoder_hidden_layer_sizes
        return [self.n_components, *(self.hidden_layer_sizes[::-1] if sizes is None else sizes)]

    def build(self, n_items):
        """The network for so many items, its weights still without memory: to be initialized or set."""
        activation = ACTIVATIONS[self.activation].module
        likelihood, prior = piece_of(self.likelihood, LIKELIHOODS), piece_of(self.prior, PRIORS)
        with torch.device("meta"):
            encoder = Encoder(
                n_items,
                [*self.hidden_layer_sizes, self.n_components * (2 if self.is_variational else 1)],
                activation(),
                nn.Identity() if self.is_variational else activation(),
                normalized=self.layer_normalization,
                skip_connections=self.skip_connections,
            )
            decoder = Decoder(self.decoder_layer_sizes, n_items, activation())
        if self.is_variational:
            return VariationalAutoencoder(encoder, decoder, likelihood, prior)
        return DenoisingAutoencoder(encoder, decoder, likelihood)

    def shapes(self, n_items):
        """Name -> shape of each of the weights for so many items."""
        return {name: tuple(tensor.shape) for name, tensor in self.build(n_items).state_dict().items()}

    def build_with(self, weights, copy=False):
        """The network of these weights (as `to_numpy` gives them), which it shares unless they are copied."""
        network = self.build(len(weights["decoder.item_bias"]))
        tensors = {name: tensor_of(np.array(w) if copy else w) for name, w in weights.items()}
        network.load_state_dict(tensors, assign=True)
        return network

    def differences(self, other):
        """Names of what is not the same in another architecture, list of str."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


def to_numpy(network, copy=False):
    """Name -> float32 array on the CPU, C-contiguous; shares its memory with the network unless copied."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    return {name: array.copy() for name, array in arrays.items()} if copy else arrays


def widened(weights, n_items):
    """Weights with so many items more, which score -inf until they are trained."""
    fills = {"encoder.item_weight": 0, "decoder.item_weight": 0, "decoder.item_bias": -np.inf}
    return weights | {name: _with_rows(weights[name], n_items, fill) for name, fill in fills.items()}


def _with_rows(array, n_rows, value):
    """A copy with rows of one value below."""
    return np.concatenate([array, np.full((n_rows, *array.shape[1:]), value, array.dtype)])
