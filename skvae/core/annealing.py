"""KL annealing: the update number to the weight of the KL term, a pure function each."""


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
