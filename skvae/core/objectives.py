"""What training minimises, averaged over the users of a batch.

An objective has the ``network`` that it trains; it is called with (batch, beta, generator, products) for a loss, and
its ``passes`` say what of the network each pass over the users trains, ``can_replay`` whether that is always the same.
"""

import copy
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from .annealing import KL_WEIGHTINGS
from .item_products import FLOAT32
from .pieces import has_part, one_for_each_user
from .priors import kl_divergence


def _all(batch, inputs, dropout):
    return batch, 1.0


def _dropped(batch, inputs, dropout):
    return replace(batch, values=batch.values.where(inputs.values == 0, 0)), 1 / dropout


# (batch, what dropout left of it, dropout) -> batch whose log-likelihood is taken, and its weight: all of it; or what
# was dropped, among the items that were not kept, which have the value 0 and are unknown, weighted so that in the mean
# it counts as much as all of it beside the KL term and L2
TARGETS = {"all": _all, "dropped": _dropped}


class NegativeLogLikelihood:
    """-log p(x | code(x)), of the denoising autoencoder; no noise but dropout, no KL term.

    Parameters
    ----------
    network : DenoisingAutoencoder
    dropout : float
        Rate on the L2-normalised input.
    target : str
        One of ``TARGETS``; "dropped" only for a likelihood that ``takes_unknown``.
    """

    n_passes, can_replay = 1, True

    def __init__(self, network, dropout, target="all"):
        self.network, self.dropout, self.target = network, dropout, TARGETS[target]

    def passes(self):
        """Yield at the beginning of each pass over the users that an epoch makes."""
        yield

    def state(self):
        """What an epoch under way has to keep besides the weights: nothing."""

    def __call__(self, batch, beta, generator, products=FLOAT32):
        network, inputs = self.network, batch.normalized().dropped_out(self.dropout, generator)
        target, weight = self.target(batch, inputs, self.dropout)
        return -weight * batch.mean_of_users(_log_prob(network, network.encoder(inputs, products), target, products))


class NegativeELBO:
    r"""Negative evidence lower bound with a weighted KL term, of the variational autoencoder.

    .. math:: -E_{q(z|x)}[\log p(x|z)] + \beta\, KL(q(z|x) \| p(z))

    (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018, equation 8),
    with one draw of z per user.

    Parameters
    ----------
    network : VariationalAutoencoder
        A prior with ``given`` is asked for that of each user, given the posterior of the epoch before.
    dropout : float
        Rate on the L2-normalised input.
    kl_weighting : str
        One of ``KL_WEIGHTINGS``; "per_user" as in Shenbin et al., "RecVAE", WSDM 2020.
    target : str
        As in `NegativeLogLikelihood`.
    """

    n_passes = 1

    def __init__(self, network, dropout, kl_weighting="constant", target="all"):
        self.network, self.dropout, self.target = network, dropout, TARGETS[target]
        self.kl_weight = KL_WEIGHTINGS[kl_weighting]
        self.previous_encoder: Any = None  # set when an epoch begins

    @property
    def can_replay(self):
        """Whether all updates of a training do the same with the same tensors: no new one in each epoch."""
        return not has_part(self.network.prior, "given")

    def passes(self):
        """Yield at the beginning of each pass over the users that an epoch makes."""
        self._keep_encoder()
        yield

    def state(self):
        """What an epoch under way has to keep besides the weights: those of the encoder of before, if it is asked."""
        return self.previous_encoder and self.previous_encoder.state_dict()

    def resume(self, state):
        """Go on from the `state` of an epoch, whose passes have begun anew."""
        self.previous_encoder.load_state_dict(state)

    def __call__(self, batch, beta, generator, products=FLOAT32):
        network, inputs = self.network, batch.normalized()
        prior = self._prior(inputs)
        dropped_out = inputs.dropped_out(self.dropout, generator)
        mean, log_variance = network.encoder(dropped_out, products).chunk(2, -1)
        code = mean + (0.5 * log_variance).exp() * batch.noise_like(mean, generator)
        target, weight = self.target(batch, dropped_out, self.dropout)
        log_prob = weight * _log_prob(network, code, target, products)
        kl = self.kl_weight(beta, batch) * kl_divergence(prior, mean, log_variance, code)
        return batch.mean_of_users(kl - log_prob)

    def _keep_encoder(self):
        if has_part(self.network.prior, "given"):
            self.previous_encoder = None  # or there would be two of them for a moment
            self.previous_encoder = copy.deepcopy(self.network.encoder).requires_grad_(False)

    @torch.no_grad()
    def _prior(self, inputs):
        """p(z), or p(z|x) of a prior that wants the posterior of before."""
        prior = self.network.prior
        if not has_part(prior, "given"):
            return prior
        return prior.given(*self.previous_encoder(inputs).chunk(2, -1))


class AlternatingELBO(NegativeELBO):
    """NegativeELBO of which an epoch trains first the encoder, then the decoder (RecVAE).

    What is frozen gets no gradient, so that Adam leaves it and its moments alone: one Adam does what two would.

    Parameters
    ----------
    network, dropout, kl_weighting :
        As in `NegativeELBO`.
    n_encoder_passes : int
        At least 1: passes over the users that train the encoder, before the one without dropout that trains the
        decoder.
    """

    can_replay = False

    def __init__(self, network, dropout, kl_weighting="constant", n_encoder_passes=3):
        super().__init__(network, dropout, kl_weighting)
        self.n_encoder_passes, self.n_passes = n_encoder_passes, n_encoder_passes + 1

    def passes(self):
        """Yield at the beginning of each pass over the users that an epoch makes."""
        self._keep_encoder()
        with _frozen(self.network.decoder):
            for _ in range(self.n_encoder_passes):
                yield
        with _frozen(self.network.encoder), self._nothing_dropped():
            yield

    @contextmanager
    def _nothing_dropped(self):
        dropout, self.dropout = self.dropout, 0.0
        try:
            yield
        finally:
            self.dropout = dropout


@contextmanager
def _frozen(network):
    """No gradient of the network's weights is computed."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _log_prob(network, code, batch, products):
    """log p(x|z) of each user."""
    decoder, likelihood = network.decoder, network.likelihood
    hidden = decoder.hidden(code)
    log_prob = products.log_prob(hidden, decoder.item_weight, decoder.item_bias, likelihood, batch)
    if torch.is_grad_enabled() and not getattr(log_prob, "requires_grad", True):
        raise ValueError(
            f"{type(likelihood).__name__}.log_prob gave values without a gradient: compute them from the logits by "
            "functions of torch, without detach() or NumPy."
        )
    return one_for_each_user(log_prob, len(hidden), likelihood, "log_prob")
