"""RecVAE: what it adds to Mult-VAE, and that nothing of it is kept beside the weights."""

import numpy as np
import pytest
import torch
from conftest import SMALL_RECVAE
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm
from sklearn.base import clone

from skvae import MultVAERecommender
from skvae.core.priors import CompositePrior, StandardNormal


@pytest.fixture
def model():
    return clone(SMALL_RECVAE)


def test_an_epoch_is_all_passes_over_the_users_and_gamma_is_not_annealed(model, X):
    model.set_params(early_stopping=False, max_iter=2).fit(X)
    n_batches = -(-500 // model.batch_size_)
    assert model.n_updates_ == 2 * 4 * n_batches
    assert model.beta_curve_ == [0.005] * 2
    together = clone(model).set_params(n_encoder_passes=0).fit(X)
    assert together.n_updates_ == 2 * n_batches


def test_the_decoder_is_linear_and_the_previous_encoder_is_not_among_the_weights(model, X):
    names = set(model.fit(X).weights_)
    assert {name for name in names if name.startswith("decoder")} == {"decoder.item_weight", "decoder.item_bias"}
    assert {name.split(".")[0] for name in names} == {"encoder", "decoder"}


def test_score_samples_takes_the_prior_of_a_user_of_whom_nothing_is_known(model, X):
    mean, deviation = (part.astype(np.float64) for part in model.fit(X).posterior(X))
    (noise,) = np.random.default_rng(model._seed).standard_normal((1, 8), np.float32)
    code = mean + deviation * noise
    logits = np.log(model.inverse_transform(code).astype(np.float64))
    terms = [np.log(0.6) + norm.logpdf(code), np.log(0.4) + norm.logpdf(code, scale=np.exp(5))]
    prior = logsumexp(terms, axis=0).sum(1)
    expected = (X.toarray() * log_softmax(logits, axis=1)).sum(1) + prior - norm.logpdf(code, mean, deviation).sum(1)
    np.testing.assert_allclose(model.score_samples(X, n_draws=1), expected, rtol=1e-4)


def test_the_composite_prior_of_one_term_is_that_term():
    code, mean, log_variance = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tiny = 1e-300
    standard = CompositePrior(weights=(1, tiny, tiny)).given(mean, log_variance)
    torch.testing.assert_close(standard.log_prob(code), StandardNormal().log_prob(code))
    previous = CompositePrior(weights=(tiny, 1, tiny)).given(mean, log_variance)
    expected = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(code).sum(-1)
    torch.testing.assert_close(previous.log_prob(code), expected)


def test_the_composite_prior_is_a_density():
    grid = torch.linspace(-2000, 2000, 400_001, dtype=torch.float64)[:, None]
    prior = CompositePrior()
    for density in (prior, prior.given(torch.tensor(3.0), torch.tensor(0.5))):
        assert torch.trapezoid(density.log_prob(grid).exp(), grid[:, 0]).item() == pytest.approx(1, abs=1e-6)


def test_under_a_strong_kl_term_the_composite_prior_holds_users_near_where_they_were(X):
    free = MultVAERecommender(
        4, hidden_layer_sizes=(), max_iter=10, random_state=0, learning_rate=0.03, warm_start=True
    )
    free.set_params(early_stopping=False, anneal_cap=0.0, total_anneal_steps=0)
    spread = {}
    for prior in (StandardNormal(), CompositePrior()):
        model = clone(free).set_params(prior=prior).fit(X)
        before = model.transform(X).std()
        spread[type(prior)] = model.set_params(anneal_cap=100.0, max_iter=3).fit(X).transform(X).std() / before
    assert spread[StandardNormal] < 0.2
    assert spread[CompositePrior] > 0.4
