"""Maximal marginal relevance against a plain loop, and its laws."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics.pairwise import cosine_similarity

from skvae import PopularityRecommender, rerank
from skvae.metrics import diversity_at_k

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(50, 6)) * (RNG.random((50, 6)) < 0.6)
VECTORS[7] = 0
ITEMS = np.array([RNG.permutation(50)[:12] for _ in range(8)])
SCORES = -np.sort(-RNG.normal(size=ITEMS.shape).astype(np.float32), axis=1)
ITEMS[1, 9:], SCORES[1, 9:] = -1, -np.inf  # a user with few items, and one with none
ITEMS[2], SCORES[2] = -1, -np.inf


def by_hand(items, scores, vectors, k, weight):
    """Items of one user in the order of maximal marginal relevance."""
    left, chosen = list(items), []
    while left and len(chosen) < k:

        def value(item):
            relevance = (scores[list(items).index(item)] - min(scores)) / (max(scores) - min(scores))
            similarities = [cosine_similarity(vectors[[item]], vectors[[other]])[0, 0] for other in chosen]
            return weight * relevance - (1 - weight) * max(similarities, default=0)

        best = max(left, key=value)
        left.remove(best)
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix], ids=["array", "csr", "csc"])
def test_each_item_is_the_one_of_maximal_marginal_relevance(weight, container):
    items, scores = rerank(ITEMS, SCORES.astype(np.float64), container(VECTORS), k=7, relevance_weight=weight)
    for user in range(len(ITEMS)):
        listed = ITEMS[user] >= 0
        given = dict(zip(ITEMS[user, listed].tolist(), SCORES[user, listed].astype(np.float64), strict=True))
        expected = by_hand(list(given), list(given.values()), VECTORS, 7, weight)
        assert items[user][items[user] >= 0].tolist() == expected
        assert scores[user][items[user] >= 0].tolist() == [given[item] for item in expected]


def test_a_weight_of_one_leaves_the_order_and_places_without_an_item_stay():
    items, scores = rerank(ITEMS, SCORES, VECTORS, relevance_weight=1)
    assert np.array_equal(items, ITEMS)
    np.testing.assert_array_equal(scores, SCORES, strict=True)
    items, scores = rerank(ITEMS, SCORES, VECTORS, relevance_weight=0.3)
    assert np.array_equal(items == -1, ITEMS == -1)
    assert np.array_equal(np.isneginf(scores), ITEMS == -1)
    assert np.array_equal(np.sort(items), np.sort(ITEMS))


def test_less_weight_of_relevance_is_more_diverse_and_begins_with_the_best():
    several = [rerank(ITEMS, SCORES, VECTORS, k=5, relevance_weight=weight)[0] for weight in (1, 0.5, 0)]
    diversity = [diversity_at_k(items, VECTORS) for items in several]
    assert diversity[0] < diversity[1] < diversity[2]
    assert all(np.array_equal(items[:, 0], ITEMS[:, 0]) for items in several)


def test_equal_scores_and_equal_items_keep_their_order():
    items, scores = rerank([[3, 1, 2]], [[1, 1, 1]], np.ones((4, 2)), relevance_weight=0.5)
    assert items.tolist() == [[3, 1, 2]]
    assert scores.tolist() == [[1.0, 1.0, 1.0]]


def test_what_recommend_returns_is_taken_as_it_is(X):
    items, scores = PopularityRecommender().fit(X).recommend(X[:20], k=30)
    reranked, _ = rerank(items, scores, X.T, k=10)
    assert reranked.shape == (20, 10)
    assert all(set(new) <= set(old) for new, old in zip(reranked, items, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": [[0, 50]]}, "items must lie between -1 .none. and 49, the last item"),
        ({"items": [[3, 3]]}, "lists an item twice"),
        ({"scores": [[1.0]]}, r"scores must have the shape of items, \(1, 2\), got \(1, 1\)"),
        ({"scores": [[1.0, np.nan]]}, "scores must be finite for every item"),
        ({"k": 3}, "k == 3, must be <= 2"),
        ({"relevance_weight": 1.5}, "relevance_weight == 1.5, must be <= 1"),
    ],
)
def test_what_cannot_be_reranked_is_said(changes, message):
    arguments = {"items": [[0, 1]], "scores": [[2.0, 1.0]], "item_vectors": VECTORS} | changes
    with pytest.raises(ValueError, match=message):
        rerank(**arguments)


@pytest.mark.parametrize(
    ("vectors", "what"), [([["a"]] * 3, "must hold numbers"), (np.full((3, 2), np.nan), "contains NaN")]
)
def test_what_does_not_describe_items_is_said_of_items(vectors, what):
    with pytest.raises(ValueError, match=rf"^item_vectors {what}: .*a row for each item .*get_dummies\(.*"):
        rerank([[0, 1, 2]], [[3.0, 2.0, 1.0]], vectors)


def test_a_weight_that_is_no_number_and_masked_scores_are_refused():
    with pytest.raises(ValueError, match="relevance_weight must be finite"):
        rerank([[0, 1]], [[2.0, 1.0]], np.eye(2), relevance_weight=float("nan"))
    with pytest.raises(ValueError, match="scores must not be masked in part"):
        rerank([[0, 1]], np.ma.masked_array([[2.0, 1.0]], [[1, 0]]), np.eye(2))
    with pytest.raises(ValueError, match="items must not be masked in part"):
        rerank(np.ma.masked_array([[0, 1]], [[1, 0]]), [[2.0, 1.0]], np.eye(2))


def test_scores_that_span_all_of_float64_keep_their_order():
    scores = np.array([[1e308, 0, -1e308]])
    items, reranked = rerank([[0, 1, 2]], scores, np.eye(3), relevance_weight=0.5)
    assert items.tolist() == [[0, 1, 2]]
    assert np.array_equal(reranked, scores)


def test_one_user_gets_what_a_user_among_all_gets():
    rng = np.random.default_rng(0)
    vectors = sp.csr_array(rng.integers(0, 3, (40, 6)) * 1.0)  # some of them alike, and some without anything
    items = np.array([rng.permutation(40)[:8] for _ in range(30)])
    scores = np.sort(rng.random((30, 8)))[:, ::-1]
    each = [rerank(items[[user]], scores[[user]], vectors, 4, relevance_weight=0.3)[0][0] for user in range(30)]
    np.testing.assert_array_equal(rerank(items, scores, vectors, 4, relevance_weight=0.3)[0], each)
