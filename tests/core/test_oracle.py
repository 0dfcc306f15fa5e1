"""A plain dense autoencoder, written apart from skvae, with which loss, gradient and an epoch agree.

It shares no code with skvae: dense rows, torch.distributions, autograd and an Adam of its own.
Only the generator is shared, read in the order dropout, noise.
"""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import objective_of
from torch.distributions import Bernoulli, Categorical, MixtureSameFamily, Normal, kl_divergence

from skvae import MultDAERecommender, MultVAERecommender, RecVAERecommender
from skvae.core import item_products
from skvae.core.batches import UserRows
from skvae.core.interrupts import Interrupts
from skvae.core.likelihoods import LIKELIHOODS
from skvae.core.priors import CompositePrior
from skvae.core.training import Settings, Training

# The taxonomy of the paper: twelve cells, by parameters alone
MODELS = {
    "AE": MultDAERecommender(4, dropout=0.0, l2_regularization=0.0),
    "DAE": MultDAERecommender(4, dropout=0.5, target="all", l2_regularization=0.01),
    "VAE": MultVAERecommender(4, hidden_layer_sizes=(6,), dropout=0.0, anneal_cap=1.0, total_anneal_steps=0),
    "VAE^PR": MultVAERecommender(
        4, hidden_layer_sizes=(6,), dropout=0.5, target="all", anneal_cap=0.2, total_anneal_steps=10
    ),
    # of what was dropped alone
    "DAE of the dropped": MultDAERecommender(4, target="dropped"),
    "VAE^PR of the dropped": MultVAERecommender(4, hidden_layer_sizes=(6,), target="dropped", dropout=0.8),
    # and steps from there to RecVAE
    "linear decoder": MultVAERecommender(4, hidden_layer_sizes=(6,), target="all", decoder_hidden_layer_sizes=()),
    "KL per user": MultVAERecommender(
        4, hidden_layer_sizes=(6,), target="all", kl_weighting="per_user", total_anneal_steps=10
    ),
    "composite prior": MultVAERecommender(4, hidden_layer_sizes=(6,), target="all", prior=CompositePrior()),
    "RecVAE": RecVAERecommender(4, hidden_layer_sizes=(6, 6, 6), n_encoder_passes=2, l2_regularization=0.01),
}


def _dense_loss(model, w, x, beta, generator, previous, dropout):
    draws = torch.ones_like(x)
    normalized = x / x.norm(dim=1, keepdim=True).clamp(min=1e-30)
    if dropout:
        kept = torch.rand(int((x > 0).sum()), generator=generator, dtype=x.dtype) >= dropout
        draws[x > 0] = kept.to(x.dtype) / (1 - dropout)
    hidden = _dense_encoder(model, w, normalized * draws)
    variational = not isinstance(model, MultDAERecommender)
    if variational:
        posterior = Normal(hidden[:, :4], torch.exp(hidden[:, 4:]).sqrt())
        code = posterior.mean + posterior.stddev * torch.randn(len(x), 4, generator=generator, dtype=x.dtype)
        top = code
        if getattr(model, "decoder_hidden_layer_sizes", ()) is None:
            top = torch.tanh(code @ w["decoder.layers.0.weight"].T + w["decoder.layers.0.bias"])
    else:
        top = torch.tanh(hidden)
    logits = top @ w["decoder.item_weight"].T + w["decoder.item_bias"]
    of_dropped = getattr(model, "target", "all") == "dropped"
    unknown = (x > 0) & (draws > 0) & of_dropped
    loss = -_dense_log_prob(model.likelihood, logits, x, unknown) / (dropout if of_dropped else 1)
    if variational:
        weight = beta * x.sum(1) if getattr(model, "kl_weighting", "per_user") == "per_user" else beta
        loss = loss + weight * _dense_kl(model, posterior, code, _dense_encoder(model, previous, normalized))
    return loss.mean()


