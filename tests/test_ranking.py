"""top_k against NumPy's lexsort, recommend against plain loops over the items left."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from conftest import CONTAINERS_OF_ONES, SPARSE, dense, left_alone, read_only
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler

from skvae import BlendRecommender, PopularityRecommender, UserKFold, evaluate, ndcg_scorer, ranking, recommend, top_k
from skvae.datasets import make_interactions

LAYOUTS = {
    "C": lambda scores: scores,
    "Fortran": np.asfortranarray,
    "strided": lambda scores: np.repeat(np.repeat(scores, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda scores: scores[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
}


def lexsorted_top_k(scores, k):
    """The best k by (-score, index), independent of skvae."""
    n_users, n_items = scores.shape
    items, best = np.full((n_users, k), -1), np.full((n_users, k), -np.inf)
    for user, row in enumerate(scores.astype(np.float64)):
        order = np.lexsort((np.arange(n_items), -row))[:k]
        order = order[row[order] > -np.inf]
        items[user, : len(order)], best[user, : len(order)] = order, row[order]
    return items, best


few_values = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 1.0, 3.0])
with_infinities = st.sampled_from([-np.inf, -1.0, 0.0, 2.0, np.inf])
shapes = st.tuples(st.integers(0, 4), st.integers(0, 9))


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=80, deadline=None)
@given(
    scores=arrays(np.float64, shapes, elements=few_values)
    | arrays(np.float32, shapes, elements=with_infinities)
    | arrays(np.float64, shapes, elements=with_infinities)
    | arrays(np.float32, shapes, elements=st.floats(-5, 5, width=32))
    | arrays(np.int64, shapes, elements=st.integers(-2, 2))
    | arrays(np.uint8, shapes, elements=st.integers(0, 3)),
    k=st.integers(1, 12),
)
def test_top_k_equals_a_sort_by_score_and_index(layout, scores, k):
    scores = LAYOUTS[layout](scores)
    with left_alone(scores):
        items, best = top_k(scores, k)
    expected_items, expected_best = lexsorted_top_k(scores, k)
    np.testing.assert_array_equal(items, expected_items)
    np.testing.assert_array_equal(best, expected_best)
    assert items.dtype == np.int64
    assert best.dtype == scores.dtype or (scores.dtype.kind != "f" and best.dtype.kind == "f")


@pytest.mark.parametrize("n_values", [4, 10**6])
@pytest.mark.parametrize("k", [1, 2, 5, 7, 50, 99, 100, 101])
def test_top_k_breaks_ties_at_the_kth_place_by_index_in_long_rows(k, n_values):
    scores = np.random.default_rng(0).integers(0, n_values, (30, 103)).astype(np.float32)
    scores[:3] = 1  # all alike
    scores[3:6, 20:] = -np.inf
    items, best = top_k(scores, k)
    expected_items, expected_best = lexsorted_top_k(scores, k)
    np.testing.assert_array_equal(items, expected_items)
    np.testing.assert_array_equal(best, expected_best)


@pytest.mark.parametrize("number", [2**24, 2**60])
def test_top_k_ranks_integers_that_float32_or_float64_cannot_tell_apart(number):
    assert top_k(np.array([[number, number + 1, number]]), 2)[0].tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "row", [[1, np.nan, 2], [np.nan] * 3, [np.inf, np.nan, 2], [-np.inf, 0, np.nan], [np.nan, 1, 1], [1, 1, np.nan]]
)
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_top_k_raises_on_nan_wherever_it_is(row, k, dtype):
    with pytest.raises(ValueError, match="scores must not contain NaN"):
        top_k(np.array([[1, 2, 3], row], dtype), k)


@pytest.mark.parametrize(
    ("k", "error", "sentence"),
    [
        (0, ValueError, "k == 0, must be >= 1"),
        (-3, ValueError, "k == -3, must be >= 1"),
        (2.0, TypeError, "k must be an instance of .*int.*, not float"),
        (None, TypeError, "k must be an instance of .*int.*, not NoneType"),
    ],
)
def test_a_bad_k_raises_with_its_value(k, error, sentence):
    with pytest.raises(error, match=sentence):
        top_k(np.ones((1, 3)), k)
    with pytest.raises(error, match=sentence):
        recommend(Linear(np.eye(3)), np.eye(3), k)


def test_true_as_k_is_one_item():
    assert recommend(Linear(np.eye(3)), np.eye(3), True)[0].shape == top_k(np.eye(3), True)[0].shape == (3, 1)


def test_top_k_raises_on_scores_of_another_dimension():
    with pytest.raises(ValueError, match=r"scores must be of shape \(n_users, n_items\), got 1 dimension"):
        top_k(np.ones(3), 1)


class GivenScores:
    """Scores that are given, for X as one block."""

    def __init__(self, scores):
        self.scores = scores

    def decision_function(self, X):
        return self.scores


class Linear:
    """Scores X @ weights + bias: the user's row alone decides them, in whatever container."""

    def __init__(self, weights, bias=0.0):
        self.weights, self.bias, self.blocks = weights, bias, []

    def decision_function(self, X):
        self.blocks.append(X.shape[0])
        return dense(X).astype(float) @ self.weights + self.bias


