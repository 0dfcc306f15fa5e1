"""Likelihoods against torch.distributions and autograd, priors and annealing against their formulas."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from skvae.core.annealing import LinearAnnealing
from skvae.core.batches import UserRows
from skvae.core.likelihoods import LIKELIHOODS
from skvae.core.priors import StandardNormal, posterior_log_prob
from skvae.core.priors import kl_divergence as kl_divergence_of


def _oracle(name, logits, x):
    """Dense log-likelihood from torch.distributions, constants in x dropped."""
    if name == "multinomial":
        return (x * torch.log(Categorical(logits=logits).probs)).sum(1)
    if name == "logistic":
        return Bernoulli(logits=logits).log_prob((x > 0).double()).sum(1)
    weight = torch.where(x > 0, 10.0, 1.0).double()
    constant = Normal(0.0, weight.rsqrt()).log_prob(torch.zeros_like(x))
    return (Normal(logits, weight.rsqrt()).log_prob(x) - constant).sum(1)


@pytest.fixture
def problem():
    random = np.random.default_rng(0)
    dense = random.integers(1, 6, (30, 12)) * (random.random((30, 12)) < 0.4)
    dense[4] = 0
    batch = UserRows(sp.csr_array(dense.astype(np.float64)), torch.float64).batch(torch.arange(30))
    return batch, torch.from_numpy(dense.astype(np.float64)), torch.from_numpy(random.normal(0, 3, (30, 12)))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_and_gradient_are_those_of_torch_distributions(name, problem):
    batch, x, logits = problem
    weights = torch.linspace(0.1, 2, 30, dtype=torch.float64)
    expected_logits = logits.clone().requires_grad_()
    expected = _oracle(name, expected_logits, x)
    (expected * weights).sum().backward()
    ours = logits.clone().requires_grad_()
    log_prob = LIKELIHOODS[name]().log_prob(ours * 1, batch)
    (log_prob * weights).sum().backward()
    torch.testing.assert_close(log_prob, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours.grad, expected_logits.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_an_item_of_value_0_is_as_if_it_were_no_item_of_its_user(name, dtype, problem):
    batch, _, logits = problem
    unknown = torch.arange(len(batch.items)) % 3 == 0
    unknown |= (batch.users == 7) | (batch.users == 8)  # all that they have
    batch = replace(batch, values=batch.values.to(torch.promote_types(dtype, torch.float32)).where(~unknown, 0))
    logits = logits.to(dtype)
    ours = logits.clone().requires_grad_()
    log_prob = LIKELIHOODS[name]().log_prob(ours * 1, batch)
    log_prob.sum().backward()
    for user in range(30):
        of_user = batch.users == user
        left = torch.ones(12, dtype=bool)
        left[batch.items[of_user & unknown]] = False
        x = torch.zeros(12, dtype=torch.float64)
        x[batch.items[of_user]] = batch.values[of_user].double()
        alone = logits[user : user + 1, left].double().requires_grad_()
        expected = _oracle(name, alone, x[None, left])
        expected.sum().backward()
        tolerance = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
        kwargs = {"rtol": tolerance, "atol": tolerance * max(1, alone.grad.abs().max().item())}
        torch.testing.assert_close(log_prob[user].double(), expected[0], **kwargs)
        torch.testing.assert_close(ours.grad[user, left].double(), alone.grad[0], **kwargs)
        assert not ours.grad[user, ~left].any()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_bfloat16_logits_give_the_log_prob_and_gradient_of_their_values(name, problem):
    batch, x, logits = problem
    batch = replace(batch, values=batch.values.float())
    ours = logits.bfloat16().requires_grad_()
    log_prob = LIKELIHOODS[name]().log_prob(ours * 1, batch)
    log_prob.sum().backward()
    assert log_prob.dtype == torch.float32
    same_values = logits.bfloat16().double().requires_grad_()
    expected = _oracle(name, same_values, x)
    expected.sum().backward()
    torch.testing.assert_close(log_prob.double(), expected, rtol=5e-3, atol=0.1)
    largest = same_values.grad.abs().max()
    assert (ours.grad.double() - same_values.grad).abs().max() < 2**-7 * largest


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_extreme_logits_stay_finite(name, problem):
    batch, _, logits = problem
    extreme = (logits * 1000).requires_grad_()
    log_prob = LIKELIHOODS[name]().log_prob(extreme * 1, batch)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert extreme.grad.isfinite().all()


def test_the_multinomial_does_not_change_when_logits_shift(problem):
    batch, _, logits = problem
    likelihood = LIKELIHOODS["multinomial"]()
    shifted = likelihood.log_prob(logits + 7.5, batch)
    torch.testing.assert_close(likelihood.log_prob(logits.clone(), batch), shifted)
    torch.testing.assert_close(likelihood.mean(logits).sum(1), torch.ones(30, dtype=torch.float64))


def test_closed_form_kl_is_that_of_torch_distributions_and_of_samples():
    mean, log_variance = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    posterior, prior = Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros_like(mean), 1.0)
    kl = StandardNormal().kl_divergence(mean, log_variance)
    torch.testing.assert_close(kl, kl_divergence(posterior, prior).sum(1))
    noise = torch.randn(200_000, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    code = mean + (0.5 * log_variance).exp() * noise
    sampled = (posterior.log_prob(code) - prior.log_prob(code)).sum(2).mean(0)
    torch.testing.assert_close(sampled, kl, rtol=0.02, atol=0.02)


def test_beta_starts_at_zero_rises_linearly_and_stays_at_its_cap():
    betas = [LinearAnnealing(0.2, 1000).weight(t) for t in range(400)]
    assert betas[0] == 0
    assert betas[100] == 0.1
    assert betas[200] == 0.2
    assert set(betas[200:]) == {0.2}
    assert LinearAnnealing(0.3, 0).weight(0) == 0.3
    assert LinearAnnealing(0.0, 5).weight(10**9) == 0.0


def test_a_prior_without_a_closed_form_is_taken_from_one_draw_which_is_right_in_the_mean():
    class OnlyLogProb:
        def log_prob(self, code):
            return StandardNormal().log_prob(code)

    mean, log_variance = torch.randn(2, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = torch.randn(300_000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    code = mean + (0.5 * log_variance).exp() * noise
    sampled = kl_divergence_of(OnlyLogProb(), mean, log_variance, code).mean()
    torch.testing.assert_close(
        sampled, kl_divergence_of(StandardNormal(), mean, log_variance, code)[0], rtol=0.02, atol=0.02
    )


def test_log_densities_of_code_are_those_of_torch_distributions():
    mean, log_variance, code = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = Normal(mean, (0.5 * log_variance).exp()).log_prob(code).sum(-1)
    torch.testing.assert_close(posterior_log_prob(code, mean, log_variance), expected)
    torch.testing.assert_close(StandardNormal().log_prob(code), Normal(0.0, 1.0).log_prob(code).sum(-1))
