"""Priors of the latent code. Another prior is one more class with ``log_prob``.

One with ``given(mean, log_variance)`` too is asked in training for the prior of each user, given the posterior that the
encoder of before this epoch has of them.
"""

import math

import torch

from .pieces import Shown, has_part, one_for_each_user


class StandardNormal(Shown):
    """z ~ Normal(0, I), the prior of Liang et al. (WWW 2018), equation 1."""

    def log_prob(self, code):
        """log p(z), a sum over the components: (..., n_components) to (...)."""
        return -0.5 * (code.square() + math.log(2 * math.pi)).sum(-1)

    def kl_divergence(self, mean, log_variance):
        r"""KL(q(z|x) || p(z)) of each user, in closed form, shape (n_users,).

        .. math:: \frac12 \sum_k (\sigma_k^2 + \mu_k^2 - 1 - \log \sigma_k^2)

        summed, not averaged, over the latent dimensions.
        """
        return 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(-1)


class CompositePrior(Shown):
    r"""Mixture of a standard normal, the posterior of before, and a wide normal, in each component of the code.

    .. math:: p(z_k|x) = w_1 N(z_k; 0, 1) + w_2\, q_{old}(z_k|x) + w_3 N(z_k; 0, e^{10})

    (Shenbin et al., "RecVAE", WSDM 2020, with the weights and the mixture by component of the authors' program.) The
    posterior of before is that of the encoder when the epoch began, so that an update does not move a user far.

    Parameters
    ----------
    weights : three floats
    wide_log_variance : float
    """

    def __init__(self, weights=(3 / 20, 3 / 4, 1 / 10), wide_log_variance=10.0):
        self.weights, self.wide_log_variance = weights, wide_log_variance

    def given(self, mean, log_variance):
        """The prior of users whose posterior was this before, each tensor of shape (n_users, n_components)."""
        standard, previous, wide = self.weights
        return _Mixture([(standard, 0, 0.0), (previous, mean, log_variance), (wide, 0, self.wide_log_variance)])

    def log_prob(self, code):
        """log p(z) of users of whom nothing is known: the mixture without its second term."""
        standard, _, wide = self.weights
        total = standard + wide
        return _Mixture([(standard / total, 0, 0.0), (wide / total, 0, self.wide_log_variance)]).log_prob(code)


class _Mixture:
    """A mixture of normals (weight, mean, log-variance), in each component of the code."""

    def __init__(self, normals):
        self.normals = normals

    def log_prob(self, code):
        terms = [
            math.log(weight) + _normal_log_prob(code, mean, torch.as_tensor(log_variance).to(code))
            for weight, mean, log_variance in self.normals
        ]
        return torch.stack(terms).logsumexp(0).sum(-1)


def posterior_log_prob(code, mean, log_variance):
    """log q(z|x) of the diagonal normal posterior, (..., n_components) to (...)."""
    return _normal_log_prob(code, mean, log_variance).sum(-1)


def _normal_log_prob(code, mean, log_variance):
    squares = (code - mean).square() / log_variance.exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi))


def kl_divergence(prior, mean, log_variance, code):
    """KL(q(z|x) || p(z)) of each user: closed form where the prior has one, else from one draw.

    Parameters
    ----------
    prior : object with ``log_prob(code)`` and perhaps ``kl_divergence(mean, log_variance)``
    mean, log_variance : tensors of shape (n_users, n_components)
    code : tensor of shape (n_users, n_components)
        A draw from the posterior.

    Returns
    -------
    tensor of shape (n_users,)
    """
    if has_part(prior, "kl_divergence"):
        return one_for_each_user(prior.kl_divergence(mean, log_variance), len(mean), prior, "kl_divergence")
    posterior = posterior_log_prob(code, mean, log_variance)
    return posterior - one_for_each_user(prior.log_prob(code), len(code), prior, "log_prob")


PRIORS = {"standard_normal": StandardNormal, "composite": CompositePrior}