def looped_recommend(scores, seen, k, allowed):
    """Best items of each user with plain loops; allowed(user, item) says who may get what."""
    ranked = []
    for user, row in enumerate(scores):
        left = [i for i in range(len(row)) if not seen[user][i] and allowed(user, i)]
        left = sorted(left, key=lambda i, row=row: (-row[i], i))[:k]
        ranked.append(left + [-1] * (k - len(left)))
    return np.array(ranked).reshape(len(scores), k)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), n_users=st.integers(1, 5), n_items=st.integers(1, 8), k=st.integers(1, 10))
def test_recommend_equals_plain_loops_over_the_items_left(data, n_users, n_items, k):
    shape = (n_users, n_items)
    X = data.draw(arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, 0.5])))
    scores = data.draw(arrays(np.float64, shape, elements=st.integers(-3, 1)))
    some_items = st.none() | st.lists(st.integers(0, n_items - 1), max_size=n_items)
    candidates, excluded = data.draw(some_items), data.draw(some_items)
    excluded_of = data.draw(st.none() | arrays(np.int8, shape, elements=st.integers(0, 1)))
    exclude_seen = data.draw(st.booleans())

    def allowed(user, item):
        wanted = candidates is None or item in candidates
        if excluded_of is not None:
            return wanted and not excluded_of[user, item]
        return wanted and (excluded is None or item not in excluded)

    items, best = recommend(
        GivenScores(scores.astype(np.float32)),
        X,
        k,
        exclude_seen=exclude_seen,
        candidates=candidates,
        exclude=sp.csr_array(excluded_of) if excluded_of is not None else excluded,
    )
    expected = looped_recommend(scores, (X != 0) & exclude_seen, k, allowed)
    np.testing.assert_array_equal(items, expected)
    expected_best = np.where(expected < 0, -np.inf, np.take_along_axis(scores, np.maximum(expected, 0), axis=1))
    np.testing.assert_array_equal(best, expected_best)
    assert items.dtype == np.int64
    assert best.dtype == np.float32


@pytest.mark.parametrize("nothing", [[], np.array([], int), np.array([])])
def test_no_candidate_leaves_nothing_and_an_empty_exclude_leaves_all(nothing):
    model = GivenScores(np.arange(3.0)[None])
    assert recommend(model, np.zeros((1, 3)), 2, candidates=nothing)[0].tolist() == [[-1, -1]]
    assert recommend(model, np.zeros((1, 3)), 2, exclude=nothing)[0].tolist() == [[2, 1]]


X = make_interactions(30, 12, density=0.4, random_state=1).toarray()
WEIGHTS = np.random.default_rng(2).integers(-3, 4, (12, 12)).astype(float)


