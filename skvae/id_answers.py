"""The answers of fitted models by the ids of a table: recommendations, reranked too, similar items, explanations."""

import numbers
from collections.abc import Callable, Mapping

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .columns import check_steps_keep_order, column_names, label, names_of_model, row_labels, shape_of
from .core.user_warnings import warn_user
from .events import Names, read_events, read_ids, read_scores
from .id_filters import allowed_items, filters
from .ids import Ids, columns_of, item_index, rows_of
from .matrix import as_csr, count_interactions, rows_or_empty
from .merging import matrix_of, report_unknown
from .ranking import recommend
from .reranking import rerank
from .tables import column_as_table
from .wrappers import steps_and_model, unfrozen
from .written_tables import Chosen, table_like


class IdAnswersMixin:
    """``recommend``, ``rerank``, ``similar_items`` and ``explain`` in ids.

    For ``_gathered``, the events of a table, and ``_matrix``, the matrix of these.
    """

    user: str
    item: str
    handle_unknown: str
    item_ids_: np.ndarray
    _check_parameters: Callable
    _gathered: Callable
    _matrix: Callable

    def recommend(self, model, events, k=10, *, users=None, exclude_seen=True, candidates=None, exclude=None):
        """The k best items of each user in a table, as a table.

        Parameters
        ----------
        model : fitted estimator with a ``decision_function``
            Fitted on a matrix of this encoder; a Pipeline or a search too.
        events : table of events, or several
            All that the users did so far, as in `fit`: what is not there may be recommended again. Columns of weights
            and times may be missing: an event is an interaction then, of weight 1, or threshold where that is more.
        k : int, default=10
            Items per user; fewer where fewer are left.
        users : array of user ids, default=None
            Whom to recommend to, in this order; None: all users of events, ascending. Those without
            any event get what the model gives to an empty row: recommenders of skvae items that many users have.
            With users events may have no rows.
        exclude_seen : bool, default=True
            Leave out every item that the user has an event of, one below threshold too.
        candidates : array of item ids, default=None
            The only items that may be recommended, such as those in stock. Unknown ones cannot be: where most are,
            a warning says so.
        exclude : array of item ids, table of users and items, or dict of user id to item ids, default=None
            Items that nobody may get, or those that each user may not; the columns of a table are named as in events.
            Other users and items in it are ignored; where no item is known, a warning says so.

        Returns
        -------
        DataFrame, or dict of str to array
            Of the kind that came in, for arrays a dict, with a row for each recommendation: user and item under the
            names of their columns and with their ids, rank (from 1) and score, to be compared within a user alone. Best
            first. User ids have the type that they have in events. Item ids have that of ``item_ids_``, which is of the
            fitted table; where a library has several types for the same values (nullable, categories), that in events.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `transform`; also where the model was fitted on another number of items, the library
            of events has no column for the ids, or a step of a Pipeline drops events that weigh 1
            for want of a weight.
        """
        check_is_fitted(self)
        _check_same_items(model, self)
        found, X = self._visitors(model, events, allow_empty=users is not None)
        excluded = None
        if exclude_seen and X.nnz < len(found.cells.pairs):  # of some, the weight is too low
            excluded = matrix_of(found.cells, np.ones(len(found.cells.pairs), np.float32), found.shape)
        asked = Ids(found.user_ids, np.arange(len(found.user_ids))) if users is None else read_ids(users, "users")
        if users is not None:
            rows = rows_of(asked, found.user_ids, "in events")
            X, excluded = rows_or_empty(X, rows), None if excluded is None else rows_or_empty(excluded, rows)
        of_users, candidates = filters(candidates, exclude, asked, self)
        if of_users is not None:
            excluded = of_users if excluded is None else excluded + of_users
        if isinstance(k, numbers.Integral):
            k = min(int(k), len(self.item_ids_))  # a table has no row for what is not left
        items, scores = recommend(model, X, k, exclude_seen=exclude_seen, exclude=excluded, candidates=candidates)
        rows, ranks = np.nonzero(items >= 0)
        of_user, first_events = asked.positions[rows], found.first_events if users is None else None
        columns = {
            self.user: Chosen(asked.distinct, of_user, self.user, None, first_events),
            "rank": ranks + 1,
            self.item: self._items(items[rows, ranks]),
            "score": scores[rows, ranks],
        }
        return table_like(found.table, columns)

    def rerank(self, table, item_vectors, k=None, *, relevance_weight=0.7):
        """The k best of each user's recommendations, chosen to differ from each other, as a table.

        Parameters
        ----------
        table : DataFrame or dict of str to array
            What `recommend` returned for a larger k, such as ten times as many; rows in any order.
        item_vectors : sparse matrix, array or DataFrame of shape (n_items, n_features)
            What describes each item, as in `skvae.rerank`, a row for each of ``item_ids_`` in this order: ``X.T``, or
            ``genres.loc[encoder.item_ids_]`` of a DataFrame with the ids as its index.
        k : int, default=None
            Items to choose for each user, fewer where a user has fewer; None: all, in a new order.
        relevance_weight : float, default=0.7
            1 keeps the order of the scores, 0 asks for diversity alone.

        Returns
        -------
        DataFrame, or dict of str to array
            Rows of table, each user's in the order in which they were chosen, as `recommend` returns them: user, rank
            (from 1), item and score. Users in the order of table.

        Raises
        ------
        ValueError, TypeError
            As in `skvae.rerank`; also where table lacks a column, where item_vectors has other rows, and with
            handle_unknown="error" where an item is unknown. Unknown ones are left out.

        Examples
        --------
        >>> from skvae import EASERecommender, InteractionEncoder
        >>> events = ["ann", "ann", "bob", "bob", "cy"], ["tea", "jam", "tea", "jam", "oats"]
        >>> encoder = InteractionEncoder()
        >>> X = encoder.fit_transform(events)
        >>> model = EASERecommender(l2_regularization=1).fit(X)
        >>> table = encoder.recommend(model, (["dan"], ["tea"]))
        >>> encoder.rerank(table, X.T, k=1)["item"]
        array(['jam'], dtype=object)
        """
        check_is_fitted(self)
        self._check_parameters()
        _check_rows_of_items(item_vectors, self)
        users, items, scores = read_scores(table, Names(self.user, self.item))
        columns = columns_of(items, self)
        _report_unknown(items, columns < 0, self.handle_unknown)
        rows = np.flatnonzero(columns >= 0)
        _, first, of_user = np.unique(users.positions[rows], return_index=True, return_inverse=True)
        numbered = np.argsort(np.argsort(first))[of_user]
        ranks = _numbers_within(numbered, np.lexsort((-scores[rows], numbered)))
        shape = len(first), ranks.max(initial=0) + 1
        listed, listed_scores = np.full(shape, -1), np.full(shape, -np.inf, scores.dtype)
        listed[numbered, ranks], listed_scores[numbered, ranks] = columns[rows], scores[rows]
        if isinstance(k, numbers.Integral):
            k = min(int(k), shape[1])
        chosen, chosen_scores = rerank(listed, listed_scores, item_vectors, k, relevance_weight=relevance_weight)
        places = lists, ranks = np.nonzero(chosen >= 0)
        n_items = len(self.item_ids_)
        cells, wanted = numbered * n_items + columns[rows], lists * n_items + chosen[places]
        order = np.argsort(cells)
        rows = rows[order[np.searchsorted(cells, wanted, sorter=order)]]
        result = {
            self.user: _as_given(users, rows, self.user),
            "rank": ranks + 1,
            self.item: _as_given(items, rows, self.item),
            "score": chosen_scores[places],
        }
        return table_like(table, result)

    def similar_items(self, model, items, k=10, *, candidates=None, exclude=None):
        """The k items that are most like each of the given ones, as a table.

        Parameters
        ----------
        model : fitted estimator with ``similar_items``
            Fitted on a matrix of this encoder; a Pipeline or a search around it too.
        items : array of item ids, or column of a DataFrame
        k : int, default=10
            Items for each.
        candidates : array of item ids, default=None
            The only items that may come.
        exclude : array of item ids, default=None
            Items that may not come, such as those that are sold out.

        Returns
        -------
        DataFrame, or dict of str to array
            A DataFrame where items are a column of one. A row for each similar item: item under the name of its
            column, similar_rank (from 1), the similar item under that name with "similar\\_" before it, and similarity,
            as `MultVAERecommender.similar_items` has it. Best first.

        Raises
        ------
        ValueError, TypeError
            As in `transform`; also where the model was fitted on another number of items, or has no
            ``similar_items``, and with handle_unknown="error" where an item is unknown. Unknown ones have no rows.

        Examples
        --------
        >>> from skvae import EASERecommender, InteractionEncoder
        >>> users, items = ["ann", "ann", "bob", "bob", "cy"], ["tea", "jam", "tea", "jam", "oats"]
        >>> encoder = InteractionEncoder()
        >>> model = EASERecommender(l2_regularization=1).fit(encoder.fit_transform((users, items)))
        >>> encoder.similar_items(model, ["tea"], k=1)["similar_item"]
        array(['jam'], dtype=object)
        """
        check_is_fitted(self)
        self._check_parameters()
        _check_same_items(model, self)
        _, answering = _answering(model, "similar_items", self)
        asked = read_ids(items, "items")
        columns = columns_of(asked, self)
        is_known = columns >= 0
        _report_unknown(asked, ~is_known, self.handle_unknown)
        allowed = allowed_items(candidates, exclude, self)
        only = {} if allowed is None else {"candidates": allowed}
        similar, similarities = answering.similar_items(columns[is_known], k, **only)
        places = rows, ranks = np.nonzero(similar >= 0)
        result = {
            self.item: Chosen(asked.distinct, asked.positions[is_known][rows], self.item, None),
            "similar_rank": ranks + 1,
            f"similar_{self.item}": self._items(similar[places]),
            "similarity": similarities[places],
        }
        return table_like(column_as_table(items, self.item), result)

    def explain(self, model, events, table, k=3):
        """Which of their own items the users of a table have its items from, as a table.

        Parameters
        ----------
        model : fitted estimator with ``explain``
            As in `recommend`. What stands before it in a Pipeline is applied, and not explained.
        events : table of events, or several
            What the users did, as in `recommend`.
        table : table of users and items
            Items of which the scores are explained, such as what `recommend` returned, with columns named as in events.
        k : int, default=3
            Own items for each.

        Returns
        -------
        DataFrame, or dict of str to array
            Of the kind of table, with a row for each own item: user and item as in table, own_rank (from 1), the own
            item under the name of its column with "own\\_" before it, and contribution, as `MultVAERecommender.explain`
            has it. In the order of table, the highest contribution first. An item to which no own item contributes has
            no rows.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `recommend`; also where the model has no ``explain``.

        Examples
        --------
        >>> from skvae import EASERecommender, InteractionEncoder
        >>> events = ["ann", "ann", "bob", "bob", "cy"], ["tea", "jam", "tea", "jam", "jam"]
        >>> encoder = InteractionEncoder()
        >>> model = EASERecommender(l2_regularization=1).fit(encoder.fit_transform(events))
        >>> table = encoder.recommend(model, events, k=1)
        >>> encoder.explain(model, events, table)["own_item"]  # of cy, whom tea is recommended to
        array(['jam'], dtype=object)
        """
        check_is_fitted(self)
        _check_same_items(model, self)
        if {"rank", "score"} <= set(_names_of(events)) - set(_names_of(table)):
            warn_user("events has a rank and a score, as what recommend returned: is it explain(model, events, table)?")
        steps, answering = _answering(model, "explain", self)
        found, X = self._visitors(model, events)
        read = read_events(table, Names(self.user, self.item), name="table")
        rows, columns = rows_of(read.users, found.user_ids, "in events"), columns_of(read.items, self)
        _report_unknown(read.items, columns < 0, self.handle_unknown)
        places, asked, users = _in_rows(rows, columns)
        X = rows_or_empty(X, users)
        own_items, contributions = answering.explain(X if steps is None else steps.transform(X), asked, k)
        own_items, contributions = own_items[places], contributions[places]
        again, ranks = np.nonzero(own_items >= 0)
        result = {
            self.user: _as_given(read.users, again, self.user),
            self.item: _as_given(read.items, again, self.item),
            "own_rank": ranks + 1,
            f"own_{self.item}": self._items(own_items[again, ranks]),
            "contribution": contributions[again, ranks],
        }
        return table_like(table, result)

    def _visitors(self, model, events, allow_empty=False):
        """What users did, of whom weights and times may be missing, and its matrix for a model."""
        found = self._gathered(events, fitted=True, optional=("weight", "timestamp"), allow_empty=allow_empty)
        X = self._matrix(found)
        if found.lacks_weights and X.nnz:
            _check_events_count(model, self, X)
        return found, X

    def _items(self, columns):
        return Chosen(self.item_ids_, columns, self.item, item_index(self))


