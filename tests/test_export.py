"""What an ONNX file recommends is what the estimator recommends. The runtime is ONNX Runtime, the oracle recommend."""

import os
import re
import sys

import joblib
import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest
import scipy.sparse as sp
from conftest import load_real_data, widened
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
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
    export,
)
from skvae.blend_normalizations import NORMALIZATIONS
from skvae.core.activations import ACTIVATIONS
from skvae.datasets import make_interactions
from skvae.export import NORMALIZED, to_onnx

CLASSES = [MultVAERecommender, MultDAERecommender]


def _fit(estimator_class, X, **parameters):
    """A network whose scores differ between users and items, in an epoch or two."""
    parameters = {"hidden_layer_sizes": (12,), "max_iter": 2, "random_state": 0, "early_stopping": False} | parameters
    return estimator_class(8, learning_rate=1e-2, **parameters).fit(X)


def _inputs(X):
    return {
        "indices": X.indices.astype(np.int64),
        "data": X.data.astype(np.float32),
        "indptr": X.indptr.astype(np.int64),
    }


def _recommend(path, X):
    return onnxruntime.InferenceSession(path).run(["items", "scores"], _inputs(X))


def _assert_same(model, X, answer, exclude_seen=True):
    """The same scores to float32 rounding, and the same items but for those that score the same."""
    items, scores = answer
    expected_items, expected_scores = model.recommend(X, items.shape[1], exclude_seen=exclude_seen)
    assert (items.dtype, scores.dtype, items.shape) == (np.int64, np.float32, expected_items.shape)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-5)
    assert np.array_equal(items == -1, expected_items == -1)
    with np.errstate(invalid="ignore"):  # -inf from -inf
        apart = np.diff(expected_scores, axis=1) < -2e-4 * np.maximum(1, np.abs(expected_scores[:, 1:]))
    clear = np.zeros(items.shape, bool)  # the place of no other item, whatever the rounding
    clear[:, :-1] = apart
    clear[:, 1:-1] &= apart[:, :-1]
    assert np.array_equal(items[clear], expected_items[clear])
    assert all(len(set(row[row >= 0])) == np.sum(row >= 0) for row in items)
    own_scores = np.take_along_axis(model.decision_function(X), np.maximum(items, 0), axis=1)
    np.testing.assert_allclose(own_scores[items >= 0], scores[items >= 0], rtol=1e-4, atol=1e-5)
    if exclude_seen:
        users = np.repeat(np.arange(len(items)), items.shape[1])[items.ravel() >= 0]
        assert not sp.csr_array(X)[users, items[items >= 0]].any()


@pytest.fixture(scope="module", params=CLASSES, ids=["vae", "dae"])
def model(request, X):
    return _fit(request.param, X)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The model and the session of its file with k = 150 of 200 items: more than some users have left."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    to_onnx(model, path, k=150)
    return model, onnxruntime.InferenceSession(path)


# -- the same recommendations


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("sizes", [(), (12,), (12, 10)], ids=str)
@pytest.mark.parametrize("estimator_class", CLASSES)
def test_every_architecture_recommends_the_same(estimator_class, sizes, activation, X, tmp_path):
    model = _fit(estimator_class, X, hidden_layer_sizes=sizes, activation=activation)
    to_onnx(model, tmp_path / "model.onnx", k=20)
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    _assert_same(model, X, _recommend(tmp_path / "model.onnx", X))


def test_what_stands_around_a_member_does_not_matter(X, tmp_path):
    ease = FrozenEstimator(EASERecommender(l2_regularization=5).fit(X))
    search = GridSearchCV(PopularityRecommender(), {}, scoring=skvae.ndcg_scorer, cv=2).fit(X)
    blend = BlendRecommender([("ease", ease), ("search", search)], weights=[2, 1], prefit=True).fit(X)
    to_onnx(blend, tmp_path / "model.onnx")
    _assert_same(blend, X, _recommend(tmp_path / "model.onnx", X))
    piped = BlendRecommender([("steps", make_pipeline(Binarizer(), EASERecommender()))], weights=[1]).fit(X)
    with pytest.raises(TypeError, match="got Pipeline"):
        to_onnx(piped, tmp_path / "other.onnx")


@pytest.mark.parametrize("likelihood", ["logistic", "gaussian"])
def test_the_likelihood_does_not_matter(likelihood, X, tmp_path):
    model = _fit(MultVAERecommender, X, likelihood=likelihood)
    to_onnx(model, tmp_path / "model.onnx")
    _assert_same(model, X, _recommend(tmp_path / "model.onnx", X))