@pytest.mark.parametrize("scores_per_block", [1, 12, 25, 12 * 29, 12 * 30])
def test_blocks_give_what_one_block_gives(monkeypatch, scores_per_block):
    arguments = {"candidates": np.arange(1, 12), "exclude": sp.csc_array(X[::-1])}
    expected = recommend(Linear(WEIGHTS), X, 5, **arguments)
    monkeypatch.setattr("skvae.ranking.SCORES_PER_BLOCK", scores_per_block)
    model = Linear(WEIGHTS)
    items, scores = recommend(model, sp.csr_array(X), 5, **arguments)
    np.testing.assert_array_equal(items, expected[0])
    np.testing.assert_array_equal(scores, expected[1])
    assert sum(model.blocks) == 30
    assert max(model.blocks) == max(1, scores_per_block // 12)


class Tiled(Linear):
    """The same scores, of which a slice of the items can be had."""

    device = torch.device("cpu")

    def block_scorer(self):
        return self

    def scores(self, X):
        return torch.from_numpy(self.decision_function(X).astype(np.float32))

    def scores_of_items(self, X):
        scores, self.widths = self.scores(X), []
        return lambda items: self.widths.append(items.stop - items.start) or scores[:, items].clone()


@pytest.mark.parametrize(("n_users", "width"), [(1, 1), (7, 5), (30, 11), (100, 12)])
@pytest.mark.parametrize("k", [1, 5, 12, 20])
@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ({}, lambda user, item: True),
        ({"exclude_seen": False, "exclude": [0, 7, 8]}, lambda user, item: item not in (0, 7, 8)),
        ({"candidates": [2, 4, 11], "exclude": sp.csr_array(X[::-1])},
         lambda user, item: item in (2, 4, 11) and not X[::-1][user, item]),
    ],
    ids=["seen", "exclude", "candidates"],
)  # fmt: skip
def test_tiles_of_items_give_what_all_items_at_once_give(monkeypatch, n_users, width, k, arguments, allowed):
    monkeypatch.setattr("skvae.ranking.USERS_PER_TILE", n_users)
    monkeypatch.setattr("skvae.ranking.SCORES_PER_BLOCK", n_users * width)
    monkeypatch.setattr("skvae.ranking.FEWEST_USERS_PER_BLOCK", 10**9)
    model = Tiled(WEIGHTS)
    items, scores = recommend(model, sp.csr_array(X), k, **arguments)
    seen = (X != 0) & arguments.get("exclude_seen", True)
    expected = looped_recommend(X @ WEIGHTS, seen, k, allowed)  # of small integers, of which many are equal
    np.testing.assert_array_equal(items, expected)
    best = np.take_along_axis(X @ WEIGHTS, np.maximum(expected, 0), axis=1)
    np.testing.assert_array_equal(scores, np.where(expected < 0, -np.inf, best))
    if width < 12:
        assert max(model.widths) == width
        assert sum(model.widths) == 12
    assert max(model.blocks) <= n_users


def test_a_score_that_is_nan_in_a_later_tile_raises(monkeypatch):
    monkeypatch.setattr("skvae.ranking.USERS_PER_TILE", 4)
    monkeypatch.setattr("skvae.ranking.SCORES_PER_BLOCK", 4 * 5)
    with pytest.raises(ValueError, match="scores of Tiled must not contain NaN"):
        recommend(Tiled(WEIGHTS, bias=np.where(np.arange(12) == 11, np.nan, 0)), X, 3)


@pytest.mark.parametrize("container", CONTAINERS_OF_ONES)
@pytest.mark.parametrize("scores_per_block", [2**24, 80])
def test_every_container_gives_the_same_and_is_left_alone(monkeypatch, container, scores_per_block):
    expected = looped_recommend(X @ WEIGHTS, X != 0, 5, lambda user, item: item != 4)
    monkeypatch.setattr("skvae.ranking.SCORES_PER_BLOCK", scores_per_block)
    given_X = CONTAINERS_OF_ONES[container](X)
    with left_alone(given_X):
        items, _ = recommend(Linear(WEIGHTS), given_X, 5, exclude=[4])
    np.testing.assert_array_equal(items, expected)