def _as_given(ids, rows, name):
    """The ids of some rows of a table, as it has them."""
    return Chosen(ids.distinct[ids.positions], rows, name, None, np.arange(len(ids.positions)))


def _check_same_items(model, encoder):
    """Raise where a model or a member of a blend has other items than an encoder, or an encoder in it."""
    n_fitted, n_items = getattr(model, "n_features_in_", None), len(encoder.item_ids_)
    if n_fitted not in (None, n_items):
        raise ValueError(
            f"{type(model).__name__} was fitted on {n_fitted} items, the encoder has {n_items}: "
            f"{_remedy(model, n_items - n_fitted)}"
        )
    _check_no_other_order(model, encoder)
    steps, recommender = steps_and_model(model)
    if any(isinstance(unfrozen(step), IdAnswersMixin) for part in steps or () for step in part):
        raise TypeError(
            "The Pipeline holds an InteractionEncoder, which stands before it: fit the other steps on the matrix of "
            "encoder.fit_transform(events), and pass that Pipeline."
        )
    for member in _members_of(recommender) if steps is None else ():
        _check_same_items(member, encoder)


def _remedy(model, n_more):
    if n_more < 0:
        return "recommend with the encoder that made the matrix of its fit."
    added = "fit the model again on the matrix of encoder.transform"
    if hasattr(model, "add_items"):
        added = f"model.add_items({n_more}) adds them to the model"
    return (
        "where a split dropped columns, encoder.keep_items(split.items) drops the same; where encoder.partial_fit "
        f"added new items, {added}. Where the encoder was fitted anew its columns are other items, and the model has "
        "to be fitted again."
    )


