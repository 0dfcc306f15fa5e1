"""Weights of items that follow from each other, beside NumPy's in double precision."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from skvae import EASERecommender
from skvae.core import item_regression
from skvae.datasets import make_interactions


def _bundle(n_items, n_users):
    """Items that always go together, and others."""
    random = np.random.default_rng(0)
    together = np.repeat(random.random((n_users, 1)) < 0.9, n_items, axis=1)
    return np.hstack([together, random.random((n_users, 20)) < 0.05]).astype(np.float32)


def _same_rows(n_users):
    return np.tile((np.random.default_rng(0).random(30) < 0.5).astype(np.float32), (n_users, 1))


def _own_items_and_one_of_all(n_users, n_items):
    X = np.eye(n_users, n_items, dtype=np.float32)
    X[:, 100] = 1
    return X


MATRICES = {
    "five together": (_bundle(5, 100_000), 1.0),
    "ten together": (_bundle(10, 50_000), 10.0),
    "thirty together": (_bundle(30, 20_000), 1.0),
    "one row alone": (_same_rows(20_000), 1.0),
    "one row, small penalty": (_same_rows(50), 0.01),
    "columns repeated, few users": (np.tile(_bundle(5, 60)[:, 5:], (1, 6)), 0.001),
    "an item that all have, few users": (_own_items_and_one_of_all(60, 900), 0.01),
}


def _expected(X, l2):
    """B = I - P diag(1 / P_jj), with a step of Newton's method for P."""
    X = X.astype(np.float64)
    matrix, eye = X.T @ X + l2 * np.eye(X.shape[1]), np.eye(X.shape[1])
    inverse = np.linalg.inv(matrix)
    inverse = inverse @ (2 * eye - matrix @ inverse)
    return eye - inverse / np.diag(inverse)


@pytest.mark.parametrize("name", MATRICES)
def test_weights_are_exact_where_items_follow_from_each_other(name):
    X, l2 = MATRICES[name]
    expected = _expected(X, l2)
    weights = EASERecommender(l2_regularization=l2).fit(sp.csr_array(X)).weights_
    assert np.abs(weights - expected).max() < 1e-5 * np.abs(expected).max()


def test_few_users_are_inverted_instead_of_items():
    X, _ = MATRICES["an item that all have, few users"]
    assert item_regression.is_dual(*X.shape, np.count_nonzero(X))


@pytest.fixture
def precisions(monkeypatch):
    """Those in which something is inverted."""
    seen, invert = [], item_regression.invert
    monkeypatch.setattr(item_regression, "invert", lambda matrix: seen.append(matrix.dtype) or invert(matrix))
    return seen


def test_without_memory_for_double_precision_single_is_taken(precisions, monkeypatch):
    X, l2 = MATRICES["ten together"]
    monkeypatch.setattr(item_regression, "_fits", lambda n_bytes: False)
    weights = EASERecommender(l2_regularization=l2).fit(sp.csr_array(X)).weights_
    assert precisions == [torch.float32]
    np.testing.assert_allclose(weights, _expected(X, l2), atol=1e-3)


@pytest.mark.parametrize("n_users", [50, 3000])
def test_ordinary_data_are_inverted_once(precisions, n_users):
    EASERecommender(l2_regularization=10).fit(make_interactions(n_users, 500, random_state=0))
    assert precisions == [torch.float32]
