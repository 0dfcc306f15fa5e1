"""Schedules of beta, the weight of the KL term. Another schedule is one more class.

A schedule has ``weight(update)``, beta at an update, counted from 0 at the first one and never restarted at an epoch,
and ``final``, what beta comes to: early stopping waits for it.
"""


def linear_annealing(update, anneal_cap, total_anneal_steps):
    r"""KL weight at an update, rising linearly to its cap.

    .. math:: \beta_t = \min(\text{anneal\_cap}, t / T)

    (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018, section 2.2.2
    and the authors' notebook). t counts from 0 at the first update and never restarts at an epoch.

    Parameters
    ----------
    update : int
        Updates made before this one.
    anneal_cap : float
    total_anneal_steps : float
        T, in updates; 0 means the cap from the first update on.

    Returns
    -------
    float
    """
    if total_anneal_steps == 0:
        return anneal_cap
    return min(anneal_cap, update / total_anneal_steps)


class LinearAnnealing:
    """The schedule of the paper, ``linear_annealing``.

    Parameters
    ----------
    anneal_cap : float
    total_anneal_steps : float, default=0
        In updates; 0 means the cap from the first update on.
    """

    def __init__(self, anneal_cap, total_anneal_steps=0):
        self.anneal_cap, self.total_anneal_steps = anneal_cap, total_anneal_steps

    def weight(self, update):
        """Beta at the update before which so many were made, float."""
        return linear_annealing(update, self.anneal_cap, self.total_anneal_steps)

    @property
    def final(self):
        """The cap, float."""
        return self.anneal_cap


# name -> (anneal_cap, total_anneal_steps in updates) to a schedule
SCHEDULES = {"linear": LinearAnnealing}
