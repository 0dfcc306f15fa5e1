"""A table of events (user, item[, weight, timestamp]) to a user-item matrix, and back to the table's own ids."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .events import Names, check_names, read_all_events, read_ids
from .id_answers import IdAnswersMixin
from .ids import IdNumbers, columns_of, distinct_ids, ids_at, joined_ids, rows_of, rows_there
from .item_checks import item_indices
from .matrix import rows_or_empty
from .merging import ITEM_MASK, MERGES, Gatherer, interactions, k_core, matrix_of, weights_in_float32
from .parameters import check_parameters, flag, integer, number, optional, piece
from .recommender import API_PAGE

# Parameter -> check of all but the names of columns
CHECKS = {
    "min_user_interactions": integer(1),
    "min_item_interactions": integer(1),
    "threshold": optional(number(minimum=0)),
    "binary": flag,
    "duplicates": piece(MERGES),
    "handle_unknown": piece(("warn", "ignore", "error")),
}


class InteractionEncoder(IdAnswersMixin, BaseEstimator):
    """Turn a table of events into a user-item matrix, and indices back into the table's ids.

    The matrix is a float32 csr_array with one row per user and one column per item:

    - Rows are the users of the table in ascending order of their ids; `user_ids_of` returns them.
      A user that fit never saw is a row like any other.
    - Columns are ``item_ids_``. An item that fit did not keep has no column.

    Many events make one row, and splitters and scorers count rows as users. So use the encoder before a Pipeline, not
    in it, and search, validate and fit on the matrix.

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
        Name of the column with ratings, counts, ..., which needs threshold or binary=False; None: each event weighs 1.
    timestamp : str, default=None
        Name of the column with numbers, dates or durations. Dates become microseconds since 1970
        in UTC, durations microseconds.
    min_user_interactions : int, default=1
        fit keeps the users with at least this many items; `transform` has a row for every user.
    min_item_interactions : int, default=1
        fit keeps the items with at least this many users. Users and items are counted among those
        kept (the k-core).
    threshold : float, default=None
        Events with a lower weight are not interactions: two ratings of 2 are not one of 4. With duplicates="last" the
        last event counts. Without weight and with duplicates="sum", the number of events of the user and item is
        compared; with other duplicates every event counts as 1. To compare a total, sum the table first. None: every
        weight above 0 is an interaction.
    binary : bool, default=True
        Entries are 1 (what the models expect: with a multinomial likelihood a 5 weighs five 1s, and linear
        models square the values, so that a threshold for ratings does better than their stars).
        False: the weights; those below the smallest float32, about 1e-38, become that number.
    duplicates : {"sum", "max", "last", "error"}, default="sum"
        How the weights of a repeated (user, item) are merged; "last" takes the weight of the latest
        timestamp, of equal timestamps the largest weight; "error" refuses repeats, of less than threshold too.
    handle_unknown : {"warn", "ignore", "error"}, default="warn"
        Events of items without a column: "ignore" leaves them out. "warn" does too, and warns if their share is more
        than twice the share that fit left out for min_item_interactions. "error" raises.

    Attributes
    ----------
    user_ids_ : array of shape (n_users,)
        The users that fit kept, ascending: the rows that `fit_transform` returns. Recommending does not need them.
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
        events : table of events, or several
            A DataFrame (pandas, polars, pyarrow: whatever narwhals knows) has the named columns;
            an array of shape (n_events, n_columns) or a tuple of one-dimensional arrays, lists or
            Series has user, item and, where these parameters name one, weight and timestamp, in that
            order. Or a list or another iterable of such tables, or a ``pyarrow.dataset.Dataset``: they
            are read one after another, and only their interactions are held.
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
        events : table of events, or several
            As in `fit`. An iterator is read once.
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
        if y is not None:
            raise ValueError(
                "InteractionEncoder takes no y: it makes one row of many events, and stands before a Pipeline or a "
                "search, which get its matrix. Arrays of users and items are one tuple, (users, items)."
            )
        found = self._gathered(events)
        X = self._matrix(found)
        kept_users, kept_items = k_core(X, self.min_user_interactions, self.min_item_interactions)
        if not len(kept_users):
            raise ValueError(
                f"No user is left with min_user_interactions={self.min_user_interactions}, "
                f"min_item_interactions={self.min_item_interactions} and threshold={self.threshold}, of "
                f"{len(found.user_ids)} users and {len(found.item_ids)} items, of weights that are not 0: lower them."
            )
        n_interactions, X = X.nnz, X[:, kept_items] if len(kept_items) < X.shape[1] else X
        share_left_out, X = 1 - X.nnz / n_interactions, X[kept_users] if len(kept_users) < X.shape[0] else X
        if self.weight is None and self.duplicates == "sum":  # counts, which are events
            share_left_out = _share_of_others(found.cells, kept_items)
        ids = found.user_ids[kept_users], found.item_ids[kept_items]
        self.user_ids_, self.item_ids_, self._share_left_out = *ids, share_left_out
        return X

    def partial_fit(self, events, y=None):
        """Give columns to the items that are new, after those there are.

        ``model.add_items`` widens a fitted model by as many, and ``partial_fit`` trains an autoencoder on them. Users
        need no place in the encoder: ``user_ids_`` stays.

        Parameters
        ----------
        events : table of events, or several
            As in `fit`; the first call is a fit. This week's rows are enough: items that have a column keep it, even
            if they do not occur. Only these rows count for min_item_interactions: if new items have few users each
            week, pass a table of several weeks. For ``model.partial_fit`` transform the whole histories of users,
            since a row is all that the model knows of a user.
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
        found = self._gathered(events)
        n_users = np.bincount(self._matrix(found).indices, minlength=len(found.item_ids))
        new = (self.item_indices(found.item_ids) < 0) & (n_users >= self.min_item_interactions)
        self.item_ids_ = joined_ids(self.item_ids_, found.item_ids[new])
        return self

    def keep_items(self, items):
        """Drop the other items, as a split or a selection of columns dropped them from the matrix.

        `skvae.strong_generalization_split` drops the items that no training user has; after
        ``encoder.keep_items(split.items)`` the encoder has the columns of the model that is fitted on
        ``split.train``.

        Parameters
        ----------
        items : int array of shape (n_kept,)
            Columns of the matrix so far, in their order from now on; of ids ``encoder.item_indices(ids)``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where items are none, repeated, out of range or no integers.

        Examples
        --------
        >>> from skvae import InteractionEncoder
        >>> encoder = InteractionEncoder().fit((["ann", "ann", "bob"], ["tea", "jam", "milk"]))
        >>> encoder.keep_items([0, 2]).item_ids_
        array(['jam', 'tea'], dtype=object)
        """
        check_is_fitted(self)
        items = item_indices(items, "items", len(self.item_ids_))
        if not 0 < len(items) == len(np.unique(items)):
            raise ValueError(f"items must be different columns, at least one, got {len(items)} with repeats or none.")
        # a split drops rare items, which have no larger share of the events; a quarter at the most needs no warning
        share_dropped = min(1 - len(items) / len(self.item_ids_), 0.25)
        share_left_out = 1 - (1 - getattr(self, "_share_left_out", 0.0)) * (1 - share_dropped)
        self.item_ids_, self._share_left_out = self.item_ids_[items], share_left_out
        return self

    def transform(self, events, *, users=None):
        """The matrix of all users in a table, fit's or others.

        Parameters
        ----------
        events : table of events, or several
            As in `fit`; an iterator that fit has gone through is empty.
        users : array of user ids, default=None
            The users of the rows, in this order; one without an event has an empty row.

        Returns
        -------
        float32 csr_array of shape (n_users, n_items)
            One row for each of users, by default ``user_ids_of(events)``, including users without an interaction with
            the items of ``item_ids_``.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `fit`; also where items have ids of another kind than in fit, or unknown ones with "error".
        """
        found = self._gathered(events, fitted=True)
        X = self._matrix(found)
        return X if users is None else rows_or_empty(X, rows_of(read_ids(users, "users"), found.user_ids, "in events"))

    def timestamps(self, events, *, users=None):
        """When each interaction of ``fit_transform(events)`` took place.

        With it `skvae.fold_in_split` holds out each user's last items.

        Parameters
        ----------
        events : table of events, or several
            As in `fit`.
        users : array of user ids, default=None
            The users of the rows, in this order. None: ``user_ids_``, the rows that `fit_transform`
            returned. ``user_ids_of(events)`` gives those of `transform`.

        Returns
        -------
        int64 or float64 csr_array of shape (n_users, n_items)
            It has the same entries as the matrix, and stores a time of 0 too. Repeated events have the latest time, so
            a split in time counts them as late. Dates are microseconds since 1970 in UTC, durations microseconds.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `transform`; also where the parameter timestamp names no column, or users have no
            event.
        """
        if self.timestamp is None:
            raise ValueError('timestamp=None names no column: use InteractionEncoder(timestamp="...").')
        found = self._gathered(events, fitted=True, timed=True)
        cells = interactions(found.cells, self.threshold)
        times = matrix_of(cells, cells.timestamps, found.shape)
        asked = distinct_ids(self.user_ids_) if users is None else read_ids(users, "users")
        return times[rows_there(asked, found.user_ids)]

    def user_ids_of(self, events):
        """The user of each row of ``transform(events)``.

        Parameters
        ----------
        events : table of events, or several
            As in `fit`; the columns of weights and times need not be there.

        Returns
        -------
        array of shape (n_users,)
            Ascending.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `fit`.
        """
        self._check_parameters()
        users = IdNumbers(f"column {self.user!r}")
        names = Names(self.user, self.item, self.weight, self.timestamp)
        for _, table in read_all_events(events, names, optional=("weight", "timestamp")):
            users.of(table.users)
        return users.ascending()[0]

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

    # -- from events to matrices

    def _gathered(self, events, *, fitted=False, timed=False, optional=(), allow_empty=False):
        """The users of events, and the merged cells of all items, or of those that have a column."""
        if fitted:
            check_is_fitted(self)
        self._check_parameters()
        gatherer = Gatherer(
            Names(self.user, self.item, self.weight, self.timestamp),
            self.duplicates,
            threshold=self.threshold,
            timed=timed or self.duplicates == "last",
            encoder=self if fitted else None,
            optional=optional,
        )
        found = gatherer.gather(events, allow_empty=allow_empty)
        if gatherer.n_unknown and self.handle_unknown != "ignore":
            left_out = getattr(self, "_share_left_out", 0.0)  # not in older files
            gatherer.report_unknown(self.handle_unknown, self.min_item_interactions, left_out)
        return found

    def _matrix(self, found):
        cells = interactions(found.cells, self.threshold)
        weights = np.ones(len(cells.pairs), np.float32) if self.binary else weights_in_float32(cells.weights)
        return matrix_of(cells, weights, found.shape)

    # -- parameters

    def _check_parameters(self):
        check_names(user=self.user, item=self.item, weight=self.weight, timestamp=self.timestamp)
        check_parameters(self, CHECKS)
        if self.weight is not None and self.binary and self.threshold is None:
            raise ValueError(
                f"weight={self.weight!r} needs threshold or binary=False: threshold=0 makes every weight above 0 an "
                "interaction, 4 those from 4 on; binary=False keeps the weights themselves."
            )
        if self.duplicates == "last" and self.timestamp is None:
            raise ValueError('duplicates="last" needs timestamp, the name of the column that says which is last.')


def _share_of_others(cells, columns):
    """The share of the events that are of other items, by cells whose weights are numbers of events."""
    is_other = ~np.isin(cells.pairs & ITEM_MASK, columns)
    return float(cells.weights[is_other].sum() / cells.weights.sum())
