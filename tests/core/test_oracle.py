"""A plain dense autoencoder, written apart from skvae, with which loss, gradient and an epoch agree.

It shares no code with skvae: dense rows, torch.distributions, autograd and an Adam of its own.
Only the generator is shared, read in the order dropout, noise.
"""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from skvae import MultDAERecommender, MultVAERecommender
from skvae.core.batches import UserRows
from skvae.core.networks import initialize
from skvae.core.training import make_optimizer, train

LIKELIHOODS = ["multinomial", "logistic", "gaussian"]
# The taxonomy of the paper: twelve cells, by parameters alone
MODELS = {
    "AE": MultDAERecommender(4, dropout=0.0, l2_regularization=0.0),
    "DAE": MultDAERecommender(4, dropout=0.5, l2_regularization=0.01),
    "VAE": MultVAERecommender(4, hidden_layer_sizes=(6,), dropout=0.0, anneal_cap=1.0, total_anneal_steps=0),
    "VAE^PR": MultVAERecommender(4, hidden_layer_sizes=(6,), dropout=0.5, anneal_cap=0.2, total_anneal_steps=10),
    # and steps from there to RecVAE
    "layer normalization": MultVAERecommender(4, hidden_layer_sizes=(6,), normalization="layer"),
    "linear decoder": MultVAERecommender(4, hidden_layer_sizes=(6,), decoder_hidden_layer_sizes=()),
    "KL per user": MultVAERecommender(4, hidden_layer_sizes=(6,), kl_weighting="per_user", total_anneal_steps=10),
}


def _dense_loss(model, w, x, beta, generator):
    draws = torch.ones_like(x)
    normalized = x / x.norm(dim=1, keepdim=True).clamp(min=1e-30)
    if model.dropout:
        kept = torch.rand(int((x > 0).sum()), generator=generator, dtype=x.dtype) >= model.dropout
        draws[x > 0] = kept.to(x.dtype) / (1 - model.dropout)
    hidden = (normalized * draws) @ w["encoder.item_weight"] + w["encoder.item_bias"]
    variational = isinstance(model, MultVAERecommender)
    if variational:
        hidden = torch.tanh(hidden)
        if model.normalization:
            centered = hidden - hidden.mean(1, keepdim=True)
            scaled = centered / ((centered**2).mean(1, keepdim=True) + 0.1).sqrt()
            hidden = scaled * w["encoder.normalizations.0.weight"] + w["encoder.normalizations.0.bias"]
        hidden = hidden @ w["encoder.layers.0.weight"].T + w["encoder.layers.0.bias"]
        posterior = Normal(hidden[:, :4], torch.exp(hidden[:, 4:]).sqrt())
        code = posterior.mean + posterior.stddev * torch.randn(len(x), 4, generator=generator, dtype=x.dtype)
        top = code
        if model.decoder_hidden_layer_sizes is None:
            top = torch.tanh(code @ w["decoder.layers.0.weight"].T + w["decoder.layers.0.bias"])
    else:
        top = torch.tanh(hidden)
    logits = top @ w["decoder.item_weight"].T + w["decoder.item_bias"]
    loss = -_dense_log_prob(model.likelihood, logits, x)
    if variational:
        weight = beta * x.sum(1) if model.kl_weighting == "per_user" else beta
        loss = loss + weight * kl_divergence(posterior, Normal(torch.zeros_like(code), 1.0)).sum(1)
    return loss.mean()


def _dense_log_prob(likelihood, logits, x):
    if likelihood == "multinomial":
        return (x * torch.log_softmax(logits, 1)).sum(1)
    if likelihood == "logistic":
        return Bernoulli(logits=logits).log_prob((x > 0).to(x.dtype)).sum(1)
    return -(torch.where(x > 0, 10.0, 1.0) / 2 * (x - logits) ** 2).sum(1)


def _dense_epoch(model, w, X, n_epochs, batch_size, learning_rate, generator):
    """Epochs of Adam with its formulas written out (Kingma and Ba, ICLR 2015, algorithm 1)."""
    first, second = ({name: torch.zeros_like(p) for name, p in w.items()} for _ in range(2))
    losses, step = [], 0
    for _ in range(n_epochs):
        total, users = 0.0, torch.nonzero(X.sum(1) > 0).flatten()
        for chunk in users[torch.randperm(len(users), generator=generator)].split(batch_size):
            cap = getattr(model, "anneal_cap", 0.0)
            steps = getattr(model, "total_anneal_steps", 0)
            beta = model._kl_weight(step) if steps == "auto" else cap if steps == 0 else min(cap, step / steps)
            loss = _dense_loss(model, w, X[chunk], beta, generator)
            total, step = total + loss.item() * len(chunk), step + 1
            penalty = sum((p**2).sum() for p in w.values() if p.ndim == 2)
            gradients = torch.autograd.grad(loss + model.l2_regularization * penalty, list(w.values()))
            for (name, p), gradient in zip(w.items(), gradients, strict=True):
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.999 * second[name] + 0.001 * gradient**2
                mean, variance = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                p.data -= learning_rate * mean / (variance.sqrt() + 1e-8)
        losses.append(total / len(users))
    return losses


def _problem(dtype):
    random = np.random.default_rng(0)
    dense = random.integers(1, 4, (50, 9)) * (random.random((50, 9)) < 0.4)
    dense[11] = 0
    return torch.from_numpy(dense).to(dtype), UserRows(sp.csr_array(dense.astype(np.float64)), dtype)


def _objective(model, dtype):
    model._architecture = model._current_architecture()
    objective = model._objective(9).to_empty(device="cpu").to(dtype)
    initialize(objective, torch.Generator().manual_seed(3))
    return objective, {name: p.detach().clone().requires_grad_() for name, p in objective.named_parameters()}


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str)
def test_loss_and_gradient_agree_with_the_dense_oracle(name, likelihood, dtype, tolerance):
    model = MODELS[name].set_params(likelihood=likelihood)
    X, rows = _problem(dtype)
    objective, weights = _objective(model, dtype)
    loss = objective(rows.batch(torch.arange(50)), 0.15, torch.Generator().manual_seed(5))
    loss.backward()
    expected = _dense_loss(model, weights, X, 0.15, torch.Generator().manual_seed(5))
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=tolerance, atol=tolerance)
    largest = max(p.grad.abs().max().item() for p in weights.values())
    for parameter, p in objective.named_parameters():
        torch.testing.assert_close(p.grad, weights[parameter].grad, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=str)
def test_two_epochs_of_training_agree_with_the_dense_oracle(name, likelihood, dtype, tolerance):
    model = MODELS[name].set_params(likelihood=likelihood)
    X, rows = _problem(dtype)
    objective, weights = _objective(model, dtype)
    model._set_kl_schedule(planned_updates=14)
    history = train(
        objective,
        rows,
        optimizer=make_optimizer(objective, 0.01, model.l2_regularization),
        generator=torch.Generator().manual_seed(5),
        batch_size=8,
        n_epochs=2,
        kl_weight=model._kl_weight,
    )
    losses = _dense_epoch(model, weights, X, 2, 8, 0.01, torch.Generator().manual_seed(5))
    assert history.n_updates == 14
    np.testing.assert_allclose(history.losses, losses, rtol=tolerance)
    for parameter, p in objective.named_parameters():
        torch.testing.assert_close(p.detach(), weights[parameter].detach(), rtol=0, atol=tolerance)
