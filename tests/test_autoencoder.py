"""What all autoencoders promise: fitted attributes, training, early stopping, randomness."""

import pickle
import re
import warnings
import weakref
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from conftest import AUTOENCODERS, SMALL_DAE, SMALL_VAE, same_weights, widened
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics.pairwise import cosine_similarity

import skvae
from skvae import MultDAERecommender, MultVAERecommender, fitting, fold_in_split
from skvae.core.architecture import Architecture
from skvae.core.batches import UserRows
from skvae.core.likelihoods import LIKELIHOODS, Multinomial
from skvae.datasets import make_interactions
from skvae.user_hashes import user_hashes
from skvae.validation_users import hold_out_users


@pytest.fixture(params=AUTOENCODERS)
def estimator(request):
    """An autoencoder at a small size and with few updates, not fitted."""
    estimator = clone(AUTOENCODERS[request.param]).set_params(batch_size=100)
    return estimator.set_params(n_encoder_passes=1) if request.param == "recvae" else estimator


def _n_updates(model, n_users):
    """Of an epoch on so many users: RecVAE goes over them several times."""
    return (1 + getattr(model, "n_encoder_passes", 0)) * -(-n_users // model.batch_size_)


# -- shapes and values of what is returned


def test_weights_are_contiguous_float32_arrays_with_a_row_for_each_item(estimator, X):
    model = estimator.fit(X)
    for weight in model.weights_.values():
        assert type(weight) is np.ndarray
        assert weight.dtype == np.float32
        assert weight.flags.c_contiguous
    assert model.weights_["decoder.item_weight"].shape[0] == model.weights_["encoder.item_weight"].shape[0] == 200


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_inverse_transform_of_transform_is_the_mean_of_the_decision(estimator, X, likelihood):
    model = estimator.set_params(likelihood=likelihood).fit(X)
    mean = {"multinomial": lambda f: softmax(f, axis=1), "logistic": expit, "gaussian": lambda f: f}[likelihood]
    expected = mean(model.decision_function(X).astype(np.float64))
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), expected, rtol=1e-4, atol=1e-6)


def test_scores_are_those_of_a_dense_network_written_out(X):
    model = MultVAERecommender(8, hidden_layer_sizes=(16, 12), max_iter=2, random_state=0).fit(X)
    w = {name: weight.astype(np.float64) for name, weight in model.weights_.items()}
    x = X.toarray() / np.sqrt(X.toarray().sum(1, keepdims=True))
    h = np.tanh(x @ w["encoder.item_weight"] + w["encoder.item_bias"])
    h = np.tanh(h @ w["encoder.layers.0.weight"].T + w["encoder.layers.0.bias"])
    mean = (h @ w["encoder.layers.1.weight"].T + w["encoder.layers.1.bias"])[:, :8]
    h = np.tanh(mean @ w["decoder.layers.0.weight"].T + w["decoder.layers.0.bias"])
    h = np.tanh(h @ w["decoder.layers.1.weight"].T + w["decoder.layers.1.bias"])
    np.testing.assert_allclose(model.transform(X), mean, rtol=1e-4, atol=1e-5)
    logits = h @ w["decoder.item_weight"].T + w["decoder.item_bias"]
    np.testing.assert_allclose(model.decision_function(X), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_score_samples_of_the_dae_is_the_log_likelihood_written_out(X, likelihood):
    model = MultDAERecommender(8, max_iter=2, random_state=0, likelihood=likelihood).fit(X)
    x, f = X.toarray(), model.decision_function(X).astype(np.float64)
    expected = {
        "multinomial": (x * np.log(softmax(f, axis=1))).sum(1),
        "logistic": (x * np.log(expit(f)) + (1 - x) * np.log(expit(-f))).sum(1),
        "gaussian": (-np.where(x > 0, 10, 1) / 2 * (x - f) ** 2).sum(1),
    }[likelihood]
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-4)


def test_very_small_and_very_large_values_stay_finite(estimator, X):
    for scale in (1e-30, 1e30):
        scores = estimator.fit(X).decision_function(X.astype(np.float64) * scale)
        np.testing.assert_allclose(scores, estimator.decision_function(X), rtol=1e-4, atol=1e-5)


# -- training


def test_the_same_seed_gives_the_same_weights_to_the_bit(estimator, X):
    first = clone(estimator).fit(X)
    again = clone(estimator).fit(X).fit(X)
    assert same_weights(first, again)
    assert (again.n_updates_, again.n_iter_) == (first.n_updates_, first.n_iter_)
    assert again.beta_curve_ == first.beta_curve_
    assert not same_weights(first, clone(estimator).set_params(random_state=1).fit(X))


@pytest.mark.parametrize("random_state", [-1, 2**32, "0", np.random.default_rng(0)])
def test_another_random_state_is_refused_by_name(random_state, X):
    with pytest.raises(ValueError, match=r"^random_state must be an int from 0 to .*, a RandomState or None: "):
        MultDAERecommender(random_state=random_state).fit(X)


