"""What a fit will take, before it runs: laws between sizes, and what fits resolve and hold."""

import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import SMALL_DAE
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

import skvae
from skvae import (
    BlendRecommender,
    EASERecommender,
    LinearRecommender,
    MultDAERecommender,
    MultVAERecommender,
    PopularityRecommender,
    RecVAERecommender,
    autoencoder_memory,
    cost,
    estimate_cost,
    linear_search,
    memory,
)
from skvae.core import gram, item_regression, probe
from skvae.core.item_products import BYTES_OF_TILE

AUTOENCODERS = {
    "vae": MultVAERecommender(8, hidden_layer_sizes=(16,), max_iter=1, random_state=0),
    "dae": MultDAERecommender(8, max_iter=1, random_state=0),
    "recvae": RecVAERecommender(8, hidden_layer_sizes=(16, 16), max_iter=1, random_state=0),
    "sampled": MultDAERecommender(8, n_sampled_items=20, max_iter=1, random_state=0),
}
BLEND = BlendRecommender([("ease", EASERecommender()), ("dae", AUTOENCODERS["dae"]), ("none", "drop")])
MODELS = AUTOENCODERS | {
    "ease": EASERecommender(),
    "linear": LinearRecommender(),
    "gram": LinearRecommender(l2_regularization=50, keep_gram=True),
    "popularity": PopularityRecommender(),
    "blend": BLEND,
}
USERS, ITEMS, INTERACTIONS = 4000, 3000, 100_000


def bytes_of(model, n_users=USERS, n_items=ITEMS, n_interactions=INTERACTIONS):
    return estimate_cost(model, n_users, n_items, n_interactions, probe=False).total_bytes


@pytest.fixture(params=MODELS)
def model(request):
    return clone(MODELS[request.param])


def test_more_of_anything_takes_more(model):
    total = bytes_of(model)
    assert total < bytes_of(model, n_interactions=2 * INTERACTIONS)
    assert total < bytes_of(model, n_items=2 * ITEMS)
    assert total < bytes_of(model, n_users=2 * USERS, n_interactions=2 * INTERACTIONS)


def test_the_total_is_what_is_held_throughout_and_in_the_largest_phase(model):
    told = estimate_cost(model, USERS, ITEMS, INTERACTIONS, probe=False)
    phases = {phase: sum(parts.values()) for phase, parts in told.phases.items()}
    assert told.total_bytes == sum(told.throughout.values()) + max(phases.values())
    assert phases[told.peak_phase] == max(phases.values())
    assert told.total_bytes > told.model_bytes > 0
    assert told.throughout["X"] == 8 * INTERACTIONS + 4 * (USERS + 1)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_weights_of_an_autoencoder_are_linear_in_the_items(name):
    weights = [bytes_of_weights(AUTOENCODERS[name], n) for n in (10_000, 20_000, 40_000)]
    assert weights[2] - weights[1] == 2 * (weights[1] - weights[0])
    assert weights[1] / weights[0] == pytest.approx(2, rel=0.01)


def test_the_weights_of_a_linear_model_are_square_in_the_items():
    assert bytes_of_weights(EASERecommender(), 20_000) == 4 * bytes_of_weights(EASERecommender(), 10_000)


def bytes_of_weights(model, n_items):
    return estimate_cost(model, USERS, n_items, INTERACTIONS, probe=False).throughout["weights"]


def test_a_fitted_model_has_the_bytes_that_were_told(model, X):
    told = estimate_cost(model, *X.shape, X.nnz, probe=False)
    assert "weights_" not in vars(model)  # nor anything else
    assert told.model_bytes == held(model.fit(X))


