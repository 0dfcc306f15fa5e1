"""The weights that a training begins with: Xavier's variances, and a linear autoencoder computed with NumPy."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from skvae import MultDAERecommender, MultVAERecommender
from skvae.core.batches import UserRows
from skvae.core.initialization import begin_items, item_factors, near_ease, near_svd, singular_vectors, xavier
from skvae.core.likelihoods import LIKELIHOODS, Gaussian, Multinomial
from skvae.core.networks import Decoder, DenoisingAutoencoder, Encoder


def _generator():
    return torch.Generator().manual_seed(0)


def _normalized(X):
    dense = X.toarray()
    return dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)


def _dae(n_items, n_components, likelihood=None, activation=nn.Identity):
    encoder = Encoder(n_items, [n_components], activation(), activation())
    decoder = Decoder([n_components], n_items, activation())
    network = DenoisingAutoencoder(encoder, decoder, likelihood or Multinomial())
    xavier(network, None, _generator())
    return network


def test_xavier_has_the_variance_of_glorot_in_every_matrix_and_nearly_no_bias():
    network = nn.ModuleDict(
        {
            "encoder": Encoder(3000, [60, 20], nn.Tanh(), nn.Identity()),
            "decoder": Decoder([20, 60], 3000, nn.Tanh()),
        }
    )
    xavier(network, None, _generator())
    for name, weight in network.named_parameters():
        if weight.ndim == 2:
            assert weight.std().item() == pytest.approx((2 / sum(weight.shape)) ** 0.5, rel=0.05), name
        else:
            assert weight.abs().max() <= 0.002


def test_singular_vectors_are_those_of_lapack_but_for_their_sign(X):
    X = X[:, :12]
    vectors, squares = (part.numpy() for part in singular_vectors(UserRows(X, torch.float64), 5, _generator()))
    _, values, expected = np.linalg.svd(_normalized(X))
    np.testing.assert_allclose(squares, values[:5] ** 2)
    cosines = np.abs((vectors * expected[:5].T).sum(0))
    np.testing.assert_allclose(cosines, 1, atol=1e-8)
    assert (vectors.max(0) >= -vectors.min(0)).all()


def test_of_many_items_the_vectors_explain_as_much_as_the_best_ones(X):
    X = sp.csr_array(X)
    vectors = singular_vectors(UserRows(X), 20, _generator())[0].numpy()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-4)
    best = (np.linalg.svd(_normalized(X), compute_uv=False)[:20] ** 2).sum()
    assert (np.square(_normalized(X) @ vectors)).sum() >= 0.98 * best


def test_length_of_a_row_does_not_matter(X):
    scaled = sp.csr_array(sp.diags_array(np.random.default_rng(0).uniform(0.1, 50, X.shape[0])) @ X)
    both = [singular_vectors(UserRows(matrix, torch.float64), 8, _generator())[0] for matrix in (X, scaled)]
    torch.testing.assert_close(*both, atol=1e-6, rtol=0)


def test_a_linear_autoencoder_begins_as_the_projection_of_its_users(X):
    rows, n_components = UserRows(X), 6
    network = _dae(X.shape[1], n_components)
    near_svd(network, rows, _generator())
    batch = rows.batch(torch.arange(X.shape[0]))
    with torch.no_grad():
        logits = network.decoder(network.code(batch)).numpy()
    generator = _generator()
    xavier(network, None, generator)  # which draws first
    vectors = singular_vectors(rows, n_components, generator)[0].numpy()
    n_users = (np.diff(X.indptr) > 0).sum()
    scores = (X.nnz / n_users) ** 0.5 * _normalized(X) @ vectors @ vectors.T
    popularity = X.sum(0) + X.sum() / X.nnz
    np.testing.assert_allclose(logits, scores + np.log(popularity / popularity.mean()), atol=0.01)  # biases of .001


def _ease(gram, l2):
    """EASE^R as Steck has it: the inverse divided by its diagonal."""
    inverse = np.linalg.inv(gram + l2 * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def test_all_factors_of_all_vectors_are_the_weights_of_ease_and_fewer_the_best_of_their_rank(X):
    gram = (X.T @ X).toarray()[:30, :30].astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    expected = _ease(gram, 5.0)
    given = torch.from_numpy(vectors), torch.from_numpy(values / (values + 5.0))
    left, right = item_factors(*given, 30, _generator())
    np.testing.assert_allclose((left @ right.T).numpy(), expected, atol=1e-10)
    left, right = item_factors(*given, 8, _generator())
    best = np.linalg.svd(expected, compute_uv=False)[8:]
    assert np.linalg.norm((left @ right.T).numpy() - expected) <= 1.02 * np.linalg.norm(best)


def test_a_linear_autoencoder_begins_as_ease_of_the_normalized_rows(X):
    X = sp.csr_array(X[:, :30])
    network = _dae(30, 30)
    near_ease(network, UserRows(X), _generator())
    batch = UserRows(X).batch(torch.arange(X.shape[0]))
    with torch.no_grad():
        logits = (network.decoder(network.code(batch)) - network.decoder.item_bias).numpy()
    rows, mean_length = _normalized(X), X.nnz / (np.diff(X.indptr) > 0).sum()
    expected = mean_length**0.5 * rows @ _ease(mean_length * rows.T @ rows, 200.0)
    np.testing.assert_allclose(logits, expected, atol=0.02)


@pytest.mark.parametrize("n_users", [1, 3, 40])
def test_few_users_begin_near_ease_too(n_users, X):
    network = _dae(X.shape[1], 6)
    near_ease(network, UserRows(X[:n_users]), _generator())
    assert all(torch.isfinite(p).all() for p in network.parameters())


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_an_intercept_is_where_no_gradient_is_left(name, X):
    """Of all users, and of those that it adds: one with every item, for logistic one without any besides."""
    X = sp.csr_array(X[:, :30])
    intercept = LIKELIHOODS[name]().intercept(UserRows(X))
    X = X[np.diff(X.indptr) > 0]  # training skips the others
    added = [np.full((1, 30), X.sum() / X.nnz), np.zeros((1, 30))]
    users = sp.vstack([X, *({"multinomial": added[:1], "logistic": added, "gaussian": []}[name])])
    batch = UserRows(sp.csr_array(users), torch.float64).batch(torch.arange(users.shape[0]))
    bias = intercept.clone().requires_grad_()
    LIKELIHOODS[name]().log_prob(bias.repeat(users.shape[0], 1), batch).sum().backward()
    assert bias.grad.abs().max() < 1e-8


@pytest.mark.parametrize("n_users", [1, 19, 45])
def test_few_users_give_few_vectors_and_leave_the_rest_as_it_was(n_users, X):
    network = _dae(X.shape[1], 6)
    before = network.encoder.item_weight.detach().clone()
    near_svd(network, UserRows(X[:n_users]), _generator())
    changed = (network.encoder.item_weight != before).any(0)
    assert changed.tolist() == [i < n_users // 20 for i in range(6)]
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_hidden_layers_pass_the_code_on_and_leave_the_variance_alone(X):
    model = MultVAERecommender(4, hidden_layer_sizes=(16, 8), decoder_hidden_layer_sizes=(3,), activation="identity")
    networks = [
        model._architecture(model._checked_parameters()).build(X.shape[1]).to_empty(device="cpu") for _ in range(2)
    ]
    for network, initialize in zip(networks, (xavier, near_svd), strict=True):
        initialize(network, UserRows(X), _generator())
    layers = [(*network.encoder.layers, *network.decoder.layers) for network in networks]
    for before, after, n_units in zip(*layers, (4, 4, 3), strict=True):
        expected = torch.zeros_like(before.weight)
        expected[range(n_units), range(n_units)] = 1
        torch.testing.assert_close(after.weight - before.weight, expected)
    assert (networks[1].encoder.item_weight != networks[0].encoder.item_weight).any(0).tolist() == [
        i < 3 for i in range(16)
    ]


def test_a_likelihood_without_an_intercept_keeps_the_biases(X):
    class Bare:
        mean = Multinomial.mean

        def log_prob(self, logits, batch):
            return (batch.to_dense() * logits.log_softmax(-1)).sum(-1)

    model = MultDAERecommender(4, likelihood=Bare(), max_iter=1, early_stopping=False, random_state=0)
    assert np.isfinite(model.fit(X).loss_curve_).all()
    network = _dae(X.shape[1], 4, Bare())
    before = network.decoder.item_bias.detach().clone()
    near_svd(network, UserRows(X), _generator())
    assert torch.equal(network.decoder.item_bias, before)


@pytest.mark.parametrize("unheard", [False, True])
def test_added_items_begin_with_the_mean_of_what_their_users_know(unheard, X):
    network = _dae(X.shape[1], 4, Multinomial())
    near_svd(network, UserRows(X), _generator())
    added = torch.zeros(X.shape[1], dtype=torch.bool)
    added[[3, 11]] = True
    if unheard:  # nobody has one of them
        X = X.tolil()
        X[:, 11] = 0
        X = sp.csr_array(X)
    before = [weight.detach().clone() for weight in (network.encoder.item_weight, network.decoder.item_weight)]
    bias = network.decoder.item_bias.detach().clone()
    begin_items(network, UserRows(X), added)
    dense, known = X.toarray() > 0, ~added.numpy()
    counts = (dense & known).sum(axis=1)
    for weight, old, centered in zip(
        (network.encoder.item_weight, network.decoder.item_weight), before, (False, True), strict=True
    ):
        assert torch.equal(weight[~added], old[~added])
        of_users = (dense & known)[counts > 0] / counts[counts > 0, None] @ old.numpy()
        for item in (3, 11):
            owners = dense[counts > 0, item]
            if not owners.any():
                assert not weight[item].any()
                continue
            expected = of_users[owners].mean(axis=0)
            if centered:
                expected -= of_users.mean(axis=0)
                length = np.sort(np.linalg.norm(old.numpy()[known], axis=1))[(known.sum() - 1) // 2]
                expected *= length * owners.sum() / (owners.sum() + 5) / np.linalg.norm(expected)
            np.testing.assert_allclose(weight[item].detach(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(network.decoder.item_bias[~added], bias[~added])
    assert torch.isfinite(network.decoder.item_bias).all()


def test_the_gaussian_intercept_is_the_weighted_mean(X):
    dense = X.toarray()[:, :5] * 3.0
    rows = UserRows(sp.csr_array(dense))
    dense = dense[dense.any(1)]
    weights = np.where(dense > 0, 7, 1)
    expected = (weights * dense).sum(0) / weights.sum(0)
    np.testing.assert_allclose(Gaussian(7.0).intercept(rows), expected)


def test_fit_begins_far_above_xavier(X):
    start, later = (
        MultDAERecommender(20, max_iter=1, initialization=name, random_state=0).fit(X[200:], X_val=X[:200])
        for name in ("xavier", "svd")
    )
    assert later.best_validation_score_ > start.best_validation_score_ + 0.05