def test_random_state_instances_and_none_are_accepted(estimator, X):
    one = clone(estimator).set_params(random_state=np.random.RandomState(3)).fit(X)
    assert same_weights(one, clone(estimator).set_params(random_state=np.random.RandomState(3)).fit(X))
    free = clone(estimator).set_params(random_state=None)
    assert not same_weights(clone(free).fit(X), clone(free).fit(X))


@pytest.mark.parametrize("averaging_epochs", [0, 2])
def test_n_calls_of_partial_fit_are_a_fit_of_n_epochs(estimator, X, averaging_epochs):
    estimator.set_params(max_iter=4, averaging_epochs=averaging_epochs)
    fitted = clone(estimator).set_params(early_stopping=False).fit(X)
    partly = clone(estimator)
    for _ in range(4):
        partly.partial_fit(X)
    assert same_weights(fitted, partly)
    assert partly.loss_curve_ == fitted.loss_curve_
    assert partly.beta_curve_ == fitted.beta_curve_
    assert (partly.n_iter_, partly.best_iter_, partly.n_updates_) == (4, 4, fitted.n_updates_)


def test_partial_fit_goes_on_after_fit_and_leaves_older_weights_alone(estimator, X):
    model = estimator.fit(X)
    before = {name: weight.copy() for name, weight in model.weights_.items()}
    held, n_updates = model.weights_, model.n_updates_
    model.partial_fit(X[:100])
    assert all(np.array_equal(held[name], before[name]) for name in before)
    assert not np.array_equal(model.weights_["encoder.item_weight"], before["encoder.item_weight"])
    assert model.n_iter_ == 6
    assert len(model.loss_curve_) == 6
    assert model.n_updates_ == n_updates + _n_updates(model, 100)
    assert np.abs(model.decision_function(X)).max() > 0


def test_two_warm_fits_are_a_fit_of_all_their_epochs(estimator, X):
    estimator.set_params(early_stopping=False, averaging_epochs=0, max_iter=2)
    if "total_anneal_steps" in estimator.get_params():
        estimator.set_params(total_anneal_steps=20)
    whole = clone(estimator).set_params(max_iter=4).fit(X)
    twice = clone(estimator).set_params(warm_start=True).fit(X).fit(X)
    assert same_weights(whole, twice)
    assert (twice.n_iter_, twice.loss_curve_, twice.beta_curve_) == (4, whole.loss_curve_, whole.beta_curve_)


@pytest.mark.parametrize("train", ["fit", "partial_fit"])
def test_training_that_goes_on_takes_new_parameters_and_keeps_what_auto_was(X, train):
    model = MultVAERecommender(4, hidden_layer_sizes=(6,), max_iter=2, random_state=0, warm_start=True).fit(X)
    kept = ("batch_size_", "n_iter_no_change_", "target_", "anneal_cap_", "total_anneal_steps_")
    before = [getattr(model, name) for name in kept]
    getattr(model, train)(X[:40])
    assert [getattr(model, name) for name in kept] == before
    model.set_params(batch_size=50, n_iter_no_change=3, target="all", anneal_cap=0.5, total_anneal_steps=7)
    n_updates = model.n_updates_
    getattr(model.set_params(max_iter=1, early_stopping=False), train)(X)
    assert [getattr(model, name) for name in kept] == [50, 3, "all", 0.5, 7]
    assert model.n_updates_ == n_updates + 10
    assert model.beta_curve_[-1] == 0.5


def test_where_nothing_is_dropped_any_more_the_loss_is_of_all():
    X = make_interactions(n_users=200, n_items=60, density=0.3, random_state=0)
    model = MultDAERecommender(4, max_iter=1, random_state=0, warm_start=True).fit(X)
    assert model.target_ == "dropped"
    assert np.isfinite(model.set_params(dropout=0).fit(X).loss_curve_).all()
    assert model.target_ == "all"


def test_a_second_fit_lets_go_of_the_model_before_it_trains(estimator, X, monkeypatch):
    def training(*args, **kwargs):
        held.append(of_before() is not None)
        return make(*args, **kwargs)

    held, make, model = [], fitting._training, estimator.set_params(max_iter=1).fit(X)
    model.recommend(X)  # by a network of these weights
    of_before = weakref.ref(model.weights_["decoder.item_weight"])
    monkeypatch.setattr(fitting, "_training", training)
    model.fit(X)
    assert held == [False, False]  # of the training that is validated, and of the refit


def test_a_warm_start_keeps_the_architecture(estimator, X):
    estimator.fit(X).set_params(n_components=3, hidden_layer_sizes=(5,), activation="relu", likelihood="gaussian")
    with pytest.raises(ValueError, match="whose n_components and hidden_layer_sizes and activation and likelihood can"):
        estimator.set_params(warm_start=True).fit(X)
    with pytest.raises(ValueError, match="goes on from a model of 200 items, X has 100"):
        clone(AUTOENCODERS["dae"]).set_params(warm_start=True).fit(X).fit(X[:, :100])


def test_partial_fit_keeps_the_architecture(estimator, X):
    before = estimator.fit(X).weights_
    with pytest.raises(ValueError, match=r"^partial_fit goes on .* whose likelihood cannot be changed: .* or call fit"):
        estimator.set_params(likelihood="gaussian").partial_fit(X)
    assert estimator.weights_ is before


