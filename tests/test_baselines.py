"""The popularity floor against a hand count."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.estimator_checks import estimator_checks_generator

from skvae import PopularityRecommender
from skvae.datasets import make_interactions

# a list, not parametrize_with_checks: pytest 9 warns of the generator that scikit-learn 1.6 passes on
CHECKS = list(estimator_checks_generator(PopularityRecommender()))


@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[check.func.__name__ for _, check in CHECKS])
def test_popularity_passes_scikit_learns_checks(estimator, check):
    check(estimator)


X = np.array([[1, 0, 3, 0], [0, 0, 1, 0], [2, 5, 1, 0]])
ENTRIES = (
    np.array([1.0, 0, 1, 2, 1, 0.5, 1.5, 5, 1, 0]),
    ([0, 0, 0, 0, 1, 2, 2, 2, 2, 2], [0, 1, 2, 2, 2, 0, 0, 1, 2, 3]),
)
CONTAINERS = {
    "array": X,
    "list": X.tolist(),
    "bool": X > 0,
    "DataFrame": pd.DataFrame(X.copy(), columns=list("abcd")),
    "csr_array": sp.csr_array(X),
    "csc_matrix": sp.csc_matrix(X),
    "duplicates and explicit zeros": sp.coo_array(ENTRIES, shape=(3, 4)),
    "the same in csr": sp.csr_array(
        (ENTRIES[0], np.array(ENTRIES[1][1]), np.array([0, 4, 5, 10])), shape=(3, 4), copy=True
    ),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_items_score_is_the_number_of_its_users(container):
    model = PopularityRecommender()
    assert model.fit(CONTAINERS[container]) is model
    assert model.item_counts_.tolist() == [2, 1, 3, 0]
    assert model.item_counts_.dtype == np.float32
    scores = model.decision_function(CONTAINERS[container])
    np.testing.assert_array_equal(scores, np.tile(np.float32([2, 1, 3, 0]), (3, 1)), strict=True)


def test_fit_leaves_its_matrix_alone():
    matrix = CONTAINERS["the same in csr"].copy()
    PopularityRecommender().fit(matrix)
    np.testing.assert_array_equal(matrix.data, ENTRIES[0])
    np.testing.assert_array_equal(matrix.indices, ENTRIES[1][1])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_items=st.integers(1, 8), k=st.integers(1, 10))
def test_recommendations_are_the_most_counted_unseen_items_and_ties_the_lower_index(data, n_items, k):
    elements = st.sampled_from([0.0, 1.0, 2.0])
    fitted = data.draw(arrays(np.float64, st.tuples(st.integers(1, 6), st.just(n_items)), elements=elements))
    fitted[0, -1] = 1
    unseen_users = data.draw(arrays(np.float64, st.tuples(st.integers(1, 4), st.just(n_items)), elements=elements))
    counts = [sum(row[item] != 0 for row in fitted) for item in range(n_items)]
    model = PopularityRecommender().fit(fitted)
    items, scores = model.recommend(unseen_users, k=k)
    for user, row in enumerate(unseen_users):
        left = sorted((item for item in range(n_items) if row[item] == 0), key=lambda item: (-counts[item], item))[:k]
        assert items[user].tolist() == left + [-1] * (k - len(left))
        assert scores[user].tolist() == [counts[item] for item in left] + [-np.inf] * (k - len(left))
    np.testing.assert_array_equal(model.predict(unseen_users), items[:, 0])


def test_users_that_fit_never_saw_and_users_without_items_get_recommendations():
    model = PopularityRecommender().fit(X)
    assert model.recommend([[0, 0, 0, 0], [0, 0, 9, 0]], k=2)[0].tolist() == [[2, 0], [0, 1]]


def test_the_popular_items_beat_the_unpopular_ones():
    interactions = make_interactions(200, 50, random_state=0)
    model, worst = PopularityRecommender().fit(interactions[:150]), PopularityRecommender().fit(interactions[:150])
    worst.item_counts_ = -worst.item_counts_
    assert model.score(interactions[150:]) > worst.score(interactions[150:])


@pytest.mark.parametrize("empty", [np.zeros((3, 4)), sp.csr_array((3, 4)), CONTAINERS["the same in csr"] * 0])
def test_a_matrix_without_interactions_raises(empty):
    with pytest.raises(ValueError, match=r"X of shape \(3, 4\) holds no interaction: every entry is 0"):
        PopularityRecommender().fit(empty)


def test_negative_values_raise():
    with pytest.raises(ValueError, match="Negative values"):
        PopularityRecommender().fit(-X)


def test_another_number_of_items_raises():
    with pytest.raises(ValueError, match="X has 3 features, but PopularityRecommender is expecting 4 features"):
        PopularityRecommender().fit(X).recommend(X[:, :3])
