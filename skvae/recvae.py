"""The variational autoencoder with a composite prior and alternating updates, RecVAE."""

from .autoencoder import CHECKS, BaseAutoencoder, PosteriorMixin
from .core.annealing import LinearAnnealing
from .core.architecture import Architecture
from .core.objectives import AlternatingELBO, NegativeELBO
from .parameters import integer, layer_sizes, number


def _sizes_of_one_width(name, sizes):
    sizes = layer_sizes(name, sizes)
    if len(set(sizes)) > 1:
        raise ValueError(
            f"{name} must be of one width, such as (600, 600), as each layer is added to the later ones, got {sizes!r}."
        )
    return sizes


class RecVAERecommender(PosteriorMixin, BaseAutoencoder):
    """Recommend with a variational autoencoder (RecVAE of Shenbin et al., 2020).

    What it changes in Mult-VAE:

    - a deep encoder (swish, layer normalization, each layer fed by all layers before it) and a
      linear decoder,
    - a prior that keeps the code of a user near the one by the encoder of the epoch before,
    - a KL term that weighs more for users with more interactions,
    - encoder and decoder trained in turns.

    The defaults are those of the authors' program, but for batch_size, max_iter, averaging_epochs
    and early stopping; gamma is what they took on MovieLens 20M.

    Parameters
    ----------
    n_components : int, default=200
        Size of the code.
    hidden_layer_sizes : tuple of int, default=(600, 600, 600, 600, 600)
        Hidden layers of the encoder, all of one width. The decoder has none.
    activation : {"identity", "relu", "sigmoid", "swish", "tanh"}, default="swish"
        After each hidden layer.
    likelihood : {"multinomial", "logistic", "gaussian"} or object, default="multinomial"
        As in `MultVAERecommender`.
    dropout : float, default=0.5
        Rate on the L2-normalised input, in [0, 1), in the passes that train the encoder.
    gamma : float, default=0.005
        The KL term of user u weighs gamma * N_u, where N_u is the sum of the user's row of X; from
        the first update on, without annealing.
    n_encoder_passes : int, default=3
        Passes over the users of an epoch that train the encoder; one that trains the decoder,
        without dropout, follows. 0: one pass that trains both.
    initialization : {"ease", "svd", "xavier", "auto"} or callable, default="xavier"
        As in `MultVAERecommender`.
    learning_rate : float, default=5e-4
        Of Adam.
    l2_regularization : float, default=0.0
        lam of lam * sum of squared weights, biases excluded (as Adam weight decay of 2 lam).
    batch_size : int or "auto", default="auto"
        Users per update. "auto": a fortieth of the users, at least 32, at most the paper's 500.
    n_sampled_items : int, "auto" or None, default="auto"
        An update uses the items of its users and this many others, which are drawn for each update and weighted by the
        inverse of their probability. So its time and memory do not grow with the number of items. The L2 term of an
        update covers only the items that it uses. None: all items. "auto": all up to 100 000 items; above that a tenth
        of them, at most 20 000; all with a likelihood of your own without ``takes_item_weights = True``.
    max_iter : int, default=50
        Epochs at the most, each of n_encoder_passes + 1 passes over the users.
    averaging_epochs : float, default=2.0
        The model is the exponential moving average of its weights over about this many epochs,
        validated as such. 0: the weights of an epoch as they are, as in the paper.
    early_stopping : bool or "auto", default="auto"
        Hold out users, score NDCG@100 on items hidden from them after each epoch, and stop when
        it has not risen for n_iter_no_change epochs. "auto": where validation_fraction gives at
        least 25 users. With X_val no users are held out, and False means that all max_iter epochs
        run. Whenever there are validation users, the best epoch is kept.
    validation_fraction : float, default=0.1
        Share of the users with at least 5 interactions to hold out. If these are too few, it is the share of the users
        with 2 or more, of whom those with fewer than 5 hide one item. At most 10 000 users are held out.
    n_iter_no_change : int or "auto", default="auto"
        Patience, in epochs; "auto" as in `MultVAERecommender`.
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
        Where fit keeps its state, a file or a folder, to go on from after a kill. As in
        `MultVAERecommender`.
    precision : {"float32", "bfloat16", "auto"}, default="float32"
        Of the products with the decoder's item matrix; weights and Adam are always float32. "auto"
        is bfloat16 where the processor or GPU has it in hardware.
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
        Updates made: batches over all passes of all epochs.
    best_iter_ : int
        The best epoch, counted from 1: its weights are kept, or the refit trains for this number of epochs.
    loss_curve_ : list of float
        Mean objective per user over all passes of each epoch, without the L2 term.
    beta_curve_ : list of float
        gamma, for each epoch.
    validation_scores_ : list of float or None
        NDCG@100 of the validation users after each epoch; None where the last training had none.
    best_validation_score_ : float or None
        Score of the best epoch; with warm_start it may be the score of the weights that the fit began with.
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

    Notes
    -----
    `score_samples` bounds log p(x) under a prior that knows nothing of the user: the composite one
    without its term of the posterior before.

    References
    ----------
    Shenbin, Alekseev, Tutubalina, Malykh, Nikolenko, "RecVAE: A New Variational Autoencoder for
    Top-N Recommendations with Implicit Feedback", WSDM 2020, https://arxiv.org/abs/1912.11160

    Examples
    --------
    >>> from skvae import RecVAERecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=200, n_items=50, random_state=0)
    >>> model = RecVAERecommender(16, hidden_layer_sizes=(32, 32), max_iter=5, random_state=0)
    >>> items, scores = model.fit(X[:150]).recommend(X[150:], k=5)  # users it never saw
    >>> items.shape
    (50, 5)
    """

    _checks = CHECKS | {
        "hidden_layer_sizes": _sizes_of_one_width,
        "gamma": number(minimum=0),
        "n_encoder_passes": integer(0),
    }

    def __init__(
        self,
        n_components=200,
        *,
        hidden_layer_sizes=(600,) * 5,
        activation="swish",
        likelihood="multinomial",
        dropout=0.5,
        gamma=0.005,
        n_encoder_passes=3,
        initialization="xavier",
        learning_rate=5e-4,
        l2_regularization=0.0,
        batch_size="auto",
        n_sampled_items="auto",
        max_iter=50,
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
        self.gamma = gamma
        self.n_encoder_passes = n_encoder_passes
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
            prior="composite",
            decoder_hidden_layer_sizes=(),
            layer_normalization=True,
            skip_connections=True,
        )

    def _objective(self, parameters, network):
        if parameters.n_encoder_passes == 0:
            return NegativeELBO(network, parameters.dropout, "per_user")
        return AlternatingELBO(network, parameters.dropout, "per_user", parameters.n_encoder_passes)

    def _kl_schedule(self, parameters):
        return LinearAnnealing(parameters.gamma)