def held(model):
    if isinstance(model, BlendRecommender):
        return sum(map(held, model.estimators_))
    if isinstance(model, PopularityRecommender):
        return model.item_counts_.nbytes
    weights = model.weights_.values() if isinstance(model.weights_, dict) else [model.weights_]
    return sum(w.nbytes for w in weights) + getattr(model, "gram_", np.empty(0)).nbytes


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("early_stopping", [True, False])
def test_the_plan_is_what_a_fit_resolves(name, early_stopping, X):
    fitted = clone(AUTOENCODERS[name]).set_params(early_stopping=early_stopping).fit(X)
    plan = autoencoder_memory.plan_of(fitted, fitted._checked_parameters(), memory.Size.of(X))
    assert (plan.batch.n_users, plan.n_sampled_items) == (fitted.batch_size_, fitted.n_sampled_items_)
    assert (plan.validated.n_users > 0) == (fitted.validation_scores_ is not None)


CHEAPER = [
    ({"averaging_epochs": 2.0}, {"averaging_epochs": 0}),
    ({"early_stopping": True}, {"early_stopping": False}),
    ({"hidden_layer_sizes": (600,)}, {"hidden_layer_sizes": (300,)}),
    ({"n_components": 200}, {"n_components": 100}),
    ({"batch_size": 500}, {"batch_size": 50}),
    ({"batch_size": 3500}, {"batch_size": 3500, "precision": "bfloat16"}),
    ({"store_user_hashes": True}, {"store_user_hashes": False}),
]  # fmt: skip


@pytest.mark.parametrize(("more", "less"), CHEAPER)
def test_what_a_parameter_saves_is_told(more, less):
    dear, cheap = (MultVAERecommender(**parameters) for parameters in (more, less))
    assert bytes_of(dear) > bytes_of(cheap)


def test_an_update_by_some_of_the_items_takes_less_than_one_by_all():
    sampled, exact = (MultDAERecommender(8, batch_size=1000, n_sampled_items=n) for n in (100, None))
    assert bytes_of(sampled, n_items=100_000) < bytes_of(exact, n_items=100_000)


def test_tiles_bound_what_a_batch_takes(monkeypatch):
    monkeypatch.setattr("skvae.core.item_products.BYTES_OF_TILE_OF_GPU", BYTES_OF_TILE)
    batches = [MultDAERecommender(8, batch_size=n, n_sampled_items=None) for n in (1000, 20_000)]
    phases = [estimate_cost(model, 40_000, 100_000, 10**6, probe=False).phases["updates"] for model in batches]
    whole, tiles = (parts["logits of a batch"] for parts in phases)
    assert whole == 4 * 1000 * 100_000 > tiles


def test_a_likelihood_of_ones_own_is_taken_for_a_dense_one():
    class Own:
        def log_prob(self, logits, batch):
            return logits.sum(-1)

        def mean(self, logits):
            return logits

    assert bytes_of(MultDAERecommender(likelihood=Own())) > bytes_of(MultDAERecommender())


GIVEN = [
    {},
    {"l2_regularization": 5},
    {"dropout": 0.3},
    {"user_exponent": 0.1},
    {"dropout": 0.3, "user_exponent": 0.1},
    {"l2_regularization": 5, "dropout": 0.3, "user_exponent": 0.1},
    {"l2_regularization": 5, "dropout": 0.3, "user_exponent": 0.1, "item_exponent": 0},
]


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: "-".join(given) or "nothing")
def test_a_linear_model_takes_as_many_inverses_as_told(given, X, monkeypatch):
    calls, invert = [], item_regression.invert
    monkeypatch.setattr(item_regression, "invert", lambda matrix: calls.append(1) or invert(matrix))
    monkeypatch.setattr(linear_search, "MOST_FURTHER", 0)
    rows = sp.vstack([X] * 2, format="csr")  # enough users to hold some out
    model = LinearRecommender(**given).fit(rows)
    monkeypatch.setattr(cost, "inverse_rate", lambda device: 1e9)
    monkeypatch.setattr(cost, "copy_rate", lambda device: np.inf)
    told = estimate_cost(model, *rows.shape, rows.nnz).seconds
    assert list(told) == ["an inverse", f"{len(calls)} inverses"][: len(calls)]
    assert told["an inverse"] == cost.INVERSE_SPEED * item_regression.operations(*rows.shape, rows.nnz) / 1e9


