"""Priors of the latent code. Another prior is one more class with ``kl_divergence``."""


class StandardNormal:
    """z ~ Normal(0, I), the prior of Liang et al. (WWW 2018), equation 1."""

    def kl_divergence(self, mean, log_variance, code):
        r"""KL(q(z|x) || p(z)) of each user, in closed form.

        .. math:: \frac12 \sum_k (\sigma_k^2 + \mu_k^2 - 1 - \log \sigma_k^2)

        summed, not averaged, over the latent dimensions.

        Parameters
        ----------
        mean, log_variance : tensors of shape (n_users, n_components)
        code : tensor of shape (n_users, n_components)
            A draw from q; a prior without a closed form needs it, this one does not.

        Returns
        -------
        tensor of shape (n_users,)
        """
        return 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(-1)