def _dense_encoder(model, w, inputs):
    hidden, outputs = inputs @ w["encoder.item_weight"] + w["encoder.item_bias"], []
    for layer in range(len(model.hidden_layer_sizes)):
        if isinstance(model, RecVAERecommender):  # swish, and all earlier outputs
            hidden = hidden + sum(outputs)
            hidden = hidden * torch.sigmoid(hidden)
        else:
            hidden = torch.tanh(hidden)
        if isinstance(model, RecVAERecommender):
            centered = hidden - hidden.mean(1, keepdim=True)
            scaled = centered / ((centered**2).mean(1, keepdim=True) + 0.1).sqrt()
            hidden = scaled * w[f"encoder.normalizations.{layer}.weight"] + w[f"encoder.normalizations.{layer}.bias"]
        outputs.append(hidden)
        hidden = hidden @ w[f"encoder.layers.{layer}.weight"].T + w[f"encoder.layers.{layer}.bias"]
    return hidden


def _dense_kl(model, posterior, code, previous):
    if getattr(model, "prior", "composite") == "standard_normal":
        return kl_divergence(posterior, Normal(torch.zeros_like(code), 1.0)).sum(1)
    zero, previous = torch.zeros_like(code), previous.detach()
    means = torch.stack([zero, previous[:, :4], zero], -1)
    deviations = torch.stack([zero, previous[:, 4:], zero + 10], -1).exp().sqrt()
    weights = Categorical(torch.tensor([3 / 20, 3 / 4, 1 / 10], dtype=code.dtype).expand_as(means))
    prior = MixtureSameFamily(weights, Normal(means, deviations))
    return (posterior.log_prob(code) - prior.log_prob(code)).sum(1)


def _dense_log_prob(likelihood, logits, x, unknown):
    known = (~unknown).to(x.dtype)
    if likelihood == "multinomial":
        return (known * x * (logits - (known * logits.exp()).sum(1, keepdim=True).log())).sum(1)
    if likelihood == "logistic":
        return (known * Bernoulli(logits=logits).log_prob((x > 0).to(x.dtype))).sum(1)
    if likelihood == "gaussian":
        return -(known * torch.where(x > 0, 10.0, 1.0) / 2 * (x - logits) ** 2).sum(1)
    raise NotImplementedError(likelihood)


def _dense_epochs(model, w, X, n_epochs, batch_size, learning_rate, generator):
    """Epochs of Adam with its formulas written out (Kingma and Ba, ICLR 2015, algorithm 1)."""
    first, second = ({name: torch.zeros_like(p) for name, p in w.items()} for _ in range(2))
    losses, update, steps = [], 0, dict.fromkeys(w, 0)
    passes = [("", model.dropout)]  # what is trained, "" for everything, and the dropout
    if getattr(model, "n_encoder_passes", 0):
        passes = [*[("encoder", model.dropout)] * model.n_encoder_passes, ("decoder", 0)]
    for _ in range(n_epochs):
        total, users = 0.0, torch.nonzero(X.sum(1) > 0).flatten()
        previous = {name: p.detach().clone() for name, p in w.items()}
        for part, dropout in passes:
            trained = {name: p for name, p in w.items() if name.startswith(part)}
            for chunk in users[torch.randperm(len(users), generator=generator)].split(batch_size):
                loss = _dense_loss(model, w, X[chunk], _beta(model, update), generator, previous, dropout)
                total, update = total + loss.item() * len(chunk), update + 1
                penalty = sum((p**2).sum() for p in w.values() if p.ndim == 2)
                gradients = torch.autograd.grad(loss + model.l2_regularization * penalty, list(trained.values()))
                for (name, p), gradient in zip(trained.items(), gradients, strict=True):
                    steps[name] += 1
                    first[name] = 0.9 * first[name] + 0.1 * gradient
                    second[name] = 0.999 * second[name] + 0.001 * gradient**2
                    mean, variance = first[name] / (1 - 0.9 ** steps[name]), second[name] / (1 - 0.999 ** steps[name])
                    p.data -= learning_rate * mean / (variance.sqrt() + 1e-8)
        losses.append(total / len(users) / len(passes))
    return losses


