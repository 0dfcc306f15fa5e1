"""The weight of the KL term: schedules of beta, and how beta weighs users. Another schedule is one more class.

A schedule has ``weight(update)``, beta at an update, counted from 0 at the first one and never restarted at an epoch,
and ``final``, the value that beta reaches: early stopping waits for it.
"""

from .pieces import Shown

# What "auto" is for the cap and T is in auto_parameters.py


class LinearAnnealing(Shown):
    r"""The schedule of the paper: beta rises linearly to its cap.

    .. math:: \beta_t = \min(\text{anneal\_cap}, t / T)

    (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018, section 2.2.2
    and the authors' notebook).

    Parameters
    ----------
    anneal_cap : float
    total_anneal_steps : float, default=0
        T, in updates; 0 means the cap from the first update on.
    """

    def __init__(self, anneal_cap, total_anneal_steps=0):
        self.anneal_cap, self.total_anneal_steps = anneal_cap, total_anneal_steps

    def weight(self, update):
        """Beta at the update before which so many were made, float."""
        if self.total_anneal_steps == 0:
            return self.anneal_cap
        return min(self.anneal_cap, update / self.total_anneal_steps)

    @property
    def final(self):
        """The cap, float."""
        return self.anneal_cap


# name -> (anneal_cap, total_anneal_steps in updates) to a schedule
SCHEDULES = {"linear": LinearAnnealing}


def _constant(beta, batch):
    return beta


def _per_user(beta, batch):
    return beta * batch.sum_per_user(batch.values)


# (beta, batch) -> weight of the KL term of each user: beta, or beta times the user's total N_u = sum_i x_ui
KL_WEIGHTINGS = {"constant": _constant, "per_user": _per_user}
