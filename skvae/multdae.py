"""The denoising autoencoder, Mult-DAE."""

from . import auto_parameters
from .autoencoder import CHECKS, BaseAutoencoder, check_target
from .core.annealing import LinearAnnealing
from .core.architecture import Architecture
from .core.objectives import NegativeLogLikelihood


class MultDAERecommender(BaseAutoencoder):
    """Recommend with a denoising autoencoder (Mult-DAE of Liang et al., 2018).

    The encoder maps a user's interactions, some of them dropped, to a code, the decoder maps the code to a score of
    every item. The same encoder serves all users, so users that were not in the training data get recommendations
    without retraining.

    Parameters
    ----------
    n_components : int, default=200
        Size of the code.
    hidden_layer_sizes : tuple of int, default=()
        Hidden layers of the encoder; the decoder mirrors them. The default is the paper's
        I-200-I.
    activation : {"identity", "relu", "sigmoid", "swish", "tanh"}, default="tanh"
        After each hidden layer and on the code.
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
    l2_regularization : float, default=2e-5
        lam of lam * sum of squared weights, biases excluded (as Adam weight decay of 2 lam).
        The default is the paper's 0.01 / 500.
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
        it has not risen for n_iter_no_change epochs. "auto": where
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
        activation and likelihood must be those of before; parameters that were "auto" keep their resolved values.
        Validation users are those that the model was not trained on; if these are too few, there are none, and a
        warning says so. Users whose histories have grown count as new users: pass X_val in this case.
    checkpoint : path or None, default=None
        A file in which fit saves its state, after five seconds and then once a minute, or less often if writing takes
        over a second. After a kill, the same fit continues from there and ends with the same weights. Or a folder with
        a file for each fit, for searches. As in `MultVAERecommender`.
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
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    References
    ----------
    Liang, Krishnan, Hoffman, Jebara, "Variational Autoencoders for Collaborative Filtering",
    WWW 2018, https://arxiv.org/abs/1802.05814

    Examples
    --------
    >>> from skvae import MultDAERecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=200, n_items=50, random_state=0)
    >>> model = MultDAERecommender(16, max_iter=20, random_state=0)
    >>> items, scores = model.fit(X[:150]).recommend(X[150:], k=5)  # users it never saw
    >>> items.shape
    (50, 5)
    """

    _checks = CHECKS | {"target": check_target}

    def __init__(
        self,
        n_components=200,
        *,
        hidden_layer_sizes=(),
        activation="tanh",
        likelihood="multinomial",
        dropout=0.5,
        target="auto",
        initialization="auto",
        learning_rate=2e-3,
        l2_regularization=2e-5,
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
        self.activation = activation
        self.likelihood = likelihood
        self.dropout = dropout
        self.target = target
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

    def _architecture(self, parameters):
        return Architecture(
            n_components=parameters.n_components,
            hidden_layer_sizes=parameters.hidden_layer_sizes,
            activation=parameters.activation,
            likelihood=parameters.likelihood,
        )

    def _objective(self, parameters, network):
        return NegativeLogLikelihood(network, parameters.dropout, auto_parameters.target_of(self, parameters))

    def _kl_schedule(self, parameters):
        return LinearAnnealing(0.0)