@pytest.mark.parametrize("container", SPARSE)
def test_every_sparse_exclude_gives_the_same_and_is_left_alone(container):
    exclude = SPARSE[container](X)
    with left_alone(exclude):
        items, _ = recommend(Linear(WEIGHTS, bias=-100), X[::-1], 5, exclude=exclude)
    expected = looped_recommend(X[::-1] @ WEIGHTS, X[::-1] != 0, 5, lambda user, item: not X[user, item])
    np.testing.assert_array_equal(items, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_models_scores_is_ranked_and_left_alone(layout, dtype):
    scores = LAYOUTS[layout]((X @ WEIGHTS).astype(dtype))
    with left_alone(scores):
        items, _ = recommend(GivenScores(scores), X, 5)
    np.testing.assert_array_equal(items, looped_recommend(scores, X != 0, 5, lambda user, item: True))


def test_recommend_for_no_user_is_empty():
    items, scores = recommend(Linear(WEIGHTS), sp.csr_array((0, 12)), 4)
    assert items.shape == scores.shape == (0, 4)


@pytest.mark.parametrize("name", ["candidates", "exclude"])
@pytest.mark.parametrize(
    ("indices", "sentence"),
    [
        ([0, 12], r"holds item 12; X has items 0 to 11: for ids pass encoder.item_indices\(ids\)"),
        ([0, -1], "holds item -1; X has items 0 to 11"),
        ([[0, 1]], r"must be a one-dimensional array of item indices, got dtype int64 with shape \(1, 2\)"),
        ([0.0, 1.0], "must be a one-dimensional array of item indices, got dtype float64"),
        (np.ones(12, bool), r"for a boolean mask pass np.flatnonzero\(mask\)"),
    ],
)
def test_bad_item_indices_raise_with_their_parameter(name, indices, sentence):
    with pytest.raises(ValueError, match=f"{name}.*{sentence}"):
        recommend(Linear(WEIGHTS), X, 3, **{name: np.array(indices)})


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 5), st.sampled_from([np.float32, np.float64]))
def test_the_k_largest_of_rows_with_ties_infinities_and_nan_are_those_of_torch(seed, n_columns, n_rows, dtype):
    values = np.array([0, 1, 2, 3, np.nan, np.inf, -np.inf], dtype)
    scores = torch.from_numpy(np.random.default_rng(seed).choice(values, (n_rows, n_columns)))
    for k in range(1, n_columns + 1):
        largest, places = ranking._k_largest(scores, k)
        np.testing.assert_array_equal(largest, scores.topk(k).values)
        np.testing.assert_array_equal(scores.gather(1, places), largest)
        assert all(len(set(row)) == k for row in places.tolist())


def test_a_boolean_mask_alone_is_told_of_flatnonzero_and_a_number_alone_of_a_list():
    for indices in (3, [[0, 1]], [0.0, 1.0]):
        with pytest.raises(ValueError, match="must be a one-dimensional array") as error:
            recommend(Linear(WEIGHTS), X, 3, candidates=indices)
        assert "mask" not in str(error.value)
        assert str(error.value).endswith("such as [3].") == (indices == 3)


@pytest.mark.parametrize("name", ["candidates", "exclude"])
def test_a_mask_of_integers_is_told_of_flatnonzero(name):
    mask = np.arange(12) % 2
    for indices in (mask, mask.tolist(), pd.Series(mask), np.zeros(12, int)):
        with pytest.raises(ValueError, match=rf"{name} holds 0 or 1 for each of the 12 items, .*np.flatnonzero"):
            recommend(Linear(WEIGHTS), X, 3, **{name: indices})
    recommend(Linear(WEIGHTS), X, 3, **{name: [0, 1, 1]})


def test_a_model_without_scores_is_told_of_what_it_needs():
    search = GridSearchCV(PopularityRecommender(), {"store_user_hashes": [True]}, scoring=ndcg_scorer, refit=False)
    without_scores = r"decision_function\(X\)"
    for model, sentence in (
        (object(), rf"object has no {without_scores}"),
        ({"a": 1}, "The model is a dict: pass one fitted model; skvae.compare takes a dict"),
        (search, "GridSearchCV has no model, for refit=False: "),
    ):
        for call in (recommend, evaluate, ndcg_scorer):
            with pytest.raises(TypeError, match=f"^{sentence}"):
                call(model, sp.csr_array(X))
    with pytest.raises(TypeError, match=r"the class PopularityRecommender: pass a fitted one"):
        recommend(PopularityRecommender, X)