def test_seen_items_are_recommended_where_they_are_not_excluded(model, X, tmp_path):
    to_onnx(model, tmp_path / "model.onnx", k=200, exclude_seen=False)
    items, scores = _recommend(tmp_path / "model.onnx", X)
    _assert_same(model, X, (items, scores), exclude_seen=False)
    assert np.array_equal(np.sort(items), np.tile(np.arange(200), (500, 1)))


@pytest.mark.parametrize("n_users", [0, 1, 500])
def test_any_number_of_users_at_once(exported, X, n_users):
    model, session = exported
    items, scores = session.run(["items", "scores"], _inputs(X[:n_users]))
    assert items.shape == scores.shape == (n_users, 150)
    if n_users:
        _assert_same(model, X[:n_users], (items, scores))


def test_users_with_nothing_and_with_everything_and_with_fewer_than_k_left(exported):
    model, session = exported
    X = np.zeros((5, 200), np.float32)
    X[1] = 1  # nothing is left
    X[3, :100] = 1  # 100 of the 150 asked for are left
    items, scores = session.run(["items", "scores"], _inputs(sp.csr_array(X)))
    _assert_same(model, X, (items, scores))
    assert np.isfinite(scores[[0, 2, 4]]).all()
    assert (items[1] == -1).all()
    assert (np.isneginf(scores).sum(1) == [0, 150, 0, 50, 0]).all()


interactions = st.lists(st.tuples(st.integers(0, 199), st.sampled_from([0.0, 1e-30, 0.5, 1.0, 5.0, 1e20])), max_size=8)


@given(users=st.lists(interactions, min_size=1, max_size=6))
def test_items_in_any_order_given_twice_or_with_value_0_count_as_in_recommend(exported, users):
    model, session = exported
    indices = np.array([item for user in users for item, _ in user], np.int64)
    data = np.array([value for user in users for _, value in user], np.float32)
    X = sp.csr_array((data, indices, np.cumsum([0, *map(len, users)])), shape=(len(users), 200))
    _assert_same(model, X.copy(), session.run(["items", "scores"], _inputs(X)))


def test_equal_scores_rank_by_lower_item_index(model, X, tmp_path):
    flat = _fit(type(model), X)
    # item i scores i % 3 for everyone
    flat.weights_ = {**flat.weights_, "decoder.item_weight": np.zeros_like(flat.weights_["decoder.item_weight"])}
    flat.weights_["decoder.item_bias"] = (np.arange(200) % 3).astype(np.float32)
    to_onnx(flat, tmp_path / "model.onnx", k=150)
    items, scores = _recommend(tmp_path / "model.onnx", X)
    expected = flat.recommend(X, 150)
    assert np.array_equal(items, expected[0])
    assert np.array_equal(scores, expected[1])


def test_the_reference_implementation_of_onnx_gives_the_same(model, X, tmp_path):
    to_onnx(model, tmp_path / "model.onnx", k=20)
    reference = onnx.reference.ReferenceEvaluator(onnx.load(tmp_path / "model.onnx"))
    _assert_same(model, X[:50], reference.run(["items", "scores"], _inputs(X[:50])))


@pytest.mark.parametrize("estimator_class", CLASSES)
def test_real_users_whom_fit_never_saw_get_the_same(estimator_class, tmp_path):
    X = load_real_data("movielens-small")
    model = _fit(estimator_class, X[:500], max_iter=5, batch_size=50)
    to_onnx(model, tmp_path / "model.onnx", k=100)
    _assert_same(model, X[500:], _recommend(tmp_path / "model.onnx", X[500:]))


@pytest.mark.parametrize("estimator_class", CLASSES)
def test_forty_thousand_items_get_the_same(estimator_class, tmp_path):
    X = load_real_data("gowalla-train")[:2000]
    model = _fit(estimator_class, X, max_iter=1, hidden_layer_sizes=())
    to_onnx(model, tmp_path / "model.onnx", k=20)
    _assert_same(model, X[:500], _recommend(tmp_path / "model.onnx", X[:500]))


def test_it_is_the_fitted_network_that_is_written(model, X, tmp_path):
    changed = _fit(type(model), X).set_params(activation="relu", hidden_layer_sizes=(3, 3), n_components=2)
    to_onnx(changed, tmp_path / "model.onnx", k=20)
    _assert_same(model, X, _recommend(tmp_path / "model.onnx", X))


