"""Ranking items: the k best of a score matrix, and recommendations from any fitted model.

A model needs ``decision_function(X)``, which returns an array of shape (n_users, n_items) and is called
for one block of users at a time. Nothing else of skvae is needed. A model that computes with torch can
leave its scores on the device by a second method, which is then called instead, once per ranking:

    ``block_scorer()`` -> object with ``scores(X)``, a tensor of shape (n_users, n_items) that may be
    overwritten, and ``device``, the torch.device of these tensors. X is a block of rows of the X that
    `recommend` got.

The object may also have ``scores_of_items(X)``, which returns a function from a slice of the items to the
scores of these alone. Large catalogues are then ranked in tiles of users x items; otherwise a block is
all items of a few users.

Without the method, or where ``block_scorer`` is None, ``decision_function`` is used. A subclass of a
recommender of skvae that defines ``decision_function`` alone has None, so that it is ranked by its own.
"""

import math

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.validation import _num_samples

from .columns import check_columns_of_model, check_same_cells, check_steps_keep_order, column_names
from .core.devices import tensor_of
from .item_checks import blocked_items
from .matrix import as_csr, row_sliceable, take_rows, users_of_entries
from .matrix_checks import check_not_masked
from .parameters import flag, integer

# Scores held at once, 8 MB of float32: with 20 000 items 64 MB took half as long again, since
# blocks of that size are fresh pages each time, and 1 MB is too few users for the matrix product.
SCORES_PER_BLOCK = 2**21
SCORES_PER_BLOCK_OF_GPU = 2**26  # 256 MB; a GPU needs work enough at a time to be worth a call
# Fewer users than that take as much time for reading all weights as for multiplying by them: items come in tiles then.
FEWEST_USERS_PER_BLOCK, USERS_PER_TILE = 32, 128
MOST_THREADS_OF_NUMPY = 4  # that look for the largest values more slowly together than NumPy does alone


