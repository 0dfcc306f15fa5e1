"""scikit-learn's own checks, with no expected failure, and its invariances on data 5 % full."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import SMALL_BLEND, SMALL_DAE, SMALL_RECVAE, SMALL_VAE
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from skvae import MultDAERecommender, MultVAERecommender


def _variants():
    for estimator in (SMALL_VAE, SMALL_DAE):
        yield clone(estimator)
        yield clone(estimator).set_params(early_stopping=True)
        yield clone(estimator).set_params(hidden_layer_sizes=())
        yield clone(estimator).set_params(likelihood="logistic")
        yield clone(estimator).set_params(likelihood="gaussian")
    yield clone(SMALL_RECVAE)
    yield MultVAERecommender()
    yield MultDAERecommender()


# the checks' data have two to ten items, of which no user can hide one
@pytest.mark.filterwarnings("ignore:No validation user can hide an item")
@pytest.mark.filterwarnings("ignore:No user of X can hide an item")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([*_variants(), SMALL_BLEND])
def test_scikit_learn_check_passes(estimator, check):
    check(estimator)


@pytest.fixture(params=list(_variants())[:-2], ids=str)
def fitted(request, X):
    return clone(request.param).fit(X[:400])


def _answers(model, X):
    return {
        "decision_function": model.decision_function(X),
        "transform": model.transform(X),
        "score_samples": model.score_samples(X),
        "predict": model.predict(X),
        "recommend": model.recommend(X, k=10)[0],
    }


def _assert_same(one, other):
    for name, answer in one.items():
        if answer.dtype == np.int64:
            assert (answer == other[name]).mean() > 0.999, name  # a last-bit difference may swap equals
        else:
            np.testing.assert_allclose(answer, other[name], rtol=2e-4, atol=2e-5, err_msg=name)


def test_few_predictions_are_minus_one_on_sparse_data(fitted, X):
    assert (fitted.predict(X) == -1).mean() < 0.01


def test_answers_do_not_depend_on_who_else_is_in_X(fitted, X):
    single = [_answers(fitted, X[i : i + 1]) for i in range(400, 420)]
    together = {name: np.concatenate([answers[name] for answers in single]) for name in single[0]}
    _assert_same(_answers(fitted, X[400:420]), together)


def test_answers_follow_the_order_of_users(fitted, X):
    order = np.random.default_rng(0).permutation(500)
    _assert_same({k: v[order] for k, v in _answers(fitted, X).items()}, _answers(fitted, X[order]))


def test_answers_are_the_same_when_asked_again(fitted, X):
    first, second = _answers(fitted, X), _answers(fitted, X)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_pickled_and_copied_models_answer_to_the_bit(fitted, X):
    expected = _answers(fitted, X)
    for model in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert all(np.array_equal(expected[name], answer) for name, answer in _answers(model, X).items())


def _unsorted_with_duplicates_and_zeros(X):
    X = X.tocoo()
    zeros = np.arange(50), np.arange(50)
    row = np.concatenate([X.row[::-1], X.row[:30], zeros[0]])
    col = np.concatenate([X.col[::-1], X.col[:30], zeros[1]])
    halves = np.where(np.arange(X.nnz) < 30, 0.5, 1.0).astype(np.float32)
    data = np.concatenate([halves[::-1], halves[:30], np.zeros(50, np.float32)])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=X.shape[0]))])
    order = np.argsort(row, kind="stable")
    return sp.csr_array((data[order], col[order], indptr), shape=X.shape)


def _int64_indices(X):
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def _read_only(X):
    X = X.copy()
    for buffer in (X.data, X.indices, X.indptr):
        buffer.flags.writeable = False
    return X


def _read_only_not_canonical(X):
    return _read_only(_unsorted_with_duplicates_and_zeros(X))


CONTAINERS = {
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "csc_matrix": sp.csc_matrix,
    "coo_array": sp.coo_array,
    "coo_matrix": sp.coo_matrix,
    "lil_array": sp.lil_array,
    "dense": lambda X: X.toarray(),
    "dense in Fortran order": lambda X: np.asfortranarray(X.toarray()),
    "list": lambda X: X.toarray().tolist(),
    "float64": lambda X: X.astype(np.float64),
    "int64": lambda X: X.astype(np.int64),
    "bool": lambda X: X.astype(bool),
    "int64 indices": _int64_indices,
    "read-only": _read_only,
    "unsorted, duplicates, zeros": _unsorted_with_duplicates_and_zeros,
    "the same, read-only": _read_only_not_canonical,
}


def _copy(X):
    return [np.copy(part) for part in (X.data, X.indices, X.indptr)] if hasattr(X, "indptr") else copy.deepcopy(X)


def _unchanged(X, before):
    if hasattr(X, "indptr"):
        return all(np.array_equal(a, b) for a, b in zip((X.data, X.indices, X.indptr), before, strict=True))
    return (before != X).nnz == 0 if sp.issparse(X) else np.array_equal(X, before)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_same_model_and_answers_and_is_not_modified(estimator, X, container):
    expected = clone(estimator).fit(X)
    converted = CONTAINERS[container](X)
    before = _copy(converted)
    model = clone(estimator).fit(converted)
    assert all(np.array_equal(expected.weights_[name], model.weights_[name]) for name in model.weights_)
    for name, answer in _answers(expected, X).items():
        assert np.array_equal(
            answer, getattr(model, name)(converted) if name != "recommend" else model.recommend(converted, k=10)[0]
        ), name
    assert expected.score(X) == model.score(converted)
    assert _unchanged(converted, before)