def test_an_epoch_goes_over_the_users_with_items(estimator, X):
    with_empty = sp.vstack([X, sp.csr_array((50, 200), dtype=np.float32)], format="csr")
    model = estimator.set_params(early_stopping=False).fit(with_empty)
    assert model.n_updates_ == model.n_iter_ * _n_updates(model, 500)


def test_loss_goes_down(estimator, X):
    curve = estimator.set_params(max_iter=10, learning_rate=0.01).fit(X).loss_curve_
    assert curve[-1] < curve[0]


def test_a_batch_size_above_the_number_of_users_is_one_batch_and_takes_no_more_memory(estimator, X):
    one_batch = clone(estimator).set_params(batch_size=500, early_stopping=False).fit(X)
    assert same_weights(one_batch, estimator.set_params(batch_size=10**9, early_stopping=False).fit(X))


@pytest.mark.parametrize(("n_users", "expected"), [(100, 32), (2000, 50), (40_000, 500)])
def test_auto_batch_size_grows_with_the_users(n_users, expected):
    X = sp.csr_array(np.ones((n_users, 2), np.float32))
    model = MultDAERecommender(2, max_iter=1, early_stopping=False).fit(X)
    assert model.batch_size_ == expected


@pytest.mark.parametrize(("n_items", "expected"), [(10, 100), (100, 60), (3000, 10)])
def test_auto_patience_is_longer_where_epochs_are_short(n_items, expected):
    X = sp.csr_array(np.ones((500, n_items), np.float32))
    assert MultDAERecommender(2, max_iter=1, early_stopping=False).fit(X).n_iter_no_change_ == expected


# -- target


class Bare:
    """A multinomial that says nothing of what it can do."""

    mean = Multinomial.mean

    def log_prob(self, logits, batch):
        return Multinomial().log_prob(logits, batch)


@pytest.mark.parametrize("model", [SMALL_DAE, SMALL_VAE], ids=["dae", "vae"])
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({}, "dropped"), ({"dropout": 0.0}, "all"), ({"likelihood": Bare()}, "all"), ({"likelihood": "logistic"}, "all")],
    ids=["multinomial", "nothing dropped", "a likelihood of one's own", "another likelihood"],
)
def test_the_auto_target_is_what_was_dropped_from_a_multinomial(model, parameters, expected, X):
    X = X[np.diff(X.indptr) >= 10]
    one, other = (
        clone(model).set_params(max_iter=1, target=target, **parameters).fit(X) for target in ("auto", expected)
    )
    assert one.target_ == other.target_ == expected
    assert same_weights(one, other)


def test_the_auto_initialization_is_ease_of_long_histories_and_svd_of_short_ones(X):
    for users, expected in ((X[np.diff(X.indptr) >= 10], "ease"), (X[np.diff(X.indptr) < 10], "svd")):
        one, other = (
            clone(SMALL_DAE).set_params(max_iter=1, initialization=name).fit(users) for name in ("auto", expected)
        )
        assert same_weights(one, other)


def test_the_auto_target_is_the_whole_row_of_short_histories_and_stays_what_it_was(X):
    short, long = X[np.diff(X.indptr) < 10], X[np.diff(X.indptr) >= 10]
    model = clone(SMALL_DAE).set_params(max_iter=1).fit(short)
    assert model.target_ == model.partial_fit(long).target_ == "all"
    assert clone(SMALL_DAE).set_params(max_iter=1).partial_fit(long).target_ == "dropped"


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_users_of_whom_nothing_or_everything_is_dropped_train_to_finite_weights(likelihood):
    X = np.eye(40, 3, dtype=np.float32)
    X[3:30] = 1  # all items
    X[30:, 0] = 7
    for dropout in (1e-3, 0.5, 0.999):
        model = MultDAERecommender(
            2, dropout=dropout, target="dropped", likelihood=likelihood, max_iter=3, random_state=0
        )
        assert np.isfinite(model.fit(X).decision_function(X)).all()


# -- annealing


@pytest.mark.parametrize(
    ("n_items", "parameters", "expected"),
    [
        (3, {}, 0.02),
        (15, {}, 0.1),
        (60, {}, 0.2),
        (15, {"kl_weighting": "per_user"}, 0.005),
        (15, {"anneal_cap": 1}, 1),
    ],
)
def test_the_auto_cap_is_smaller_where_users_have_few_interactions(n_items, parameters, expected):
    X = sp.csr_array(np.ones((60, n_items), np.float32))
    X = sp.vstack([X, sp.csr_array((20, n_items), dtype=np.float32)])  # users without any do not count
    model = MultVAERecommender(2, hidden_layer_sizes=(), max_iter=20, random_state=0, **parameters).fit(X)
    assert model.anneal_cap_ == pytest.approx(expected)
    assert model.beta_curve_[-1] == pytest.approx(expected)