NAMES = [f"i{column}" for column in range(12)]
TABLE = pd.DataFrame(X, columns=NAMES)
ASIDE = ColumnTransformer([("ones", Binarizer(), ["i5"])], remainder="passthrough")  # puts i5 first
LAST_FIRST = ColumnTransformer([("all", "passthrough", list(range(11, -1, -1)))])
REORDERING = {
    "arrays": (ASIDE, TABLE),
    "DataFrames": (clone(ASIDE).set_output(transform="pandas"), TABLE),
    "plain names": (clone(ASIDE).set_params(verbose_feature_names_out=False), TABLE),
    "after nothing": (make_pipeline("passthrough", clone(ASIDE).set_output(transform="pandas")), TABLE),
    "columns without names": (LAST_FIRST, X),
    "one for another": (ColumnTransformer([("a", "passthrough", NAMES[1:]), ("b", Binarizer(), ["i1"])]), TABLE),
    "the second of two": (make_pipeline(MaxAbsScaler(), LAST_FIRST), X),
    "DataFrames of a function": (FunctionTransformer(lambda table: table[table.columns[::-1]]), TABLE),
    "before a function": (
        make_pipeline(clone(ASIDE).set_output(transform="pandas"), FunctionTransformer(np.log1p)),
        TABLE,
    ),
}


@pytest.mark.parametrize("kind", REORDERING)
def test_steps_that_put_columns_in_another_order_are_refused(kind):
    step, table = REORDERING[kind]
    model = make_pipeline(clone(step), PopularityRecommender()).fit(table)
    for call in (recommend, partial(evaluate, metrics="ndcg@5"), ndcg_scorer):
        with pytest.raises(ValueError, match=r"columns in (another order|other places, and some twice): column"):
            call(model, table)


def test_a_member_of_a_blend_that_puts_columns_in_another_order_is_refused():
    members = [("mixed", make_pipeline(LAST_FIRST, PopularityRecommender())), ("popular", PopularityRecommender())]
    with pytest.raises(ValueError, match="columns in another order: column 0 is 'x0' before them and 'x11' after them"):
        recommend(BlendRecommender(members, weights=[1, 1]).fit(X), X)


def _renamed(prefix):
    return FunctionTransformer(lambda table: table.set_axis([prefix + name for name in table.columns], axis=1))


LEAVING = {
    "arrays": ColumnTransformer([("all", "passthrough", NAMES)]),
    "DataFrames": ColumnTransformer([("all", "passthrough", NAMES)]).set_output(transform="pandas"),
    "each column of its own": make_pipeline(MaxAbsScaler(), Binarizer()),
    "names that nobody knows": FunctionTransformer(lambda table: table),
    "no names": FunctionTransformer(sp.csr_array),
    "no names after some": make_pipeline(MaxAbsScaler(), FunctionTransformer()),
    "names of before": FunctionTransformer(lambda table: table * 2, feature_names_out="one-to-one"),
    "other names": _renamed("no_"),
}


@pytest.mark.parametrize("kind", LEAVING)
@pytest.mark.parametrize("prefix", ["", "all__", "i1__"])
def test_steps_that_leave_the_order_are_not(kind, prefix):
    step, table = LEAVING[kind], TABLE.set_axis([prefix + name for name in NAMES], axis=1)
    if isinstance(step, ColumnTransformer):
        step = clone(step).set_params(transformers=[("all", "passthrough", table.columns.tolist())])
    model = make_pipeline(step, PopularityRecommender()).fit(table)
    assert recommend(model, table, 3)[0].tolist() == recommend(model[-1], model[:-1].transform(table), 3)[0].tolist()


def test_an_exclude_of_another_shape_raises():
    with pytest.raises(ValueError, match=r"exclude has shape \(30, 11\), X has \(30, 12\)"):
        recommend(Linear(WEIGHTS), X, 3, exclude=sp.csr_array((30, 11)))


def test_scores_that_are_nan_raise():
    with pytest.raises(ValueError, match="scores of Linear must not contain NaN"):
        recommend(Linear(WEIGHTS, bias=np.nan), X, 3)


@pytest.mark.parametrize(
    ("shape", "of_each"), [((30, 11), "column"), ((29, 12), "row"), ((1, 12), "row"), ((30,), "column")]
)
def test_scores_of_another_shape_raise(shape, of_each):
    with pytest.raises(
        ValueError, match=rf"GivenScores.decision_function gave scores of shape .* one score for each {of_each}"
    ):
        recommend(GivenScores(np.zeros(shape)), X, 3)


