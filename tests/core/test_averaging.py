"""The moving average of the weights."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skvae import MultDAERecommender, MultVAERecommender
from skvae.core.averaging import TERMS_PER_EPOCH, MovingAverage

ESTIMATORS = [
    MultVAERecommender(4, hidden_layer_sizes=(), max_iter=3, early_stopping=False, random_state=0),
    MultDAERecommender(4, max_iter=3, early_stopping=False, random_state=0),
]


def _average(values, n_epochs, n_updates):
    """Averages of a single weight after each of its values, and their object."""
    objective = torch.nn.Linear(1, 1, bias=False)
    average, averages = MovingAverage(objective, n_epochs, n_updates), []
    for value in values:
        objective.weight.data.fill_(value)
        average.updated()
        with average.in_place():
            averages.append(objective.weight.item())
        assert objective.weight.item() == pytest.approx(value)
    return averages


def test_the_average_of_few_terms_is_their_mean():
    values = np.random.default_rng(0).normal(size=8)
    np.testing.assert_allclose(_average(values, 2, 4), np.cumsum(values) / np.arange(1, 9), rtol=1e-5)


def test_later_terms_are_forgotten_exponentially():
    values = np.random.default_rng(0).normal(size=50)
    averages = _average(values, 5, 2)  # ten terms
    for n in range(10, 50):
        assert averages[n] == pytest.approx(averages[n - 1] + (values[n] - averages[n - 1]) / 10, rel=1e-4)


def test_an_epoch_of_many_updates_gives_a_few_terms():
    n_updates = 10 * TERMS_PER_EPOCH
    averages = _average(np.arange(1.0, 2 * n_updates + 1), 2, n_updates)
    assert len(set(averages)) == 2 * TERMS_PER_EPOCH + 1  # and none before the first term
    assert averages[-1] == pytest.approx(np.mean(np.arange(10, 2 * n_updates + 1, 10)))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["vae", "dae"])
def test_averaging_changes_the_model_and_not_the_training(estimator, X):
    plain = clone(estimator).set_params(averaging_epochs=0).fit(X)
    averaged = clone(estimator).fit(X)
    assert averaged.loss_curve_ == plain.loss_curve_
    assert not np.array_equal(averaged.transform(X), plain.transform(X))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["vae", "dae"])
def test_a_warm_start_goes_on_from_the_weights_before_averaging(estimator, X):
    estimator = clone(estimator).set_params(warm_start=True)
    plain = clone(estimator).set_params(averaging_epochs=0).fit(X).fit(X)
    assert clone(estimator).fit(X).fit(X).loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["vae", "dae"])
def test_the_validated_weights_are_the_averaged_ones_that_are_kept(estimator, X):
    model = clone(estimator).set_params(max_iter=6).fit(X[:400], X_val=X[400:])
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(X[400:]) == pytest.approx(model.best_validation_score_, abs=1e-6)