def test_auto_annealing_reaches_the_cap_at_a_tenth_of_the_planned_updates(X):
    model = MultVAERecommender(4, hidden_layer_sizes=(), anneal_cap=0.2, max_iter=10, early_stopping=False).fit(X)
    planned = 10 * -(-500 // model.batch_size_)
    assert model.n_updates_ == planned
    schedule = model._kl_schedule(model._checked_parameters())
    assert schedule.weight(planned // 10) == pytest.approx(0.2)
    assert schedule.weight(planned // 10 - 1) < 0.2
    assert model.beta_curve_[-1] == 0.2
    assert sorted(model.beta_curve_) == model.beta_curve_


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(0, [0.2, 0.2, 0.2]), (100, [0.15, 0.2, 0.2]), (200_000, [15 / 200_000, 31 / 200_000, 47 / 200_000])],
)
@pytest.mark.filterwarnings("ignore:beta will end at")
def test_total_anneal_steps_in_updates_is_the_schedule_of_the_paper(X, steps, expected):
    parameters = {"hidden_layer_sizes": (), "anneal_cap": 0.2, "max_iter": 3, "batch_size": 32, "early_stopping": False}
    model = MultVAERecommender(4, total_anneal_steps=steps, **parameters).fit(X)
    assert model.beta_curve_ == pytest.approx(expected)


def test_a_float_of_total_anneal_steps_is_a_share_of_the_planned_updates(X):
    model = MultVAERecommender(
        4,
        hidden_layer_sizes=(),
        max_iter=2,
        batch_size=50,
        total_anneal_steps=0.5,
        anneal_cap=1.9,
        early_stopping=False,
    ).fit(X)
    assert model.total_anneal_steps_ == 10
    assert model.beta_curve_ == [0.9, 1.9]


@pytest.mark.parametrize("steps", [5.0, np.float32(5.0)])
def test_a_float_of_1_or_more_still_is_a_share_and_says_which_number_of_updates_it_is(X, steps):
    model = MultVAERecommender(4, hidden_layer_sizes=(), max_iter=2, batch_size=50, anneal_cap=0.1, random_state=0)
    with pytest.warns(FutureWarning, match="write 100 for the same schedule"):
        share = clone(model).set_params(total_anneal_steps=steps, early_stopping=False).fit(X)
    updates = model.set_params(total_anneal_steps=100, early_stopping=False).fit(X)
    assert share.beta_curve_ == updates.beta_curve_
    assert same_weights(share, updates)


# -- validation


def test_early_stopping_is_on_by_itself_where_enough_users_can_be_held_out(estimator):
    few, many = (make_interactions(n_users=n, n_items=60, random_state=0) for n in (240, 270))
    assert not clone(estimator).fit(few).early_stopping_
    assert clone(estimator).fit(few).validation_scores_ is None
    model = clone(estimator).fit(many)
    assert model.early_stopping_
    assert len(model.validation_scores_) == model.n_iter_


def test_the_best_epoch_is_restored_and_its_score_is_that_of_the_model(estimator, X):
    fold_in, held_out = fold_in_split(X[400:])
    estimator.set_params(learning_rate=0.1, max_iter=20, early_stopping=False)
    model = estimator.fit(X[:400], X_val=(fold_in, held_out))
    assert model.n_iter_ == 20
    assert model.best_iter_ < 20
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.validation_scores_[model.best_iter_ - 1] == model.best_validation_score_
    assert model.score(fold_in, held_out) == pytest.approx(model.best_validation_score_, abs=1e-9)


def test_of_epochs_with_equal_scores_the_first_is_the_best(estimator, X, monkeypatch):
    scores = iter([0.1, 0.3, 0.3, 0.2])
    monkeypatch.setattr(fitting, "validation_score", lambda *_: next(scores))
    model = estimator.set_params(max_iter=4).fit(X[:400], X_val=X[400:])
    assert (model.best_iter_, model.n_iter_) == (2, 4)


def test_a_warm_start_keeps_the_weights_that_it_begins_with_where_no_epoch_is_better(estimator, X, monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.2, 0.25, 0.3, 0.1, 0.4])
    monkeypatch.setattr(fitting, "validation_score", lambda *_: next(scores))
    model = estimator.set_params(warm_start=True, max_iter=3).fit(X[:400], X_val=X[400:])
    best = model.weights_
    model.set_params(max_iter=2).fit(X[:400], X_val=X[400:])  # .3 before, then .2 and .25
    assert (model.best_validation_score_, model.best_iter_, model.n_iter_) == (0.3, 2, 5)
    assert all(np.array_equal(model.weights_[name], best[name]) for name in best)
    model.fit(X[:400], X_val=X[400:])  # .3 before, then .1 and .4
    assert (model.best_validation_score_, model.best_iter_, model.n_iter_) == (0.4, 7, 7)
    assert model.validation_scores_ == [0.1, 0.3, 0.2, 0.2, 0.25, 0.1, 0.4]


def test_validation_attributes_are_none_after_a_training_without_validation(estimator, X):
    model = estimator.set_params(warm_start=True, early_stopping=False).fit(X[:400], X_val=X[400:])
    assert model.best_validation_score_ is not None
    for train in (model.partial_fit, model.fit):
        train(X)
        assert model.best_validation_score_ is None
        assert model.validation_scores_ is None
        model.fit(X[:400], X_val=X[400:])


