"""A table of events (user, item[, weight, timestamp]) to a user-item matrix, and back to the table's own ids."""

import numbers
import warnings
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from .ranking import recommend
from .recommender import API_PAGE

# How the sorted weights of a repeated (user, item) become one; first and last are each pair's ends
MERGES = {
    "sum": lambda weights, first, last: np.add.reduceat(weights, first),
    "max": lambda weights, first, last: np.maximum.reduceat(weights, first),
    "last": lambda weights, first, last: weights[last],
    "error": lambda weights, first, last: weights[first],
}
HANDLE_UNKNOWN = ("warn", "ignore", "error")
ROLES = ("user", "item", "weight", "timestamp")


class _Events(NamedTuple):
    """Checked columns of a table, each of shape (n_events,)."""

    users: np.ndarray
    items: np.ndarray
    weights: np.ndarray  # float64, ones where there are none
    timestamps: np.ndarray  # int64 or float64, zeros where there are none


class InteractionEncoder(BaseEstimator):
    """Turn a table of events into a user-item matrix, and indices back into the table's ids.

    The matrix is a float32 csr_array with users as rows and items as columns. Its rows are the
    users of the table in ascending order of their ids, `user_ids_of` says which; its columns are
    ``item_ids_``. A user that fit never saw is a row like any other; an item that fit did not
    keep has no column.

    Many events make one row, so the encoder stands before a Pipeline and not in it: splitters and
    scorers count rows as users. Encode first, then search, validate and fit on the matrix.

    Events are merged, filtered and counted in this order: ``duplicates``, ``threshold``,
    ``binary``, and in fit ``min_user_interactions`` and ``min_item_interactions``. A weight of 0
    is no interaction.

    Parameters
    ----------
    user : str, default="user"
        Name of the column with the ids of users.
    item : str, default="item"
        Name of the column with the ids of items.
    weight : str, default=None
        Name of the column with ratings, counts, ...; None: each event weighs 1.
    timestamp : str, default=None
        Name of the column with numbers or datetimes. Datetimes become microseconds since 1970.
    min_user_interactions : int, default=1
        Items that a user needs for fit to keep the user; `transform` has a row for everyone.
    min_item_interactions : int, default=1
        Users that an item needs. Users and items are counted among those kept (the k-core).
    threshold : float, default=None
        Weights below it are no interactions. None: all above 0 are.
    binary : bool, default=True
        Entries are 1 (what the models expect: with a multinomial likelihood a 5 weighs five 1s).
        False: the weights.
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
        The items, ascending; those added by `partial_fit` follow. Strings are of dtype object.

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
            an array or a tuple of one-dimensional arrays has user, item and, where these
            parameters name one, weight and timestamp, in that order.
        y : ignored
            Must be None: there is no label for an event.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where a parameter is out of range, a column is missing, an id is missing, a weight is
            negative or not finite, or no event is left.
        TypeError
            Where events is no table, or ids cannot be sorted.
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

        ``model.add_items`` widens a fitted autoencoder by as many, and its ``partial_fit`` trains
        it on them. New items with fewer than min_item_interactions users are left out. Users need
        no place in the encoder: ``user_ids_`` stays.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            As in `fit`, which the first call is.
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
        if item_ids.dtype.kind != self.item_ids_.dtype.kind:
            raise ValueError(
                f"Item ids are {item_ids.dtype} here and were {self.item_ids_.dtype} in fit: convert them to one type."
            )
        n_users = np.bincount(X.indices, minlength=len(item_ids))
        new = (self.item_indices(item_ids) < 0) & (n_users >= self.min_item_interactions)
        self.item_ids_ = np.concatenate([self.item_ids_, item_ids[new]])
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
            As in `fit`; also where items are unknown and handle_unknown="error".
        """
        return self._transform(events)[0]

    def timestamps(self, events):
        """When each interaction of ``transform(events)`` took place.

        With it `skvae.fold_in_split` holds out each user's last items.

        Parameters
        ----------
        events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays
            As in `fit`.

        Returns
        -------
        int64 or float64 csr_array of shape (n_users, n_items)
            Entries where ``transform(events)`` has them, a time of 0 included; of repeated events
            the latest time. Datetimes are microseconds since 1970.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `transform`; also where the parameter timestamp names no column.
        """
        if self.timestamp is None:
            raise ValueError('timestamp=None names no column: use InteractionEncoder(timestamp="...").')
        return self._transform(events)[1]

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
        return _distinct(self._read(events)[0].users, "user")[0]

    def item_indices(self, item_ids):
        """Columns of items.

        Parameters
        ----------
        item_ids : array of shape (n,)

        Returns
        -------
        int64 array of shape (n,)
            -1 for an item that has none.
        """
        check_is_fitted(self)
        distinct, positions = _distinct(np.asarray(item_ids), "item")
        columns = {item: column for column, item in enumerate(self.item_ids_.tolist())}
        return np.fromiter((columns.get(item, -1) for item in distinct.tolist()), np.int64, len(distinct))[positions]

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
        return _ids_at(self.item_ids_, indices, "item")

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
        return _ids_at(self.user_ids_, indices, "user")

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
            Users ascending, best first.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `transform`.
        """
        check_is_fitted(self)
        self._check_parameters()
        table, frame = self._read(events)
        user_ids, users = _distinct(table.users, "user")
        table, users, columns = self._known(table, users)
        shape = len(user_ids), len(self.item_ids_)
        X, _ = self._matrices(table, users, columns, shape)
        seen = sp.csr_array((np.ones(len(users), np.float32), (users, columns)), shape=shape) if exclude_seen else None
        if candidates is not None:
            candidates = self.item_indices(candidates)
            candidates = candidates[candidates >= 0]
        items, scores = recommend(model, X, k, exclude_seen=False, exclude=seen, candidates=candidates)
        rows, places = np.nonzero(items >= 0)
        result = {
            self.user: user_ids[rows],
            "rank": places + 1,
            self.item: self.item_ids_[items[rows, places]],
            "score": scores[rows, places],
        }
        return result if frame is None else _like(frame, result)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "item_ids_")

    # -- from events to matrices

    def _all_of(self, events, y):
        """All users and items of a table, ascending, and their matrix."""
        self._check_parameters(y)
        table, _ = self._read(events)
        (user_ids, users), (item_ids, items) = _distinct(table.users, "user"), _distinct(table.items, "item")
        return user_ids, item_ids, self._matrices(table, users, items, (len(user_ids), len(item_ids)))[0]

    def _transform(self, events):
        check_is_fitted(self)
        self._check_parameters()
        table, _ = self._read(events)
        user_ids, users = _distinct(table.users, "user")
        table, users, columns = self._known(table, users)
        return self._matrices(table, users, columns, (len(user_ids), len(self.item_ids_)))

    def _known(self, table, users):
        """The events of items that have a column, their users and columns."""
        columns = self.item_indices(table.items)
        known = columns >= 0
        if not known.all() and self.handle_unknown != "ignore":
            items = table.items[~known]
            message = (
                f"{len(items)} of {len(known)} events are of {len(_distinct(items, 'item')[0])} items that fit did not "
                f"keep, such as {items[:1].tolist()[0]!r}"
            )
            if self.handle_unknown == "error":
                raise ValueError(f'{message}: drop them, or use handle_unknown="ignore".')
            warnings.warn(
                f'{message}: they are left out. handle_unknown="ignore" says that this is meant.',
                UserWarning,
                stacklevel=4,
            )
        return _Events(*(column[known] for column in table)), users[known], columns[known]

    def _matrices(self, table, users, items, shape):
        """Weights and timestamps of the merged interactions, two csr_arrays of the same pattern."""
        pairs = users * shape[1] + items
        # by weight too: a sum of floats must not depend on the order of the events
        order = np.lexsort((table.weights, table.timestamps, pairs))
        pairs, weights, timestamps = pairs[order], table.weights[order], table.timestamps[order]
        changes = np.flatnonzero(np.diff(pairs, prepend=-1, append=-1)) if len(pairs) else np.zeros(1, np.int64)
        first, last = changes[:-1], changes[1:] - 1
        if self.duplicates == "error" and len(first) < len(pairs):
            event = order[first[np.diff(changes) > 1][:1]]
            raise ValueError(
                f"{len(pairs) - len(first)} events repeat a user and an item, such as user "
                f"{table.users[event].tolist()[0]!r} and item {table.items[event].tolist()[0]!r}: drop them, or use "
                'duplicates="sum", "max" or "last".'
            )
        weights, timestamps, pairs = MERGES[self.duplicates](weights, first, last), timestamps[last], pairs[first]
        kept = weights >= (self.threshold or 0)
        kept &= weights > 0
        weights = np.ones(len(weights), np.float32) if self.binary else weights.astype(np.float32)
        cells = np.divmod(pairs[kept], shape[1])
        return tuple(sp.csr_array((values[kept], cells), shape=shape) for values in (weights, timestamps))

    # -- reading a table

    def _read(self, events):
        """The checked columns, and the table as a narwhals DataFrame or, of arrays, None."""
        names = {role: getattr(self, role) for role in ROLES if getattr(self, role) is not None}
        frame = _frame(events)
        columns = _array_columns(events, names) if frame is None else _frame_columns(frame, names)
        n_events = len(columns["user"])
        if not n_events:
            raise ValueError("events has no rows: pass at least one event.")
        weights, timestamps = np.ones(n_events), np.zeros(n_events, np.int64)
        for role in ("user", "item"):
            _check_ids(columns[role], names[role])
        if "weight" in names:
            weights = _finite(columns["weight"], self.weight).astype(np.float64)
            if (weights < 0).any():
                raise ValueError(f"Column {self.weight!r} has negative weights, the lowest is {weights.min():g}.")
        if "timestamp" in names:
            timestamps = _finite(columns["timestamp"], self.timestamp)
        return _Events(columns["user"], columns["item"], weights, timestamps), frame

    # -- parameters

    def _check_parameters(self, y=None):
        if y is not None:
            raise ValueError(
                "InteractionEncoder takes no y: it makes one row of many events, and stands before a Pipeline or a "
                "search, which get its matrix."
            )
        for name in ROLES:
            if not isinstance(getattr(self, name), str) and (
                name in ("user", "item") or getattr(self, name) is not None
            ):
                raise TypeError(f"{name} must be a str, the name of a column, got {getattr(self, name)!r}.")
        for name in ("min_user_interactions", "min_item_interactions"):
            check_scalar(getattr(self, name), name, numbers.Integral, min_val=1)
        check_scalar(self.binary, "binary", (bool, np.bool_))
        if self.threshold is not None:
            check_scalar(self.threshold, "threshold", numbers.Real, min_val=0)
        for name, choices in (("duplicates", tuple(MERGES)), ("handle_unknown", HANDLE_UNKNOWN)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}.")
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


def _frame(events):
    """A DataFrame as that of narwhals; None for arrays."""
    if isinstance(events, (np.ndarray, tuple)):
        return None
    if not hasattr(events, "columns"):
        raise TypeError(
            "events must be a DataFrame, an array of shape (n_events, n_columns) or a tuple of arrays, got "
            f"{type(events).__name__}; a user-item matrix needs no InteractionEncoder."
        )
    try:
        import narwhals.stable.v2 as nw
    except ImportError as error:
        raise ImportError('events is a DataFrame, which needs narwhals: pip install "skvae[tables]".') from error
    return nw.from_native(events, eager_only=True)


def _frame_columns(frame, names):
    """Role -> column, one-dimensional array; a missing value is None or NaN."""
    for role, name in names.items():
        if name not in frame.columns:
            raise ValueError(
                f"events has no column {name!r}, its columns are: {', '.join(map(str, frame.columns))}. "
                f'Say InteractionEncoder({role}="...").'
            )
    columns = {role: frame.get_column(name) for role, name in names.items()}
    for role, column in columns.items():
        _check_none_missing(column.null_count(), len(column), names[role])
    return {role: column.to_numpy() for role, column in columns.items()}


def _array_columns(events, names):
    """Role -> column, one-dimensional array, of an array or a tuple of arrays."""
    if isinstance(events, np.ndarray) and events.ndim != 2:
        raise ValueError(f"An array of events must be two-dimensional, got shape {events.shape}.")
    columns = [np.asarray(column) for column in (events if isinstance(events, tuple) else events.T)]
    if len(columns) != len(names) or any(column.shape != (len(columns[0]),) for column in columns):
        raise ValueError(
            f"events must have the {len(names)} columns {', '.join(names)}, all equally long, got "
            f"{', '.join(map(str, (column.shape for column in columns)))}; weight and timestamp are read where these "
            "parameters name them."
        )
    return dict(zip(names, columns, strict=True))


def _check_ids(ids, name):
    if ids.dtype.kind in "fcmM":
        missing = ids != ids  # NaN and NaT
    elif ids.dtype.kind == "O":
        missing = np.fromiter((value is None or value != value for value in ids), bool, len(ids))
    else:
        return
    _check_none_missing(np.count_nonzero(missing), len(ids), name)


def _check_none_missing(n_missing, n_events, name):
    if n_missing:
        raise ValueError(f"{n_missing} of {n_events} events have no value in column {name!r}: fill or drop them.")


def _finite(values, name):
    """Numbers as they are, datetimes as microseconds since 1970, anything else as float64; all finite."""
    if values.dtype.kind == "M":
        _check_none_missing(np.count_nonzero(np.isnat(values)), len(values), name)
        return values.astype("datetime64[us]").astype(np.int64)
    if values.dtype.kind not in "iub":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"Column {name!r} must hold numbers: {error}.") from error
        n_wrong = np.count_nonzero(~np.isfinite(values))
        if n_wrong:
            raise ValueError(f"{n_wrong} of {len(values)} events have a value in column {name!r} that is not finite.")
    return values


def _distinct(ids, name):
    """The distinct ids, ascending, and the index of each id among them."""
    if ids.dtype.kind in "UT":
        ids = ids.astype(object)  # strings are the same from every kind of table
    if ids.dtype != object:
        return np.unique(ids, return_inverse=True)
    try:
        distinct = sorted(set(ids))
    except TypeError as error:
        raise TypeError(f"The {name} ids must be all strings or all numbers, to be sorted: {error}.") from error
    index = {value: position for position, value in enumerate(distinct)}
    positions = np.fromiter(map(index.__getitem__, ids), np.int64, len(ids))
    return np.fromiter(distinct, object, len(distinct)), positions


def _ids_at(ids, indices, name):
    """Ids at these indices, None at -1."""
    indices = np.asarray(indices)
    if indices.size and indices.dtype.kind not in "iu":
        raise ValueError(f"Indices of {name}s must be integers, got dtype {indices.dtype}.")
    indices = indices.astype(np.int64)
    outside = indices[(indices < -1) | (indices >= len(ids))]
    if len(outside):
        raise ValueError(f"There is no {name} {outside[0]}: indices go from 0 to {len(ids) - 1}, and -1 is none.")
    return np.append(ids.astype(object), [None])[indices] if (indices < 0).any() else ids[indices]


def _like(frame, columns):
    """Columns as a DataFrame of the same library, ids in the types that they have in frame."""
    import narwhals.stable.v2 as nw

    result = nw.from_dict(columns, backend=frame.implementation)
    ids = [name for name in columns if name in frame.columns and name not in ("rank", "score")]
    return result.with_columns(nw.col(name).cast(frame.schema[name]) for name in ids).to_native()
