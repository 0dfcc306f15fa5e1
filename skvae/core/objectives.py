"""What training minimises, averaged over the users of a batch.

Each objective owns its networks and answers, beside the loss, what inference asks of a trained
one: ``code`` (no noise, no dropout), ``decoder`` and ``log_likelihood``.
"""

import math
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .priors import kl_divergence, posterior_log_prob


class Objective(nn.Module):
    """Base of both objectives: an epoch is one pass over the users, in which everything is trained."""

    n_passes = 1

    def passes(self):
        """Yield at the beginning of each pass over the users that an epoch makes."""
        yield


class NegativeELBO(Objective):
    r"""Negative evidence lower bound with a weighted KL term, of the variational autoencoder.

    .. math:: -E_{q(z|x)}[\log p(x|z)] + \beta\, KL(q(z|x) \| p(z))

    (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018, equation 8),
    with one draw of z a user.

    Parameters
    ----------
    encoder : module, sparse batch to (n_users, 2 * n_components)
    decoder : module, (n_users, n_components) to (n_users, n_items)
    likelihood : object with ``log_prob`` and ``mean``
    prior : object with ``log_prob`` and perhaps ``kl_divergence``, or ``given``
    dropout : float
        Rate on the L2-normalised input.
    weigh_by_interactions : bool
        The KL term of a user weighs beta times the user's total N_u = sum_i x_ui (Shenbin et al., "RecVAE", WSDM
        2020), instead of beta for everyone.
    n_encoder_passes : int
        0: encoder and decoder are trained together. Else an epoch is so many passes that train the encoder, then one
        without dropout that trains the decoder. What is frozen gets no gradient, so that Adam leaves it and its
        moments alone: one Adam does what two would.
    """

    def __init__(self, encoder, decoder, likelihood, prior, dropout, weigh_by_interactions=False, n_encoder_passes=0):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.prior, self.dropout = likelihood, prior, dropout
        self.weigh_by_interactions = weigh_by_interactions
        self.n_encoder_passes, self.n_passes = n_encoder_passes, n_encoder_passes + 1
        self.previous_encoder: Any = None  # set when an epoch begins

    def passes(self):
        if hasattr(self.prior, "given"):
            # a function, not a submodule: the copy is no part of the weights
            self.previous_encoder = self.encoder.frozen_copy().forward
        if not self.n_encoder_passes:
            yield
            return
        with _frozen(self.decoder):
            for _ in range(self.n_encoder_passes):
                yield
        with _frozen(self.encoder), self._nothing_dropped():
            yield

    @contextmanager
    def _nothing_dropped(self):
        dropout, self.dropout = self.dropout, 0.0
        try:
            yield
        finally:
            self.dropout = dropout

    def forward(self, batch, beta, generator):
        inputs = batch.normalized()
        prior = self._prior(inputs)
        mean, log_variance = self.posterior(inputs.dropped_out(self.dropout, generator))
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        code = mean + (0.5 * log_variance).exp() * noise
        log_prob = _log_prob(self.likelihood, self.decoder(code), batch)
        weight = beta * batch.sum_per_user(batch.values) if self.weigh_by_interactions else beta
        return (weight * kl_divergence(prior, mean, log_variance, code) - log_prob).mean()

    @torch.no_grad()
    def _prior(self, inputs):
        """p(z), or p(z|x) of a prior that wants the posterior of before."""
        if not hasattr(self.prior, "given"):
            return self.prior
        return self.prior.given(*self.previous_encoder(inputs).chunk(2, -1))

    def posterior(self, inputs):
        """Mean and log-variance of q(z|x), each of shape (n_users, n_components)."""
        return self.encoder(inputs).chunk(2, -1)

    def posterior_parameters(self, batch):
        """Mean and standard deviation of q(z|x) side by side, shape (n_users, 2 * n_components)."""
        mean, log_variance = self.posterior(batch.normalized())
        return torch.cat([mean, (0.5 * log_variance).exp()], -1)

    def code(self, batch):
        """Posterior mean, shape (n_users, n_components)."""
        return self.posterior(batch.normalized())[0]

    def log_likelihood(self, batch, noise):
        r"""Importance-weighted lower bound on log p(x) of each user.

        .. math:: \log \frac1S \sum_s p(x|z_s)\, p(z_s) / q(z_s|x)

        (Burda, Grosse, Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, equation 8):
        one draw gives the evidence lower bound, more draws a tighter one. ``noise`` has shape
        (n_draws, n_components), the same for every user, so that a user's value does not depend
        on who else is in the batch.
        """
        mean, log_variance = self.posterior(batch.normalized())
        log_weights = []
        for draw in noise:
            code = mean + (0.5 * log_variance).exp() * draw
            ratio = self.prior.log_prob(code) - posterior_log_prob(code, mean, log_variance)
            log_weights.append(self.likelihood.log_prob(self.decoder(code), batch) + ratio)
        return torch.stack(log_weights).logsumexp(0) - math.log(len(noise))  # (n_users,)


class NegativeLogLikelihood(Objective):
    """-log p(x | code(x)), of the denoising autoencoder; no noise but dropout, no KL term.

    Parameters
    ----------
    encoder : module, sparse batch to (n_users, n_components)
    decoder, likelihood, dropout :
        As in NegativeELBO.
    """

    def __init__(self, encoder, decoder, likelihood, dropout):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.dropout = likelihood, dropout

    def forward(self, batch, beta, generator):
        code = self.encoder(batch.normalized().dropped_out(self.dropout, generator))
        return -_log_prob(self.likelihood, self.decoder(code), batch).mean()

    def code(self, batch):
        """The code, shape (n_users, n_components)."""
        return self.encoder(batch.normalized())

    def log_likelihood(self, batch, noise):
        """log p(x | code(x)) of each user; a denoising autoencoder has no use for ``noise``."""
        return self.likelihood.log_prob(self.decoder(self.code(batch)), batch)


@contextmanager
def _frozen(network):
    """No gradient of the network's weights is computed."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _log_prob(likelihood, logits, batch):
    """log p(x|z) of each user; only a likelihood that says so is given logits in bfloat16."""
    if logits.dtype == torch.bfloat16 and not getattr(likelihood, "takes_bfloat16", False):
        logits = logits.float()
    return likelihood.log_prob(logits, batch)
