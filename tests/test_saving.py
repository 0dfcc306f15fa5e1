"""skvae.save and skvae.load: what is held, what is refused, and files that are damaged or hostile."""

import copy
import decimal
import hashlib
import json
import os
import pickle
import stat
import tracemalloc
import uuid
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import RECOMMENDERS, SMALL_DAE, SMALL_VAE, through_skvae
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler, Normalizer, StandardScaler

import skvae
from skvae import (
    BlendRecommender,
    EASERecommender,
    InteractionEncoder,
    LinearRecommender,
    MultDAERecommender,
    MultVAERecommender,
    PopularityRecommender,
    saving,
)
from skvae.blend_normalizations import standardized
from skvae.core.annealing import LinearAnnealing
from skvae.core.initialization import xavier
from skvae.core.likelihoods import Gaussian, Multinomial
from skvae.core.model_file import read_arrays, write_arrays
from skvae.core.priors import CompositePrior
from skvae.datasets import make_interactions
from skvae.saved_state_checks import FUNCTIONS, classes

# A run of a thousand: SKVAE_DAMAGED_FILES=1000 pytest tests/test_saving.py
N_DAMAGED = int(os.environ.get("SKVAE_DAMAGED_FILES", 200))


@pytest.fixture(scope="module")
def small():
    """60 users x 12 items."""
    return make_interactions(n_users=60, n_items=12, density=0.3, random_state=0)


@pytest.fixture(scope="module")
def fitted(small):
    """One of each class, fitted."""
    models = {name: clone(estimator).fit(small) for name, estimator in RECOMMENDERS.items()}
    models["pipeline"] = make_pipeline(TfidfTransformer(), clone(SMALL_DAE)).fit(small)
    table = pd.DataFrame({"user": small.nonzero()[0], "item": [f"item {i}" for i in small.nonzero()[1]]})
    models["encoder"] = InteractionEncoder().fit(table)
    return models


@pytest.fixture(scope="module")
def files(fitted, tmp_path_factory):
    """A file of each of them."""
    folder = tmp_path_factory.mktemp("files")
    for name, model in fitted.items():
        skvae.save(model, folder / f"{name}.skvae")
    return {name: folder / f"{name}.skvae" for name in fitted}


# -- what is held


def test_every_public_estimator_can_be_saved():
    public = {member for member in vars(skvae).values() if isinstance(member, type) and hasattr(member, "fit")}
    assert public <= classes().keys()


# what each recommender answers after it, tests/test_contract.py holds
STEPS = [
    Binarizer(threshold=0.5), FunctionTransformer(), FunctionTransformer(np.log1p, inverse_func=np.expm1),
    MaxAbsScaler(), Normalizer("l1"), TfidfTransformer(), TfidfTransformer(use_idf=False), "passthrough",
]  # fmt: skip


def test_whom_the_model_was_fitted_on_is_kept(fitted, files, small):
    for name in RECOMMENDERS:
        assert skvae.load(files[name]).was_fitted_on(small).all()
        np.testing.assert_array_equal(skvae.load(files[name])._user_hashes, fitted[name]._user_hashes, strict=True)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_pipeline_keeps_its_steps(step, small, tmp_path):
    pipeline = make_pipeline(step, FrozenEstimator(clone(SMALL_DAE).fit(small))).fit(small)
    loaded = through_skvae(pipeline, tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(small), pipeline.decision_function(small))
    assert repr(loaded) == repr(pipeline)
    loaded.fit(small)


def test_an_encoder_and_its_model_and_plain_values_come_in_one_file(fitted, tmp_path):
    values = {"pair": (fitted["encoder"], fitted["vae"]), "ids": np.arange(3), "names": np.array(["a", "b"], object)}
    loaded = through_skvae({**values, "note": None, "numbers": [1, 2.5, True, "x"]}, tmp_path)
    encoder, model = loaded["pair"]
    events = ([7, 7], ["item 0", "item 3"])
    expected = fitted["encoder"].recommend(fitted["vae"], events)
    assert all(np.array_equal(part, expected[name]) for name, part in encoder.recommend(model, events).items())
    assert np.array_equal(loaded["ids"], values["ids"])
    assert loaded["names"].tolist() == ["a", "b"]
    assert (loaded["note"], loaded["numbers"]) == (None, [1, 2.5, True, "x"])


