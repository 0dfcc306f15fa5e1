"""What "auto" is resolved to in an autoencoder: the rules by which parameters are chosen from the data.

A function of ``given`` takes the parameter as it was given, and returns it unless that is "auto".
"""

from types import SimpleNamespace


def batch_size(given, n_users):
    """Users per update: a fortieth of them, at least 32 and at most the paper's 500.

    Parameters
    ----------
    given : int or "auto"
    n_users : int

    Returns
    -------
    int
    """
    return min(max(n_users // 40, 32), 500) if given == "auto" else given


LARGE_CATALOGUE = 100_000  # items, of which all are taken


def n_sampled_items(given, n_items, can_sample):
    """Items drawn for an update: none up to ``LARGE_CATALOGUE``, else a tenth, at most 20 000.

    Parameters
    ----------
    given : int, None or "auto"
    n_items : int
    can_sample : bool
        Whether the likelihood takes weights of items.

    Returns
    -------
    int or None
        None where all items are taken.
    """
    if given == "auto":
        given = min(n_items // 10, 20_000) if n_items > LARGE_CATALOGUE and can_sample else None
    return None if given is None or given >= n_items else given


def n_iter_no_change(given, n_interactions):
    """Epochs without a rise: those of three million interactions, at least 10 and at most 100.

    Parameters
    ----------
    given : int or "auto"
    n_interactions : int

    Returns
    -------
    int
    """
    return min(max(3_000_000 // n_interactions, 10), 100) if given == "auto" else given


FEWEST_INTERACTIONS = 10  # per user, in the mean, from which on what is hidden can be predicted from what is not


def initialization(given, interactions_per_user):
    """Where training begins: near EASE^R, or where users have fewer than ten interactions near an SVD.

    Parameters
    ----------
    given : str or callable
    interactions_per_user : float

    Returns
    -------
    str or callable
    """
    if given != "auto":
        return given
    return "ease" if interactions_per_user >= FEWEST_INTERACTIONS else "svd"


def target(given, dropout, is_multinomial, interactions_per_user):
    """What the loss is of: "dropped" where enough is dropped, and the likelihood is the multinomial one.

    With fewer than ten interactions too little is left to predict, and to predict it from.

    Parameters
    ----------
    given : str
    dropout : float
    is_multinomial : bool
        The likelihood.
    interactions_per_user : float

    Returns
    -------
    str
    """
    if given != "auto":
        return given
    return "dropped" if dropout and is_multinomial and interactions_per_user >= FEWEST_INTERACTIONS else "all"


def target_of(model, parameters):
    """What the loss of an autoencoder is of: as its last fit resolved "auto", or as its parameter says.

    Parameters
    ----------
    model : autoencoder
    parameters : SimpleNamespace
        Its parameters, checked.

    Returns
    -------
    str
    """
    if parameters.target != "auto":
        return parameters.target
    # models from before there was a choice have none; nor is there one where nothing is dropped any more
    return getattr(model, "target_", "all") if parameters.dropout else "all"


def as_resolved(model, parameters):
    """The parameters with which training goes on: what was "auto" is what it was resolved to.

    Parameters
    ----------
    model : autoencoder
        Fitted.
    parameters : SimpleNamespace
        Its parameters, checked.

    Returns
    -------
    SimpleNamespace
    """
    resolved = {"target": target_of(model, parameters)} if hasattr(parameters, "target") else {}
    for name in ("batch_size", "n_iter_no_change", "anneal_cap"):
        if getattr(parameters, name, None) == "auto":
            resolved[name] = getattr(model, f"{name}_", "auto")
    return SimpleNamespace(**vars(parameters) | resolved)


def anneal_cap(given, kl_weighting, interactions_per_user):
    """Ceiling of the KL weight: the paper's .2 from 30 interactions per user on, in proportion less below.

    With fewer the log-likelihood weighs less. A weight per interaction has that of RecVAE.

    Parameters
    ----------
    given : float or "auto"
    kl_weighting : str
    interactions_per_user : float

    Returns
    -------
    float
    """
    if given != "auto":
        return given
    return 0.005 if kl_weighting == "per_user" else 0.2 * min(1.0, interactions_per_user / 30)


def total_anneal_steps(anneal_cap, planned_updates):
    """Updates T of linear annealing with which t / T is at the cap when t is a tenth of the planned updates.

    Parameters
    ----------
    anneal_cap : float
    planned_updates : int

    Returns
    -------
    float
    """
    return 0.1 * planned_updates / anneal_cap if anneal_cap else 0.0