def _beta(model, update):
    if isinstance(model, RecVAERecommender):
        return model.gamma
    cap, steps = getattr(model, "anneal_cap_", 0.0), getattr(model, "total_anneal_steps", 0)
    steps = 1.4 / cap if steps == "auto" else steps  # at the cap at a tenth of 14 planned updates
    return cap if steps == 0 else min(cap, update / steps)


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    """Nine items are taken four at a time in double precision, eight in single."""
    monkeypatch.setattr(item_products, "BYTES_PER_COLUMN", 32)


def _problem(dtype):
    random = np.random.default_rng(0)
    dense = random.integers(1, 4, (50, 9)) * (random.random((50, 9)) < 0.4)
    dense[11] = 0
    return torch.from_numpy(dense).to(dtype), UserRows(sp.csr_array(dense.astype(np.float64)), dtype)


def _objective(model, dtype):
    objective = objective_of(model, 9, dtype)
    weights = objective.network.named_parameters()
    return objective, {name: p.detach().clone().requires_grad_() for name, p in weights}


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str)
def test_loss_and_gradient_agree_with_the_dense_oracle(name, likelihood, dtype, tolerance):
    model = MODELS[name].set_params(likelihood=likelihood)
    X, rows = _problem(dtype)
    objective, weights = _objective(model, dtype)
    previous = {name: p.detach().clone() for name, p in weights.items()}
    next(objective.passes())
    objective.network.requires_grad_(True)  # both parts at once
    for parameter, p in objective.network.named_parameters():  # another encoder than that of before
        p.data += 0.1
        weights[parameter].data += 0.1
    loss = objective(rows.batch(torch.arange(50)), 0.15, torch.Generator().manual_seed(5))
    loss.backward()
    expected = _dense_loss(model, weights, X, 0.15, torch.Generator().manual_seed(5), previous, model.dropout)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=tolerance, atol=tolerance)
    largest = max(p.grad.abs().max().item() for p in weights.values())
    for parameter, p in objective.network.named_parameters():
        torch.testing.assert_close(p.grad, weights[parameter].grad, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=str)
def test_two_epochs_of_training_agree_with_the_dense_oracle(name, likelihood, dtype, tolerance):
    model = MODELS[name].set_params(likelihood=likelihood)
    X, rows = _problem(dtype)
    objective, weights = _objective(model, dtype)
    parameters = model._checked_parameters()
    if hasattr(model, "_resolve_schedule"):
        model._resolve_schedule(parameters, planned_updates=14, interactions_per_user=30)
    settings = Settings(
        model._kl_schedule(parameters), 2, 8, learning_rate=0.01, l2_regularization=model.l2_regularization
    )
    history = Training(objective, rows, settings, seed=5).run(Interrupts())
    losses = _dense_epochs(model, weights, X, 2, 8, 0.01, torch.Generator().manual_seed(5))
    assert history.n_updates == 14 * objective.n_passes
    np.testing.assert_allclose(history.losses, losses, rtol=tolerance)
    for parameter, p in objective.network.named_parameters():
        torch.testing.assert_close(p.detach(), weights[parameter].detach(), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("n_before", "trained"), [(0, "encoder"), (1, "encoder"), (2, "decoder")])
def test_only_the_part_that_a_pass_trains_gets_a_gradient(n_before, trained):
    objective, _ = _objective(MODELS["RecVAE"].set_params(likelihood="multinomial"), torch.float64)
    passes, (_, rows) = objective.passes(), _problem(torch.float64)
    for _ in range(n_before + 1):
        next(passes)
    objective(rows.batch(torch.arange(50)), 0.15, torch.Generator()).backward()
    for name, parameter in objective.network.named_parameters():
        assert (parameter.grad is not None) == name.startswith(trained), name
    assert not any(name.startswith("previous") for name in objective.network.state_dict())
