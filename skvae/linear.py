"""Linear models between items in closed form: EASE^R, and the family around it."""

from functools import partial
from typing import ClassVar

import numpy as np

from .base_linear import BaseLinear
from .callbacks import InverseMonitor, as_one_task, as_task, callback_context, with_callbacks
from .core.devices import check_device
from .core.gram import Gram
from .core.item_regression import device_for, item_regression
from .core.processes import ends_alike, process_group
from .core.user_warnings import report
from .fit_identity import identity_of
from .linear_memory import check_linear, of_linear
from .linear_search import Setting, chosen, given_by, item_powers, item_squares, most_inverses
from .matrix import count_users
from .parameters import flag, integer, number
from .recommender import all_or_nothing
from .user_checks import warn_of_users_again
from .user_hashes import add_fitted_users
from .value_checks import warn_of_full_users, warn_of_lone_items, warn_of_tiny_scores, warn_of_uneven_counts


def _bound(name, value):
    """Check for "zero", which becomes 0, or the largest value of a diagonal."""
    if isinstance(value, str):
        if value != "zero":
            raise ValueError(f'{name} must be "zero" or a number from 0 to 1, got {value!r}.')
        return 0.0
    return number(minimum=0, maximum=1)(name, value)


# Numbers that may be "auto" -> the check of one, as a parameter and as a fitted attribute
NUMBERS = {
    "l2_regularization": partial(number, minimum=0, boundaries="neither"),
    "dropout": partial(number, minimum=0, maximum=1, boundaries="left"),
    "user_exponent": partial(number, minimum=0, maximum=1),
    "item_exponent": partial(number, minimum=0, maximum=1),
    "centering": partial(number, minimum=0, maximum=0.99),
}


class EASERecommender(BaseLinear):
    """Recommend by a linear regression of each item on all others (EASE^R of Steck, 2019).

    The weights B minimise ||X - X B||^2 + l2_regularization ||B||^2 with a zero diagonal, so that no item explains
    itself. With P = (X'X + l2_regularization I)^-1 they are in closed form

        B_ij = -P_ij / P_jj for i != j,  B_jj = 0,

    and the scores of a user are x_u B. There is no training loop, nothing random and one parameter. The fit takes time
    in n_items^3 and one matrix of n_items x n_items float32: 1.6 GB and 8e12 floating-point operations for 20 000
    items. If there are fewer users than items, it inverts a matrix of n_users x n_users (Woodbury's identity), which
    takes time in n_users^3 and at most 2 GB for this matrix. `LinearRecommender` is the family around it.

    Parameters
    ----------
    l2_regularization : float, default=200
        Above 0. The lowest of the published values (200 on MSD, 500 on ML-20M, 1000 on Netflix). It is added to X'X, so
        that values of X twice as large need four times as much.
    device : str, default="auto"
        A torch device such as "cpu" or "cuda" where fit inverts the matrix; a GPU needs memory for three of them (above
        16 384 items, one and a half). "auto" is a GPU with so much to spare. Scores are computed on the CPU.
    store_user_hashes : bool, default=True
        Keep a hash of each user's items, 8 bytes, so that `evaluate` can warn of users that the model was fitted on.
        Anyone who has the model can test whether a user was among them: set False if that must not be possible.
    verbose : int, default=0
        1 prints a line before the inverse.

    Attributes
    ----------
    weights_ : float32 array of shape (n_items, n_items)
        B, from the item in the row to the item in the column; without items that were added since.
    item_counts_ : int64 array of shape (n_items,)
        Users of each item.
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    References
    ----------
    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019,
    https://arxiv.org/abs/1905.03375, equation 8

    Examples
    --------
    >>> from skvae import EASERecommender
    >>> X = [[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    >>> model = EASERecommender(l2_regularization=1).fit(X)
    >>> model.predict([[1, 0, 0, 0], [0, 0, 1, 0]])  # what goes with item 0, and with item 2
    array([1, 3])
    """

    _memory_of_fit = of_linear
    _checks: ClassVar = {
        "l2_regularization": NUMBERS["l2_regularization"](),
        "device": check_device,
        "verbose": integer(0),
    }

    def __init__(self, *, l2_regularization=200.0, device="auto", store_user_hashes=True, verbose=0):
        self.l2_regularization = l2_regularization
        self.device = device
        self.store_user_hashes = store_user_hashes
        self.verbose = verbose

    @as_one_task
    def fit(self, X, y=None):
        """Solve for the weights between items.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Non-negative interactions.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        MemoryError
            Where the fit needs more than this machine's memory; before any of the work. `skvae.estimate_cost` says
            how much it needs.
        ValueError
            Where l2_regularization is not above 0, or so small beside X'X that float32 does not
            resolve it, or where the device is not present.
        """
        processes = process_group()
        with processes.agreed():
            parameters = self._checked_parameters()
            candidate, X = self._checked_anew(X, y)
            check_linear(self, parameters, X)
            warn_of_uneven_counts(X)
            warn_of_lone_items(X)
            warn_of_full_users(X)
        _check_same(self, X, processes)
        with self._begin_fit(candidate):
            penalties = np.full(X.shape[1], parameters.l2_regularization)
            gram = Gram(X, processes=processes)
            if parameters.verbose and processes.is_first:
                n_users, n_items = X.shape
                report(f"[{type(self).__name__}] inverse  {n_users} users  {n_items} items")
            weights = item_regression(gram, penalties, device_for(parameters.device, X.shape[1]))
            if weights is None:
                raise _too_small(parameters.l2_regularization)
            self.weights_, self.item_counts_ = weights, count_users(X)
            warn_of_tiny_scores(weights, X)
        return self