def test_a_last_update_that_diverges_leaves_the_model_as_it_was(estimator, X):
    model = estimator.fit(X)
    weights, answers = model.weights_, model.decision_function(X)
    with pytest.raises(ValueError, match=r"weights that are not finite|The loss is .*: training diverged"):
        model.set_params(learning_rate=1e38).partial_fit(X[:30])
    assert model.weights_ is weights
    assert np.array_equal(model.decision_function(X), answers)


def test_a_matrix_of_validation_users_is_split_as_fold_in_split_does(estimator, X):
    pair = clone(estimator).fit(X[:400], X_val=fold_in_split(X[400:]))
    matrix = clone(estimator).fit(X[:400], X_val=X[400:])
    assert pair.validation_scores_ == matrix.validation_scores_
    assert same_weights(pair, matrix)


def test_early_stopping_waits_for_the_cap_of_beta_and_then_for_its_patience(X):
    parameters = {"hidden_layer_sizes": (), "max_iter": 60, "learning_rate": 0.02, "random_state": 0}
    model = MultVAERecommender(8, **parameters, n_iter_no_change=3).fit(X[:400], X_val=X[400:])
    at_cap = next(i for i, beta in enumerate(model.beta_curve_, start=1) if beta >= model.anneal_cap_)
    assert model.n_iter_ == max(at_cap - 1, model.best_iter_) + 3
    assert model.n_iter_ < 60
    dae = MultDAERecommender(8, max_iter=200, learning_rate=0.02, random_state=0, n_iter_no_change=4)
    dae.fit(X[:400], X_val=X[400:])
    assert dae.n_iter_ == dae.best_iter_ + 4


def test_the_only_user_with_items_is_trained_on(estimator):
    one = np.zeros((3, 8), np.float32)
    one[1, :6] = 1
    with pytest.warns(UserWarning, match="is fitted without validation"):
        model = estimator.set_params(early_stopping=True).fit(one)
    assert model.n_iter_ == 5


def test_partial_fit_averages_anew_from_a_model_that_was_loaded(estimator, X):
    model = pickle.loads(pickle.dumps(estimator.set_params(early_stopping=False, averaging_epochs=2).fit(X)))
    before = model.weights_["decoder.item_weight"].copy()
    model.set_params(learning_rate=1e-12).partial_fit(X).partial_fit(X)
    np.testing.assert_allclose(model.weights_["decoder.item_weight"], before, atol=1e-5)


def test_validation_users_are_not_trained_on(estimator, X):
    model = estimator.set_params(early_stopping=True, refit=False).fit(X)
    assert model.n_updates_ == model.n_iter_ * _n_updates(model, 450)
    assert not model.refitted_


def test_the_refit_is_a_fit_on_all_users_that_ends_where_the_first_was_best(estimator, X):
    estimator.set_params(early_stopping=True, max_iter=12)
    steps = {"total_anneal_steps": 30, "anneal_cap": 0.2} if "total_anneal_steps" in estimator.get_params() else {}
    first, model = (clone(estimator).set_params(refit=refit, **steps).fit(X) for refit in (False, True))
    assert not same_weights(model, first)
    for name in ("n_iter_", "best_iter_", "loss_curve_", "beta_curve_", "validation_scores_", "best_validation_score_"):
        assert getattr(model, name) == getattr(first, name)
    alone = clone(estimator).set_params(early_stopping=False, max_iter=first.best_iter_, **steps).fit(X)
    assert same_weights(model, alone)
    assert model.n_updates_ == alone.n_updates_
    assert (model.refitted_, alone.refitted_) == (True, False)


@pytest.mark.filterwarnings("ignore:The largest value of X")
def test_a_refit_that_diverges_leaves_the_model_of_before(X):
    """Of users who were held out alone the values are too large."""
    _, validated = hold_out_users(X, 0.1)
    X = sp.lil_array(X)
    X[validated[:3]] *= 1e20
    dae = clone(SMALL_DAE).set_params(early_stopping=True, likelihood="gaussian")
    first = clone(dae).set_params(refit=False).fit(X.tocsr())
    with pytest.warns(ConvergenceWarning, match=r"refit on all users failed, and the weights from before it stay\."):
        model = clone(dae).fit(X.tocsr())
    assert not model.refitted_
    assert same_weights(model, first)


def test_nobody_is_refitted_on_where_users_are_given_or_a_warm_start_goes_on(estimator, X):
    assert not clone(estimator).fit(X[:450], X_val=X[450:]).refitted_
    warm = clone(estimator).set_params(early_stopping=True, warm_start=True).fit(X)
    assert not warm.fit(X).refitted_
    assert len(warm.validation_scores_) > 5


def test_users_of_a_refit_do_not_validate_a_warm_start(estimator, X):
    model = estimator.set_params(early_stopping=True).fit(X).set_params(warm_start=True)
    with pytest.warns(UserWarning, match="was trained on 50 of the 50 users whom fit would hold out, and"):
        model.fit(X)
    assert model.n_iter_ == 10
    assert not model.early_stopping_
    assert model.validation_scores_ is None
    model.fit(X[:400], X_val=X[400:])
    assert model.early_stopping_


