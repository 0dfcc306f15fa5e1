import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skvae import EASERecommender, LinearRecommender, estimate_cost
from skvae.core import item_regression
from skvae.core.gram import Gram, users_weighted
from skvae.core.item_regression import is_dual, operations
from skvae.datasets import make_interactions

CPU = torch.device("cpu")


@pytest.fixture
def always_dual(monkeypatch):
    monkeypatch.setattr(item_regression, "is_dual", lambda *_: True)


def weights_by_definition(X, exponent, penalties, bound, centering=0):
    """B of the docstrings, with NumPy in double precision."""
    users = users_weighted(X, exponent).toarray().astype(float)
    of_mean = np.where(users.any(axis=0), penalties, 0)
    D = np.diag(penalties) - centering * np.outer(of_mean, of_mean) / max(of_mean.sum(), 1)
    inverse = np.linalg.inv(users.T @ users + D)
    free = np.eye(X.shape[1]) - inverse @ D
    above = np.diag(free) - bound
    return free - inverse * (above if bound == 0 else np.maximum(0, above)) / np.diag(inverse)


def a_matrix(seed, n_users, n_items):
    """Weighted users, one of them with nothing, and an item that nobody has."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.5, 3, (n_users, n_items)) * (rng.uniform(size=(n_users, n_items)) < 0.3)
    X[0], X[:, 0] = 0, 0
    return sp.csr_array(X.astype(np.float32))


@st.composite
def drawn(draw):
    """Weighted users from none to those who have every item, and a penalty for each item."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    X = draw(arrays(np.float32, shape, elements=st.just(0) | st.floats(0.5, 3, width=32)))
    return sp.csr_array(X), draw(arrays(float, shape[1], elements=st.floats(0.5, 50)))


@given(
    drawn=drawn(),
    exponent=st.sampled_from([0, 0.3]),
    bound=st.sampled_from([0, 0.3]),
    centering=st.sampled_from([0, 0.95, 0.99]),
    is_dual=st.booleans(),
)
def test_weights_and_scores_are_those_of_the_definition(drawn, exponent, bound, centering, is_dual):
    X, penalties = drawn
    expected = weights_by_definition(X, exponent, penalties, bound, centering)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_regression, "is_dual", lambda *_: is_dual)
        weights, unfinished = (
            item_regression.item_regression(Gram(X, exponent), penalties, CPU, bound, centering, dense)
            for dense in (True, False)
        )
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    nobody_has = ~X.toarray().any(axis=0)
    assert not weights[nobody_has].any()
    assert not weights[:, nobody_has].any()
    scores = X @ unfinished
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, X @ expected, atol=1e-4)


@pytest.mark.parametrize("parameters", [{}, {"diagonal": 0.3}, {"l2_regularization": 5, "dropout": 0.5}])
def test_a_model_is_the_same_as_by_items(parameters, monkeypatch):
    X = make_interactions(n_users=600, n_items=900, density=0.02, random_state=0)
    rows, invert = [], item_regression.invert
    monkeypatch.setattr(item_regression, "invert", lambda matrix: rows.append(len(matrix)) or invert(matrix))
    model = LinearRecommender(**parameters).fit(X)
    assert len(set(rows[:-1])) == 1  # of those who are not held out
    assert rows[0] < rows[-1] == 600
    monkeypatch.setattr(item_regression, "is_dual", lambda *_: False)
    by_items = LinearRecommender(**parameters).fit(X)
    assert rows[-1] == 900
    assert model._setting() == by_items._setting()
    assert model.best_validation_score_ == pytest.approx(by_items.best_validation_score_, abs=1e-4)
    np.testing.assert_allclose(model.weights_, by_items.weights_, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-15, 1e15, 1e30])
def test_values_of_any_size_give_the_same_weights(scale, always_dual):
    X = a_matrix(0, 20, 30)
    model = LinearRecommender(dropout=0.5).fit(X)
    scaled = LinearRecommender(dropout=0.5).fit(X * np.float32(scale))
    np.testing.assert_allclose(scaled.weights_, model.weights_, atol=1e-5)


def test_penalties_that_users_outweigh_go_by_items(always_dual, monkeypatch):
    X = sp.csr_array(np.repeat(a_matrix(0, 20, 30).toarray(), 50, axis=0) * 100)
    rows, invert = [], item_regression.invert
    monkeypatch.setattr(item_regression, "invert", lambda matrix: rows.append(len(matrix)) or invert(matrix))
    model = EASERecommender(l2_regularization=1e-3).fit(X)
    assert rows[0] == X.shape[0]
    assert rows[-1] == X.shape[1]
    expected = weights_by_definition(X, 0, np.full(30, 1e-3), 0)
    np.testing.assert_allclose(model.weights_, expected, atol=0.02)


def test_the_dual_form_is_taken_where_it_is_shorter():
    assert is_dual(1000, 10_000, 100_000)
    assert not is_dual(10_000, 1000, 100_000)
    assert not is_dual(1000, 10_000, 10_000_000)  # every user has every item: sparse products are slow
    assert not is_dual(24_000, 100_000, 1_000_000)  # 2.3 GB beside the weights
    assert is_dual(24_000, 100_000, 1_000_000, dense=False)
    assert operations(1000, 10_000, 100_000) < operations(10_000, 10_000, 100_000) == 10_000**3


def test_a_gram_matrix_that_is_kept_is_computed(monkeypatch):
    X = make_interactions(n_users=300, n_items=900, density=0.02, random_state=0)
    model = LinearRecommender(l2_regularization=5, keep_gram=True).fit(X[:200]).partial_fit(X[200:])
    gram = users_weighted(X, model.user_exponent_).toarray().astype(float)
    np.testing.assert_allclose(model.gram_, gram.T @ gram, atol=1e-4)
    np.testing.assert_allclose(
        model.weights_, LinearRecommender(**model._refit_parameters()).fit(X).weights_, atol=1e-4
    )


def test_its_cost_is_told():
    model = EASERecommender(device="cpu")  # which a GPU shows at larger sizes alone
    dual, by_items = (estimate_cost(model, n_users, 20_000, 200_000) for n_users in (2000, 20_000))
    assert dual.seconds["an inverse"] < by_items.seconds["an inverse"] / 10
    assert dual.total_bytes < by_items.total_bytes + 4 * 2000**2


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("l2", [1e-300, 1e-30])
def test_a_penalty_that_single_precision_does_not_hold_is_refused_in_words(l2):
    X = make_interactions(n_users=60, n_items=900, density=0.03, random_state=0)
    assert is_dual(*X.shape, X.nnz)
    with pytest.raises(ValueError, match="is too small beside the values of X"):
        EASERecommender(l2_regularization=l2).fit(X)