class LinearRecommender(BaseLinear):
    r"""Recommend by a linear model between items in closed form: EASE^R, EDLAE, RLAE and DAN by parameters.

    With c_u and c_i the numbers of interactions of a user and of an item,

    .. math::

        G &= X' \operatorname{diag}(c_u^{-\beta}) X \\
        \Lambda_i &= \lambda + \tfrac{p}{1 - p} \sum_u x_{ui}^2 \\
        P &= (G + \operatorname{diag}(\Lambda))^{-1} \\
        B_{ij} &= -P_{ij} / P_{jj} \text{ for } i \ne j, \quad B_{jj} = 0 \\
        W_{ij} &= (c_i / c_j)^\alpha B_{ij}

    and the scores of a user are x_u W. The parameters are lambda (``l2_regularization``), p (``dropout``), beta
    (``user_exponent``) and alpha (``item_exponent``). Each column of B is a regression of its own, which minimises

    .. math::

        \sum_u c_u^{-\beta} (x_{uj} - \sum_i x_{ui} B_{ij})^2 + \sum_i \Lambda_i B_{ij}^2
        - \theta \, (\sum_i \Lambda_i B_{ij})^2 / \sum_i \Lambda_i, \quad B_{jj} \le \xi

    over the items i that anybody has, where theta (``centering``) and xi (``diagonal``) are 0 in the closed form above,
    and B_jj = 0 with xi = 0. With theta = 1 the penalty would be that of the weights around their mean. Neither takes a
    further inverse.

    Values of X enter G and Lambda, while c_u and c_i count non-zero entries whatever their values: values twice as
    large with four times the lambda are the same model. An item that nobody has gives no score to others and gets none.

    Parameters
    ----------
    l2_regularization : float or "auto", default="auto"
        lambda, above 0. It is added to G, so that values of X twice as large need four times as much. "auto" is
        chosen as said in the notes.
    dropout : float or "auto", default="auto"
        p in [0, 1): the share of a user's items that is hidden at random in training, in expectation. 0 is none.
        Published: .33 on ML-20M and Netflix, .25 on MSD; with the exponents below .4 to .7.
    user_exponent : float or "auto", default="auto"
        beta in [0, 1]: users with many items count less. 0 counts all users alike. Published: .2 to .3.
    item_exponent : float or "auto", default="auto"
        alpha in [0, 1]: items that many users have are recommended less. 0 leaves them as they are. Published: .2
        to .3.
    centering : float or "auto", default="auto"
        theta in [0, .99]: how far the weights to an item shrink to their mean instead of to 0. It helps if users have
        few items or little in common. The published models have 0. "auto" is 0 if another of these numbers is given.
    diagonal : "zero" or float, default="zero"
        xi in [0, 1], the largest value that the diagonal of B may have; "zero" and 0 are the same.
    keep_gram : bool, default=False
        Keep G for `partial_fit`: a second matrix as large as the weights, which is saved with the model. To save a
        model without it, fit with False, or ``del model.gram_``.
    device : str, default="auto"
        As in `EASERecommender`.
    verbose : int, default=0
        1 prints a line before each inverse, and the chosen numbers. With five folds there are five lines for each
        setting, and lambda differs a little between them, since the users differ.
    store_user_hashes : bool, default=True
        Keep a hash of each user's items, 8 bytes, so that `evaluate` can warn of users that the model was fitted on.
        Anyone who has the model can test whether a user was among them: set False if that must not be possible.

    Attributes
    ----------
    weights_ : float32 array of shape (n_items, n_items)
        W, from the item in the row to the item in the column; without items that were added since.
    l2_regularization_ : float
        lambda of the weights: as given, or chosen; as the next five.
    dropout_ : float
        p.
    user_exponent_ : float
        beta.
    item_exponent_ : float
        alpha.
    centering_ : float
        theta.
    diagonal_ : float
        xi.
    best_validation_score_ : float or None
        NDCG@100 of the chosen setting on the validation users; None where nobody was held out.
    item_counts_ : int64 array of shape (n_items,)
        c_i, users of each item.
    item_squares_ : float64 array of shape (n_items,)
        Sum of x_ui^2 over the users of each item; c_i for ones.
    gram_ : float32 array of shape (n_items, n_items)
        G, with keep_gram=True.
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    Notes
    -----
    An inverse takes what it takes in `EASERecommender`. "auto" is chosen by NDCG@100 on a fifth of the
    users with five interactions or more, at most 10 000. Models fitted on the other users rank the hidden items of
    these users. The model with the chosen numbers is then fitted on all users. lambda is tried in units of the mean of
    x_ui^2 c_u^-beta over the entries of X, which is 1 for ones and beta = 0:

    1. lambda of 5, 15, 50, 150 and 500 units with p = .33 and beta = .3: five inverses. If 500 is best, also 1500, and
       if that is best, 5000. If 5 or 15 is best, also p = 0, and if that is best with 5, also 1.5, for data whose
       items follow from each other,
    2. with the best of these (p, beta) of (.33, 0) and (.6, .3): two inverses.

    Each is tried with alpha of 0, .1, .2 and .3, and with theta = .99 and alpha = .1, which takes no further inverse.
    So a fit with the defaults takes eight inverses, or up to ten, the last for all users. With up to 8192 items the
    Gram matrix of the first seven is kept in memory, 4 n_items^2 bytes, if it would otherwise be computed again. Given
    numbers stay as they are. A trial is left out if the given numbers make it equal to an earlier one, or if its
    lambda is too small for an inverse. Users are drawn by row number: the same users in another order may lead to
    another choice.

    If a fifth of these users are fewer than 400, and X has at most 5000 users, all of them are validation users, in
    five folds: 36 inverses of few users, or up to 46, instead of a choice by fewer than 400 users
    (``benchmarks/few_users.py``). If there are too few users with five interactions (100 are needed for folds, 250 for
    a fifth), users with two to four validate too, and one item of each is hidden. If these are also too few, nobody is
    held out, and "auto" is 50 units for lambda, .33 for p, .3 for beta, .1 for alpha, and for theta .99 if users have
    fewer than five items on average, else 0. p = .33 is EDLAE's, (.6, .3) are DAN's on Gowalla. The steps of lambda
    and the fixed numbers were set on five data sets of 265 to 7246 items and 527 to 5024 users, theta on users of two
    to four items (``benchmarks/few_users.py`` has others).

    References
    ----------
    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, https://arxiv.org/abs/1905.03375 (EASE^R)

    Steck, "Autoencoders that don't overfit towards the Identity", NeurIPS 2020 (EDLAE)

    Moon, Kim and Lee, "It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders for Recommendation", SIGIR
    2023 (RLAE: xi)

    Park et al., "Why is Normalization Necessary for Linear Recommenders?", SIGIR 2025 (DAN: alpha and beta)

    Examples
    --------
    >>> from skvae import LinearRecommender
    >>> X = [[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    >>> model = LinearRecommender(l2_regularization=1).fit(X)
    >>> model.predict([[1, 0, 0, 0], [0, 0, 1, 0]])  # what goes with item 0, and with item 2
    array([1, 3])

    Users of a later day are added exactly:

    >>> parts = LinearRecommender(l2_regularization=1, keep_gram=True).fit(X[:2]).partial_fit(X[2:])
    >>> bool(abs(parts.weights_ - model.weights_).max() < 1e-6)
    True
    """

    _beside_model = ("gram_",)
    _memory_of_fit = of_linear
    _checks = {name: check(auto=True) for name, check in NUMBERS.items()} | {
        "diagonal": _bound,
        "keep_gram": flag,
        "verbose": integer(0),
        "device": check_device,
    }

    def __init__(
        self,
        *,
        l2_regularization="auto",
        dropout="auto",
        user_exponent="auto",
        item_exponent="auto",
        centering="auto",
        diagonal="zero",
        keep_gram=False,
        device="auto",
        verbose=0,
        store_user_hashes=True,
    ):
        self.l2_regularization = l2_regularization
        self.dropout = dropout
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.centering = centering
        self.diagonal = diagonal
        self.keep_gram = keep_gram
        self.device = device
        self.verbose = verbose
        self.store_user_hashes = store_user_hashes

    @with_callbacks
    @ends_alike
    def fit(self, X, y=None):
        """Choose what is "auto", and solve for the weights between items.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Non-negative interactions.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        MemoryError
            Where the fit needs more than this machine's memory; before any of the work. `skvae.estimate_cost` says
            how much it needs.
        ValueError
            Where a parameter is out of range, where l2_regularization is so small beside G that float32 does not
            resolve it, or where the device is not present.
        """
        processes = process_group("LinearRecommender.fit")
        with processes.agreed():
            parameters = self._checked_parameters()
            candidate, X = self._checked_anew(X, y)
            check_linear(self, parameters, X)
            warn_of_uneven_counts(X)
            warn_of_lone_items(X)
            warn_of_full_users(X)
            given = given_by(parameters)
            planned = most_inverses(given, X)
            context = callback_context(self, processes, max_subtasks=planned)
        _check_same(self, X, processes)
        with self._begin_fit(candidate), as_task(context, self, processes, X=X, y=y):
            solve = partial(_weights, device=device_for(parameters.device, X.shape[1]))
            inverses = InverseMonitor(self, solve, planned, context, processes)
            setting, score = chosen(X, given, inverses, processes)
            inverses.has_chosen(setting, score)
            gram, counts, squares = Gram(X, setting.user_exponent, None, processes), count_users(X), item_squares(X)
            if parameters.keep_gram:
                gram = Gram(X[:0], kept=_added_up(gram), processes=processes)
            self.weights_ = _item_weighted(inverses(gram, squares, setting), counts, setting)
            self.item_counts_, self.item_squares_, self.best_validation_score_ = counts, squares, score
            self.__dict__.update((f"{name}_", value) for name, value in setting._asdict().items())
            if parameters.keep_gram:
                self.gram_ = gram.kept
            warn_of_tiny_scores(self.weights_, X)
        return self

    @ends_alike
    def partial_fit(self, X, y=None):
        """Add users: the model is then that of one fit on all of them, to rounding.

        The numbers of the setting stay those of the last fit, "auto" ones too. For the time of the call two more
        matrices as large as the weights are held. Without a fit before, this is `fit`.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Further users; those of earlier calls must not be among them, since they would count twice.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where the model was fitted without keep_gram=True, and as in `fit`; the model is as it was then.
        """
        if not hasattr(self, "weights_"):
            return self.fit(X, y)
        processes = process_group("LinearRecommender.partial_fit")
        with processes.agreed():
            parameters = self._checked_parameters()
            X = self._check_interactions(X, reset=False)
            if not hasattr(self, "gram_"):
                raise ValueError(
                    f"This {type(self).__name__} did not keep the Gram matrix to which partial_fit adds users: fit it "
                    "with keep_gram=True."
                )
        _check_same(self, X, processes, self.item_counts_)
        warn_of_users_again(self, X)
        warn_of_uneven_counts(X)
        setting = self._setting()
        solve = partial(_weights, device=device_for(parameters.device, X.shape[1]))
        kept = _added_up(Gram(X, setting.user_exponent, self.gram_, processes))
        gram = Gram(X[:0], kept=kept, processes=processes)
        counts, squares = count_users(X), item_squares(X)
        n_before = len(self.item_counts_)  # others were added since
        counts[:n_before] += self.item_counts_
        squares[:n_before] += self.item_squares_
        weights = _item_weighted(solve(gram, squares, setting), counts, setting)
        with all_or_nothing(self):
            # at once: who reads weights and counts gets those of one model
            self.__dict__.update(weights_=weights, item_counts_=counts, item_squares_=squares, gram_=kept)
            add_fitted_users(self, X)
        return self

    def _setting(self):
        before = {"diagonal_": _bound("diagonal", self.diagonal), "centering_": 0.0, **vars(self)}  # of older files
        return Setting(*(before[f"{name}_"] for name in Setting._fields))

    def _refit_parameters(self):
        """What was chosen, as parameters: a fit with them tries nothing."""
        return self._setting()._asdict()