PIECES = {
    "likelihood with an argument": MultDAERecommender(2, likelihood=Gaussian(3.0), max_iter=1),
    "argument of NumPy": MultDAERecommender(2, likelihood=Gaussian(np.float32(3.0)), max_iter=1),
    "likelihood without": MultVAERecommender(2, likelihood=Multinomial(), max_iter=1),
    "prior": MultVAERecommender(2, prior=CompositePrior((0.2, 0.5, 0.3)), max_iter=1),
    "schedule": MultVAERecommender(2, kl_schedule=LinearAnnealing(0.1, 5), max_iter=1),
    "initialization": MultDAERecommender(2, initialization=xavier, max_iter=1),
    "normalization": BlendRecommender([("p", PopularityRecommender())], normalization=standardized),
    "numbers of NumPy": MultDAERecommender(np.int64(2), hidden_layer_sizes=np.array([3]), max_iter=np.int32(1)),
}


@pytest.mark.parametrize("name", PIECES)
def test_pieces_of_skvae_are_parameters_as_before(name, small, tmp_path):
    model = clone(PIECES[name]).fit(small)
    loaded = through_skvae(model, tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(small), model.decision_function(small))
    for parameter, value in model.get_params(deep=False).items():
        found = getattr(loaded, parameter)
        if hasattr(value, "__dict__") and not callable(value):
            assert (type(found), vars(found)) == (type(value), vars(value))
        elif parameter == "estimators":
            assert [(name, type(member)) for name, member in found] == [(name, type(member)) for name, member in value]
        else:
            assert np.array_equal(found, value)
    if hasattr(model, "weights_") and hasattr(model, "warm_start"):
        loaded.set_params(warm_start=True).fit(small)  # a piece of the architecture is still that of the parameter


def test_members_that_a_blend_shares_with_its_parameters_stay_the_same_objects(fitted, small, tmp_path):
    members = [("vae", fitted["vae"]), ("gone", "drop"), ("ease", fitted["ease"])]
    loaded = through_skvae(BlendRecommender(members, prefit=True).fit(small), tmp_path)
    assert [id(member) for _, member in loaded.estimators if member != "drop"] == list(map(id, loaded.estimators_))
    assert loaded.named_estimators_.vae is loaded.estimators_[0]
    assert loaded.named_estimators_.gone == "drop"