def test_of_few_users_the_weights_themselves_count(monkeypatch):
    monkeypatch.setattr(cost, "inverse_rate", lambda device: np.inf)
    monkeypatch.setattr(cost, "copy_rate", lambda device: 1e9)
    for items in (200, 2000):
        seconds = estimate_cost(EASERecommender(), 20, items, 40).seconds["an inverse"]
        assert seconds == cost.BYTES_PASSED_OF_ITEM_WEIGHT * items**2 / 1e9


def test_seconds_grow_with_users_and_items_and_are_not_told_without_a_probe(model, monkeypatch):
    for name in ("product_rate", "inverse_rate", "copy_rate"):
        monkeypatch.setattr(cost, name, lambda *arguments: 1e9)
    small, large = (estimate_cost(model, n * USERS, n * ITEMS, n * INTERACTIONS).seconds for n in (1, 3))
    assert small.keys() == large.keys()
    assert bool(small) == (not isinstance(model, PopularityRecommender))
    assert all(0 < small[what] < large[what] for what in small)
    assert not estimate_cost(model, USERS, ITEMS, INTERACTIONS, probe=False).seconds


def test_the_epochs_that_a_fit_may_take_are_told_too():
    seconds = estimate_cost(clone(MODELS["dae"]).set_params(max_iter=30), 100, 200, 1000).seconds
    assert seconds["max_iter=30 epochs"] == 30 * seconds["an epoch"]


def test_a_probe_measures_this_device():
    assert all(seconds > 0 for seconds in estimate_cost(MODELS["dae"], 100, 200, 1000).seconds.values())


def test_a_rate_is_of_the_work_that_is_timed(monkeypatch):
    monkeypatch.setattr(probe, "_seconds", lambda *_: 0.5)
    cpu = torch.device("cpu")
    assert probe.product_rate(3, 5, 7, torch.float32, cpu) == 2 * 2 * 3 * 5 * 7  # multiplications and additions
    assert probe.copy_rate(cpu) == 2 * 2 * probe.BYTES_COPIED
    assert probe.inverse_rate(cpu) == 2 * probe.ROWS_INVERTED**3
    assert probe.call_rate(cpu) == 2 * probe.N_CALLS


