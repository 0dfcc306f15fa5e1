"""What training minimises, averaged over the users of a batch.

Each objective owns its networks and answers, beside the loss, what inference asks of a trained
one: ``code`` (no noise, no dropout), ``decoder`` and ``log_likelihood``.
"""

import math

import torch
from torch import nn

from .priors import kl_divergence, posterior_log_prob


class NegativeELBO(nn.Module):
    r"""Negative evidence lower bound with a weighted KL term, of the variational autoencoder.

    .. math:: -E_{q(z|x)}[\log p(x|z)] + \beta\, KL(q(z|x) \| p(z))

    (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018, equation 8),
    with one draw of z a user.

    Parameters
    ----------
    encoder : module, sparse batch to (n_users, 2 * n_components)
    decoder : module, (n_users, n_components) to (n_users, n_items)
    likelihood : object with ``log_prob`` and ``mean``
    prior : object with ``log_prob`` and perhaps ``kl_divergence``
    dropout : float
        Rate on the L2-normalised input.
    weigh_by_interactions : bool
        The KL term of a user weighs beta times the user's total N_u = sum_i x_ui (Shenbin et al., "RecVAE", WSDM 2020,
        section 3.3), instead of beta for everyone.
    """

    def __init__(self, encoder, decoder, likelihood, prior, dropout, weigh_by_interactions=False):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.prior, self.dropout = likelihood, prior, dropout
        self.weigh_by_interactions = weigh_by_interactions

    def forward(self, batch, beta, generator):
        mean, log_variance = self.posterior(batch.normalized().dropped_out(self.dropout, generator))
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        code = mean + (0.5 * log_variance).exp() * noise
        log_prob = _log_prob(self.likelihood, self.decoder(code), batch)
        weight = beta * batch.sum_per_user(batch.values) if self.weigh_by_interactions else beta
        return (weight * kl_divergence(self.prior, mean, log_variance, code) - log_prob).mean()

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
            # in double: sums over all items that must not depend on the order of users
            log_prob = self.likelihood.log_prob(self.decoder(code).double(), batch)
            mean_, log_variance_, code_ = mean.double(), log_variance.double(), code.double()
            ratio = self.prior.log_prob(code_) - posterior_log_prob(code_, mean_, log_variance_)
            log_weights.append(log_prob + ratio)
        return torch.stack(log_weights).logsumexp(0) - math.log(len(noise))  # (n_users,)


class NegativeLogLikelihood(nn.Module):
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
        return self.likelihood.log_prob(self.decoder(self.code(batch)).double(), batch)


def _log_prob(likelihood, logits, batch):
    """log p(x|z) of each user; only a likelihood that says so is given logits in bfloat16."""
    if logits.dtype == torch.bfloat16 and not getattr(likelihood, "takes_bfloat16", False):
        logits = logits.float()
    return likelihood.log_prob(logits, batch)