TRAINED_ON_ALL = {
    "without early stopping": lambda model, X: model.set_params(early_stopping=False).fit(X),
    "users of their own": lambda model, X: model.fit(X, X_val=X[:20][:, ::-1]),
    "fewer users": lambda model, X: model.fit(X[:400]),
    "in another order": lambda model, X: model.fit(X[::-1]),
    "partial_fit": lambda model, X: model.partial_fit(X),
}


@pytest.mark.parametrize("kind", TRAINED_ON_ALL)
def test_users_that_a_model_was_trained_on_do_not_validate_how_it_goes_on(kind, X):
    dae = MultDAERecommender(4, max_iter=1, refit=False, random_state=0)
    model = TRAINED_ON_ALL[kind](dae, X).set_params(early_stopping="auto", warm_start=True)
    with pytest.warns(UserWarning, match=r"was trained on \d+ of the 50 users whom fit would hold"):
        model.fit(X)
    assert model.best_validation_score_ is None
    unknown = TRAINED_ON_ALL[kind](clone(dae).set_params(store_user_hashes=False), X)
    unknown.set_params(early_stopping="auto", warm_start=True).fit(X)
    assert unknown.best_validation_score_ is not None


def test_the_same_users_validate_a_warm_start(X):
    model = MultDAERecommender(4, max_iter=1, warm_start=True, random_state=0).fit(X)
    held_out = model._held_out_hashes
    assert len(held_out) == 50
    assert len(pickle.loads(pickle.dumps(model)).fit(X).validation_scores_) == 2
    np.testing.assert_array_equal(model.fit(X)._held_out_hashes, held_out)
    assert model.was_fitted_on(X).all()
    assert not len(clone(model).set_params(warm_start=False).fit(X)._held_out_hashes)  # by the refit


def test_those_who_are_new_validate_a_warm_start(X):
    model = MultDAERecommender(4, max_iter=1, warm_start=True, validation_fraction=0.1, random_state=0).fit(X)
    trained, _ = hold_out_users(X, 0.1)
    model.set_params(validation_fraction=0.2).fit(X)  # of the 100 that it draws 50 are those of before
    assert len(model.validation_scores_) == 2
    assert len(model._held_out_hashes) == 50
    assert not np.isin(user_hashes(X[trained]), model._held_out_hashes).any()


def test_a_model_of_an_older_file_is_validated_as_it_was_then(X):
    model = MultDAERecommender(4, max_iter=1, warm_start=True, random_state=0).fit(X)
    del model._held_out_hashes
    assert len(model.fit(X).validation_scores_) == 2


def test_without_users_who_can_hide_an_item_all_are_trained_on_with_one_warning(estimator):
    short = sp.csr_array(np.tile(np.eye(4, 20, dtype=np.float32), (10, 1)))
    for parameters, arguments in (({"early_stopping": True}, {}), ({}, {"X_val": short})):
        with pytest.warns(UserWarning, match="No validation user can hide an item") as caught:
            model = clone(estimator).set_params(**parameters).fit(short, **arguments)
        assert len(caught) == 1
        assert model.validation_scores_ is None
        assert model.best_validation_score_ is None
        assert not model.early_stopping_
        assert model.n_iter_ == 5


# -- precision, device, messages


def test_scores_are_those_of_an_array_of_weights_that_was_put_in_the_place_of_another(estimator, X):
    model = clone(estimator).fit(X)
    before = model.decision_function(X[:5])
    model.weights_["decoder.item_bias"] = model.weights_["decoder.item_bias"] + 1
    np.testing.assert_allclose(model.decision_function(X[:5]), before + 1, atol=1e-6)


def test_bfloat16_trains_to_about_the_same_loss(estimator, X):
    full = clone(estimator).fit(X)
    half = clone(estimator).set_params(precision="bfloat16").fit(X)
    assert half.loss_curve_[-1] == pytest.approx(full.loss_curve_[-1], rel=0.02)
    assert half.weights_["decoder.item_weight"].dtype == np.float32
    scores = half.decision_function(X)
    assert scores.dtype == np.float32
    with pytest.raises(ValueError, match="precision must be one of auto, bfloat16, float32, got 'half'"):
        half.set_params(precision="half").decision_function(X)
    in_full = half.set_params(precision="float32").decision_function(X)
    assert 0 < np.abs(scores - in_full).max() < 2**-6 * np.abs(in_full).max()


@pytest.mark.parametrize("present", [True, False])
def test_auto_precision_is_bfloat16_where_the_processor_has_it(estimator, X, monkeypatch, present):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": present}, raising=False)
    auto = clone(estimator).set_params(precision="auto", device="cpu").fit(X)
    assert same_weights(auto, clone(auto).set_params(precision="bfloat16" if present else "float32").fit(X))