class GivenTensor:
    """What a block scorer gives, whatever X is; a tile is the columns of that."""

    device = torch.device("cpu")
    decision_function = None

    def __init__(self, tensor):
        self.tensor = tensor

    def block_scorer(self):
        return self

    def scores(self, X):
        return self.tensor

    def scores_of_items(self, X):
        return lambda items: self.tensor[:, items]


@pytest.mark.parametrize(("shape", "of_each"), [((30, 14), "column"), ((30, 7), "column"), ((1, 12), "row")])
@pytest.mark.parametrize("in_tiles", [False, True])
def test_a_block_scorer_s_scores_of_another_shape_raise(shape, of_each, in_tiles, monkeypatch):
    if in_tiles:
        monkeypatch.setattr("skvae.ranking.SCORES_PER_BLOCK", 30 * 12)
        monkeypatch.setattr("skvae.ranking.USERS_PER_TILE", 30)
        monkeypatch.setattr("skvae.ranking.FEWEST_USERS_PER_BLOCK", 31)
        shape = shape if shape[1] < 12 or of_each == "row" else (29, 12)
        of_each = "row" if shape[1] == 12 else of_each
    with pytest.raises(ValueError, match=rf"GivenTensor.block_scorer.* gave scores of shape .* for each {of_each}"):
        recommend(GivenTensor(torch.zeros(shape)), X, 3)


@pytest.mark.parametrize("of_tensor", [torch.Tensor.expand, lambda row, shape: row.repeat(shape[0], 1)])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool]
)
def test_scores_of_a_block_scorer_have_any_type_and_may_share_memory(of_tensor, dtype):
    row = torch.arange(12).to(dtype)
    expected = recommend(GivenScores(np.tile(row.float().numpy(), (30, 1))), X, 12)
    items, scores = recommend(GivenTensor(of_tensor(row, X.shape)), X, 12)
    np.testing.assert_array_equal(items, expected[0])
    np.testing.assert_array_equal(scores, expected[1])
    short = dtype in (torch.float32, torch.float16, torch.bfloat16)
    assert scores.dtype == (np.float32 if short else np.float64)
    assert torch.equal(row, torch.arange(12).to(dtype))
    by_function = GivenScores(row.repeat(30, 1))
    np.testing.assert_array_equal(recommend(by_function, X, 12)[0], expected[0])


def test_recommend_works_through_a_pipeline_and_a_search():
    ratings = X * np.random.default_rng(3).integers(1, 6, X.shape)
    pipeline = Pipeline([("likes", Binarizer(threshold=3)), ("recommender", PopularityRecommender())])
    search = GridSearchCV(pipeline, {"likes__threshold": [0, 3]}, scoring=ndcg_scorer, cv=UserKFold(3)).fit(ratings)
    threshold = search.best_params_["likes__threshold"]
    counts = np.tile((ratings > threshold).sum(axis=0), (30, 1))
    expected = looped_recommend(counts, ratings > 0, 5, lambda user, item: True)
    np.testing.assert_array_equal(recommend(search, ratings, 5)[0], expected)
    np.testing.assert_array_equal(recommend(search.best_estimator_, sp.csr_array(ratings), 5)[0], expected)


def test_a_step_that_keeps_its_columns_sees_each_users_own_row():
    model = make_pipeline(FunctionTransformer(lambda rows: rows * 2), PopularityRecommender()).fit(X)
    np.testing.assert_array_equal(recommend(model, X, 3)[0], PopularityRecommender().fit(X).recommend(X, 3)[0])


