"""What other implementations of the paper got wrong, forbidden here, a test each."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import objective_of

from skvae import MultDAERecommender, MultVAERecommender, PopularityRecommender, recommend
from skvae.core.batches import UserRows
from skvae.core.inference import Inference
from skvae.core.optimizer import Adam
from skvae.core.priors import StandardNormal
from skvae.metrics import METRICS, ndcg_at_k, recall_at_k

VAE = MultVAERecommender(8, hidden_layer_sizes=(16,), max_iter=4, batch_size=50, early_stopping=False, random_state=0)


def test_1_noise_has_the_standard_deviation_of_the_posterior(X):
    """Not a hundredth of it, which makes the VAE a plain autoencoder."""
    objective = objective_of(MultVAERecommender(8, hidden_layer_sizes=(), dropout=0.0), 200)
    batch, codes = UserRows(X).batch(torch.arange(500)), []
    network = objective.network
    hidden = network.decoder.hidden
    network.decoder.hidden = lambda code: codes.append(code.detach()) or hidden(code)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(200):
            objective(batch, 0.0, generator)
        mean, log_variance = network.posterior(batch)
    standardised = (torch.stack(codes) - mean) / (0.5 * log_variance).exp()
    assert float(standardised.std()) == pytest.approx(1, abs=0.01)
    assert float(standardised.mean()) == pytest.approx(0, abs=0.01)


def test_2_the_kl_term_is_summed_over_latent_dimensions():
    one = StandardNormal().kl_divergence(torch.ones(3, 1), torch.zeros(3, 1))
    many = StandardNormal().kl_divergence(torch.ones(3, 200), torch.zeros(3, 200))
    assert torch.equal(many, 200 * one)
    assert torch.equal(one, torch.full((3,), 0.5))


def test_3_recommendations_do_not_change_from_call_to_call(estimator, X):
    model = estimator.fit(X)
    assert np.array_equal(model.decision_function(X), model.decision_function(X))
    model.partial_fit(X)
    assert np.array_equal(model.decision_function(X), model.decision_function(X))


def test_4_beta_never_exceeds_its_cap_nor_restarts_at_an_epoch_and_is_reset_by_a_second_fit(X):
    model = VAE.set_params(total_anneal_steps=60, anneal_cap=0.5).fit(X)
    assert model.beta_curve_ == pytest.approx([9 / 60, 19 / 60, 29 / 60, 0.5])
    assert model.fit(X).beta_curve_ == pytest.approx([9 / 60, 19 / 60, 29 / 60, 0.5])


def test_5_n_components_is_the_size_of_the_code_not_of_mean_and_variance_together(X):
    model = MultVAERecommender(7, hidden_layer_sizes=(16,), max_iter=1).fit(X)
    assert model.transform(X).shape == (500, 7)
    assert model.weights_["encoder.layers.0.weight"].shape == (14, 16)
    assert model.weights_["decoder.layers.0.weight"].shape == (16, 7)


def test_6_l2_regularization_adds_the_squared_weights_and_spares_the_biases():
    network = objective_of(MultDAERecommender(4), 10).network
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = Adam(network, 0.1, 0.01)
    decay = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, p in network.named_parameters():
        assert decay[p] == (0.02 if p.ndim == 2 else 0.0), name
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in network.named_parameters():
        assert torch.equal(p, before[name]) == (p.ndim == 1), name


def test_6_more_l2_regularization_gives_smaller_weights(X):
    norms = [
        np.linalg.norm(MultDAERecommender(8, max_iter=20, random_state=0, l2_regularization=lam)
                       .fit(X).weights_["decoder.item_weight"])
        for lam in (0.0, 1e-2, 1.0)
    ]  # fmt: skip
    assert norms[0] > norms[1] > norms[2]


def test_7_the_input_is_normalised_and_the_target_is_not(estimator, X):
    """Twice the values: the same code, twice the multinomial log-likelihood."""
    model = estimator.fit(X)
    np.testing.assert_allclose(model.transform(2 * X), model.transform(X), rtol=1e-5, atol=1e-6)
    objective = objective_of(MultDAERecommender(8, dropout=0.0), 200)
    losses = [
        objective(UserRows((scale * X).astype(np.float32)).batch(torch.arange(500)), 0.0, None) for scale in (1, 2)
    ]
    assert losses[1].item() == pytest.approx(2 * losses[0].item(), rel=1e-5)


def test_8_seen_items_never_outrank_items_with_negative_scores():
    class Negative:
        def decision_function(self, X):
            return np.full(X.shape, -5.0, np.float32)

    X = sp.csr_array(np.eye(4, 6, dtype=np.float32))
    items, _ = recommend(Negative(), X, k=5)
    assert not X[np.repeat(np.arange(4), 5), items.ravel()].any()


def test_9_model_selection_masks_what_the_user_has(X):
    """A model that copies its input has no validation score to speak of."""

    class Copy(PopularityRecommender):
        def decision_function(self, X):
            return X.toarray() * 100 + np.arange(X.shape[1], dtype=np.float32) / 1e4

    class Reversed(PopularityRecommender):
        def decision_function(self, X):
            return np.tile(np.arange(X.shape[1], dtype=np.float32) / 1e4, (X.shape[0], 1))

    assert Copy().fit(X).score(X) == pytest.approx(Reversed().fit(X).score(X))


def test_9_early_stopping_scores_only_what_was_hidden(estimator, X):
    model = estimator.fit(X[:400], X_val=X[400:])
    assert model.best_validation_score_ == pytest.approx(model.score(X[400:]))


def test_10_the_ideal_of_ndcg_is_that_of_the_held_out_items_not_of_the_hits():
    held_out = np.array([[1, 1, 1, 0, 0]])
    expected = 1 / (1 + 1 / np.log2(3) + 1 / 2)
    assert ndcg_at_k(held_out, [[0, 3, 4]]) == pytest.approx(expected)


def test_10_explicit_zeros_are_no_interactions_and_users_without_held_out_items_spoil_no_mean():
    held_out = sp.csr_array((np.array([0.0, 1.0]), np.array([1, 2]), np.array([0, 2, 2])), shape=(2, 3))
    for metric in METRICS.values():
        assert metric(held_out, [[2], [0]], k=1) == 1
        assert metric(held_out, [[1], [0]], k=1) == 0


def test_10_k_at_or_above_n_items_does_not_raise(X):
    items, _ = PopularityRecommender().fit(X).recommend(X, k=500)
    for metric in METRICS.values():
        assert np.isfinite(metric(X, items, k=500))


def test_10_recall_and_precision_go_by_their_own_names():
    held_out = np.array([[1, 1, 1, 1, 0, 0]])
    items = [[0, 4]]
    assert recall_at_k(held_out, items) == 0.5
    assert recall_at_k(held_out, items, denominator="n") == 0.25
    assert METRICS["precision"](held_out, items) == 0.5
    assert METRICS["precision"](np.array([[1, 0, 0, 0, 0, 0]]), items) == 0.5
    assert recall_at_k(np.array([[1, 0, 0, 0, 0, 0]]), items) == 1.0


def test_11_empty_rows_stay_finite_in_training_and_after(estimator, X):
    empty = sp.csr_array((20, 200), dtype=np.float32)
    model = estimator.fit(sp.vstack([empty, X], format="csr"))
    assert np.isfinite(model.loss_curve_).all()
    assert np.isfinite(model.decision_function(empty)).all()
    objective = objective_of(model, 200)
    loss = objective(UserRows(empty).batch(torch.arange(20)), 0.1, torch.Generator())
    loss.backward()
    assert all(p.grad.isfinite().all() for p in objective.network.parameters())


def test_12_recommend_never_scores_all_users_at_once(estimator, X, monkeypatch):
    """The memory itself is measured in test_memory.py."""
    for name in ("SCORES_PER_BLOCK", "SCORES_PER_BLOCK_OF_GPU"):
        monkeypatch.setattr(f"skvae.ranking.{name}", 200 * 40)
    model, sizes = estimator.fit(X), []
    for kind, name in ((type(model), "decision_function"), (Inference, "scores")):
        monkeypatch.setattr(kind, name, _noting(sizes, getattr(kind, name)))
    model.recommend(X)
    model.score(X)
    model.predict(X)
    assert max(sizes) <= 40
    assert len(sizes) > 3


def _noting(sizes, scores):
    return lambda self, X: sizes.append(X.shape[0]) or scores(self, X)


@pytest.mark.parametrize("model", [VAE, MultDAERecommender(8, hidden_layer_sizes=(16,))], ids=["vae", "dae"])
def test_dropout_is_on_the_input_alone(model, X):
    """In training the same input and noise give the same code and last hidden layer, whatever the rate says."""
    objective, batch = objective_of(model.set_params(dropout=0.9), 200), UserRows(X).batch(torch.arange(500))
    encoded, decoded, hidden = [], [], objective.network.decoder.hidden
    objective.network.encoder.register_forward_hook(lambda _, inputs, code: encoded.append((inputs[0], code)))

    def recorded(code):
        decoded.append((code, hidden(code)))
        return decoded[-1][1]

    objective.network.decoder.hidden = recorded
    objective(batch, 0.0, torch.Generator().manual_seed(0))
    (dropped_out, output), (code, last) = encoded[0], decoded[0]
    assert 0.05 < (dropped_out.values != 0).float().mean() < 0.15
    assert torch.equal(objective.network.encoder(dropped_out), output)
    assert torch.equal(hidden(code), last)
