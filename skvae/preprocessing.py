"""A table of events (user, item[, weight, timestamp]) to a user-item matrix, and back to the table's own ids."""

import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .events import MERGES, Cells, at_least, known_events, merge_events, read_events, read_ids
from .ids import columns_of, distinct_ids, ids_at, item_index, joined_ids, rows_of
from .parameters import check_parameters, flag, integer, number, optional, piece
from .ranking import recommend
from .recommender import API_PAGE
from .tables import check_names, table_like

# Parameter -> check of all but the names of columns
CHECKS = {
    "min_user_interactions": integer(1),
    "min_item_interactions": integer(1),
    "threshold": optional(number(minimum=0)),
    "binary": flag,
    "duplicates": piece(MERGES),
    "handle_unknown": piece(("warn", "ignore", "error")),
}


class InteractionEncoder(BaseEstimator):
    """Turn a table of events into a user-item matrix, and indices back into the table's ids.

    The matrix is a float32 csr_array with users as rows and items as columns. Its rows are the
    users of the table in ascending order of their ids, `user_ids_of` says which; its columns are
    ``item_ids_``. A user that fit never saw is a row like any other; an item that fit did not
    keep has no column.

    Many events make one row, so the encoder stands before a Pipeline and not in it: splitters and
    scorers count rows as users. Encode first, then search, validate and fit on the matrix.

    Events are filtered, merged and counted in this order: ``threshold``, ``duplicates``,
    ``binary``, and in fit ``min_user_interactions`` and ``min_item_interactions``. A weight of 0
    is no interaction, any above 0 is one.

    Ids are strings, numbers, booleans, bytes or UUIDs, of one kind in a column, and are compared
    by value: an item 3 is the same in a column of int8, int64 or floats, and never "3".

    Parameters
    ----------
    user : str, default="user"
        Name of the column with the ids of users.
    item : str, default="item"
        Name of the column with the ids of items.
    weight : str, default=None
        Name of the column with ratings, counts, ...; None: each event weighs 1.
    timestamp : str, default=None
        Name of the column with numbers, dates or durations. Dates become microseconds since 1970
        in UTC, durations microseconds.
    min_user_interactions : int, default=1
        Items that a user needs for fit to keep the user; `transform` has a row for everyone.
    min_item_interactions : int, default=1
        Users that an item needs. Users and items are counted among those kept (the k-core).
    threshold : float, default=None
        Events of less weight are no interactions: two ratings of 2 are no 4. With
        duplicates="last" the last event decides; without weight, the number of events of the user
        and item does. To have a total decide, sum the table first. None: all above 0 are.
    binary : bool, default=True
        Entries are 1 (what the models expect: with a multinomial likelihood a 5 weighs five 1s).
        False: the weights; those below float32's least, about 1e-38, become that.
    duplicates : {"sum", "max", "last", "error"}, default="sum"
        What the weights of a repeated (user, item) become; "last" is that of the latest
        timestamp, of equal timestamps the largest weight.
    handle_unknown : {"warn", "ignore", "error"}, default="warn"
        Events of items that fit did not keep are left out, with one warning that counts them or
        without, or raise.

    Attributes
    ----------
    user_ids_ : array of shape (n_users,)
        The users that fit kept, ascending: the rows that `fit_transform` returns.
    item_ids_ : array of shape (n_items,)
        The items, ascending; those added by `partial_fit` follow. Integers, floats and booleans
        have the dtype of their column, all others are of dtype object.

    Examples
    --------
    >>> from skvae import EASERecommender, InteractionEncoder
    >>> users = ["ann", "ann", "bob", "bob", "cy"]
    >>> items = ["tea", "jam", "tea", "jam", "tea"]
    >>> encoder = InteractionEncoder()
    >>> X = encoder.fit_transform((users, items))
    >>> X.toarray()
    array([[1., 1.],
           [1., 1.],
           [0., 1.]], dtype=float32)
    >>> encoder.item_ids_
    array(['jam', 'tea'], dtype=object)
    >>> model = EASERecommender(l2_regularization=1).fit(X)
    >>> encoder.recommend(model, (["dee"], ["jam"]), k=1)["item"]
    array(['tea'], dtype=object)
    """

    _doc_link_module = "skvae"
    _doc_link_template = API_PAGE

    def __init__(
        self,
        *,
        user="user",
        item="item",
        weight=None,
        timestamp=None,
        min_user_interactions=1,
        min_item_interactions=1,
        threshold=None,
        binary=True,
        duplicates="sum",
        handle_unknown="warn",
    ):
        self.user = user
        self.item = item
        self.weight = weight
        self.timestamp = timestamp
        self.min_user_interactions = min_user_interactions
        self.min_item_interactions = min_item_interactions
        self.threshold = threshold
        self.binary = binary
        self.duplicates = duplicates
        self.handle_unknown = handle_unknown

    def fit(self, events, y=None):
        """Learn which items have columns.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            A DataFrame (pandas, polars, pyarrow: whatever narwhals knows) has the named columns;
            an array or a tuple of one-dimensional arrays, lists or Series has user, item and, where
            these parameters name one, weight and timestamp, in that order.
        y : ignored
            Must be None: there is no label for an event.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where a parameter is out of range, a column or a value is missing, ids above 2**53 are
            floats, a weight is negative or not finite, a time is a string, or no event is left.
        TypeError
            Where events is no table, or the ids of a column are of several kinds.
        ImportError
            Where events is a DataFrame and narwhals is not installed.
        """
        self.fit_transform(events, y)
        return self

    def fit_transform(self, events, y=None):
        """Learn which items have columns; the matrix of the users kept.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            As in `fit`.
        y : ignored

        Returns
        -------
        float32 csr_array of shape (n_users, n_items)
            A row for each of ``user_ids_``: the rows of `transform` without the users that have
            too few interactions.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `fit`.
        """
        user_ids, item_ids, X = self._all_of(events, y)
        kept_users, kept_items = k_core(X, self.min_user_interactions, self.min_item_interactions)
        if not len(kept_users):
            raise ValueError(
                f"No user is left with min_user_interactions={self.min_user_interactions}, "
                f"min_item_interactions={self.min_item_interactions} and threshold={self.threshold}, of "
                f"{len(user_ids)} users and {len(item_ids)} items: lower them."
            )
        self.user_ids_, self.item_ids_ = user_ids[kept_users], item_ids[kept_items]
        return X[kept_users][:, kept_items]

    def partial_fit(self, events, y=None):
        """Give columns to the items that are new, after those there are.

        ``model.add_items`` widens a fitted model by as many, and ``partial_fit`` trains an
        autoencoder on them. New items with fewer than min_item_interactions users are left out. Users need
        no place in the encoder: ``user_ids_`` stays.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            As in `fit`, which the first call is. The new events are enough: the items that there
            are keep their columns, whether they occur or not.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `fit`; also where the ids of the items are of another kind than those of fit.
        """
        if not hasattr(self, "item_ids_"):
            return self.fit(events, y)
        _, item_ids, X = self._all_of(events, y)
        n_users = np.bincount(X.indices, minlength=len(item_ids))
        new = (self.item_indices(item_ids) < 0) & (n_users >= self.min_item_interactions)
        self.item_ids_ = joined_ids(self.item_ids_, item_ids[new])
        return self

    def transform(self, events):
        """The matrix of all users in a table, fit's or others.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            As in `fit`.

        Returns
        -------
        float32 csr_array of shape (n_users, n_items)
            A row for each of ``user_ids_of(events)``, also for one without an interaction with
            the items of ``item_ids_``.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `fit`; also where the ids of items are of another kind than those of fit, or unknown
            with handle_unknown="error".
        """
        known = self._known(events)
        return self._matrices(known.events, known.cells)[0]

    def timestamps(self, events, *, users=None):
        """When each interaction of ``transform(events)`` took place.

        With it `skvae.fold_in_split` holds out each user's last items.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            As in `fit`.
        users : array of user ids, default=None
            The users of the rows, in this order: ``user_ids_`` for the matrix that `fit_transform`
            made of events. None: those of ``transform(events)``.

        Returns
        -------
        int64 or float64 csr_array of shape (n_users, n_items)
            Entries where the matrix has them, a time of 0 included; of repeated events the latest
            time. Dates are microseconds since 1970 in UTC, durations microseconds.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `transform`; also where the parameter timestamp names no column, or users have no
            event.
        """
        if self.timestamp is None:
            raise ValueError('timestamp=None names no column: use InteractionEncoder(timestamp="...").')
        known = self._known(events)
        times = self._matrices(known.events, known.cells)[1]
        return times if users is None else times[rows_of(read_ids(users, "users"), known.user_ids)]

    def user_ids_of(self, events):
        """The user of each row of ``transform(events)``.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            As in `fit`.

        Returns
        -------
        array of shape (n_users,)
            Ascending.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `fit`.
        """
        table = read_events(events, self.user, self.item, self.weight, self.timestamp)
        return distinct_ids(table.users)[0]

    def item_indices(self, item_ids):
        """Columns of items.

        Parameters
        ----------
        item_ids : array of shape (n,)
            An array, list or Series.

        Returns
        -------
        int64 array of shape (n,)
            -1 for an item that has none.

        Raises
        ------
        ValueError
            Where an id is missing, or ids are of another kind than those of fit, such as strings
            and numbers.
        TypeError
            Where ids are of several kinds.
        """
        check_is_fitted(self)
        return columns_of(read_ids(item_ids, "item ids"), self)

    def inverse_items(self, indices):
        """Ids of columns, such as ``recommend`` and ``predict`` of a model give.

        Parameters
        ----------
        indices : int array of any shape

        Returns
        -------
        array of the shape of indices
            In the dtype of ``item_ids_``; where an index is -1, of dtype object with None there.

        Raises
        ------
        ValueError
            Where an index is out of range or not an integer.
        """
        check_is_fitted(self)
        return ids_at(self.item_ids_, indices, "item")

    def inverse_users(self, indices):
        """Ids of the rows that `fit_transform` returned.

        Parameters
        ----------
        indices : int array of any shape

        Returns
        -------
        array of the shape of indices
            In the dtype of ``user_ids_``; where an index is -1, of dtype object with None there.

        Raises
        ------
        ValueError
            Where an index is out of range or not an integer.
        """
        check_is_fitted(self)
        return ids_at(self.user_ids_, indices, "user")

    def recommend(self, model, events, k=10, *, exclude_seen=True, candidates=None):
        """The k best items of each user in a table, as a table.

        Parameters
        ----------
        model : fitted estimator with a ``decision_function``
            Fitted on a matrix of this encoder; a Pipeline or a search too.
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            What the users did so far, as in `fit`.
        k : int, default=10
            Items a user; fewer where fewer are left.
        exclude_seen : bool, default=True
            Leave out every item that the user has an event of, one below threshold too.
        candidates : array of item ids, default=None
            The only items that may be recommended, such as those in stock; unknown ones cannot be.

        Returns
        -------
        DataFrame, or dict of str to array
            Of the kind that came in, for arrays a dict, with a row for each recommendation: user
            and item under the names of their columns and with their ids, rank (from 1) and score.
            Users ascending, best first. User ids are in the type that they have in events, item ids
            in the dtype of ``item_ids_``, that of the table that was fitted; of a library's several
            types for the same values (nullable, categories), in that of events.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `transform`; also where the library of events has no column for the item ids.
        """
        known = self._known(events)
        X, _ = self._matrices(known.events, known.cells)
        n_events = len(known.cells.rows)
        seen = sp.csr_array((np.ones(n_events, np.float32), known.cells[:2]), shape=X.shape) if exclude_seen else None
        if candidates is not None:
            candidates = columns_of(read_ids(candidates, "candidates"), self)
            candidates = candidates[candidates >= 0]
        items, scores = recommend(model, X, k, exclude_seen=False, exclude=seen, candidates=candidates)
        rows, places = np.nonzero(items >= 0)
        result = {
            self.user: known.user_ids[rows],
            "rank": places + 1,
            self.item: self.item_ids_[items[rows, places]],
            "score": scores[rows, places],
        }
        return table_like(events, result, self.user, self.item, known.first_events[rows], item_index(self))

    # -- from events to matrices

    def _all_of(self, events, y):
        """All users and items of a table, ascending, and their matrix."""
        if y is not None:
            raise ValueError(
                "InteractionEncoder takes no y: it makes one row of many events, and stands before a Pipeline or a "
                "search, which get its matrix."
            )
        self._check_parameters()
        table = read_events(events, self.user, self.item, self.weight, self.timestamp)
        (user_ids, rows), (item_ids, columns) = distinct_ids(table.users), distinct_ids(table.items)
        return user_ids, item_ids, self._matrices(table, Cells(rows, columns, (len(user_ids), len(item_ids))))[0]

    def _known(self, events):
        """All users of a table, and the events of items that have a column."""
        check_is_fitted(self)
        self._check_parameters()
        table = read_events(events, self.user, self.item, self.weight, self.timestamp)
        columns = columns_of(table.items, self)
        unknown = columns < 0
        if unknown.any() and self.handle_unknown != "ignore":
            _report_unknown(table.items[unknown], len(unknown), self.handle_unknown)
        return known_events(table, columns, len(self.item_ids_))

    def _matrices(self, events, cells):
        """Weights and timestamps of the merged interactions, two csr_arrays of the same pattern."""
        if self.threshold is not None and self.weight is not None and self.duplicates in ("sum", "max"):
            events, cells = at_least(events, cells, self.threshold)
        return merge_events(events, cells, duplicates=self.duplicates, threshold=self.threshold, binary=self.binary)

    # -- parameters

    def _check_parameters(self):
        check_names(user=self.user, item=self.item, weight=self.weight, timestamp=self.timestamp)
        check_parameters(self, CHECKS)
        if self.weight is not None and self.binary and self.threshold is None:
            raise ValueError(
                f"weight={self.weight!r} decides nothing with binary=True and threshold=None: set threshold, or "
                "binary=False for the weights themselves."
            )
        if self.duplicates == "last" and self.timestamp is None:
            raise ValueError('duplicates="last" needs timestamp, the name of the column that says which is last.')