LARGE = {
    "vae": MultVAERecommender(hidden_layer_sizes=(100_000,), max_iter=1),
    "recvae": RecVAERecommender(100_000, max_iter=1),
    "dae": MultDAERecommender(100_000, n_sampled_items=None, max_iter=1),
    "ease": EASERecommender(),
    "linear": LinearRecommender(keep_gram=True),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_fit_that_needs_more_than_there_is_says_so_before_any_work(name, monkeypatch):
    model, million = clone(LARGE[name]), sp.csr_array(([1.0], ([0], [5])), shape=(2, 1_000_000))
    told = estimate_cost(model, *million.shape, million.nnz, probe=False)
    assert not told.fits
    assert told.advice
    monkeypatch.setattr(type(model), "_begin_fit", None)  # which is where the work begins
    figure = f"{type(model).__name__} needs {told.total_bytes / 2**30:.1f} GiB for a fit on 2 users x 1000000 items"
    with pytest.raises(MemoryError, match=re.escape(figure)) as raised:
        model.fit(million)
    assert told.advice in str(raised.value)
    assert vars(model) == vars(clone(model))


def test_a_blend_of_members_that_fit_alone_but_not_together_says_so_before_any_work(X, monkeypatch):
    ease, other = EASERecommender(), EASERecommender(l2_regularization=1)
    blend = BlendRecommender([("ease", ease), ("other", other)], weights=[1, 1])
    told = estimate_cost(blend, *X.shape, X.nnz, probe=False)
    assert set(told.phases) == {"fit ease", "fit other"}
    monkeypatch.setattr(memory, "memory_of", lambda device: told.total_bytes - 1)
    for member in (ease, other):
        member.fit(X)
    monkeypatch.setattr(BlendRecommender, "_begin_fit", None)
    with pytest.raises(MemoryError, match=r"BlendRecommender needs .* for a fit .*: leave out 'ease', the largest"):
        blend.fit(X)


def held_beside_X(model, n_users):
    """Of a model that is fitted alone, and bytes that are left of it."""
    told = estimate_cost(model, n_users, ITEMS, INTERACTIONS * n_users // USERS, probe=False)
    return told.total_bytes - told.throughout["X"], told.model_bytes


LEARNED = LinearRecommender()
GIVEN_ALL = LinearRecommender(l2_regularization=5, dropout=0.3, user_exponent=0.1, item_exponent=0)
OF_EPOCHS = MultDAERecommender(8, max_iter=1, early_stopping=False)
N_FEWER = USERS - USERS // 10  # by validation_fraction=0.1


@pytest.mark.parametrize(
    ("parameters", "rounds"),
    [
        ({}, {"fit": (N_FEWER, LEARNED), "refit": (USERS, GIVEN_ALL)}),
        ({"refit": False}, {"fit": (N_FEWER, LEARNED)}),
        ({"validation_fraction": 0.001}, {"fit": (USERS, LEARNED)}),
        ({"weights": [1, 1, 1]}, {"fit": (USERS, LEARNED)}),
    ],
    ids=["learned", "no refit", "nobody held out", "given"],
)
def test_members_of_a_blend_take_what_they_take_alone_beside_those_that_are_fitted(parameters, rounds):
    members = [("linear", LEARNED), ("dae", OF_EPOCHS), ("ease", EASERecommender())]
    told = estimate_cost(BlendRecommender(members, **parameters), USERS, ITEMS, INTERACTIONS, probe=False)
    expected, fitted = {}, 0
    for what, (n_users, linear) in rounds.items():
        for name, alone in (("linear", linear), ("dae", OF_EPOCHS), ("ease", EASERecommender())):
            needed, left = held_beside_X(alone, n_users)
            expected[f"{what} {name}"] = needed + fitted
            fitted += left
    assert {phase: sum(parts.values()) for phase, parts in told.phases.items()} == expected
    is_split = N_FEWER in {n_users for n_users, _ in rounds.values()}
    hashes = {"hashes of the users": 8 * USERS}
    of_users = {"X": 8 * INTERACTIONS + 4 * (USERS + 1)} | hashes
    assert sum(told.throughout.values()) == sum(of_users.values()) + is_split * of_users["X"]


def test_a_blend_in_a_blend_learns_no_weights_in_the_refit():
    inner = BlendRecommender([("ease", EASERecommender()), ("linear", GIVEN_ALL)])
    outer = BlendRecommender([("inner", inner), ("dae", OF_EPOCHS)])
    told = estimate_cost(outer, USERS, ITEMS, INTERACTIONS, probe=False)
    with_given = clone(inner).set_params(weights=[1, 1])
    fitted = sum(held_beside_X(model, N_FEWER)[1] for model in (inner, OF_EPOCHS))
    assert sum(told.phases["refit inner"].values()) == fitted + held_beside_X(with_given, USERS)[0]


def test_validation_users_of_a_blend_are_held_once_by_the_blend():
    blend = BlendRecommender([("dae", AUTOENCODERS["dae"]), ("ease", EASERecommender())])
    parts = estimate_cost(blend, USERS, ITEMS, INTERACTIONS, probe=False).phases
    alone = estimate_cost(AUTOENCODERS["dae"], N_FEWER, ITEMS, INTERACTIONS * N_FEWER // USERS, probe=False)
    saved = alone.total_bytes - alone.throughout["X"] - parts["fit dae"]["the member 'dae'"]
    assert saved == alone.throughout[autoencoder_memory.VALIDATION_USERS] > 0


def test_where_validation_users_are_given_a_blend_splits_none_off(X, monkeypatch):
    blend, users = BlendRecommender([("ease", EASERecommender()), ("popularity", PopularityRecommender())]), X[:400]
    split, whole = (
        estimate_cost(clone(blend).set_params(**given), users, probe=False).total_bytes
        for given in ({}, {"weights": [1, 1]})
    )
    monkeypatch.setattr(memory, "memory_of", lambda device: split - 1)
    assert split > whole
    with pytest.raises(MemoryError, match="BlendRecommender needs"):
        clone(blend).fit(users)
    blend.fit(users, X_val=X[400:])


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: "-".join(given) or "nothing")
@pytest.mark.parametrize("keep_gram", [False, True])
@pytest.mark.parametrize("n_users", [60, 450, 2000])
def test_a_linear_model_is_told_to_hold_the_matrices_that_it_holds(given, keep_gram, n_users, X, monkeypatch):
    """A Gram matrix from one trial to the next, or that is kept; the users who are not held out; either inverse."""
    grams, forms = [], []

    class Noted(gram.Gram):
        def __init__(self, *arguments, **keywords):
            grams.append(self)
            super().__init__(*arguments, **keywords)

    for room in ("linear", "linear_search"):
        monkeypatch.setattr(f"skvae.{room}.Gram", Noted)
    monkeypatch.setattr(linear_search, "MOST_FURTHER", 0)
    invert = item_regression.invert
    monkeypatch.setattr(item_regression, "invert", lambda matrix: forms.append(len(matrix)) or invert(matrix))
    rows = sp.vstack([X] * 5, format="csr")[:n_users]
    model = LinearRecommender(keep_gram=keep_gram, **given).fit(rows)
    told = estimate_cost(model, *rows.shape, rows.nnz, probe=False)
    held = any(kept._single is not None for kept in grams) or keep_gram
    assert ("Gram matrix" in told.phases["inverse"]) == held
    assert (memory.COPY_OF_USERS in told.throughout) == (model.best_validation_score_ is not None)
    assert any("matrix of users" in part for part in told.phases["inverse"]) == (forms[-1] == n_users)


def test_frozen_members_and_those_of_other_libraries_hold_nothing_in_the_fit_of_a_blend(X, monkeypatch):
    class Foreign(BaseEstimator):
        def __init__(self, device="gpu"):
            self.device = device

        def fit(self, X, y=None):
            return self

        def decision_function(self, X):
            return np.ones(X.shape)

    frozen = FrozenEstimator(EASERecommender().fit(X))
    members = [("frozen", frozen), ("foreign", Foreign()), ("X", Foreign(None))]
    blend = BlendRecommender(members, weights=[1, 1, 1])
    monkeypatch.setattr(memory, "memory_of", lambda device: 2 * X.nnz * 8 + 8 * X.shape[0])
    blend.fit(X)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_fitted_members_of_a_blend_may_be_of_another_device(X):
    model = clone(AUTOENCODERS["dae"]).fit(X).set_params(device="cuda")
    blend = BlendRecommender([("dae", model), ("popular", PopularityRecommender().fit(X))], prefit=True, weights=[1, 1])
    with pytest.warns(UserWarning, match="cuda"):
        assert blend.fit(X).recommend(X[:3])[0].shape == (3, 10)


def test_members_that_get_validation_users_hold_nobody_out(X):
    inner = BlendRecommender([("ease", EASERecommender()), ("popular", PopularityRecommender())])
    outer = BlendRecommender([("inner", inner), ("other", EASERecommender())], refit=False)
    n_fitted = estimate_cost(outer, 10**5, 100, 10**6, probe=False).phases["fit inner"]["the member 'inner'"]
    of_fixed = clone(inner).set_params(weights=[1, 1], estimators=inner.estimators)
    fixed = estimate_cost(of_fixed, 9 * 10**4, 100, 9 * 10**5, probe=False)
    assert n_fitted == fixed.total_bytes - fixed.throughout["X"]


@pytest.mark.parametrize(("model", "advice"), [("vae", "on a part of the users"), ("linear", "with the most users")])
def test_a_fit_of_days_says_what_makes_it_shorter(model, advice, monkeypatch):
    for rate in ("product_rate", "copy_rate", "call_rate", "inverse_rate"):
        monkeypatch.setattr(f"skvae.cost.{rate}", lambda *_: 1e6)
    model = {"vae": MultVAERecommender(device="cpu"), "linear": LinearRecommender()}[model]
    long, short = estimate_cost(model, 10**5, 2000, 10**6), estimate_cost(model, 10, 10, 20)
    assert "n_sampled_items" not in long.advice
    assert long.fits
    assert advice in long.advice
    assert str(long).endswith(f"Long: {long.advice}.")
    assert not short.advice


def test_the_advice_of_a_blend_names_the_member(monkeypatch):
    blend = BlendRecommender([("of items", EASERecommender()), ("popular", PopularityRecommender())])
    too_large = estimate_cost(blend, 10**6, 10**7, 10**8, probe=False)
    assert not too_large.fits
    assert too_large.advice == "leave out 'of items', the largest member, or change it"
    monkeypatch.setattr("skvae.cost.memory_of", lambda device: np.inf)
    for rate in ("copy_rate", "inverse_rate"):
        monkeypatch.setattr(f"skvae.cost.{rate}", lambda *_: 1e6)
    assert estimate_cost(blend, 10**5, 10**4, 10**6).advice == f"of items: {cost.ADVICE_FOR_LONG_INVERSES}"
    blend = BlendRecommender([("inverse", MultDAERecommender(device="cpu")), ("popular", PopularityRecommender())])
    for rate in ("product_rate", "call_rate"):
        monkeypatch.setattr(f"skvae.cost.{rate}", lambda *_: 1e6)
    advice = estimate_cost(blend, 10**5, 50_000, 10**6).advice
    assert advice == f"inverse: {cost.ADVICE_TO_SAMPLE}{cost.ADVICE_FOR_LONG_EPOCHS}"


@pytest.mark.parametrize("name", ["vae", "dae", "recvae"])
def test_what_the_error_says_to_set_is_enough(name, X, monkeypatch):
    model = clone(AUTOENCODERS[name]).set_params(n_components=512, n_sampled_items="auto")
    if name != "dae":
        model.set_params(hidden_layer_sizes=(512, 512))
    available = bytes_of(model, *X.shape, X.nnz) // 2
    for room in (memory, autoencoder_memory, cost):
        monkeypatch.setattr(room, "memory_of", lambda device: available)
    with pytest.raises(MemoryError, match=r"set n_components=\d+.*, which takes .* GiB, or use Linear") as raised:
        model.fit(X)
    advised = re.search(r"set (.*), which", str(raised.value))[1].replace(" and ", ", ")
    model.set_params(**eval(f"dict({advised})"))
    assert estimate_cost(model, *X.shape, X.nnz, probe=False).fits
    model.fit(X)


def test_a_matrix_that_is_mapped_from_disk_does_not_count(X, tmp_path, monkeypatch):
    model = clone(AUTOENCODERS["dae"])
    needed = estimate_cost(model, *X.shape, X.nnz, probe=False)
    monkeypatch.setattr(memory, "memory_of", lambda device: needed.total_bytes - needed.throughout["X"])
    skvae.save_interactions(X, tmp_path / "X")
    with pytest.raises(MemoryError):
        model.fit(X)
    model.fit(skvae.open_interactions(tmp_path / "X"))


def test_it_prints_a_table_of_parts_whose_peak_is_marked():
    lines = str(estimate_cost(MODELS["vae"], USERS, ITEMS, INTERACTIONS, probe=False)).splitlines()
    assert lines[0].startswith("MultVAERecommender: 4,000 users x 3,000 items, 100,000 interactions")
    assert sum("(the peak)" in line for line in lines) == 1
    total = next(float(line.split()[-2].replace(",", "")) for line in lines if line.startswith("at the peak"))
    assert total == pytest.approx(bytes_of(MODELS["vae"]) / 1e6, abs=0.05)
    large = str(estimate_cost(MODELS["vae"], 10**8, 10**6, 10**10, probe=False)).splitlines()
    assert all(line.endswith(" GB") for line in large if line.startswith("  "))


def test_what_is_no_size_and_no_recommender_of_skvae_is_refused():
    with pytest.raises(ValueError, match="n_items == 0"):
        estimate_cost(MODELS["dae"], 10, 0, 10)
    assert str(estimate_cost(MODELS["dae"], 1e3, 10, 5e3, probe=False)).startswith("MultDAERecommender: 1,000 users")
    with pytest.raises(TypeError, match="needs n_interactions too: pass n_users, n_items and n_interactions"):
        estimate_cost(MODELS["dae"], 10, 10)
    with pytest.raises(TypeError, match="n_users must be an instance of int"):
        estimate_cost(MODELS["dae"], 10.5, 10, 10)
    with pytest.raises(ValueError, match="dropout"):
        estimate_cost(MultDAERecommender(dropout=2), 10, 10, 10)
    pipeline = make_pipeline(Binarizer(), MODELS["dae"])
    for other in (pipeline, BlendRecommender([("pipeline", pipeline)])):
        with pytest.raises(TypeError, match="recommenders of skvae alone"):
            estimate_cost(other, 10, 10, 10)


def test_fitted_members_of_a_blend_take_nothing_more(X):
    members = [("popularity", PopularityRecommender().fit(X))]
    told = estimate_cost(skvae.BlendRecommender(members, prefit=True), *X.shape, X.nnz)
    assert told.total_bytes == sum(told.throughout.values())
    with_weights = estimate_cost(skvae.BlendRecommender(members, prefit=True, weights=[1]), *X.shape, X.nnz)
    # weights are learned on a fold-in and a held-out matrix, which are together as large as X
    assert told.total_bytes - with_weights.total_bytes == told.throughout["X"]


def test_a_blend_of_fitted_members_that_is_too_large_takes_fewer_users(X, monkeypatch):
    blend = BlendRecommender([("popularity", PopularityRecommender().fit(X))], prefit=True)
    monkeypatch.setattr(memory, "memory_of", lambda device: 1)
    with pytest.raises(MemoryError, match="fit on a part of the users"):
        blend.fit(X)


def test_an_inverse_of_users_has_the_parts_of_one_of_as_many_items():
    of_users = estimate_cost(EASERecommender(), 60, ITEMS, 600, probe=False).phases["inverse"]
    of_items = estimate_cost(EASERecommender(), USERS, 60, 600, probe=False).phases["inverse"]
    assert sum(of_users.values()) == 4 * 60**2 + sum(of_items.values())


def test_a_class_is_no_recommender():
    with pytest.raises(TypeError, match=r"got the class MultDAERecommender: pass MultDAERecommender\(\)"):
        estimate_cost(MultDAERecommender, 10, 10, 10)


def test_more_interactions_than_cells_are_refused():
    with pytest.raises(ValueError, match="n_interactions == 101, more than 10 users x 10 items have"):
        estimate_cost(EASERecommender(), 10, 10, 101)
    estimate_cost(EASERecommender(), np.int32(100_000), np.int32(30_000), 10**7, probe=False)


def test_long_times_are_told_in_longer_units():
    cost = estimate_cost(EASERecommender(), 10, 10, 100, probe=False)
    for seconds, text in ((9.5, "9.5 s"), (900, "15 min"), (36_000, "10 hours"), (5e6, "57.9 days")):
        assert str(replace(cost, seconds={"an inverse": seconds})).splitlines()[-1].endswith(f" {text}")


def test_a_matrix_stands_for_its_sizes(X):
    for matrix in (X, X.toarray()):
        assert estimate_cost(SMALL_DAE, matrix, probe=False) == estimate_cost(SMALL_DAE, *X.shape, X.nnz, probe=False)
    with pytest.raises(TypeError, match="needs n_items and n_interactions too"):
        estimate_cost(SMALL_DAE, 500)