def test_a_likelihood_of_ones_own_gets_float32_in_bfloat16_training(estimator, X):
    class Own(Multinomial):
        takes_bfloat16 = False

        def log_prob(self, logits, batch):
            assert logits.dtype == torch.float32
            return super().log_prob(logits, batch)

    own = clone(estimator).set_params(precision="bfloat16", likelihood=Own()).fit(X)
    assert own.loss_curve_ == pytest.approx(
        clone(estimator).set_params(precision="bfloat16").fit(X).loss_curve_, rel=1e-2
    )


def test_a_device_that_is_gone_at_inference_is_replaced_by_the_cpu_with_one_warning(estimator, X):
    model = estimator.fit(X)
    expected = model.recommend(X)[0]
    model.set_params(device="cuda:99")
    with pytest.warns(UserWarning, match="is not present on this machine") as caught:
        answers = model.recommend(X)[0]
    assert len(caught) == 1
    assert np.array_equal(answers, expected)
    with pytest.raises(ValueError, match="not present on this machine: use"):
        model.fit(X)


def test_verbose_prints_a_line_an_epoch(estimator, X, capsys):
    estimator.set_params(verbose=1).fit(X[:400], X_val=X[400:])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    has_beta = not isinstance(estimator, MultDAERecommender)
    pattern = rf"\[.*\] epoch \d/5  loss \d+\.\d+{'  beta 0.[0-9]+' * has_beta}  ndcg@100 0\.\d+  \d+\.\d\d s"
    assert all(re.fullmatch(pattern, line) for line in lines)
    model = estimator.set_params(early_stopping=True).fit(X)
    name, best = type(model).__name__, model.best_iter_
    refit = f"[{name}] epoch {best} was the best: a refit of {best} epochs on all users"
    lines = capsys.readouterr().out.splitlines()
    assert lines.index(refit) == len(model.loss_curve_)
    assert len(lines) == len(model.loss_curve_) + 1 + best
    estimator.set_params(verbose=0).fit(X)
    assert not capsys.readouterr().out


def test_codes_of_another_size_are_refused(estimator, X):
    with pytest.raises(ValueError, match=r"codes have 5 columns, .* has 8 components"):
        estimator.fit(X).inverse_transform(np.ones((2, 5)))


def test_a_loss_that_is_not_finite_raises_with_epoch_and_learning_rate(X):
    model = MultDAERecommender(8, likelihood="gaussian", learning_rate=1e30, max_iter=20, early_stopping=False)
    with (
        pytest.raises(
            ValueError, match=r"The loss is (nan|inf) in epoch \d+: training diverged at learning_rate=1e\+30"
        ),
        warnings.catch_warnings(),
    ):
        model.fit(X)
    with pytest.raises(NotFittedError):
        model.predict(X)


class _Impossible(Multinomial):
    """With a log-likelihood of -inf, and the gradients of any other."""

    def log_prob(self, logits, batch):
        return super().log_prob(logits, batch) - np.inf


def test_an_infinite_loss_raises_though_all_gradients_are_finite(estimator, X):
    with pytest.raises(ValueError, match="The loss is inf in epoch 1: training diverged"):
        estimator.set_params(likelihood=_Impossible()).fit(X)


def test_parameters_of_the_optimizer_can_change_between_calls_of_partial_fit(estimator, X):
    estimator.set_params(averaging_epochs=0)
    kept = clone(estimator).partial_fit(X).partial_fit(X)
    changed = clone(estimator).partial_fit(X).set_params(l2_regularization=1.0).partial_fit(X)
    slower = clone(estimator).partial_fit(X).set_params(learning_rate=1e-9).partial_fit(X)
    assert np.linalg.norm(changed.weights_["decoder.item_weight"]) < np.linalg.norm(
        kept.weights_["decoder.item_weight"]
    )
    once = clone(estimator).partial_fit(X)
    np.testing.assert_allclose(slower.weights_["decoder.item_weight"], once.weights_["decoder.item_weight"], atol=1e-6)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_added_items_score_minus_infinity_and_leave_the_scores_of_the_others_as_they_were(estimator, X, likelihood):
    model = estimator.set_params(likelihood=likelihood).fit(X)
    weights, before = model.weights_, model.decision_function(X)
    held = {name: array.copy() for name, array in weights.items()}
    np.testing.assert_array_equal(model.add_items(3).decision_function(widened(X, 3))[:, :200], before)
    assert np.isfinite(model.score_samples(widened(X, 3))).all()
    expected = model.inverse_transform(model.transform(widened(X, 3)))
    assert np.isfinite(expected).all()
    assert not expected[:, 200:].any()
    assert all(np.array_equal(weights[name], held[name]) for name in held)  # those handed out before
    model.partial_fit(widened(X, 3))
    assert np.isfinite(model.decision_function(widened(X, 3))).all()
    assert np.isfinite(model.loss_curve_).all()


def test_calls_that_read_one_model_throughout_build_its_network_once(estimator, X, monkeypatch):
    model, built = pickle.loads(pickle.dumps(estimator.fit(X))), []
    build_with = Architecture.build_with
    monkeypatch.setattr(Architecture, "build_with", lambda *args: built.append(args) or build_with(*args))
    assert model.score(X) == model.score(X)
    model.explain(X[:3], [[1]] * 3)
    assert len(built) == 1