def _check_same(model, X, processes, counts=None):
    """Raise where another process of the group fits another model, or has other users, or had, by their counts."""
    processes.check_same(partial(identity_of, model, X, None, device=None, **{"users of each item so far": counts}))


def _weights(gram, squares, setting, device, dense=True):
    """B of a setting, as `item_regression` returns it."""
    penalties = setting.l2_regularization + setting.dropout / (1 - setting.dropout) * squares
    return item_regression(gram, penalties, device, setting.diagonal, setting.centering, dense)


def _added_up(gram):
    """G itself, to be kept."""
    with np.errstate(over="ignore"):
        kept = gram.dense(np.float32)
    if not np.isfinite(kept.diagonal()).all():
        raise ValueError(
            "keep_gram=True keeps X'X in float32, which cannot hold the squares of the values of X: scale X down, or "
            "fit with keep_gram=False."
        )
    return kept


def _item_weighted(weights, counts, setting):
    """(c_i / c_j)^alpha B_ij, in place."""
    if weights is None:
        raise _too_small(setting.l2_regularization)
    if setting.item_exponent:
        powers = item_powers(counts, setting.item_exponent)
        weights *= powers[:, None]
        weights /= powers
    return weights


def _too_small(l2_regularization):
    return ValueError(
        f"l2_regularization={l2_regularization} is too small beside the values of X: X'X + "
        "l2_regularization I has no inverse in float32. Raise it, or scale X down."
    )