def test_a_memory_mapped_model_is_written_to_the_same_bytes(model, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    to_onnx(model, tmp_path / "fitted.onnx")
    to_onnx(joblib.load(tmp_path / "model.joblib", mmap_mode="r"), tmp_path / "loaded.onnx")
    assert (tmp_path / "fitted.onnx").read_bytes() == (tmp_path / "loaded.onnx").read_bytes()


# -- linear models, popularity and blends

POPULARITY, EASE = PopularityRecommender(), EASERecommender(l2_regularization=20)
LINEAR = LinearRecommender(l2_regularization=20, item_exponent=0.3)
SMALL = {"hidden_layer_sizes": (12,), "max_iter": 2, "learning_rate": 1e-2, "random_state": 0}
DAE, VAE = MultDAERecommender(8, **SMALL), MultVAERecommender(8, **SMALL)
INNER = BlendRecommender([("linear", LINEAR), ("popularity", POPULARITY)], weights=[2, 1])
OTHERS = {
    "popularity": POPULARITY,
    "ease": EASE,
    "linear": LINEAR,
    "blend": BlendRecommender([("popularity", POPULARITY), ("dae", DAE)], weights=[1, 3]),
    "blend without a member": BlendRecommender([("ease", EASE), ("dae", DAE), ("vae", VAE)], weights=[1, 0, 2]),
    "blend as it is": BlendRecommender([("a", EASE), ("b", LINEAR)], weights=[1, 2], normalization="none"),
    "blend in a blend": BlendRecommender([("inner", INNER), ("vae", VAE)], weights=[1, 1]),
}


@pytest.fixture(scope="module", params=OTHERS)
def other(request, X):
    return clone(OTHERS[request.param]).fit(X)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_other_recommenders_recommend_the_same(other, exclude_seen, X, tmp_path):
    users = X.copy()
    users.data = np.random.default_rng(0).uniform(0.5, 2, X.nnz).astype(np.float32)
    users = sp.vstack([users[:300], sp.csr_array((1, 200)), np.ones((1, 200))], format="csr").astype(np.float32)
    to_onnx(other, tmp_path / "model.onnx", k=150, exclude_seen=exclude_seen)
    _assert_same(other, users, _recommend(tmp_path / "model.onnx", users), exclude_seen)


@pytest.mark.parametrize("scale", [1e-30, 1e20, 1e30])
def test_a_blend_of_scores_whose_squares_float32_does_not_hold_recommends_the_same(scale, X, tmp_path):
    blend = BlendRecommender([("linear", LinearRecommender()), ("popularity", POPULARITY)], weights=[2, 1])
    users = (X * np.float32(scale)).astype(np.float32)
    to_onnx(blend.fit(users), tmp_path / "model.onnx", k=50)
    _assert_same(blend, users, _recommend(tmp_path / "model.onnx", users))


def test_a_blend_of_scores_that_are_equal_but_for_rounding_recommends_the_same(tmp_path):
    everything = sp.csr_array(np.ones((30, 200), np.float32))
    blend = BlendRecommender([("ease", EASE), ("vae", VAE)], weights=[1, 1]).fit(everything)
    to_onnx(blend, tmp_path / "model.onnx", k=50, exclude_seen=False)
    _assert_same(blend, everything, _recommend(tmp_path / "model.onnx", everything), exclude_seen=False)


@pytest.mark.parametrize("name", ["ease", "blend without a member"])
def test_added_items_are_recommended_to_nobody(name, X, tmp_path):
    model, users = clone(OTHERS[name]).fit(X).add_items(3), widened(X, 3)
    to_onnx(model, tmp_path / "model.onnx", k=203)
    items, scores = _recommend(tmp_path / "model.onnx", users)
    _assert_same(model, users, (items, scores))
    assert not (items >= 200).any()


# -- the file


def test_the_file_says_what_it_is(model, tmp_path):
    to_onnx(model, str(tmp_path / "model.onnx"), k=7)
    written = onnx.load(tmp_path / "model.onnx")
    assert (written.producer_name, written.producer_version) == ("skvae", skvae.__version__)
    metadata = {entry.key: entry.value for entry in written.metadata_props}
    assert metadata == {
        "skvae_version": skvae.__version__,
        "estimator": type(model).__name__,
        "n_items": "200",
    }
    assert [(opset.domain, opset.version) for opset in written.opset_import] == [("", 18)]


def test_weights_beyond_the_limit_of_a_file_are_written_beside_it(model, X, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_BYTES_IN_FILE", 1000)
    for data in ("model.onnx.data", "model.onnx.2.data", "model.onnx.data"):  # each replaces the one before
        to_onnx(model, tmp_path / "model.onnx", k=20)
        assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", data}
        _assert_same(model, X, _recommend(tmp_path / "model.onnx", X))
    assert (tmp_path / "model.onnx").stat().st_size < 20_000
    monkeypatch.undo()
    to_onnx(model, tmp_path / "model.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_failure_leaves_the_weights_that_were_beside_a_file(X, tmp_path, monkeypatch):
    def fail_at_last(part, path, replace=os.replace):
        if str(path).endswith(".onnx"):
            raise OSError("no space left")
        replace(part, path)

    monkeypatch.setattr(export, "MAX_BYTES_IN_FILE", 1000)
    first, second = (EASERecommender(l2_regularization=l2).fit(X) for l2 in (1, 1e6))
    to_onnx(first, tmp_path / "model.onnx", k=20)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_last)
        with pytest.raises(OSError, match="no space"):
            to_onnx(second, tmp_path / "model.onnx", k=20)
    _assert_same(first, X, _recommend(tmp_path / "model.onnx", X))


def test_a_failure_leaves_the_file_that_was_there(model, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("the former one")
    monkeypatch.setattr(onnx.checker, "check_model", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        to_onnx(model, path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_text() == "the former one"


def test_a_weight_that_float32_takes_for_0_leaves_added_items_out(X, tmp_path):
    members = [("one", EASERecommender().fit(X)), ("two", EASERecommender(l2_regularization=5).fit(X))]
    blend = BlendRecommender(members, prefit=True, weights=[1, 1e-50]).fit(X)
    blend.add_items(2)
    to_onnx(blend, tmp_path / "model.onnx", k=3)
    wide = widened(X, 2)
    _assert_same(blend, wide, _recommend(tmp_path / "model.onnx", wide))


def test_each_normalization_of_the_package_has_a_graph():
    assert NORMALIZED.keys() == NORMALIZATIONS.keys()


# -- errors


def test_an_estimator_that_cannot_be_written_is_named(model, X, tmp_path):
    class Own(EASERecommender):
        def decision_function(self, X):
            return -super().decision_function(X)

    path, own = tmp_path / "model.onnx", Own().fit(X)
    with pytest.raises(NotFittedError):
        to_onnx(type(model)(), path)
    for other in (own, make_pipeline(model), None):
        with pytest.raises(TypeError, match=f"got {type(other).__name__}: of a Pipeline or a search pass the fitted"):
            to_onnx(other, path)
    members = [("model", model), ("own", own)]
    with pytest.raises(TypeError, match="a blend of these, got Own: of a"):
        to_onnx(BlendRecommender(members, prefit=True, weights=[1, 1]).fit(X), path)
    ranks = BlendRecommender(members[:1], prefit=True, weights=[1], normalization=ranked).fit(X)
    with pytest.raises(ValueError, match=r"normalises scores by <function ranked.*use one of standard, none"):
        to_onnx(ranks, path)
    assert not path.exists()


def ranked(scores, seen):
    return scores


def test_a_network_with_other_weights_is_refused_rather_than_written_wrong(model, X, tmp_path):
    normalized = _fit(type(model), X)
    normalized.weights_ = {**normalized.weights_, "encoder.norm.weight": np.ones(12, np.float32)}
    with pytest.raises(ValueError, match=r"plain layers alone, and this .* or other weights: save it with skvae\.save"):
        to_onnx(normalized, tmp_path / "model.onnx")


@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (201, ValueError), (2.5, TypeError)])
def test_k_out_of_range_is_refused(model, tmp_path, k, error):
    with pytest.raises(error, match="k "):
        to_onnx(model, tmp_path / "model.onnx", k=k)


def test_a_folder_that_does_not_exist_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"there is no folder '{tmp_path / 'absent'}'")):
        to_onnx(model, tmp_path / "absent" / "model.onnx")


def test_without_onnx_the_error_names_the_extra(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=re.escape('pip install "skvae[onnx]"')):
        to_onnx(model, tmp_path / "model.onnx")


@pytest.mark.parametrize("recommender", [EASE, MultDAERecommender(64, max_iter=1, random_state=0)], ids=["ease", "dae"])
def test_several_threads_give_what_one_gives(recommender, tmp_path):
    X = make_interactions(n_users=500, n_items=300, random_state=0)
    to_onnx(clone(recommender).fit(X), tmp_path / "model.onnx", k=20)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # while they wait
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", options)
    expected = _recommend(tmp_path / "model.onnx", X)[1]
    for _ in range(30):
        np.testing.assert_allclose(session.run(["scores"], _inputs(X))[0], expected, rtol=1e-4, atol=1e-5)