def users_per_block(n_items, device="cpu"):
    """Users whose scores fit into one block of memory.

    Parameters
    ----------
    n_items : int
    device : str or torch.device, default="cpu"
        Where the scores are.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, _scores_per_block(device) // max(1, n_items))


def _scores_per_block(device):
    return SCORES_PER_BLOCK if torch.device(device).type == "cpu" else SCORES_PER_BLOCK_OF_GPU


def top_k(scores, k):
    """The k best items of each user, best first.

    Equal scores rank by lower item index, at the k-th place too. A score of -inf is never
    returned: where fewer than k items have a higher one, the rest is item -1 with score -inf.

    Parameters
    ----------
    scores : array of shape (n_users, n_items)
        Real numbers, higher is better; not modified.
    k : int
        At least 1; may exceed n_items.

    Returns
    -------
    items : int64 array of shape (n_users, k)
        Item indices, -1 where none is left.
    scores : float array of shape (n_users, k)
        In the dtype of ``scores``; of integers float64.

    Raises
    ------
    ValueError
        Where a score is NaN or masked, or k is below 1.
    TypeError
        Where scores are no real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import top_k
    >>> items, scores = top_k(np.array([[0.5, 2.0, 2.0, -np.inf]]), k=4)
    >>> items
    array([[ 1,  2,  0, -1]])
    >>> scores
    array([[ 2. ,  2. ,  0.5, -inf]])
    """
    k = integer(1)("k", k)
    scores = real_numbers(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores must be of shape (n_users, n_items), got {scores.ndim} dimension(s).")
    tile = slice(0, scores.shape[1]), tensor_of(np.ascontiguousarray(scores))
    return _top_k_of_tiles([tile], len(scores), k)


def real_numbers(scores, name="scores"):
    """Scores as an array of a type that torch can rank, in which they have the same order, uint64 to rounding.

    Parameters
    ----------
    scores : array, sparse matrix, tensor or nested list
    name : str, default="scores"
        What the error calls them.

    Returns
    -------
    array of their shape

    Raises
    ------
    ValueError
        Where they are masked.
    TypeError
        Where they are no real numbers.
    """
    check_not_masked(scores, name)
    if isinstance(scores, torch.Tensor):
        scores = (scores.float() if scores.dtype == torch.bfloat16 else scores).numpy(force=True)
    scores = np.asarray(scores.toarray() if sp.issparse(scores) else scores)
    if scores.dtype.kind not in "biufO":
        raise TypeError(f"{name} must be real numbers, got {scores.dtype}.")
    if scores.dtype.kind in "iu" and scores.dtype != np.uint64:
        return scores.astype(np.int64)
    is_known = scores.dtype.kind == "f" and scores.dtype.itemsize <= 8
    return scores.astype(scores.dtype.newbyteorder("=") if is_known else np.float64, copy=False)


def _rankable(scores):
    """A tensor in float32 or float64, as `item_scores` gives arrays, with memory of its own for each score."""
    if scores.is_complex():
        raise TypeError(f"scores must be real numbers, got {scores.dtype}.")
    is_single = scores.dtype in (torch.float16, torch.bfloat16, torch.float32)
    scores = scores.detach().to(torch.float32 if is_single else torch.float64)
    return scores.clone() if 0 in scores.stride() else scores


def _top_k_of_tiles(tiles, n_users, k, name="scores"):
    """What `top_k` returns, of scores that come as (slice or tensor of items, tensor), in the order of the items."""
    before: tuple = ()  # values and items that are the best so far
    for tile, scores in tiles:
        if not scores.numel():
            before = before or (scores[:, :0], scores[:, :0].long())
            continue
        values, ranked = _top_k(scores, min(k, scores.shape[1]), name)
        ranked = ranked + tile.start if isinstance(tile, slice) else tile[ranked]
        if before:  # of equal scores those before have the lower items
            values, ranked = (torch.cat(pair, 1) for pair in zip(before, (values, ranked), strict=True))
            values, order = _top_k(values, min(k, values.shape[1]), name)
            ranked = ranked.gather(1, order)
        before = values, ranked
    values, ranked = (part.numpy(force=True) for part in before)
    values = values.astype(np.float64 if values.dtype.kind == "i" else values.dtype, copy=False)
    items, best = np.full((n_users, k), -1, np.int64), np.full((n_users, k), -np.inf, values.dtype)
    items[:, : ranked.shape[1]], best[:, : ranked.shape[1]] = ranked, values
    items[best == -np.inf] = -1
    return items, best


def _top_k(scores, k, name):
    """torch.topk with ties in index order; one place more than k shows a tie at the k-th."""
    values, items = _top_k_of_groups(scores, min(k + 1, scores.shape[1]))
    if values[:, 0].isnan().any():
        raise ValueError(f"{name} must not contain NaN.")
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)
    tied = torch.nonzero(equal.any(1)).flatten()
    values, items = values[:, :k], items[:, :k]
    if len(tied):
        values, items = values.contiguous(), items.contiguous()
        values[tied], items[tied] = _top_k_among_ties(scores[tied], values[tied, -1:], k)
    return values, items


def _top_k_of_groups(scores, k):
    """torch.topk; on a CPU among the items of the k groups with the highest maxima, which hold the k best.

    An item outside has k group maxima above it, or equal to it: then the k-th value is tied.
    """
    n_items = scores.shape[1]
    if scores.device.type != "cpu" or scores.dtype not in (torch.float32, torch.float64):
        return scores.topk(k)
    width = math.isqrt(n_items // k)  # makes the groups, and the items in k of them, about equally many
    if width < 4:
        return _k_largest(scores, k)
    n_groups = n_items // width
    in_groups = scores[:, : n_groups * width].unflatten(1, (width, n_groups))  # item i is in group i % n_groups
    groups = _places_of_largest(in_groups.amax(1), k)
    of_groups = in_groups.gather(2, groups[:, None].expand(-1, width, -1)).flatten(1)
    values, places = _k_largest(torch.cat([of_groups, scores[:, n_groups * width :]], 1), k)
    items = places // k * n_groups + groups.gather(1, places % k)
    return values, torch.where(places < width * k, items, places + (n_groups - k) * width)


def _k_largest(values, k):
    """torch.topk, sorted by NumPy."""
    places = _places_of_largest(values, k)
    largest = values.gather(1, places)
    order = torch.from_numpy(np.argsort(largest.numpy(force=True), axis=1)[:, ::-1].copy())  # NaN is first, as in torch
    return largest.gather(1, order), places.gather(1, order)


def _places_of_largest(values, k):
    """Columns of the k largest values of each row, in any order.

    By NumPy's partition, which takes a fraction of torch.topk's time on one thread and uses no other: the k-th largest
    value is a threshold that k values of the row reach, but where others are equal to it or some are NaN.
    """
    if torch.get_num_threads() > MOST_THREADS_OF_NUMPY:
        return values.topk(k, sorted=False).indices
    array = values.numpy(force=True)
    n_rows, n_columns = array.shape
    others, largest = np.split(np.partition(array, n_columns - k, axis=1), [n_columns - k], axis=1)
    threshold = largest[:, 0]
    is_clear = (others.max(axis=1, initial=-np.inf) < threshold) & ~np.isnan(largest).any(axis=1)
    reach = array >= threshold[:, None]
    reach[~is_clear] = False
    places = np.empty((n_rows, k), np.int64)
    places[is_clear] = (np.flatnonzero(reach) % n_columns).reshape(-1, k)
    places[~is_clear] = np.argpartition(array[~is_clear], n_columns - k, axis=1)[:, -k:]
    return torch.from_numpy(places)


def _top_k_among_ties(scores, threshold, k):
    """All items above the k-th value, and of the ties the lowest indices; then a stable sort."""
    above, equal = scores > threshold, scores == threshold
    chosen = above | (equal & (equal.cumsum(1) <= k - above.sum(1, keepdim=True)))
    items = chosen.nonzero()[:, 1].reshape(len(scores), k)
    values, order = scores.gather(1, items).sort(dim=1, descending=True, stable=True)
    return values, items.gather(1, order)


def recommend(model, X, k=10, *, exclude_seen=True, candidates=None, exclude=None):
    """The k best items of each user by a fitted model's ``decision_function``.

    Works for every fitted model whose ``decision_function`` scores all items: a recommender of
    skvae, a Pipeline or a search around one. Users are scored a block at a time, so that memory
    does not grow with their number.

    Parameters
    ----------
    model : fitted estimator
        With ``decision_function(X)`` of shape (n_users, n_items).
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        The users' interactions; users that fit never saw are rows like any other.
    k : int, default=10
        Items per user.
    exclude_seen : bool, default=True
        Leave out the items that X itself holds.
    candidates : array of int, default=None
        The only item indices that may be recommended, for all users.
    exclude : array of int, or matrix of shape (n_users, n_items), default=None
        Item indices that may not be recommended to anyone, or, sparse or as a DataFrame, for each
        user the items that hold a non-zero entry.

    Returns
    -------
    items : int64 array of shape (n_users, k)
        Best first; -1 where fewer than k items are left.
    scores : float32 array of shape (n_users, k)
        To be compared within a user alone; -inf where items is -1. float64 of a model that gives other numbers than
        float32 or float16.

    Raises
    ------
    TypeError
        Where the model has no ``decision_function``.
    ValueError
        Where X is no matrix of finite, non-negative numbers, k, candidates or exclude are out of
        range, or the model's scores have another number of columns than X.

    Examples
    --------
    >>> from skvae import PopularityRecommender, recommend
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=20, random_state=0)
    >>> items, scores = recommend(PopularityRecommender().fit(X), X[:3], k=5)
    >>> items.shape
    (3, 5)
    """
    k, exclude_seen = integer(1)("k", k), flag("exclude_seen", exclude_seen)
    _check_scores_items(model)
    X = row_sliceable(X)
    n_users, n_items = X.shape
    excluded = _excluded_cells(model, exclude, X)
    remedy = ": for the items of each user pass a sparse matrix or a DataFrame of the shape of X"
    blocked = blocked_items(candidates, None if excluded is not None else exclude, n_items, remedy)
    items = np.empty((n_users, k), np.int64)
    scores = np.empty((0, k), np.float32)
    scorer = _block_scorer(model)
    step, width = _tile_shape(scorer, n_items)
    for first in range(0, n_users, step):
        block = slice(first, min(first + step, n_users))
        rows = take_rows(X, block)
        seen = as_csr(rows)
        cells = ([seen] if exclude_seen else []) + ([] if excluded is None else [excluded[block]])
        tiles = _masked(_tiles(scorer, rows, n_items, width, type(model).__name__), cells, blocked)
        items[block], best = _top_k_of_tiles(tiles, block.stop - first, k, f"scores of {type(model).__name__}")
        if not first:
            scores = np.empty((n_users, k), best.dtype)
        scores[block] = best
    return items, scores


def _check_scores_items(model):
    if isinstance(model, type):
        raise TypeError(f"The model is the class {model.__name__}: pass a fitted one, as {model.__name__}().fit(X).")
    if isinstance(model, (dict, list, tuple)):
        raise TypeError(f"The model is a {type(model).__name__}: pass one fitted model; skvae.compare takes a dict.")
    try:
        _ = model.decision_function
    except AttributeError as error:
        if getattr(model, "refit", True) is False:
            raise TypeError(
                f"{type(model).__name__} has no model, for refit=False: pass one that was fitted with its best_params_."
            ) from error
        raise TypeError(
            f"{type(model).__name__} has no decision_function(X), which gives a score of every item: see Models of "
            "other libraries in the documentation (docs/other_models.md)."
        ) from error
    check_steps_keep_order(model)


def _tile_shape(scorer, n_items):
    """Users and items whose scores are held at once."""
    n_users = users_per_block(n_items, scorer.device)
    if n_users >= FEWEST_USERS_PER_BLOCK or not hasattr(scorer, "scores_of_items"):
        return n_users, n_items
    return USERS_PER_TILE, max(1, _scores_per_block(scorer.device) // USERS_PER_TILE)


def _tiles(scorer, rows, n_items, width, name):
    """Yield (slice of items, scores) of a block of users."""
    if width >= n_items:
        yield slice(0, n_items), _checked(scorer.scores(rows), rows.shape, f"{name}.block_scorer().scores(X)")
        return
    scores_of = scorer.scores_of_items(rows)
    for first in range(0, n_items, width):
        tile = slice(first, min(first + width, n_items))
        shape = rows.shape[0], tile.stop - first
        yield tile, _checked(scores_of(tile), shape, f"{name}.block_scorer().scores_of_items(X)({tile})")


def _checked(scores, shape, source):
    _check_shape(scores, shape, source)
    return _rankable(scores)


def _check_shape(scores, shape, source):
    if tuple(scores.shape) == tuple(shape):
        return
    given = f"scores of shape {tuple(scores.shape)} for X of shape {tuple(shape)}"
    about = f"{source} gave {given}: recommend needs one score for each"
    if len(scores.shape) == 2 and scores.shape[1] == shape[1]:
        raise ValueError(f"{about} row of X. Does the model score the users of its fit, whoever is asked for?")
    raise ValueError(
        f"{about} column of X. Does a step before the recommender drop columns, or an InteractionEncoder make users of "
        "events? It stands before the Pipeline: pass the matrix that it gives."
    )


class DecisionFunctionScorer:
    """The block scorer of a model that has only a decision_function.

    Parameters
    ----------
    model : fitted estimator
    """

    device = torch.device("cpu")

    def __init__(self, model):
        self.model = model

    def scores(self, X):
        """Scores of a block of users.

        Parameters
        ----------
        X : CSR matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        tensor of shape (n_users, n_items)
        """
        return torch.from_numpy(item_scores(self.model, X))


def _block_scorer(model):
    own = getattr(model, "block_scorer", None)
    return DecisionFunctionScorer(model) if own is None else own()


def item_scores(model, X):
    """A model's score of every item, checked to be one for each column of X.

    Parameters
    ----------
    model : fitted estimator with a ``decision_function``
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    float32 or float64 array of shape (n_users, n_items)
        A copy: the scores may be the model's own. float64 of all but float32 and float16.

    Raises
    ------
    ValueError
        Where the scores have another shape, or some are masked.
    TypeError
        Where they are no real numbers.
    """
    scores = real_numbers(model.decision_function(X))
    scores = np.array(scores, np.float32 if scores.dtype in (np.float16, np.float32) else np.float64, order="C")
    _check_shape(scores, (_num_samples(X), X.shape[1]), f"{type(model).__name__}.decision_function")
    return scores


def _excluded_cells(model, exclude, X):
    """What each user may not get, csr_array; None where exclude is none or item indices."""
    if not sp.issparse(exclude) and column_names(exclude) is None:
        return None
    check_same_cells(exclude, X, "exclude")
    check_columns_of_model(model, exclude, "exclude")
    return as_csr(exclude, "exclude", negative=True)


def _masked(tiles, cells, blocked):
    """Yield the tiles with -inf, in place, at the entries of canonical csr_arrays and at items that nobody may get.

    Of a tile with few others these alone come, as a copy with a tensor of them.
    """
    for tile, scores in tiles:
        for part in cells:
            inside = (part.indices >= tile.start) & (part.indices < tile.stop)
            users = users_of_entries(part)[inside]
            places = (users, part.indices[inside].astype(np.int64) - tile.start)
            scores[tuple(torch.from_numpy(place).to(scores.device) for place in places)] = -torch.inf
        first, last = np.searchsorted(blocked, (tile.start, tile.stop))
        columns = blocked[first:last] - tile.start
        if 2 * len(columns) <= scores.shape[1]:
            scores[:, columns] = -torch.inf
            yield tile, scores
        else:
            left = torch.from_numpy(np.delete(np.arange(scores.shape[1]), columns)).to(scores.device)
            yield left + tile.start, scores[:, left]
