"""The variational autoencoder, Mult-VAE."""

from . import auto_parameters
from .autoencoder import CHECKS, BaseAutoencoder, PosteriorMixin, check_target
from .core.annealing import KL_WEIGHTINGS, SCHEDULES
from .core.architecture import Architecture
from .core.objectives import NegativeELBO
from .core.priors import PRIORS
from .core.user_warnings import warn_user
from .parameters import layer_sizes, number, optional, piece


class MultVAERecommender(PosteriorMixin, BaseAutoencoder):
    """Recommend with a variational autoencoder (Mult-VAE of Liang et al., 2018).

    An encoder maps a user's interactions to a normal distribution over codes, a decoder maps a code to a score of
    every item. The same encoder serves all users, so users that were not in the training data get recommendations
    without retraining.

    Parameters
    ----------
    n_components : int, default=200
        Size of the code.
    hidden_layer_sizes : tuple of int, default=(600,)
        Hidden layers of the encoder. The default is the paper's I-600-200-600-I.
    decoder_hidden_layer_sizes : tuple of int or None, default=None
        Hidden layers of the decoder, from the code on. None: those of the encoder, mirrored; ():
        a linear decoder, as RecVAE has it.
    activation : {"identity", "relu", "sigmoid", "swish", "tanh"}, default="tanh"
        After each hidden layer.
    likelihood : {"multinomial", "logistic", "gaussian"} or object, default="multinomial"
        multinomial: values are counts, a 5 weighs five 1s (threshold them upstream, for example
        with `sklearn.preprocessing.Binarizer`); logistic: the target is 1 where X > 0; gaussian:
        the target is the value, with weight 10 on observed entries. Or an object with
        ``log_prob(logits, batch)`` and ``mean(logits)``, as in `skvae.core.likelihoods`.
    dropout : float, default=0.5
        Rate on the L2-normalised input, in [0, 1).
    target : {"all", "dropped", "auto"}, default="auto"
        What the loss is computed on. "all": the user's whole row, as in the paper, including the items that are in the
        input. "dropped": the interactions that dropout removed from the input, ranked among the items that are not in
        the input, as in recommending; weighted by 1 / dropout. "auto": "dropped" if users have ten interactions or
        more on average, dropout is above 0 and the likelihood is "multinomial". For scores of seen items and for
        `score_samples` use "all".
    prior : {"standard_normal", "composite"} or object, default="standard_normal"
        Of the code; composite is that of RecVAE. Or an object with ``log_prob(code)``, and
        ``kl_divergence(mean, log_variance)`` where it has a closed form, as in `skvae.core.priors`.
    kl_weighting : {"constant", "per_user"}, default="constant"
        Weight of the KL term of user u: "constant" is beta, "per_user" is beta * N_u, where N_u is the sum of the
        user's row of X. The log-likelihood grows with N_u, and so does the KL term then. With "per_user", anneal_cap
        is the gamma of RecVAE, for which .0035 to .005 are suitable.
    kl_schedule : "linear" or object, default="linear"
        Of beta, the weight of the KL term: min(anneal_cap, t / T) at update t. Or an object with
        ``weight(update)`` and ``final``, as in `skvae.core.annealing`; anneal_cap and
        total_anneal_steps are not used then, and have to be "auto".
    anneal_cap : float or "auto", default="auto"
        Ceiling of beta, the weight of the KL term. 1 is the plain VAE, 0 leaves the KL term out. "auto": the paper's
        .2 if users have 30 interactions or more on average, and proportionally less if they have fewer, since the
        log-likelihood then weighs less; with kl_weighting="per_user" .005, as in RecVAE.
    total_anneal_steps : int, float or "auto", default="auto"
        T of the linear schedule, the update at which beta would be 1. beta stays at the cap from update anneal_cap * T
        on.

        - An int of 1 or more: updates (the paper: 200 000).
        - Below 1: a share of the planned updates, those of max_iter epochs. A warm start keeps
          their number.
        - 0: beta = anneal_cap throughout.
        - "auto": the cap is reached at a tenth of the planned updates, whatever the size of the
          data; the paper's number would end at beta = .012 on a set like ML-1M.

        A float of 1 or more is a share too until version 0.3, with a warning.
    initialization : {"ease", "svd", "xavier", "auto"} or callable, default="auto"
        xavier: as in the authors' notebook. svd: near PureSVD (Cremonesi, Koren, Turrin, RecSys 2010). The item
        matrices begin with the first right singular vectors of the L2-normalised X, at most a twentieth as many as
        users, and the output biases with the popularity of the items; hidden layers pass the vectors on. ease: the
        same with an approximation of EASE^R (Steck, WWW 2019), which spends none of its rank on giving items their own
        score. "auto": ease if users have ten interactions or more on average, else svd; this rule was chosen on seven
        data sets (documentation, Accuracy, "Rules for the defaults"). Or a function of (network, rows, generator), as
        in ``skvae.core.initialization``.
    learning_rate : float, default=2e-3
        Of Adam; the paper's 1e-3 takes twice the epochs (with `averaging_epochs`, to no better end).
    l2_regularization : float, default=0.0
        lam of lam * sum of squared weights, biases excluded (as Adam weight decay of 2 lam).
    batch_size : int or "auto", default="auto"
        Users per update. "auto": a fortieth of the users, at least 32, at most the paper's 500:
        small data need small batches more than anything else.
    n_sampled_items : int, "auto" or None, default="auto"
        An update uses the items of its users and this many others, which are drawn for each update and weighted by the
        inverse of their probability. So its time and memory do not grow with the number of items. The L2 term of an
        update covers only the items that it uses. None: all items. "auto": all up to 100 000 items; above that a tenth
        of them, at most 20 000; all with a likelihood of your own without ``takes_item_weights = True``.
    max_iter : int, default=200
        Epochs at the most.
    averaging_epochs : float, default=2.0
        The model is the exponential moving average of its weights over about this many epochs,
        validated as such. 0: the weights of an epoch as they are, as in the paper.
    early_stopping : bool or "auto", default="auto"
        Hold out users, score NDCG@100 on items hidden from them after each epoch, and stop when
        it has not risen for n_iter_no_change epochs after beta reached anneal_cap. "auto": where
        validation_fraction gives at least 25 users. With X_val no users are held out, and
        False means that all max_iter epochs run. Whenever there are validation users, the best
        epoch is kept.
    validation_fraction : float, default=0.1
        Share of the users with at least 5 interactions to hold out. If these are too few, it is the share of the users
        with 2 or more, of whom those with fewer than 5 hide one item. At most 10 000 users are held out.
    n_iter_no_change : int or "auto", default="auto"
        Patience, in epochs. "auto": as many epochs as three million interactions take, at least 10 and
        at most 100: if an epoch is short, waiting costs little, and NDCG may fall before it rises again.
    refit : bool, default=True
        If users were held out for early stopping and no callback ended the training, train once more, on all users of
        X and for as many epochs as were best. This takes the time of ``best_iter_`` more epochs. With False, for
        example in a quick search, the model is not trained on the held-out users. There is no refit with X_val or
        warm_start.
    warm_start : bool, default=False
        Go on from the last fit's weights, optimizer and update counter instead of starting afresh. Sizes of layers,
        activation, likelihood and prior must be those of before; parameters that were "auto" keep their resolved
        values. Validation users are those that the model was not trained on; if these are too few, there are none, and
        a warning says so. Users whose histories have grown count as new users: pass X_val in this case.
    checkpoint : path or None, default=None
        A file in which fit saves its state, after five seconds and then once a minute, or less often if writing takes
        over a second. After a kill, the same fit continues from there and ends with the same weights. Or a folder with
        a file for each fit, for searches. See the notes.
    precision : {"float32", "bfloat16", "auto"}, default="float32"
        Of the products with the decoder's item matrix, which take most of the time; weights and
        Adam are always float32. "auto" is bfloat16 where the processor or GPU has it in hardware.
    device : str, default="auto"
        A torch device such as "cpu" or "cuda"; "auto" is a GPU if there is one. Where a fitted
        model's device is absent, it answers on the CPU with a warning.
    random_state : int, RandomState instance or None, default=None
        Of initial weights, batches, dropout and noise. With an int no global generator is used;
        None takes the seed from that of NumPy.
    verbose : int, default=0
        Above 0, print one line per epoch, with its seconds.
    store_user_hashes : bool, default=True
        Keep a hash of each user's items, 8 bytes, so that `evaluate` can warn of users that the model was fitted on.
        Anyone who has the model can test whether a user was among them: set False if that must not be possible.

    Attributes
    ----------
    weights_ : dict of str to float32 array
        All parameters of the network, on the CPU; ``encoder.item_weight`` and
        ``decoder.item_weight`` have one row per item.
    architecture_ : skvae.core.architecture.Architecture
        Sizes and parts of the fitted network, which set_params does not reach.
    n_iter_ : int
        Epochs trained.
    n_updates_ : int
        Updates made: batches over all epochs.
    best_iter_ : int
        The best epoch, counted from 1: its weights are kept, or the refit trains for this number of epochs.
    loss_curve_ : list of float
        Mean objective per user of each epoch, without the L2 term.
    beta_curve_ : list of float
        KL weight at the end of each epoch.
    validation_scores_ : list of float or None
        NDCG@100 of the validation users after each epoch; None where the last training had none.
    best_validation_score_ : float or None
        Score of the best epoch; with warm_start it may be the score of the weights that the fit began with.
    target_ : {"all", "dropped"}
        The resolved ``target``.
    batch_size_ : int
    n_sampled_items_ : int or None
        The resolved value; None: all items.
    n_iter_no_change_ : int
    early_stopping_ : bool
        The resolved value.
    refitted_ : bool
        Whether a refit has trained on the held-out users. ``n_iter_``, ``best_iter_``, ``loss_curve_``,
        ``beta_curve_`` and the validation scores describe the training before the refit, ``n_updates_`` the refit.
    anneal_cap_ : float
        The resolved value; as the next one not used by a kl_schedule of your own.
    total_anneal_steps_ : float
        T in updates.
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    Notes
    -----
    With ``checkpoint`` the same fit (parameters, X and X_val) can be called again after a kill and ends
    with the same model:

    - Validation scores and patience continue too; if random_state is None, with the seed that the killed fit drew.
    - Callbacks are called only for the remaining epochs.
    - The file takes up to six times the memory of the weights. It is removed at the end of the fit, and stays after a
      Ctrl-C.
    - A file of another fit, or one that another process writes, raises a ValueError. If the disk is full, there is a
      warning and the fit continues.
    - To tell whether a fit is the same, it compares the class and the attributes of a likelihood, prior or schedule of
      your own. It compares functions by name, and by code too if they are defined in a script or a notebook.
    - `partial_fit` keeps no checkpoint.

    References
    ----------
    Liang, Krishnan, Hoffman, Jebara, "Variational Autoencoders for Collaborative Filtering",
    WWW 2018, https://arxiv.org/abs/1802.05814

    Examples
    --------
    >>> from skvae import MultVAERecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=200, n_items=50, random_state=0)
    >>> model = MultVAERecommender(16, hidden_layer_sizes=(), max_iter=20, random_state=0)
    >>> items, scores = model.fit(X[:150]).recommend(X[150:], k=5)  # users it never saw
    >>> items.shape
    (50, 5)
    """

    _checks = CHECKS | {
        "target": check_target,
        "decoder_hidden_layer_sizes": optional(layer_sizes),
        "prior": piece(PRIORS, "log_prob"),
        "kl_weighting": piece(KL_WEIGHTINGS),
        "kl_schedule": piece(SCHEDULES, "weight", "final"),
        "anneal_cap": number(minimum=0, auto=True),
        "total_anneal_steps": number(minimum=0, auto=True),
    }

    anneal_cap_: float
    total_anneal_steps_: float

    def __init__(
        self,
        n_components=200,
        *,
        hidden_layer_sizes=(600,),
        decoder_hidden_layer_sizes=None,
        activation="tanh",
        likelihood="multinomial",
        dropout=0.5,
        target="auto",
        prior="standard_normal",
        kl_weighting="constant",
        kl_schedule="linear",
        anneal_cap="auto",
        total_anneal_steps="auto",
        initialization="auto",
        learning_rate=2e-3,
        l2_regularization=0.0,
        batch_size="auto",
        n_sampled_items="auto",
        max_iter=200,
        averaging_epochs=2.0,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change="auto",
        refit=True,
        warm_start=False,
        checkpoint=None,
        precision="float32",
        device="auto",
        random_state=None,
        verbose=0,
        store_user_hashes=True,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.decoder_hidden_layer_sizes = decoder_hidden_layer_sizes
        self.activation = activation
        self.likelihood = likelihood
        self.dropout = dropout
        self.target = target
        self.prior = prior
        self.kl_weighting = kl_weighting
        self.kl_schedule = kl_schedule
        self.anneal_cap = anneal_cap
        self.total_anneal_steps = total_anneal_steps
        self.initialization = initialization
        self.learning_rate = learning_rate
        self.l2_regularization = l2_regularization
        self.batch_size = batch_size
        self.n_sampled_items = n_sampled_items
        self.max_iter = max_iter
        self.averaging_epochs = averaging_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.refit = refit
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.store_user_hashes = store_user_hashes

    def _checked_parameters(self):
        parameters = super()._checked_parameters()
        if isinstance(parameters.kl_schedule, str):
            return parameters
        cap, steps = parameters.anneal_cap, parameters.total_anneal_steps
        if (cap, steps) != ("auto", "auto"):
            raise ValueError(
                f"kl_schedule is an object of your own, which does not use anneal_cap={cap!r} and "
                f'total_anneal_steps={steps!r}: leave both "auto", or use kl_schedule="linear".'
            )
        _CheckedSchedule(parameters.kl_schedule).weight(0)
        return parameters

    def _architecture(self, parameters):
        return Architecture(
            n_components=parameters.n_components,
            hidden_layer_sizes=parameters.hidden_layer_sizes,
            activation=parameters.activation,
            likelihood=parameters.likelihood,
            prior=parameters.prior,
            decoder_hidden_layer_sizes=parameters.decoder_hidden_layer_sizes,
        )

    def _objective(self, parameters, network):
        target = auto_parameters.target_of(self, parameters)
        return NegativeELBO(network, parameters.dropout, parameters.kl_weighting, target)

    def _kl_schedule(self, parameters):
        if not isinstance(parameters.kl_schedule, str):
            return _CheckedSchedule(parameters.kl_schedule)
        return SCHEDULES[parameters.kl_schedule](self.anneal_cap_, self.total_anneal_steps_)

    def _resolve_schedule(self, parameters, planned_updates, interactions_per_user):
        cap = auto_parameters.anneal_cap(parameters.anneal_cap, parameters.kl_weighting, interactions_per_user)
        steps = parameters.total_anneal_steps
        # a share, or "auto": a warm start keeps the T of the first fit
        if hasattr(self, "weights_") and steps != 0 and not isinstance(steps, int):
            steps = self.total_anneal_steps_
        elif steps == "auto":
            steps = auto_parameters.total_anneal_steps(cap, planned_updates)
        elif _is_share(steps, planned_updates):
            steps *= planned_updates
        self.anneal_cap_, self.total_anneal_steps_ = cap, float(steps)

    def _refit_parameters(self):
        parameters = super()._refit_parameters()
        if isinstance(self.kl_schedule, str):  # in updates: a share would be one of fewer epochs now
            parameters |= {"anneal_cap": self.anneal_cap_, "total_anneal_steps": round(self.total_anneal_steps_)}
        return parameters


class _CheckedSchedule:
    """A schedule of somebody's own: a weight that is no number, or negative, is not trained with."""

    def __init__(self, schedule):
        self.schedule = schedule
        self.final = number(minimum=0)("kl_schedule.final", schedule.final)

    def weight(self, update):
        return number(minimum=0)(f"kl_schedule.weight({update})", self.schedule.weight(update))


def _is_share(total_anneal_steps, planned_updates):
    """Whether it is a share of the planned updates, as every float once was."""
    if total_anneal_steps < 1 or isinstance(total_anneal_steps, int):
        return total_anneal_steps < 1
    warn_user(
        f"total_anneal_steps={total_anneal_steps} still is a share of the planned updates, because it is no int. From "
        "version 0.3 on every number of 1 or more is a number of updates, whatever its type: write "
        f"{round(total_anneal_steps * planned_updates)} for the same schedule.",
        FutureWarning,
    )
    return True
