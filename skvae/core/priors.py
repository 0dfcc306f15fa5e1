"""Priors of the latent code. Another prior is one more class with ``log_prob``."""

import math


class StandardNormal:
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


def posterior_log_prob(code, mean, log_variance):
    """log q(z|x) of the diagonal normal posterior, (..., n_components) to (...)."""
    squares = (code - mean).square() / log_variance.exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


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
    if hasattr(prior, "kl_divergence"):
        return prior.kl_divergence(mean, log_variance)
    return posterior_log_prob(code, mean, log_variance) - prior.log_prob(code)


PRIORS = {"standard_normal": StandardNormal}