def test_sparse_scores_of_a_foreign_model_are_read():
    class Neighbours:
        def decision_function(self, X):
            return X @ (X.T @ X)

    class Dense(Neighbours):
        def decision_function(self, X):
            return super().decision_function(X).toarray()

    X = make_interactions(n_users=40, n_items=20, random_state=0)
    for one, other in zip(recommend(Neighbours(), X, k=4), recommend(Dense(), X, k=4), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("exclude", [[[1, 2], [3]], [[1, 2], [3, 4]], np.ones((2, 20))])
def test_what_each_user_may_not_get_is_a_matrix(exclude):
    X = make_interactions(n_users=40, n_items=20, random_state=0)
    with pytest.raises(ValueError, match=r"exclude must be .*: for the items of each user pass a sparse matrix"):
        recommend(PopularityRecommender().fit(X), X[:2], exclude=exclude)
    with pytest.raises(ValueError, match=r"candidates must be a one-dimensional array of item indices[^:]*\.$"):
        recommend(PopularityRecommender().fit(X), X[:2], candidates=exclude)


@pytest.mark.parametrize(
    "scores",
    [
        1_700_000_000 + np.arange(30),
        np.arange(1, 31) * 1e-60,
        np.arange(1, 31) * 1e39,
        -np.arange(30, 0, -1) * 1e39,
        np.arange(1, 31).astype(">f8"),
        np.arange(1, 31).astype("g"),
        np.arange(1, 31).astype(np.float16),
        2**40 + np.arange(30).astype(np.uint64),
    ],
    ids=lambda scores: f"{scores.dtype.str} {scores[0]:.3g}",
)
def test_scores_of_other_models_are_ranked_in_their_own_precision(scores):
    best = np.arange(29, 24, -1)
    nobody, model = sp.csr_array((2, 30)), Linear(np.zeros((30, 30)))
    model.decision_function = lambda X: np.broadcast_to(scores, X.shape)
    items, found = recommend(model, nobody, 5)
    np.testing.assert_array_equal(items, [best, best])
    np.testing.assert_array_equal(found, np.array([scores[best]] * 2, found.dtype))
    np.testing.assert_array_equal(top_k(scores[None], 5)[0], [best])
    for normalization in ("standard", "none"):
        blend = BlendRecommender([("only", model)], weights=[1], prefit=True, normalization=normalization)
        np.testing.assert_array_equal(blend.fit(make_interactions(n_items=30)).recommend(nobody, 5)[0], [best, best])
    held_out = sp.csr_array((np.ones(2), ([0, 1], [29, 29])), shape=(2, 30))
    assert evaluate(model, nobody, "mrr@5", y=held_out).mean["mrr@5"] == 1


def test_scores_are_real_numbers_and_not_masked():
    scores = np.ma.masked_array([[0.1, 0.9, 0.5]], [[0, 1, 0]])
    model = Linear(np.eye(3))
    for wrong, error, sentence in (
        (scores, ValueError, "scores must not be masked"),
        (1j * scores, ValueError, "masked"),
    ):
        model.decision_function = lambda X, wrong=wrong: wrong
        for call in (lambda wrong=wrong: top_k(wrong, 1), lambda: recommend(model, np.eye(3)[:1], 1)):
            with pytest.raises(error, match=sentence):
                call()
    for others in (np.array([[1j, 2]]), np.array([["2", "3"]]), np.array([["2024-01-01"]], "M8[s]")):
        with pytest.raises(TypeError, match="scores must be real numbers, got"):
            top_k(others, 1)
    np.testing.assert_array_equal(top_k(sp.csr_array([[1.0, 3, 2]]), 1)[0], [[1]])


def test_masked_indices_are_refused():
    with pytest.raises(ValueError, match="candidates must not be masked in part"):
        recommend(Linear(WEIGHTS), X, 2, candidates=np.ma.masked_array([1, 2, 3], [0, 1, 1]))


@pytest.mark.parametrize("wrong", ["False", None, 0.0])
def test_exclude_seen_is_a_bool(wrong):
    for call in (recommend, evaluate):
        with pytest.raises(TypeError, match="exclude_seen must be an instance of"):
            call(Linear(WEIGHTS), sp.csr_array(X), exclude_seen=wrong)


def test_scores_that_require_a_gradient_are_ranked(X):
    class Scorer:
        device = torch.device("cpu")
        weights = torch.ones(X.shape[1], requires_grad=True)

        def scores(self, X):
            return torch.from_numpy(X.toarray()) * self.weights

    class Model:
        def decision_function(self, X):
            raise AssertionError

        def block_scorer(self):
            return Scorer()

    items, _ = recommend(Model(), X[:5], 3, exclude_seen=False)
    assert np.array_equal(items, top_k(X[:5].toarray(), 3)[0])
