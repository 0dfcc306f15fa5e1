"""What the rest of a program has set in torch, scikit-learn or the interpreter does not change a fit or an answer."""

import contextlib
import threading

import numpy as np
import pytest
import sklearn
import torch
from conftest import AUTOENCODERS, SMALL_VAE, same_weights
from sklearn.base import clone


@contextlib.contextmanager
def _default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


STATES = {
    "default dtype float64": lambda: _default_dtype(torch.float64),
    "default dtype bfloat16": lambda: _default_dtype(torch.bfloat16),
    "default device": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": _deterministic,
    "pandas output": lambda: sklearn.config_context(transform_output="pandas"),
    "polars output": lambda: sklearn.config_context(transform_output="polars"),
}


def _fit_and_answer(model, X):
    model.fit(X[100:], X_val=X[:100]).partial_fit(X)
    items, scores = model.recommend(X[:50], k=7)
    codes = np.asarray(model.transform(X[:50]))
    answers = [model.decision_function(X[:50]), codes, model.inverse_transform(codes), model.score_samples(X[:50])]
    return [items, scores, model.similar_items([0, 1])[0], *answers, np.array(model.validation_scores_ or [0.0])]


@pytest.fixture(scope="module", params=AUTOENCODERS)
def without(request, X):
    """An autoencoder and what it answers where nothing is set."""
    model = clone(AUTOENCODERS[request.param]).set_params(max_iter=2, batch_size=200)
    return model, _fit_and_answer(model, X)


@pytest.mark.parametrize("state", STATES)
def test_a_fit_and_its_answers_are_what_they_are_without(without, state, X):
    plain, expected = without
    other = clone(plain)
    with STATES[state]():
        answers = _fit_and_answer(other, X)
        for answer, value in zip(answers, expected, strict=True):
            assert answer.dtype == value.dtype
            assert np.array_equal(answer, value)
    assert same_weights(plain, other)
    # and the other way round: what was made within answers without
    assert np.array_equal(other.decision_function(X), plain.decision_function(X))


def test_a_fit_in_another_thread_while_this_one_changes_the_default_dtype(X):
    plain, other = clone(SMALL_VAE).fit(X), clone(SMALL_VAE)
    thread = threading.Thread(target=other.fit, args=(X,))
    thread.start()
    while thread.is_alive():
        for dtype in (torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
    thread.join()
    assert same_weights(plain, other)
