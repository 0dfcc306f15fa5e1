"""How "auto" is resolved: the rules by which parameters are chosen from the data."""


def batch_size(n_users):
    """Users per update: a fortieth of them, at least 32 and at most the paper's 500.

    Parameters
    ----------
    n_users : int

    Returns
    -------
    int
    """
    return min(max(n_users // 40, 32), 500)


def n_sampled_items(n_items):
    """Items drawn for an update: none up to 100 000 items, of which all are taken, else a tenth, at most 20 000.

    Parameters
    ----------
    n_items : int

    Returns
    -------
    int or None
    """
    return None if n_items <= 100_000 else min(n_items // 10, 20_000)


def patience(n_interactions):
    """Epochs without a rise: those of three million interactions, at least 10 and at most 100.

    Parameters
    ----------
    n_interactions : int

    Returns
    -------
    int
    """
    return min(max(3_000_000 // n_interactions, 10), 100)


FEWEST_INTERACTIONS = 10  # per user, in the mean, from which on what is hidden can be predicted from what is not


def initialization(interactions_per_user):
    """Where training begins: near EASE^R, or where users have fewer than ten interactions near an SVD.

    Parameters
    ----------
    interactions_per_user : float

    Returns
    -------
    str
    """
    return "ease" if interactions_per_user >= FEWEST_INTERACTIONS else "svd"


def target(dropout, is_multinomial, interactions_per_user):
    """What the loss is of: "dropped" where enough is dropped, and the likelihood is the multinomial one.

    With fewer than ten interactions too little is left to predict, and to predict it from.

    Parameters
    ----------
    dropout : float
    is_multinomial : bool
        The likelihood.
    interactions_per_user : float

    Returns
    -------
    str
    """
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
    return getattr(model, "target_", "all")  # of models from before there was a choice


def anneal_cap(kl_weighting, interactions_per_user):
    """Ceiling of the KL weight: the paper's .2 from 30 interactions per user on, in proportion less below.

    With fewer the log-likelihood weighs less. A weight per interaction has that of RecVAE.

    Parameters
    ----------
    kl_weighting : str
    interactions_per_user : float

    Returns
    -------
    float
    """
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
