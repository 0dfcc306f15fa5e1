"""The variational autoencoder, Mult-VAE."""

import numbers
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import nn

from .autoencoder import BaseAutoencoder, _check_choice, _check_layer_sizes, _check_number
from .core.annealing import linear_annealing
from .core.networks import Decoder, Encoder
from .core.objectives import NegativeELBO
from .core.priors import PRIORS


class MultVAERecommender(BaseAutoencoder):
    """Recommend with a variational autoencoder (Mult-VAE of Liang et al., 2018).

    An encoder maps a user's interactions to a normal distribution over codes, a decoder maps a
    code to a score of every item. One encoder serves every user, so that users whom fit never
    saw get recommendations without retraining.

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
    prior : "standard_normal" or object, default="standard_normal"
        Of the code. Or an object with ``log_prob(code)``, and ``kl_divergence(mean, log_variance)``
        where it has a closed form, as in `skvae.core.priors`.
    kl_weighting : {"constant", "per_user"}, default="constant"
        The KL term of user u weighs beta, or beta * N_u, where N_u is the sum of the user's row of
        X: the more is known of a user, the more the log-likelihood weighs, and the KL term with it.
        anneal_cap then is the gamma of RecVAE, for which .0035 to .005 fit.
    anneal_cap : float or "auto", default="auto"
        Ceiling of beta, the weight of the KL term. 1 is the plain VAE, 0 leaves the KL term out.
        "auto": the paper's .2 where users have 30 interactions or more in the mean, and in
        proportion less where they have fewer, as the log-likelihood then weighs less; with
        kl_weighting="per_user" .005, as in RecVAE.
    total_anneal_steps : int, float or "auto", default="auto"
        T of beta = min(anneal_cap, t / T) at update t. int: updates (the paper: 200 000); float:
        a share of the planned updates, max_iter epochs of them; 0: beta = anneal_cap throughout;
        "auto": the cap is reached at a tenth of the planned updates, whatever the size of the
        data (the paper's number would end at beta = .012 on a set like ML-1M).
    initialization : {"svd", "xavier"}, default="svd"
        xavier: as in the authors' notebook. svd: besides, the item matrices begin with the first
        right singular vectors of the L2-normalised X, at most a twentieth as many as users, hidden
        layers pass them on, and the output biases begin with the popularity of the items: near
        PureSVD (Cremonesi, Koren, Turrin, RecSys 2010). Where users have long histories that takes
        far fewer epochs and ends higher; with a few hundred users xavier may be better.
    learning_rate : float, default=2e-3
        Of Adam; the paper's 1e-3 takes twice the epochs (with `averaging_epochs`, to no better end).
    l2_regularization : float, default=0.0
        lam of lam * sum of squared weights, biases excluded (as Adam weight decay of 2 lam).
    batch_size : int or "auto", default="auto"
        Users an update. "auto": a fortieth of the users, at least 32, at most the paper's 500:
        small data need small batches more than anything else.
    max_iter : int, default=200
        Epochs at the most.
    averaging_epochs : float, default=2.0
        The model is the exponential moving average of its weights over about so many epochs,
        validated as such. 0: the weights of an epoch as they are, as in the paper.
    early_stopping : bool or "auto", default="auto"
        Hold out users, score NDCG@100 on items hidden from them after each epoch, and stop when
        it has not risen for n_iter_no_change epochs after beta reached anneal_cap. "auto": where
        validation_fraction gives at least 50 users. With X_val no users are held out, and
        False means that all max_iter epochs run. Whenever there are validation users, the best
        epoch is kept.
    validation_fraction : float, default=0.1
        Share of the users with at least 5 interactions to hold out.
    n_iter_no_change : int or "auto", default="auto"
        Patience, in epochs. "auto": those that three million interactions take, at least 10, at
        most 100: where an epoch is short, waiting costs little, and NDCG may fall before it rises higher.
    warm_start : bool, default=False
        Go on from the last fit's weights, optimizer and update counter instead of starting afresh.
    precision : {"float32", "bfloat16", "auto"}, default="float32"
        Of the products with the decoder's item matrix, which take most of the time; weights and
        Adam are always float32. "auto" is bfloat16 where the processor or GPU has it in hardware.
    device : str, default="auto"
        A torch device such as "cpu" or "cuda"; "auto" is a GPU if there is one. Where a fitted
        model's device is absent, it answers on the CPU with a warning.
    random_state : int, RandomState instance or None, default=None
        Of initial weights, batches, dropout and noise. No global generator is used.
    verbose : int, default=0
        Above 0, print a line an epoch.

    Attributes
    ----------
    weights_ : dict of str to float32 array
        All parameters of the network, on the CPU; ``encoder.item_weight`` and
        ``decoder.item_weight`` have a row an item.
    n_iter_ : int
        Epochs trained.
    n_updates_ : int
        Updates made: batches over all epochs.
    best_iter_ : int
        Epoch, from 1, whose weights are kept.
    loss_curve_ : list of float
        Mean objective a user of each epoch, without the L2 term.
    beta_curve_ : list of float
        KL weight at the end of each epoch.
    validation_scores_ : list of float or None
        NDCG@100 of the validation users after each epoch.
    best_validation_score_ : float or None
    batch_size_ : int
    n_iter_no_change_ : int
    early_stopping_ : bool
        What "auto" came to.
    anneal_cap_ : float
        What "auto" came to.
    total_anneal_steps_ : float
        T in updates.
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
    >>> from skvae import MultVAERecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=200, n_items=50, random_state=0)
    >>> model = MultVAERecommender(16, hidden_layer_sizes=(), max_iter=20, random_state=0)
    >>> items, scores = model.fit(X[:150]).recommend(X[150:], k=5)  # users it never saw
    >>> items.shape
    (50, 5)
    """

    # what RecVAERecommender changes
    layer_normalization = False
    skip_connections = False
    n_encoder_passes = 0

    def __init__(
        self,
        n_components=200,
        *,
        hidden_layer_sizes=(600,),
        decoder_hidden_layer_sizes=None,
        activation="tanh",
        likelihood="multinomial",
        dropout=0.5,
        prior="standard_normal",
        kl_weighting="constant",
        anneal_cap="auto",
        total_anneal_steps="auto",
        initialization="svd",
        learning_rate=2e-3,
        l2_regularization=0.0,
        batch_size="auto",
        max_iter=200,
        averaging_epochs=2.0,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change="auto",
        warm_start=False,
        precision="float32",
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.decoder_hidden_layer_sizes = decoder_hidden_layer_sizes
        self.activation = activation
        self.likelihood = likelihood
        self.dropout = dropout
        self.prior = prior
        self.kl_weighting = kl_weighting
        self.anneal_cap = anneal_cap
        self.total_anneal_steps = total_anneal_steps
        self.initialization = initialization
        self.learning_rate = learning_rate
        self.l2_regularization = l2_regularization
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.averaging_epochs = averaging_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def posterior(self, X):
        """Mean and standard deviation of q(z|x), the distribution of each user's code.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        mean : float32 array of shape (n_users, n_components)
            What `transform` returns.
        standard_deviation : float32 array of shape (n_users, n_components)
        """
        check_is_fitted(self)
        return self._inference().posterior(self._check_interactions(X, reset=False))

    def sample_posterior(self, X, n_draws=1, *, random_state=None):
        """Draw codes of each user from q(z|x).

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        n_draws : int, default=1
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        float32 array of shape (n_draws, n_users, n_components)
            ``inverse_transform`` of a draw gives item probabilities.
        """
        check_scalar(n_draws, "n_draws", numbers.Integral, min_val=1)
        mean, standard_deviation = self.posterior(X)
        noise = check_random_state(random_state).standard_normal((n_draws, *mean.shape))
        return (mean + standard_deviation * noise).astype(np.float32)

    def _current_architecture(self):
        sizes = self.decoder_hidden_layer_sizes
        return super()._current_architecture() | {
            "decoder_hidden_layer_sizes": None if sizes is None else tuple(sizes),
            "prior": self.prior,
        }

    def _build_objective(
        self,
        n_items,
        activation,
        likelihood,
        n_components,
        hidden_layer_sizes,
        decoder_hidden_layer_sizes,
        prior,
    ):
        if decoder_hidden_layer_sizes is None:
            decoder_hidden_layer_sizes = reversed(hidden_layer_sizes)
        prior = PRIORS[prior]() if isinstance(prior, str) else prior
        encoder = Encoder(
            n_items,
            [*hidden_layer_sizes, 2 * n_components],
            activation(),
            nn.Identity(),
            normalized=self.layer_normalization,
            skip_connections=self.skip_connections,
        )
        decoder = Decoder([n_components, *decoder_hidden_layer_sizes], n_items, activation())
        return NegativeELBO(
            encoder,
            decoder,
            likelihood,
            prior,
            self.dropout,
            weigh_by_interactions=self.kl_weighting == "per_user",
            n_encoder_passes=self.n_encoder_passes,
        )

    def _set_kl_schedule(self, planned_updates, interactions_per_user):
        self.anneal_cap_ = self._auto_cap(interactions_per_user) if self.anneal_cap == "auto" else self.anneal_cap
        if self.total_anneal_steps == "auto":
            # t / T is at the cap when t is a tenth of the planned updates
            steps = 0.1 * planned_updates / self.anneal_cap_ if self.anneal_cap_ else 0.0
        elif isinstance(self.total_anneal_steps, numbers.Integral):
            steps = self.total_anneal_steps
        else:
            steps = self.total_anneal_steps * planned_updates
        self.total_anneal_steps_ = float(steps)

    def _auto_cap(self, interactions_per_user):
        return 0.005 if self.kl_weighting == "per_user" else 0.2 * min(1.0, interactions_per_user / 30)

    def _kl_weight(self, update):
        return linear_annealing(update, self._final_beta, self.total_anneal_steps_)

    @property
    def _final_beta(self):
        return self.anneal_cap_ if self.anneal_cap == "auto" else self.anneal_cap

    def _warn_below_cap(self):
        if self.total_anneal_steps != "auto" and self.beta_curve_[-1] < self._final_beta:
            warnings.warn(
                f"beta ended at {self.beta_curve_[-1]:.3g}, below anneal_cap={self._final_beta:.3g}: "
                f"total_anneal_steps={self.total_anneal_steps} is more than the {self.n_updates_} updates of this fit "
                'allow. Use total_anneal_steps="auto", fewer steps, or more epochs.',
                ConvergenceWarning,
                stacklevel=3,
            )

    def _check_own_parameters(self):
        if self.decoder_hidden_layer_sizes is not None:
            _check_layer_sizes("decoder_hidden_layer_sizes", self.decoder_hidden_layer_sizes)
        _check_choice("kl_weighting", self.kl_weighting, ["constant", "per_user"])
        if isinstance(self.prior, str) or not hasattr(self.prior, "log_prob"):
            _check_choice("prior", self.prior, ["standard_normal"], ", or an object with log_prob")
        if self.anneal_cap != "auto":
            _check_number("anneal_cap", self.anneal_cap, numbers.Real, 0)
        if self.total_anneal_steps != "auto":
            _check_number("total_anneal_steps", self.total_anneal_steps, numbers.Real, 0)