def _answering(model, method, encoder):
    """The steps before the model in a Pipeline or a search, and the model, which has a method and the same items."""
    steps, recommender = steps_and_model(model)
    try:
        getattr(recommender, method)
    except AttributeError as error:
        raise TypeError(f"{type(recommender).__name__} has no {method}. {error.__cause__ or ''}".rstrip()) from error
    n_left, n_items = getattr(recommender, "n_features_in_", None), len(encoder.item_ids_)
    if n_left not in (None, n_items):
        raise ValueError(
            f"{type(recommender).__name__} has {n_left} items, the encoder {n_items}: a step before it drops columns, "
            "and those that are left have no ids: drop them by encoder.keep_items instead."
        )
    check_steps_keep_order(model)
    return steps, recommender


def _report_unknown(items, is_unknown, handle_unknown):
    """Say of which items there is nothing to say."""
    if not is_unknown.any():
        return
    example = items.distinct[items.positions[is_unknown][:1]].tolist()[0]
    n_unknown, n_items = np.count_nonzero(is_unknown), len(is_unknown)
    message = f"{n_unknown} of {n_items} items are unknown to the encoder, such as {example!r}"
    report_unknown(message, "they have no rows", handle_unknown)


def _in_rows(users, items):
    """Items of users as a matrix with as many columns as a user has items in the mean, and rows as each user needs.

    Returns
    -------
    places : pair of int64 arrays of shape (n,)
        Row and column of each item.
    matrix : int64 array of shape (n_rows, n_columns)
        -1 where there is none.
    users_of_rows : int64 array of shape (n_rows,)
    """
    numbers = _numbers_within(users, np.argsort(users, kind="stable"))
    n_columns = -(-len(users) // max(len(np.unique(users)), 1)) or 1
    pairs = np.stack([users, numbers // n_columns], axis=1)
    rows, of_rows = np.unique(pairs, axis=0, return_inverse=True) if len(users) else (np.array([[-1, 0]]), users)
    places = of_rows.reshape(-1), numbers % n_columns
    matrix = np.full((len(rows), n_columns), -1)
    matrix[places] = items
    return places, matrix, rows[:, 0]


def _numbers_within(users, order):
    """The number of each row among those of its user, in an order by users; int64 array of shape (n_rows,)."""
    ordered = users[order]
    numbers = np.empty(len(users), np.int64)
    numbers[order] = np.arange(len(users)) - np.searchsorted(ordered, ordered)
    return numbers


def _names_of(table):
    return table if isinstance(table, Mapping) else column_names(table) or ()


def _check_rows_of_items(item_vectors, encoder):
    """Raise where what describes the items of an encoder does not have a row for each, in their order."""
    n_rows, n_items = shape_of(item_vectors)[:1], len(encoder.item_ids_)
    if n_rows and n_rows[0] != n_items:
        raise ValueError(
            f"item_vectors has {n_rows[0]} rows, the encoder {n_items} items: pass a row for each of "
            "encoder.item_ids_, in this order, as item_vectors.loc[encoder.item_ids_] of a DataFrame with ids as index."
        )
    labels, ids = row_labels(item_vectors), encoder.item_ids_.tolist()
    if labels not in (None, ids, list(range(n_items))) and set(labels) & set(ids):
        raise ValueError(
            "item_vectors has other row labels than encoder.item_ids_, or in another order: pass "
            "item_vectors.loc[encoder.item_ids_], or where its rows are right item_vectors.to_numpy()."
        )


def _check_no_other_order(model, encoder):
    """Raise where a column of the table that a model was fitted on is called as the item of another column."""
    names = names_of_model(model)
    if names is None or np.array_equal(names, encoder.item_ids_):
        return
    columns = {label(id): column for column, id in enumerate(encoder.item_ids_.tolist())}
    for column, name in enumerate(names):
        if columns.get(name, column) != column:
            raise ValueError(
                f"{type(model).__name__} was fitted on a table with {name!r} in column {column}, which is the "
                f"encoder's column {columns[name]}: fit it on the columns encoder.item_ids_, in this order."
            )


def _check_events_count(model, encoder, X):
    """Raise where the steps before a model drop the events of users, since these weigh 1 for want of a weight."""
    steps, recommender = steps_and_model(model)
    users = X[count_interactions(X) > 0]
    left = users if steps is None else as_csr(steps.transform(users))
    n_lost = np.count_nonzero(count_interactions(left) == 0)
    if n_lost:
        raise ValueError(
            f"events has no column {encoder.weight!r}, so that an event weighs 1, and of {n_lost} of {users.shape[0]} "
            f"users the steps before {type(recommender).__name__} leave no interaction: add the column, or let the "
            "encoder compare with the threshold, as InteractionEncoder(threshold=...), instead of a step."
        )
    for member in _members_of(recommender):
        _check_events_count(member, encoder, left)


def _members_of(model):
    """The members of a fitted blend; of another model none."""
    return [member for member in getattr(model, "_named_members", {}).values() if member != "drop"]