def test_added_items_are_recommended_after_one_pass_about_as_often_as_after_a_refit(X):
    model, item = MultDAERecommender(16, batch_size=100, random_state=0), int(np.argsort(-np.bincount(X.indices))[8])
    X = X[:, [*np.delete(np.arange(X.shape[1]), item), item]]  # the added one is the last
    updated = clone(model).fit(X[:, :-1]).add_items(1).partial_fit(X)
    items, expected = (fitted.recommend(X, k=20)[0] for fitted in (updated, clone(model).fit(X)))
    assert (expected == 199).sum() > 20
    assert 0.5 * (expected == 199).sum() < (items == 199).sum() < 2 * (expected == 199).sum()


@pytest.mark.parametrize("warm_start", [False, True])
def test_added_items_can_be_trained_by_partial_fit_and_by_a_warm_start(estimator, X, warm_start):
    model = estimator.set_params(warm_start=warm_start).fit(X[:, :190]).partial_fit(X[:, :190]).add_items(4)
    model = pickle.loads(pickle.dumps(model)).add_items(6)
    with pytest.warns(UserWarning, match="users whom fit would hold out") if warm_start else nullcontext():
        model.fit(X) if warm_start else model.partial_fit(X)
    assert model.n_iter_ == (11 if warm_start else 7)
    assert (np.abs(model.weights_["decoder.item_weight"][190:]).sum(1) > 0).all()


def test_added_items_have_the_names_given_and_without_any_all_names_go(estimator, X, tmp_path):
    frame = pd.DataFrame(X.toarray()).rename(columns=str)
    model = estimator.fit(frame.iloc[:, :198])
    for names, n in ((["198"], 2), ("198", 2), (["198", "0"], 2), (["198", "198"], 2), ([198, 199], 2), (None, -1)):
        with pytest.raises(ValueError, match=r"names must be 2 strings that no other column is called|must be >= 0"):
            model.add_items(n, names=names)
    with pytest.raises(ValueError, match=r"- 199\nWhere the last .*, add_items\(2, names=X.columns\[-2:\]\) gives"):
        model.predict(frame)
    model.add_items(2, names=frame.columns[-2:]).partial_fit(frame)
    skvae.save(model, tmp_path / "model")
    for each in (model, skvae.load(tmp_path / "model")):
        assert each.feature_names_in_.tolist() == frame.columns.tolist()
        with pytest.raises(ValueError, match="must be in the same order"):
            each.predict(frame[frame.columns[::-1]])
    assert not hasattr(model.add_items(1), "feature_names_in_")
    with pytest.raises(ValueError, match=r"has no names of its other columns: leave out names\."):
        model.add_items(1, names=["new"])


def test_similar_items_have_the_highest_cosine(estimator, X):
    model = estimator.fit(X)
    similar, similarities = model.similar_items(np.arange(200), k=10)
    cosines = cosine_similarity(model.weights_["decoder.item_weight"])
    np.fill_diagonal(cosines, -np.inf)
    np.testing.assert_allclose(similarities, -np.sort(-cosines)[:, :10], rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(cosines, similar, 1), similarities, rtol=1e-5)


def test_sums_of_users_have_a_gradient(X):
    batch = UserRows(X).batch(torch.arange(20))
    values = torch.rand(len(batch.items), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(batch.sum_per_user, values)


def test_validation_users_of_the_fit_are_warned_of(estimator, X):
    estimator.set_params(max_iter=1)
    most = r"Most users of X_val are users of X, 99 of 100: the best epoch"
    with pytest.warns(UserWarning, match=most):
        estimator.fit(X[:400], X_val=X[301:401])
    with pytest.warns(UserWarning, match=most):
        estimator.fit(X[:400], X_val=fold_in_split(X[301:401]))
    estimator.fit(X[:400], X_val=X[360:])
    estimator.set_params(store_user_hashes=False).fit(X[:400], X_val=X[:400])


def test_validation_users_that_are_none_are_said_by_name(estimator, X):
    with pytest.raises(ValueError, match=r"^X_val has no rows: pass at least one user.$"):
        estimator.fit(X, X_val=X[:0])
    with pytest.raises(ValueError, match=r"^X_val has 3 parts: pass one matrix, or a pair"):
        estimator.fit(X, X_val=(X, X, X))


def test_a_warm_start_on_a_table_with_its_columns_in_another_order_is_refused(estimator, X):
    for names in ([f"i{item}" for item in range(200)], range(1000, 1200), range(200)):
        frame = pd.DataFrame(X.toarray(), columns=names)
        other = frame[frame.columns[::-1]]
        for first, second in [(frame, other), (other, frame)]:
            model = clone(estimator).set_params(warm_start=True, max_iter=1).fit(first)
            before = model.decision_function(first[:5])
            with pytest.raises(ValueError, match=r"^X has the column '.+' where .* was fitted with '.+'"):
                model.fit(second)
            np.testing.assert_array_equal(model.decision_function(first[:5]), before)
        model.fit(X)  # has no names