IDS = {
    "int8": np.array([3, 1, 2], np.int8),
    "uint64": np.array([2**64 - 1, 5], np.uint64),
    "float32": np.array([0.5, 7, 8], np.float32),
    "bool": np.array([True, False]),
    "strings": ["", "b", "ä\ud800", "a\0", "日本"],
    "bytes": [b"", b"\xff\0"],
    "UUIDs": [uuid.UUID(int=5), uuid.UUID(int=2**100)],
    "integers that no dtype holds": [2**70, -5],
    "decimals, and other numbers": [decimal.Decimal("1.10"), 2**70, 0.1, 3],
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_keep_their_values_types_and_dtype(kind, tmp_path):
    ids = IDS[kind] if isinstance(IDS[kind], np.ndarray) else np.fromiter(IDS[kind], object, len(IDS[kind]))
    encoder = InteractionEncoder().fit((ids, ids[::-1]))
    loaded = through_skvae(encoder, tmp_path)
    for name in ("user_ids_", "item_ids_"):
        before, after = getattr(encoder, name), getattr(loaded, name)
        assert after.dtype == before.dtype
        assert list(map(repr, after.tolist())) == list(map(repr, before.tolist()))
    assert np.array_equal(loaded.item_indices(ids), encoder.item_indices(ids))
    assert vars(loaded).keys() == vars(encoder).keys()


def test_names_of_columns_and_the_output_container_are_kept(small, tmp_path):
    table = pd.DataFrame(small.toarray(), columns=[f"item {i}" for i in range(12)])
    model = clone(SMALL_DAE).fit(table).set_output(transform="pandas")
    loaded = through_skvae(model, tmp_path)
    assert loaded.feature_names_in_.tolist() == list(table)
    pd.testing.assert_frame_equal(loaded.transform(table), model.transform(table))
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(table.iloc[:, ::-1])


def test_what_only_a_later_fit_would_use_is_not_kept(small, tmp_path):
    model = clone(SMALL_DAE).set_params(warm_start=True).fit(small)
    model.partial_fit(small)._skl_callbacks = [object()]
    assert model._training_state is not None
    loaded = through_skvae(model, tmp_path)
    assert loaded._training_state is None
    assert not hasattr(loaded, "_skl_callbacks")
    assert loaded.partial_fit(small).n_iter_ == model.n_iter_ + 1


def test_an_item_that_was_added_is_still_recommended_to_nobody(small, tmp_path):
    loaded = through_skvae(clone(SMALL_VAE).fit(small).add_items(2), tmp_path)
    assert np.array_equal(np.isneginf(loaded.decision_function(sp.csr_array((1, 14)))[0]), np.arange(14) >= 12)


def test_the_gram_matrix_is_saved_where_it_was_kept(small, tmp_path):
    model = LinearRecommender(keep_gram=True).fit(small)
    assert np.array_equal(through_skvae(model, tmp_path).gram_, model.gram_)
    del model.gram_
    assert not hasattr(through_skvae(model, tmp_path), "gram_")


def test_a_model_of_a_device_that_is_absent_loads_and_answers_with_a_warning(small, tmp_path):
    model = clone(SMALL_DAE).fit(small).set_params(device="cuda:93")
    loaded = through_skvae(model, tmp_path)
    with pytest.warns(UserWarning, match="not present on this machine"):
        loaded.decision_function(small)


# -- the file


def _parts(path):
    """Header, description and the bytes of the arrays, read as the layout says and with nothing of skvae."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    return header, json.loads(header["__metadata__"]["skvae"]), data[end:], end


def test_the_layout_is_that_of_safetensors_and_arrays_begin_at_multiples_of_64(fitted, files):
    header, description, data, begin_of_data = _parts(files["vae"])
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    places = sorted(entry["data_offsets"] for entry in entries.values())
    assert [begin for begin, _ in places] == [0, *(end for _, end in places[:-1])]
    assert places[-1][1] == len(data)
    for name, weight in fitted["vae"].weights_.items():
        entry = header[f"weights_.{name}"]
        begin, end = entry["data_offsets"]
        found = np.frombuffer(data[begin:end], {"F32": "<f4"}[entry["dtype"]]).reshape(entry["shape"])
        np.testing.assert_array_equal(found, weight)
        assert (begin_of_data + begin) % 64 == 0
    assert all(isinstance(text, str) for text in header["__metadata__"].values())
    assert description["objects"][0]["state"]["n_components"] == 8


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
def test_mapped_arrays_are_read_only_views_of_the_file(fitted, files, small):
    tracemalloc.start()
    model = skvae.load(files["linear"], mmap_mode="r", verify=False)
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()
    for weights in (model.weights_, model.gram_):
        assert isinstance(weights, np.memmap)
        assert not weights.flags.writeable
        assert Path(weights.filename) == files["linear"]
    assert model.partial_fit(small).weights_.flags.writeable


def test_a_mapped_model_is_saved_onto_its_own_file(files, small, tmp_path):
    path = tmp_path / "model.skvae"
    path.write_bytes(files["ease"].read_bytes())
    mapped = skvae.load(path, mmap_mode="r")
    skvae.save(mapped.set_params(l2_regularization=7.0), path)
    assert np.array_equal(skvae.load(path).weights_, mapped.weights_)


@pytest.mark.parametrize("order", ["C", "F", "every other"])
def test_arrays_of_any_strides_and_sizes_come_back(order, tmp_path):
    of_order = {"C": np.array, "F": np.asfortranarray, "every other": lambda a: np.repeat(a, 2, axis=0)[::2]}[order]
    arrays = {"matrix": of_order(np.arange(35.0).reshape(7, 5)), "empty": of_order(np.zeros((0, 3), np.int16))}
    arrays |= {"vector": of_order(np.array([True, False])), "last": of_order(np.arange(3, dtype=np.float16))}
    write_arrays(tmp_path / "file", arrays, {"text": "ä"})
    for mapped in (False, True):
        found, texts = read_arrays(tmp_path / "file", mapped=mapped)
        assert texts["text"] == "ä"
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array, strict=True)


# -- what is refused


class Mine(EASERecommender):
    """A subclass."""


class MyPrior:
    """A prior."""

    def log_prob(self, code):
        return -code.square().sum(-1)


def _with_attribute(model):
    model.mine_ = 1
    return model


def _with_nan(model):
    model.weights_["decoder.item_bias"][3] = np.nan
    return model


def _blend_of(model, weights):
    blend = BlendRecommender([("a", model), ("b", model)], weights=[1, 1], prefit=True)
    blend.fit(np.ones((3, model.n_features_in_))).weights_[:] = weights
    return blend


DAE = MultDAERecommender(2, max_iter=1)
REFUSED = {
    "a subclass": (Mine(), "model is of the class Mine, which skvae.save cannot hold: .* joblib or skops"),
    "a search": (GridSearchCV(EASERecommender(), {"l2_regularization": [1.0]}), "save its best_estimator_, or"),
    "a prior": (MultVAERecommender(2, prior=MyPrior(), max_iter=1), "prior is of the class MyPrior, which"),
    "a function": (clone(DAE).set_params(initialization=lambda *parts: xavier(*parts)), "initialization is the"),
    "a RandomState": (clone(DAE).set_params(random_state=np.random.RandomState(0)), "is of the class RandomState"),
    "a step": (make_pipeline(StandardScaler(with_mean=False), EASERecommender()), r"steps.0.1 is of the class Sta"),
    "a function of a step": (make_pipeline(FunctionTransformer(np.rint), EASERecommender()), "steps.0.1.func is the"),
    "a member": (BlendRecommender([("mine", Mine())]), "estimators.0.1 is of the class Mine"),
}  # fmt: skip
ON_FITTED = {
    "an attribute of one's own": (_with_attribute, "has the attribute 'mine_', which no file of this version holds"),
    "a weight that is not finite": (_with_nan, "weights_.decoder.item_bias holds a value that is not finite"),
    "a parameter out of range": (lambda model: model.set_params(dropout=2), "dropout == 2, must be < 1"),
    "weights of another dtype": (lambda model: setattr(model, "weights_", {}) or model, "weights_ are not those"),
    "a list of nothing": (lambda model: [1], "save takes a fitted model"),
    "shares of a blend": (lambda m: _blend_of(m, [1e300, 1e300]), "weights_ must not be negative and sum to 1, got"),
    "arguments of a piece": (lambda m: m.set_params(likelihood=Gaussian("x")), "alpha of Gaussian must be a number"),
}


@pytest.mark.parametrize("what", REFUSED | ON_FITTED)
def test_what_a_file_cannot_hold_is_refused_before_anything_is_written(what, small, tmp_path):
    if what in REFUSED:
        estimator, sentence = REFUSED[what]
        model = clone(estimator).fit(small)
    else:
        change, sentence = ON_FITTED[what]
        model = change(clone(SMALL_DAE).fit(small))
    with pytest.raises((TypeError, ValueError), match=sentence):
        skvae.save(model, tmp_path / "model.skvae")
    assert not list(tmp_path.iterdir())


def test_a_pipeline_with_a_memory_is_refused(small, tmp_path):
    """The next fit of it would read pickles from there."""
    pipeline = make_pipeline(Binarizer(), EASERecommender(), memory=str(tmp_path / "cache")).fit(small)
    with pytest.raises(ValueError, match="memory of a Pipeline must be None"):
        skvae.save(pipeline, tmp_path / "model.skvae")


def test_a_model_that_is_not_fitted_is_refused_even_after_a_fit_that_failed(tmp_path):
    model = clone(SMALL_DAE)
    with pytest.raises(ValueError, match="no interaction"):
        model.fit(np.zeros((3, 4)))
    for unfitted in (model, EASERecommender(), InteractionEncoder(), (InteractionEncoder(), model)):
        with pytest.raises(NotFittedError):
            skvae.save(unfitted, tmp_path / "model.skvae")


# -- whole or not at all


def _is_old(path):
    return path.read_bytes() == b"old" and [part.name for part in path.parent.iterdir()] == [path.name]


def test_a_full_disk_leaves_the_old_file(fitted, tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "model.skvae"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # a write beyond raises, as one to a full disk does
    try:
        with pytest.raises(OSError, match="File too large"):
            skvae.save(fitted["vae"], path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert _is_old(path)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_an_error_at_the_last_moment_leaves_the_old_file(error, function, fitted, tmp_path, monkeypatch):
    path = tmp_path / "model.skvae"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(error):
        skvae.save(fitted["dae"], path)
    assert _is_old(path)


def test_a_new_file_has_the_permissions_of_any_other_and_a_link_is_followed(fitted, tmp_path):
    (tmp_path / "other").write_bytes(b"")
    skvae.save(fitted["ease"], tmp_path / "real.skvae")
    (tmp_path / "link.skvae").symlink_to("real.skvae")
    skvae.save(fitted["popularity"], str(tmp_path / "link.skvae"))
    assert (tmp_path / "link.skvae").is_symlink()
    assert isinstance(skvae.load(tmp_path / "real.skvae"), PopularityRecommender)
    assert (tmp_path / "real.skvae").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_that_is_not_there_or_is_the_path_itself_is_said(fitted, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        skvae.save(fitted["ease"], tmp_path / "none" / "model.skvae")
    for folder in (tmp_path, f"{tmp_path}/new/"):
        with pytest.raises(IsADirectoryError, match="a folder: name a file in it"):
            skvae.save(fitted["ease"], folder)
    with pytest.raises(IsADirectoryError, match=r"is a folder, .* open_interactions opens a matrix on disk"):
        skvae.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_what_is_no_file_is_not_replaced(fitted, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="a pipe or a device: name a file"):
        skvae.save(fitted["ease"], tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(ValueError, match="a pipe or a device: name the file itself"):
        skvae.load(tmp_path / "pipe")  # and not wait for somebody to write


# -- damaged files


def _cut_off(data, rng):
    return data[: rng.integers(len(data))]


def _flipped(data, rng):
    data = bytearray(data)
    place = rng.integers(len(data)) if rng.random() < 0.5 else rng.integers(2000)  # the header is short
    data[place] ^= 1 << rng.integers(8)
    return bytes(data)


def _swapped(data, rng):
    """Two different blocks of 64 bytes exchanged."""
    blocks = [data[begin : begin + 64] for begin in range(0, len(data), 64)]
    while True:
        one, other = rng.choice(len(blocks), 2, replace=False)
        if blocks[one] != blocks[other]:
            blocks[one], blocks[other] = blocks[other], blocks[one]
            return b"".join(blocks)


def _inflated(data, rng):
    place = rng.integers(len(data) + 1)
    return data[:place] + rng.bytes(rng.integers(1, 200)) + data[place:]


def _inflated_size(data, rng):
    """A longer first array by the header, whose checksum is made anew."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    entry = next(entry for name, entry in header.items() if name != "__metadata__")
    factor = int(rng.choice([2, 1000, 10**9, 10**30]))
    entry["shape"][0] *= factor
    entry["data_offsets"][1] *= factor
    return _with_header(header, data[end:])


def _with_header(header, data):
    """A file of this header, signed."""
    header["__metadata__"]["sha256"] = "0" * 64
    return _signed(json.dumps(header).encode(), data)


def _signed(text, data):
    text += b" " * (-(8 + len(text)) % 64)
    signed = text.decode().replace('"sha256": "' + "0" * 64, '"sha256": "' + hashlib.sha256(text).hexdigest())
    return len(text).to_bytes(8, "little") + signed.encode() + data


DAMAGES = [_cut_off, _flipped, _swapped, _inflated, _inflated_size]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_gives_one_error_that_names_it_in_bounded_memory(damage, files, tmp_path):
    path, rng = tmp_path / "damaged.skvae", np.random.default_rng(0)
    sources = [files[name].read_bytes() for name in ("vae", "linear", "blend", "encoder", "pipeline")]
    tracemalloc.start()
    for number in range(N_DAMAGED // len(DAMAGES)):
        data = damage(sources[number % len(sources)], rng)
        path.write_bytes(data)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(ValueError, match=r"^Cannot load '.*damaged\.skvae': "):
            skvae.load(path, mmap_mode=[None, "r"][number // len(sources) % 2])
        assert tracemalloc.get_traced_memory()[1] - before < 2 * len(data) + 500_000
    tracemalloc.stop()


def test_a_mapped_file_that_is_not_verified_has_its_header_and_size_checked_all_the_same(files, tmp_path):
    path, data = tmp_path / "damaged.skvae", files["ease"].read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    for damaged in (data[:-1], data + b"\0", data[:100] + b"x" + data[101:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="Cannot load"):
            skvae.load(path, mmap_mode="r", verify=False)
    path.write_bytes(data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :])
    assert skvae.load(path, mmap_mode="r", verify=False)
    with pytest.raises(ValueError, match=r"its array '.*' was changed"):
        skvae.load(path, mmap_mode="r")


# -- files of others, of the future, and hostile ones: all of these have right checksums


def _foreign(path, small):
    yield path.write_bytes(b"")
    yield path.write_bytes(b"\0" * 100)
    yield path.write_bytes(b"\xff" * 100)
    yield joblib.dump(EASERecommender().fit(small), path)
    with path.open("wb") as file:
        np.savez(file, weights=np.ones(3))
    yield
    yield path.write_text("a text that is no model")
    array = b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}'
    for text in (b"{}", b"[]", b'{"__metadata__": 1}', b'{"__metadata__": {"checksums": 1, "sha256": 2}}', array):
        yield path.write_bytes(len(text).to_bytes(8, "little") + text)
    yield write_arrays(path, {"weights": np.ones(3)}, {"format": "pt"})
    yield write_arrays(path, {"weights": np.ones(3)}, {"skvae": "[" * 10_000})


def test_files_that_are_not_of_skvae_say_so(small, tmp_path):
    path = tmp_path / "foreign"
    for _ in _foreign(path, small):
        with pytest.raises(ValueError, match=r"^Cannot load '.*foreign': "):
            skvae.load(path)
    with pytest.raises(FileNotFoundError):
        skvae.load(tmp_path / "none")
    with pytest.raises(ValueError, match=r"mmap_mode must be None or .r., got 'w'"):
        skvae.load(path, mmap_mode="w")


def _edited(source, path, edit):
    """A file of which edit(header, description, state of the last object, arrays) changed something, signed anew."""
    header, description, data, _ = _parts(source)
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    arrays = {name: bytearray(data[slice(*entry["data_offsets"])]) for name, entry in entries.items()}
    edit(header, description, description["objects"][-1].get("state"), arrays)
    header["__metadata__"]["skvae"] = json.dumps(description)
    checksums = {name: hashlib.sha256(array).hexdigest() for name, array in arrays.items()}
    header["__metadata__"]["checksums"] = json.dumps(checksums)
    path.write_bytes(_with_header(header, b"".join(arrays.values())))
    return path


def _edit(statement):
    """A change, as a line of Python on header h, description d, state s and arrays a."""
    return lambda h, d, s, a: exec(statement, {"h": h, "d": d, "s": s, "a": a, "np": np})


NAN, HUGE = "np.float32('nan').tobytes()", "10**30"
HOSTILE = {
    # of a newer version
    "d['format'] = 2": "vae: its format is 2, and this version of skvae reads up to 1: upgrade skvae",
    "d['objects'][0]['format'] = 99": "vae: the format of its MultVAERecommender is 99, and this .* reads up to 2",
    "d['objects'][0]['class'] = 'NewRecommender'": "vae: it holds a NewRecommender, and this .* knows none: upgrade",
    "s['new_parameter'] = 1": "vae: has the attribute 'new_parameter', which no file of this version holds",
    # classes and functions that are not ours
    "d['objects'][0]['class'] = 'os.system'": "vae: a os.system",
    "d['objects'][0]['class'] = ['x']": "vae: for a name",
    "d['objects'][0]['class'] = '__import__'": "vae: a __import__",
    "s['initialization'] = {'function': 'eval'}": "vae: it holds the function eval",
    "s['likelihood'] = {'object': 0}": "vae: an object 0 that is not before it",
    "s['estimators'][0]['tuple'][1] = {'object': 99}": "blend: an object 99",
    "d['objects'].insert(0, {'piece': 'Popen', 'arguments': {'dict': {}}})": "vae: it holds a Popen",
    "s['steps'][0]['tuple'][1] = 5": "pipeline: must be an estimator, got 5",
    "s['memory'] = '/tmp'": "pipeline: memory of a Pipeline must be None",
    # parameters and attributes
    "s['dropout'] = 1.5": "vae: dropout == 1.5, must be < 1",
    "s['dropout'] = 'x'": "vae: dropout must be",
    "s['device'] = 5": "vae: device must be a str",
    "s['checkpoint'] = '/tmp/x'": "vae: checkpoint of MultVAERecommender must be None",
    "del s['steps']": "pipeline: lacks the parameter 'steps'",
    "del s['weights_']": "ease: belongs to nothing|lacks the attribute 'weights_'",
    "del s['n_features_in_']": "vae: n_features_in_ must be",
    "del s['architecture_']": "vae: lacks the attribute 'architecture_'",
    "s['architecture_'] = 5": "vae: Architecture",
    "s['architecture_']['dict']['hidden_layer_sizes'] = {'tuple': [8] * 10**5}": "vae: not those of a network",
    f"s['architecture_']['dict']['n_components'] = {HUGE}": "vae: not those of a network",
    "s['architecture_']['dict']['activation'] = 'x'": "vae: activation must be one of",
    "s['architecture_']['dict']['skip_connections'] = True": "vae: as skip_connections, which is none of",
    "s['architecture_']['dict']['prior'] = None": "vae: prior must be one of",
    f"s['n_features_in_'] = {HUGE}": "ease: n_features_in_ must be at most",
    "s['n_features_in_'] = 11": "vae: must be an array of float32 of shape",
    "s['n_features_in_'] = -1": "popularity: n_features_in_ == -1",
    "s['_seed'] = 'x'": "vae: _seed must be",
    "s['store_user_hashes'] = 2": "ease: store_user_hashes must be",
    "s['_user_hashes'] = [1]": "ease: _user_hashes must be an array of uint64",
    "s['loss_curve_'] = ['x']": "vae: loss_curve_ .*belongs to nothing|loss_curve_ must be a list",
    "s['_named_members'] = {'dict': {}}": "blend: must be the members by name",
    "s['_training_state'] = 1": "vae: has the attribute '_training_state'",
    "s['fit'] = 1": "vae: has the attribute 'fit'",
    "s['__class__'] = 1": "vae: has the attribute '__class__'",
    # arrays
    f"a['weights_'][:4] = {NAN}": "ease: weights_ holds a value that is not finite",
    f"a['weights_.encoder.item_bias'][:4] = {NAN}": "vae: weights_.encoder.item_bias holds a value that is not finite",
    "h['weights_']['dtype'] = 'I32'": "ease: weights_ must be an array of float32",
    "h['weights_']['dtype'] = 'C64'": "ease: lacks a dtype",
    "h['weights_']['dtype'] = ['F32']": "ease: lacks a dtype",
    "h['weights_']['shape'] = [144]": "ease: weights_ must be an array of float32 of shape",
    "h['weights_']['shape'] = [12, 12, True]": "ease: has a shape or a place that is none",
    "h['weights_']['shape'] = [-12, -12]": "ease: has a shape or a place that is none",
    "h['weights_']['shape'] = []": "ease: has a shape or a place that is none",
    "h['weights_']['shape'] = [1] * 1000": "ease: has a shape or a place that is none",
    "h['weights_']['data_offsets'] = [0, 9]": "ease: has another size than its place",
    "h['weights_'] = 5": "ease: lacks a dtype",
    "h['../x'] = {'dtype': 'U8', 'shape': [0], 'data_offsets': [0, 0]}; a['../x'] = b''": "ease: belongs to nothing",
    "h['copy'] = dict(h['weights_']); a['copy'] = b''": "ease: its arrays overlap",
    "h.pop('weights_')": "ease: leave gaps",
    "s['gram_'] = {'array': 'weights_'}": "linear: that is not there or is another value",
    "s['weights_'] = {'array': 'none'}": "ease: an array 'none' that is not there",
    "s['weights_'] = {'array': ['weights_']}": "ease: for a name",
    "s['weights_'] = {'pickle': 'weights_'}": "ease: a value of the kind 'pickle', which is none",
    "s['weights_'] = {'array': 'weights_', 'b': 1}": "ease: a value of no kind",
    "s['item_ids_']['objects']['ends'] = s['item_ids_']['objects']['bytes']": "encoder: is another value",
    "a['item_ids_.ends'][0:8] = (99).to_bytes(8, 'little')": "encoder: are no ends of parts of",
    "a['item_ids_.types'][:] = b'\\xff' * 12": "encoder: are no ends of parts of",
    "a['item_ids_.types'][0] = 4": "encoder: a part of item_ids_.bytes is not of its type",
    "a['item_ids_.types'][0] = 5": "encoder: is not of its type",
    "a['item_ids_.bytes'][0] = 255": "encoder: is not of its type",
    # the description
    "d['more'] = 1": "vae: its description is not one",
    "d['objects'] = 5; d['model'] = 1": "vae: its description is not one",
    "d['objects'].append(5)": "ease: an object that is none",
    "d['model'] = {'object': True}": "ease: an object True",
    "d['format'] = '1'": "ease: it is no file that skvae.save wrote",
}  # fmt: skip


@pytest.mark.parametrize("statement", HOSTILE)
def test_a_file_that_was_made_to_mislead_is_refused(statement, files, tmp_path):
    name, sentence = HOSTILE[statement].split(": ", 1)
    path = _edited(files[name], tmp_path / "hostile.skvae", _edit(statement))
    with pytest.raises(ValueError, match=rf"^Cannot load '.*hostile\.skvae': .*({sentence})"):
        skvae.load(path)


def test_blends_that_hold_each_other_again_and_again_are_refused_at_once(fitted, small, tmp_path, monkeypatch):
    """Thirty of them, each twice in the next, would be a small file of a thousand million members to go through."""
    blend = BlendRecommender([("a", fitted["ease"]), ("b", fitted["ease"])], weights=[1, 1], prefit=True).fit(small)
    for _ in range(6):
        outer = copy.copy(blend)
        members = {"a": blend, "b": blend}
        outer.__dict__.update(estimators=[*members.items()], estimators_=[blend, blend], _named_members=members)
        outer.weights_, blend = blend.weights_.copy(), outer
    skvae.save(blend, tmp_path / "nested.skvae")
    skvae.load(tmp_path / "nested.skvae")
    monkeypatch.setattr(saving, "MOST_OBJECTS", 2**7)  # which members that stand in three attributes do not reach
    with pytest.raises(ValueError, match="an object with more than 128 others in it"):
        skvae.load(tmp_path / "nested.skvae")


def test_a_name_that_comes_twice_is_refused(files, tmp_path):
    header, _, data, _ = _parts(files["ease"])
    header["__metadata__"]["sha256"] = "0" * 64
    twice = '{"weights_": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, ' + json.dumps(header)[1:]
    path = tmp_path / "twice.skvae"
    path.write_bytes(_signed(twice.encode(), data))
    with pytest.raises(ValueError, match="its header was changed") as caught:
        skvae.load(path)
    assert "a name in its JSON comes twice" in str(caught.value.__cause__.__cause__)


STRANGE = [None, True, -1, 0, 3, 10**30, 1.5, -0.5, "", "auto", "x", "cuda", [], [[1]], [1, 2], [0.5], {}]
STRANGE += [{"object": 0}, {"object": None}, {"dict": {}}, {"dict": []}, {"tuple": []}, {"tuple": 5}, {"tuple": [8]}]
STRANGE += [{"array": "weights_"}, {"floats": "loss_curve_"}, {"function": "xavier"}, {"objects": {"types": 1}}]


def _places(node, place=()):
    """Where the values of a JSON are."""
    for key, part in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*place, key)
        yield from _places(part, (*place, key))


@pytest.mark.parametrize("name", ["vae", "recvae", "linear", "blend", "pipeline", "encoder"])
def test_whatever_stands_in_a_description_there_is_a_model_that_answers_or_one_error(name, files, small, tmp_path):
    header, description, data, _ = _parts(files[name])
    places, rng, path = list(_places(description)), np.random.default_rng(1), tmp_path / "strange.skvae"
    for _ in range(N_DAMAGED // 4):
        changed = copy.deepcopy(description)
        *parents, last = places[rng.integers(len(places))]
        parent = changed
        for key in parents:
            parent = parent[key]
        parent[last] = STRANGE[rng.integers(len(STRANGE))]
        header["__metadata__"]["skvae"] = json.dumps(changed)
        path.write_bytes(_with_header(header, data))
        try:
            model = skvae.load(path)
        except ValueError as error:
            assert str(error).startswith(f"Cannot load {str(path)!r}: ")  # noqa: PT017
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a device that is not present
            if hasattr(model, "decision_function"):
                assert model.decision_function(small).shape == (60, 12)
        if isinstance(model, tuple(classes())):
            skvae.save(model, path)


def test_what_is_unknown_in_a_file_of_other_versions_names_these(files, tmp_path):
    edit = _edit("d['objects'][0]['state']['new_parameter'] = 1; d['versions']['scikit-learn'] = '9.9'")
    sentence = "TfidfTransformer has the attribute 'new_parameter', .* with .*'scikit-learn': '9.9'.*, and here are"
    with pytest.raises(ValueError, match=sentence):
        skvae.load(_edited(files["pipeline"], tmp_path / "newer.skvae", edit))


def test_functions_that_a_file_may_name_do_nothing_but_compute():
    for name, function in FUNCTIONS.items():
        assert function is getattr(np, name, None) or function.__module__.startswith("skvae.")


def test_names_with_dots_are_no_others(small, tmp_path):
    values = {"a.b": np.arange(3), "a": {"b": np.arange(4.0), "types": np.array(["x"], object)}, "a.types": np.ones(1)}
    skvae.save(values | {"model": clone(SMALL_DAE).fit(small)}, tmp_path / "model")
    loaded = skvae.load(tmp_path / "model")
    assert np.array_equal(loaded["a.b"], np.arange(3))
    assert np.array_equal(loaded["a"]["b"], np.arange(4.0))
    assert loaded["a"]["types"].tolist() == ["x"]
    assert loaded["a.types"].tolist() == [1]


def test_a_key_that_is_no_string_is_named(small, tmp_path):
    with pytest.raises(TypeError, match="model is a dict with the key 1, which is no string"):
        skvae.save({1: skvae.PopularityRecommender().fit(small)}, tmp_path / "model")


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_file_that_is_written_over_keeps_its_mode(small, tmp_path):
    model = skvae.PopularityRecommender().fit(small)
    skvae.save(model, tmp_path / "model")
    for mode in (0o664, 0o444):
        (tmp_path / "model").chmod(mode)
        skvae.save(model, tmp_path / "model")
        assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == mode


@pytest.mark.parametrize("path", [2, True])
def test_a_number_is_no_path(path):
    for call in (lambda: skvae.load(path), lambda: skvae.save(PopularityRecommender().fit([[1, 1]]), path)):
        with pytest.raises(TypeError, match=r"expected str, bytes or os.PathLike object, not"):
            call()
    os.fstat(2)  # is still open


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_hashes_that_are_not_wanted_any_more_are_not_saved(name, X, tmp_path):
    model = clone(RECOMMENDERS[name]).fit(X[:100])
    assert through_skvae(model, tmp_path).was_fitted_on(X[:100]).all()
    model.set_params(store_user_hashes=False)
    for saved in (through_skvae(model, tmp_path), pickle.loads(pickle.dumps(model))):
        assert not hasattr(saved, "was_fitted_on")
        assert getattr(saved, "_held_out_hashes", None) is None
        assert np.array_equal(saved.decision_function(X[:5]), model.decision_function(X[:5]))


def test_a_path_in_the_place_of_the_model_is_said(tmp_path):
    with pytest.raises(
        TypeError, match=r"^model is .*m\.skvae': pass the model first, as skvae\.save\(model, path\)\.$"
    ):
        skvae.save(tmp_path / "m.skvae", EASERecommender().fit(np.eye(3)))