def k_core(X, min_user_interactions, min_item_interactions):
    """Users and items that have at least so many interactions among each other.

    Parameters
    ----------
    X : sparse matrix of shape (n_users, n_items)
        Without duplicates or explicit zeros.
    min_user_interactions, min_item_interactions : int

    Returns
    -------
    users, items : int64 arrays
        Row and column numbers, ascending; the largest such sets, which may be empty.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from skvae.preprocessing import k_core
    >>> k_core(sp.csr_array([[1, 1, 0], [1, 1, 0], [1, 0, 1]]), 2, 2)  # without item 2 user 2 has too few
    (array([0, 1]), array([0, 1]))
    """
    X = sp.csr_array(X)
    users, items = np.arange(X.shape[0]), np.arange(X.shape[1])
    while True:
        enough_items = np.diff(X.indptr) >= min_user_interactions
        enough_users = np.bincount(X.indices, minlength=X.shape[1]) >= min_item_interactions
        if enough_items.all() and enough_users.all():
            return users, items
        X, users, items = X[enough_items][:, enough_users], users[enough_items], items[enough_users]


def _report_unknown(items, n_events, handle_unknown):
    message = (
        f"{len(items)} of {n_events} events are of {len(distinct_ids(items)[0])} items that fit did not "
        f"keep, such as {items[:1].tolist()[0]!r}"
    )
    if handle_unknown == "error":
        raise ValueError(f'{message}: drop them, or use handle_unknown="ignore".')
    warnings.warn(
        f'{message}: they are left out. handle_unknown="ignore" says that this is meant.',
        UserWarning,
        stacklevel=4,
    )
