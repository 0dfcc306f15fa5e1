"""What is the VAE's own: posterior, bound, priors and likelihoods of one's own, the annealing warning."""

import copy

import numpy as np
import pytest
from conftest import DenseMultinomial, WideNormal
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning

from skvae import MultDAERecommender, MultVAERecommender
from skvae.core.likelihoods import Multinomial
from skvae.core.priors import StandardNormal


@pytest.fixture(scope="module")
def model(X):
    return MultVAERecommender(8, hidden_layer_sizes=(16,), max_iter=30, random_state=0, learning_rate=0.01).fit(X)


def test_the_posterior_mean_is_the_code_and_its_deviation_that_of_the_draws(model, X):
    mean, deviation = model.posterior(X)
    assert mean.shape == deviation.shape == (500, 8)
    assert mean.dtype == deviation.dtype == np.float32
    assert np.array_equal(mean, model.transform(X))
    draws = model.sample_posterior(X, 4000, random_state=0)
    assert draws.shape == (4000, 500, 8)
    np.testing.assert_allclose((draws.mean(0) - mean) / deviation, 0, atol=0.1)
    np.testing.assert_allclose(draws.std(0) / deviation, 1, atol=0.1)
    assert np.array_equal(model.sample_posterior(X, random_state=1), model.sample_posterior(X, random_state=1))


def test_score_samples_is_the_importance_weighted_bound_written_out(model, X):
    mean, deviation = (part.astype(np.float64) for part in model.posterior(X))
    noise = np.random.default_rng(model._seed).standard_normal((5, 8), np.float32)
    log_weights = []
    for draw in noise:
        code = mean + deviation * draw
        logits = np.log(model.inverse_transform(code).astype(np.float64))
        log_weights.append(
            (X.toarray() * log_softmax(logits, axis=1)).sum(1)
            + norm.logpdf(code).sum(1)
            - norm.logpdf(code, mean, deviation).sum(1)
        )
    expected = logsumexp(log_weights, axis=0) - np.log(5)
    np.testing.assert_allclose(model.score_samples(X, n_draws=5), expected, rtol=1e-4)


def test_the_bound_rises_with_draws_in_the_mean_over_noise(model, X):
    model, means = copy.deepcopy(model), []
    for n_draws in (1, 10, 100):
        bounds = []
        for model._seed in range(30):  # of the noise
            bounds.append(model.score_samples(X[:50], n_draws=n_draws).mean())
        means.append(np.mean(bounds))
    assert means[0] < means[1] < means[2]


def test_the_denoising_autoencoder_has_no_use_for_draws(X):
    dae = MultDAERecommender(8, max_iter=2, random_state=0).fit(X)
    assert np.array_equal(dae.score_samples(X, n_draws=1), dae.score_samples(X, n_draws=7))
    with pytest.raises(ValueError, match="n_draws == 0, must be >= 1"):
        dae.score_samples(X, n_draws=0)


@pytest.mark.parametrize("likelihood", [DenseMultinomial(), Multinomial()], ids=["own", "built-in object"])
def test_a_likelihood_of_ones_own_is_passed_as_an_object(X, likelihood):
    parameters = {"hidden_layer_sizes": (16,), "max_iter": 3, "random_state": 0, "initialization": "xavier"}
    own = MultVAERecommender(8, likelihood=likelihood, **parameters).fit(X)
    named = MultVAERecommender(8, **parameters).fit(X)
    np.testing.assert_allclose(own.decision_function(X), named.decision_function(X), atol=1e-4)
    np.testing.assert_allclose(own.score_samples(X), named.score_samples(X), rtol=1e-4)


def test_a_prior_of_ones_own_is_passed_as_an_object_and_read(X):
    parameters = {"hidden_layer_sizes": (), "max_iter": 20, "random_state": 0, "learning_rate": 0.01}
    strong = {"anneal_cap": 1.0, "total_anneal_steps": 0, "early_stopping": False}
    wide = MultVAERecommender(8, prior=WideNormal(), **parameters, **strong).fit(X)
    narrow = MultVAERecommender(8, prior=StandardNormal(), **parameters, **strong).fit(X)
    assert wide.posterior(X)[1].mean() > 1.5 * narrow.posterior(X)[1].mean()


def test_an_explicit_schedule_that_ends_below_the_cap_is_warned_of(X):
    small = {"hidden_layer_sizes": (), "anneal_cap": 0.2, "max_iter": 3, "early_stopping": False}
    with pytest.warns(
        ConvergenceWarning,
        match=r"beta will end at 0.000235, below its final 0.2: .* than the 48 updates .* a shorter schedule",
    ):
        MultVAERecommender(4, total_anneal_steps=200_000, **small).fit(X)
    MultVAERecommender(4, total_anneal_steps=20, **small).fit(X)
    MultVAERecommender(4, **small).fit(X)


def test_a_network_that_is_warm_started_keeps_its_layers(X):
    model = MultVAERecommender(4, hidden_layer_sizes=(6,), max_iter=1, warm_start=True).fit(X)
    model.set_params(activation="relu", decoder_hidden_layer_sizes=())
    with pytest.raises(ValueError, match="whose activation and decoder_hidden_layer_sizes can"):
        model.fit(X)
