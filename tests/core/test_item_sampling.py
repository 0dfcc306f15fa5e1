"""Updates by some of the items, and by tiles of all of them, beside updates by all at once."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import AUTOENCODERS, DenseMultinomial, objective_of, same_weights
from sklearn.base import clone

from skvae import MultDAERecommender, MultVAERecommender, RecVAERecommender
from skvae.core import item_products
from skvae.core.averaging import MovingAverage
from skvae.core.batches import UserRows
from skvae.core.interrupts import Interrupts
from skvae.core.item_products import ItemProducts
from skvae.core.item_sampling import SampledProducts, draw_items
from skvae.core.likelihoods import LIKELIHOODS
from skvae.core.optimizer import Adam
from skvae.core.training import Settings, Training

N_USERS, N_ITEMS = 20, 60
MODELS = {
    "dae": MultDAERecommender(4, hidden_layer_sizes=(6,)),
    "vae": MultVAERecommender(4, hidden_layer_sizes=(6,)),
    "recvae": RecVAERecommender(4, hidden_layer_sizes=(6, 6), n_encoder_passes=0),
}
BY_MODEL = pytest.mark.parametrize("name", MODELS)
BY_LIKELIHOOD = pytest.mark.parametrize("likelihood", LIKELIHOODS)


def _rows(dtype=torch.float32):
    random = np.random.default_rng(0)
    dense = random.integers(1, 4, (N_USERS, N_ITEMS)) * (random.random((N_USERS, N_ITEMS)) < 0.08)
    dense[:, -1] = 1  # the last item too
    return UserRows(sp.csr_array(dense.astype(np.float64)), dtype)


class _Gradients:
    """In the place of an optimizer: keeps the gradients of rows as those of whole matrices."""

    def __init__(self):
        self.of_matrix = {}

    def rows(self, matrix, items):
        weight = matrix.detach()[items].requires_grad_(matrix.requires_grad)
        return _RowsOf(self, matrix, items, weight)

    def take(self, matrix, items, grad):
        self.of_matrix.setdefault(matrix, torch.zeros_like(matrix))[items] += grad


class _RowsOf:
    def __init__(self, gradients, matrix, items, weight):
        self.gradients, self.matrix, self.items, self.weight = gradients, matrix, items, weight

    def update(self, weight, chunk, grad):
        self.gradients.take(self.matrix, self.items[chunk], grad)


def _loss_and_gradients(objective, batch, products, gradients=None):
    """Of an objective with seeded noise: the loss, and name -> gradient."""
    objective.network.zero_grad()
    next(objective.passes())
    loss = objective(batch, 0.1, torch.Generator().manual_seed(1), products)
    loss.backward()
    of_rows = {} if gradients is None else gradients.of_matrix
    return loss.detach(), {name: of_rows.get(p, p.grad) for name, p in objective.network.named_parameters()}


def _sampled(objective, batch, n_drawn, seed):
    gradients = _Gradients()
    products = SampledProducts(gradients, n_drawn).of_batch(batch, torch.Generator().manual_seed(seed))
    return _loss_and_gradients(objective, batch, products, gradients)


def _assert_same(one, other, tolerance=1e-5):
    torch.testing.assert_close(one[0], other[0], rtol=tolerance, atol=tolerance)
    largest = max(gradient.abs().max().item() for gradient in other[1].values())
    for name, gradient in other[1].items():
        torch.testing.assert_close(one[1][name], gradient, rtol=0, atol=tolerance * largest, msg=name)


@BY_LIKELIHOOD
@BY_MODEL
def test_with_all_items_drawn_loss_and_gradients_are_those_of_all_items(name, likelihood):
    objective, batch = (
        objective_of(MODELS[name].set_params(likelihood=likelihood), N_ITEMS),
        _rows().batch(torch.arange(N_USERS)),
    )
    exact = _loss_and_gradients(objective, batch, item_products.FLOAT32)
    _assert_same(_sampled(objective, batch, N_ITEMS, seed=0), exact)


@BY_LIKELIHOOD
def test_in_the_mean_over_draws_the_loss_is_that_of_all_items_and_so_are_gradients_of_sums(likelihood):
    model = MODELS["dae"].set_params(likelihood=likelihood)
    objective, batch = objective_of(model, N_ITEMS, torch.float64), _rows(torch.float64).batch(torch.arange(4))
    exact = _loss_and_gradients(objective, batch, item_products.FLOAT32)
    draws = [_sampled(objective, batch, 12, seed) for seed in range(120)]
    assert len({float(loss) for loss, _ in draws}) > 100
    for name, gradient in exact[1].items():
        of_draws = torch.stack([gradients[name] for _, gradients in draws])
        error = of_draws.std(0) / len(draws) ** 0.5
        bias = 0.02 * gradient.abs().max() if likelihood == "multinomial" else 1e-12  # of the logarithm of a sum
        assert ((of_draws.mean(0) - gradient).abs() <= 5 * error + bias).all(), name


@pytest.mark.parametrize("n_drawn", [1, 3, 7, 50])
def test_items_are_drawn_of_those_that_nobody_has_as_often_as_their_weights_say(n_drawn):
    own, generator, counts = torch.tensor([0, 1, 4, 9]), torch.Generator().manual_seed(0), torch.zeros(11)
    for _ in range(2000):
        items, weights = draw_items(own, 11, n_drawn, generator)
        assert len(items) == len(weights) == min(n_drawn, 7)
        assert (items.diff() > 0).all()
        counts[items] += weights / 2000
    assert (counts[own] == 0).all()
    others = [i for i in range(11) if i not in own]
    torch.testing.assert_close(counts[others], torch.ones(7), atol=0.2, rtol=0)


@BY_LIKELIHOOD
@BY_MODEL
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tiles_of_items_give_loss_and_gradients_of_all_items(name, likelihood, dtype, monkeypatch):
    monkeypatch.setattr(item_products, "BYTES_PER_COLUMN", 32)
    objective = objective_of(MODELS[name].set_params(likelihood=likelihood), N_ITEMS, dtype)
    batch = _rows(dtype).batch(torch.arange(N_USERS))
    exact = _loss_and_gradients(objective, batch, item_products.FLOAT32)
    monkeypatch.setattr(item_products, "BYTES_OF_LOGITS", 1)
    monkeypatch.setattr(item_products, "BYTES_OF_TILE", 4 * N_USERS * 16)
    products = ItemProducts.for_training(objective.network, False, N_USERS, item_products.accumulate)
    assert products.n_columns < N_ITEMS
    _assert_same(_loss_and_gradients(objective, batch, products), exact, 1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_fit_in_tiles_is_a_fit_without(name, X, monkeypatch):
    model = clone(AUTOENCODERS[name]).set_params(max_iter=1, batch_size=200, early_stopping=False)
    expected = clone(model).fit(X)
    monkeypatch.setattr(item_products, "BYTES_PER_COLUMN", 128)
    monkeypatch.setattr(item_products, "BYTES_OF_LOGITS", 1)
    monkeypatch.setattr(item_products, "BYTES_OF_TILE", 1)
    tiled = clone(model).fit(X)
    for weight in expected.weights_:
        np.testing.assert_allclose(tiled.weights_[weight], expected.weights_[weight], rtol=0, atol=2e-5)


def test_bfloat16_and_sampled_items_are_near_the_same_in_float32(X):
    model = MultVAERecommender(
        8, hidden_layer_sizes=(16,), max_iter=5, n_sampled_items=40, batch_size=32, random_state=0
    )
    one, other = (clone(model).set_params(precision=precision).fit(X) for precision in ("float32", "bfloat16"))
    assert one.loss_curve_ == pytest.approx(other.loss_curve_, rel=2e-3)
    assert one.loss_curve_ != other.loss_curve_
    assert other.score(X) == pytest.approx(one.score(X), abs=0.02)


SAMPLED = {name: clone(model).set_params(n_sampled_items=30, batch_size=125) for name, model in AUTOENCODERS.items()}


@pytest.mark.parametrize("name", SAMPLED)
def test_a_seed_a_partial_fit_and_a_warm_start_give_the_same_twice_and_go_on(name, X):
    models = [clone(SAMPLED[name]).set_params(warm_start=True, max_iter=1).fit(X) for _ in range(2)]
    assert models[0].n_sampled_items_ == 30
    for model in models:
        model.fit(X)
        model.partial_fit(X)
    assert same_weights(*models)
    assert models[0].n_iter_ == len(models[0].loss_curve_) == 3
    assert not same_weights(models[0], clone(models[0]).set_params(random_state=1).fit(X))


def test_a_partial_fit_goes_on_as_a_longer_fit_would(X):
    """Over a saved state: rows that were left alone have missed nothing."""
    rows, networks = UserRows(X), []
    for n_restarts in (0, 2):
        objective = objective_of(MODELS["vae"].set_params(likelihood="multinomial"), X.shape[1])
        settings = Settings(_Constant(), 3 // (1 + n_restarts), 25, 0.01, n_sampled_items=20)
        training = Training(objective, rows, settings, seed=3)
        training.run(Interrupts())
        for _ in range(n_restarts):
            state, training = training.state(), Training(objective, rows, settings, seed=9)
            training.resume(state)
            training.run(Interrupts())
        networks.append(objective.network.state_dict())
    for name, weight in networks[0].items():
        assert torch.equal(weight, networks[1][name]), name


def test_no_row_is_left_behind_when_a_training_ends_or_its_average_takes_a_term():
    objective = objective_of(MODELS["vae"].set_params(likelihood="multinomial"), N_ITEMS)
    training = Training(objective, _rows(), Settings(_Constant(), 3, 4, 0.01, n_sampled_items=2), seed=0)
    training.run(Interrupts())
    before = {name: weight.clone() for name, weight in objective.network.state_dict().items()}
    training.optimizer.catch_up()
    for name, weight in objective.network.state_dict().items():
        assert torch.equal(weight, before[name]), name
    calls = []
    average = MovingAverage(objective.network, 2, 9)
    for _ in range(9):
        average.updated(lambda: calls.append(average.n_updates))
    assert calls == [3, 6, 9]


class _Constant:
    final = 0.1

    def weight(self, update):
        return self.final


def test_only_rows_of_the_batch_and_of_the_draw_are_touched():
    objective = objective_of(MODELS["dae"].set_params(likelihood="multinomial"), N_ITEMS)
    optimizer, batch = Adam(objective.network, 0.1, 0.01), _rows().batch(torch.tensor([0]))
    before = {name: p.detach().clone() for name, p in objective.network.named_parameters()}
    products = SampledProducts(optimizer, 5).of_batch(batch, torch.Generator().manual_seed(0))
    objective(batch, 0.0, torch.Generator().manual_seed(0), products).backward()
    changed = {
        name: set(torch.nonzero((p != before[name]).reshape(len(p), -1).any(1)).flatten().tolist())
        for name, p in objective.network.named_parameters()
    }
    own = set(batch.items.tolist())
    assert changed["encoder.item_weight"] == own
    assert changed["decoder.item_weight"] == changed["decoder.item_bias"] == set(products.items.tolist())
    assert len(products.items) == len(own) + 5
    assert objective.network.decoder.item_weight.grad is None


class _WithWeights(DenseMultinomial):
    takes_item_weights = True

    def log_prob(self, logits, batch):
        return super().log_prob(logits if batch.item_weights is None else logits + batch.item_weights.log(), batch)


def test_a_likelihood_of_ones_own_is_refused_unless_it_takes_weights(X, monkeypatch):
    model = MultDAERecommender(4, max_iter=1, random_state=0, likelihood=DenseMultinomial(), n_sampled_items=20)
    model.set_params(initialization="xavier")  # which asks no likelihood for an intercept
    with pytest.raises(ValueError, match="n_sampled_items=20 needs a likelihood with takes_item_weights"):
        model.fit(X)
    monkeypatch.setattr("skvae.auto_parameters.LARGE_CATALOGUE", X.shape[1] - 1)
    assert clone(model).set_params(n_sampled_items="auto").fit(X).n_sampled_items_ is None
    assert (
        clone(model).set_params(n_sampled_items="auto", likelihood="logistic").fit(X).n_sampled_items_
        == X.shape[1] // 10
    )
    ours, own = (
        clone(model).set_params(likelihood=likelihood, batch_size=16).fit(X)
        for likelihood in ("multinomial", _WithWeights())
    )
    assert own.loss_curve_ == pytest.approx(ours.loss_curve_, rel=1e-5)


@pytest.mark.parametrize(("n_sampled_items", "n_items", "expected"), [
    ("auto", 200, None), (None, 200, None), (200, 200, None), (199, 200, 199), (1, 200, 1),
])  # fmt: skip
def test_as_many_items_as_there_are_is_all_of_them(n_sampled_items, n_items, expected, X):
    model = MultDAERecommender(4, max_iter=1, n_sampled_items=n_sampled_items).fit(X)
    assert model.n_sampled_items_ == expected


def test_a_batch_of_some_items_holds_what_its_users_have_of_them():
    batch = _rows().batch(torch.arange(N_USERS))
    dense, items = batch.to_dense(), slice(7, 31)
    assert torch.equal(batch.of_items(items).to_dense(), dense[:, items])
    assert replace(batch, items=batch.items, n_items=N_ITEMS).item_weights is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_model_ranks_and_validates_in_tiles_of_items_as_without(name, precision, X, monkeypatch):
    model = clone(AUTOENCODERS[name]).set_params(max_iter=1, precision=precision)
    expected = clone(model).fit(X[:400], X_val=X[400:])
    items, scores = expected.recommend(X, k=30)
    monkeypatch.setattr("skvae.ranking.USERS_PER_TILE", 50)
    monkeypatch.setattr("skvae.ranking.SCORES_PER_BLOCK", 50 * 64)
    monkeypatch.setattr("skvae.ranking.FEWEST_USERS_PER_BLOCK", 10**9)
    in_tiles, best = expected.recommend(X, k=30)
    np.testing.assert_allclose(best, scores, rtol=0, atol=1e-5)
    assert (in_tiles == items).mean() > 0.999  # a last-bit difference may swap equals
    assert model.fit(X[:400], X_val=X[400:]).validation_scores_ == pytest.approx(expected.validation_scores_, abs=1e-4)


@BY_MODEL
def test_a_partial_fit_by_all_items_goes_on_from_moments_that_know_nothing_of_rows(name, X):
    """Or rows would be given, at its end, updates that they have."""
    after, plain = (clone(MODELS[name]).set_params(n_sampled_items=20, random_state=0).partial_fit(X) for _ in range(2))
    for state in plain._training_state["moments"].values():
        for key in state.keys() - {"step", "exp_avg", "exp_avg_sq"}:
            del state[key]
    after, plain = (model.set_params(n_sampled_items=None).partial_fit(X) for model in (after, plain))
    assert same_weights(after, plain)
