"""Checkpoints: a fit that was killed goes on to the same weights, and no other fit goes on from them."""

import copy
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from functools import partial
from itertools import count

import numpy as np
import pytest
from conftest import LINEAR, ROOT, SMALL_BLEND, SMALL_DAE, SMALL_RECVAE, SMALL_VAE, Killed, same_weights
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skvae import BlendRecommender, EASERecommender, UserKFold, fitting, ndcg_scorer
from skvae.core import checkpoint, checkpoint_file, files
from skvae.core.initialization import xavier
from skvae.core.likelihoods import Multinomial
from skvae.core.optimizer import Adam
from skvae.fit_identity import described

pytestmark = pytest.mark.usefixtures("one_by_one")


@pytest.fixture(autouse=True)
def written_after_each_update(monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE_OF_TIME", np.inf)
    monkeypatch.setattr(files.os, "fsync", lambda file: None)


@pytest.fixture
def users(X):
    return X[:300]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "night.npz"


def killed(fit, n_writes):
    """Whether a fit was killed after so many writes; else it came to its end before."""
    numbers, write = count(1), checkpoint_file.write

    def killing(*arguments):
        write(*arguments)
        if next(numbers) == n_writes:
            raise Killed

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(checkpoint_file, "write", killing)
        try:
            fit()
        except Killed:
            return True
    return False


def ended_at(n_updates, exception):
    """A step of Adam that raises in its n-th call."""
    step, numbers = Adam.step, count(1)

    def ending(self):
        if next(numbers) == n_updates:
            raise exception
        step(self)

    return ending


def assert_same_model(model, other):
    assert vars(model).keys() == vars(other).keys()
    for name, value in vars(model).items():
        if isinstance(value, dict) and name == "weights_":
            assert value.keys() == other.weights_.keys()
            assert all(np.array_equal(weights, other.weights_[key]) for key, weights in value.items())
        elif name.endswith("_") or name == "_seed":
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


VAE = clone(SMALL_VAE).set_params(batch_size=60, max_iter=3, total_anneal_steps=12)
DAE = clone(SMALL_DAE).set_params(batch_size=60, max_iter=4)
RECVAE = clone(SMALL_RECVAE).set_params(batch_size=60, max_iter=2)
FITS = {
    "vae": VAE,
    "vae, not averaged": clone(VAE).set_params(averaging_epochs=0, l2_regularization=1e-3),
    "vae, early stopping": clone(VAE).set_params(early_stopping=True, n_iter_no_change=2, max_iter=20, anneal_cap=0),
    "vae in bfloat16": clone(VAE).set_params(precision="bfloat16"),
    "vae, composite prior": clone(VAE).set_params(prior="composite", kl_weighting="per_user"),
    "dae": DAE,
    "dae of sampled items": clone(DAE).set_params(n_sampled_items=20),
    "dae, early stopping": clone(DAE).set_params(early_stopping=True),
    "recvae": RECVAE,
    "recvae, early stopping": clone(RECVAE).set_params(early_stopping=True, n_encoder_passes=1),
    "recvae of sampled items": clone(RECVAE).set_params(n_sampled_items=20, averaging_epochs=0),
    "recvae, one pass": clone(RECVAE).set_params(n_encoder_passes=0),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_was_killed_goes_on_to_the_same_model(name, users, path):
    expected = clone(FITS[name]).fit(users)
    for n_writes in (1, 2, 4, 1):  # after updates 1, 3, 7 and 8
        assert killed(lambda: clone(FITS[name]).set_params(checkpoint=path).fit(users), n_writes)
    model = clone(FITS[name]).set_params(checkpoint=path).fit(users)
    assert_same_model(model.set_params(checkpoint=None), expected)
    assert not list(path.parent.iterdir())


def test_every_update_of_an_epoch_of_recvae_is_one_to_go_on_from(users, path):
    """A pass that trains the encoder, and one that trains the decoder, of two batches each."""
    recvae = clone(RECVAE).set_params(batch_size=150, n_encoder_passes=1)
    expected = clone(recvae).fit(users)
    for n_writes in range(1, 6):
        model = clone(recvae).set_params(checkpoint=path)
        assert killed(partial(clone(model).fit, users), n_writes)
        assert_same_model(model.fit(users).set_params(checkpoint=None), expected)


@pytest.fixture
def falling_scores(monkeypatch):
    """The first epoch is the best, and the weights that a warm start begins with are better."""

    def score(fold_in, held_out, processes, network, products):
        return -network.decoder.item_weight.abs().sum().item()

    monkeypatch.setattr(fitting, "validation_score", score)


def test_the_best_weights_so_far_are_kept(X, users, path, falling_scores):
    expected = clone(DAE).fit(users, X_val=X[300:])
    assert expected.best_iter_ == 1
    model = clone(DAE).set_params(checkpoint=path)
    assert killed(partial(model.fit, users, X_val=X[300:]), 13)
    assert_same_model(model.fit(users, X_val=X[300:]).set_params(checkpoint=None), expected)


@pytest.mark.parametrize("estimator", [DAE, VAE, RECVAE], ids=lambda estimator: type(estimator).__name__)
def test_a_refit_goes_on_where_it_was_killed_or_interrupted(estimator, users, path, capsys, monkeypatch):
    dae = clone(estimator)
    dae.set_params(max_iter=3, early_stopping=True, verbose=1)
    expected = clone(dae).fit(users)
    first = clone(dae).set_params(refit=False).fit(users)
    n_first, n_refit = first.n_updates_, expected.n_updates_
    for n_updates in (n_first + 1, n_first + n_refit // 2, n_first + n_refit - 1):
        model = clone(dae).set_params(checkpoint=path)
        assert killed(partial(clone(model).fit, users), n_updates)
        capsys.readouterr()
        assert_same_model(model.fit(users).set_params(checkpoint=None), expected)
        assert "goes on from its checkpoint, after refit epoch" in capsys.readouterr().out
    model = clone(dae).set_params(checkpoint=path)
    for n_updates in (n_first + 2, 1):
        with monkeypatch.context() as patch:
            patch.setattr(Adam, "step", ended_at(n_updates, KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt, match=r" epoch \d, the best, without the refit on all users"):
                model.fit(users)
        assert not model.refitted_
        assert same_weights(model, first)
    assert_same_model(model.fit(users).set_params(checkpoint=None), expected)


@pytest.mark.parametrize("validated", [True, False])
def test_a_warm_start_goes_on_from_where_it_was(X, users, path, falling_scores, validated):
    keywords = {"X_val": X[300:]} if validated else {}
    estimator = clone(DAE).set_params(warm_start=True, early_stopping=validated)
    models = [clone(estimator).fit(users, **keywords) for _ in range(3)]
    expected, model, again = models
    expected.fit(users, **keywords)
    assert (expected.best_iter_ == 1) is validated  # of the first fit
    expected.fit(users, **keywords)
    assert killed(partial(model.set_params(checkpoint=path).fit, users, **keywords), 3)
    again.set_params(checkpoint=path).fit(users, **keywords).set_params(checkpoint=None).fit(users, **keywords)
    assert_same_model(again, expected)


def test_where_no_seed_is_given_it_is_that_of_the_killed_fit(users, path):
    estimator = clone(DAE).set_params(random_state=None)
    np.random.seed(1)  # noqa: NPY002
    expected = clone(estimator).fit(users)
    np.random.seed(1)  # noqa: NPY002
    assert killed(partial(clone(estimator).set_params(checkpoint=path).fit, users), 7)
    model = clone(estimator).set_params(checkpoint=path).fit(users)
    assert_same_model(model.set_params(checkpoint=None), expected)


def test_a_random_state_that_moves_on_is_moved_on_as_by_the_fit_that_was_not_killed(users, path):
    def fit(**parameters):
        random_state = np.random.RandomState(3)
        model = clone(DAE).set_params(**parameters)
        model.random_state = random_state
        return model.fit(users), random_state.randint(1000)

    expected, following = fit()
    assert killed(partial(fit, checkpoint=path), 5)
    model, then = fit(checkpoint=path)
    assert then == following
    assert_same_model(model.set_params(checkpoint=None, random_state=None), expected.set_params(random_state=None))


# -- what is written, and when


def test_the_file_holds_arrays_and_json_without_pickle(users, path):
    assert killed(partial(clone(VAE).set_params(checkpoint=str(path)).fit, users), 2)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    document = json.loads(arrays.pop("document").tobytes())["document"]
    assert document["identity"]["learning_rate"] == VAE.learning_rate
    assert all(array.dtype.kind in "fiu" for array in arrays.values())


def test_a_state_comes_back_as_it_was(path):
    state = {
        "arrays": [np.arange(6.0).reshape(2, 3), np.array(3, np.uint8), np.asfortranarray(np.eye(2, 3)), np.zeros(0)],
        "plain": {"of": (1, 0.1, float("-inf"), "ä", None, True), "empty": [{}, ()]},
    }
    checkpoint_file.write(str(path), {"kind": "any"}, state)
    assert checkpoint_file.read_document(str(path)) == {"kind": "any"}
    back = checkpoint_file.read_state(str(path))
    assert back["plain"] == state["plain"]
    for one, other in zip(back["arrays"], state["arrays"], strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    assert checkpoint_file.checksum(back) == checkpoint_file.checksum(state)
    assert checkpoint_file.checksum(back) != checkpoint_file.checksum(back["arrays"])
    numbers = np.zeros((2, 3), np.float32)
    same_bytes = (numbers, numbers.T, numbers.view(np.int32))
    assert len({checkpoint_file.checksum(array) for array in same_bytes}) == 3
    for other in ({"a": object()}, {"a": np.array([None])}, {1: 2}):
        assert not checkpoint_file.is_plain(other)
        with pytest.raises(TypeError, match="cannot be written"):
            checkpoint_file.write(str(path), {}, other)
    assert checkpoint_file.read_document(str(path)) == {"kind": "any"}


def test_it_is_time_after_five_seconds_then_each_minute_or_after_fifty_times_what_writing_took(path, monkeypatch):
    monkeypatch.undo()
    now, took = [0.0], [0.5]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint_file, "write", lambda *arguments: now.__setitem__(0, now[0] + took[0]))

    def seconds_until_due():
        start = now[0]
        while not kept.is_due():
            now[0] += 1
        return now[0] - start

    with checkpoint.Checkpoint(str(path), {"estimator": "any"}) as kept:
        assert seconds_until_due() == 5
        kept.write({})
        assert seconds_until_due() == 60
        took[0] = 4.0
        kept.write({})
        assert seconds_until_due() == 200


def test_a_fit_that_goes_on_says_so_and_callbacks_hear_of_the_epochs_from_there_on(users, path, capsys):
    pytest.importorskip("sklearn.callback")
    heard = []

    class Epochs:
        def setup(self, estimator, context, **keywords):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context, **keywords):
            heard.append(context.task_name)

    model = clone(DAE).set_params(checkpoint=path, refit=False, verbose=1)
    assert killed(partial(clone(model).fit, users), 12)
    capsys.readouterr()
    model.set_callbacks(Epochs()).fit(users)
    assert heard.count("epoch") == 2
    first, *epochs = capsys.readouterr().out.splitlines()
    assert first == "[MultDAERecommender] goes on from its checkpoint, after epoch 2/4"
    assert [line.split("  ")[0] for line in epochs] == [f"[MultDAERecommender] epoch {n}/4" for n in (3, 4)]


# -- a disk that is full, a file that is damaged


def test_a_full_disk_leaves_the_last_checkpoint_and_the_fit_goes_on(users, path, monkeypatch):
    expected = clone(DAE).fit(users)
    assert killed(partial(clone(DAE).set_params(checkpoint=path).fit, users), 6)
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "fsync", lambda file: os.write(os.open("/dev/full", os.O_WRONLY), b"0"))
    with pytest.warns(RuntimeWarning, match=r"npz could not be written, the one before is kept, .* No space left"):
        assert killed(partial(clone(DAE).set_params(checkpoint=path).fit, users), 100) is False
    assert not path.exists()  # at its end
    path.write_bytes(before)
    monkeypatch.undo()
    model = clone(DAE).set_params(checkpoint=path).fit(users)
    assert_same_model(model.set_params(checkpoint=None), expected)


def test_a_checkpoint_that_cannot_be_removed_does_not_cost_the_fit(users, path, monkeypatch):
    expected = clone(DAE).fit(users)
    assert killed(partial(clone(DAE).set_params(checkpoint=path).fit, users), 6)
    unlink = os.unlink

    def refuse(file, **options):
        if os.fspath(file).endswith("npz"):
            raise PermissionError(13, "Permission denied", os.fspath(file))
        unlink(file, **options)

    monkeypatch.setattr("skvae.core.checkpoint.os.unlink", refuse)
    model = clone(DAE).set_params(checkpoint=path)
    with pytest.warns(RuntimeWarning, match=r"npz could not be removed, it is of no use any more: .*Permission denied"):
        model.fit(users)
    assert_same_model(model.set_params(checkpoint=None), expected)


def _truncated(content):
    return content[: len(content) // 2]


def _flipped(place):
    return lambda content: content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": _truncated,
    "first half zero": lambda content: bytes(len(content) // 2) + content[len(content) // 2 :],
    "another kind of file": lambda content: b"user,item\n1,2\n",
    **{f"byte {place} flipped": _flipped(place) for place in (150, 5000, -3000, -10)},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_clear_sentence_and_is_left_alone(users, path, damage):
    model = clone(DAE).set_params(checkpoint=path)
    assert killed(partial(model.fit, users), 6)
    content = DAMAGES[damage](path.read_bytes())
    path.write_bytes(content)
    model = clone(SMALL_DAE).fit(users).set_params(checkpoint=path)
    with pytest.raises(ValueError, match=r"night\.npz is damaged, or no file of skvae: name another file, or remove"):
        model.fit(users)
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]
    assert model.predict(users).shape == (300,)  # the model is as it was


def test_a_pipe_and_a_file_without_what_a_checkpoint_says_of_its_fit_are_refused(users, tmp_path):
    model = clone(DAE).set_params(checkpoint=tmp_path / "night.npz")
    for document in ({"checkpoint": checkpoint.FORMAT}, {"checkpoint": checkpoint.FORMAT, "identity": 5}, []):
        checkpoint_file.write(str(model.checkpoint), document, {})
        with pytest.raises(ValueError, match="is no checkpoint of this version of skvae"):
            model.fit(users)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="pipe is a pipe or a device: name a file"):
            model.set_params(checkpoint=tmp_path / "pipe").fit(users)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links")
def test_a_link_to_a_checkpoint_stays_one(users, tmp_path):
    (tmp_path / "disk").mkdir()
    os.symlink(tmp_path / "disk" / "night.npz", tmp_path / "link.npz")
    model = clone(DAE).set_params(checkpoint=tmp_path / "link.npz")
    killed(lambda: model.fit(users), n_writes=2)
    assert os.listdir(tmp_path / "disk") == ["night.npz"]
    assert (tmp_path / "link.npz").is_symlink()
    assert_same_model(model.fit(users), clone(DAE).fit(users))


# -- another fit


CHANGED = {
    "learning_rate": (DAE, {"learning_rate": 0.1}, r"learning_rate is 0\.002 there and 0\.1 here\. Fit with what is"),
    "layers": (VAE, {"hidden_layer_sizes": (8,)}, r"hidden_layer_sizes is \[16\] there and \[8\] here"),
    "seed and epochs": (
        DAE,
        {"random_state": 1, "max_iter": 9},
        "max_iter is 4 there and 9 here; random_state is 0 th",
    ),
    "likelihood": (
        DAE,
        {"likelihood": Multinomial()},
        r"likelihood is 'multinomial' there and \['skvae\.core\.likelihoo",
    ),
    "initialization": (DAE, {"initialization": np.random.permutation}, r"initialization is 'auto' there"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_other_parameters_are_refused_in_words(users, path, name):
    estimator, parameters, message = CHANGED[name]
    assert killed(partial(clone(estimator).set_params(checkpoint=path).fit, users), 2)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"night.npz is the checkpoint of another fit: {message}"):
        clone(estimator).set_params(checkpoint=path, **parameters).fit(users)
    assert path.read_bytes() == content
    clone(estimator).set_params(checkpoint=path, verbose=1, store_user_hashes=False).fit(users)  # change no weight


def test_an_equal_number_of_another_type_is_the_same_fit(users, path):
    for l2_regularization in (0, 0.0):
        model = clone(DAE).set_params(checkpoint=path, l2_regularization=l2_regularization)
        assert killed(partial(model.fit, users), 2)


def test_other_data_are_refused_in_words(X, users, path):
    model = clone(DAE).set_params(checkpoint=path)
    assert killed(partial(model.fit, users), 2)
    other = users.copy()
    other.data[7] = 2
    size = "300 users x 200 items, 2988 interactions"
    for data, keywords, message in [
        (X[:299], {}, rf"X is '{size} \(checksum \w+\)' there and '299 users x 200 items, \d+ interactions"),
        (other, {}, rf"X is '{size} \(checksum \w+\)' there and '{size} \(checksum \w+\)' here"),
        (users, {"X_val": X[400:]}, r"X_val is None there and \['100 users x"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(data, **keywords)
    with (
        pytest.warns(UserWarning, match="No validation user can hide an item"),
        pytest.raises(ValueError, match="X_val is None there and 'users of whom none can be validated' here"),
    ):
        model.fit(users, X_val=0 * X[400:])
    with pytest.raises(ValueError, match="estimator is 'MultDAERecommender' there and 'MultVAERecommender' here"):
        clone(VAE).set_params(checkpoint=path).fit(users)
    model.fit(users.toarray().astype(np.int64))  # the same in another container
    assert not path.exists()


def test_a_warm_start_from_another_model_is_refused(users, path):
    model = clone(DAE).set_params(warm_start=True, checkpoint=path)
    assert killed(partial(clone(model).fit, users), 2)
    with pytest.raises(
        ValueError, match=r"model to go on from is None there and 'one of 4 epochs \(checksum \w+\)' here"
    ):
        model.set_params(checkpoint=None).fit(users).set_params(checkpoint=path).fit(users)


def test_two_fits_at_once_are_refused_and_a_fit_that_ended_leaves_the_file(users, path):
    model = clone(DAE).set_params(checkpoint=path)
    with (
        checkpoint.Checkpoint(str(path), {"estimator": "any"}),
        pytest.raises(ValueError, match=rf"in use by another fit \(process {os.getpid()} on .*\): wait for its end"),
    ):
        model.fit(users)
    model.fit(users)
    assert not os.listdir(path.parent)


def test_the_same_fit_at_once_in_a_folder_goes_on_without_a_checkpoint(users, tmp_path):
    model = clone(DAE).set_params(checkpoint=f"{tmp_path}/")
    again, fits = clone(model), []

    def fit_again(*arguments):
        if not fits:
            fits.append(None)
            with pytest.warns(
                UserWarning, match=rf"The same fit is running elsewhere \(process {os.getpid()} on .*none"
            ):
                fits.append(again.fit(users))
        return write(*arguments)

    write = checkpoint_file.write
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(checkpoint_file, "write", fit_again)
        model.fit(users)
    assert_same_model(again.set_params(checkpoint=None), model.set_params(checkpoint=None))
    assert not os.listdir(tmp_path)


class Slotted:
    """A schedule without a __dict__."""

    __slots__ = ("height",)

    def __init__(self, height):
        self.height = height

    def weight(self, update):
        return self.height

    @property
    def final(self):
        return self.height


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Slotted(0.1), Slotted(0.2)),
        (datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)),
        (re.compile("a"), re.compile("b")),
        (Decimal(1), Decimal(2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_without_a_dict_are_told_apart_and_known_again(one, other):
    class Piece:
        def __init__(self, part):
            self.part = part

    assert described(Piece(one)) == described(Piece(copy.deepcopy(one))) != described(Piece(other))
    assert described(threading.Lock()) == described(threading.Lock())  # printed with its address


@pytest.mark.parametrize("place", ["missing/night.npz", "file/night.npz", "file/nights/"])
def test_a_place_where_nothing_can_be_written_is_said_before_any_work(users, tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"night.*\.npz cannot be written: .* Name a file in a folder that is there"):
        clone(DAE).set_params(checkpoint=f"{tmp_path}/{place}").fit(users)


@pytest.mark.parametrize("value", [3, b"night.npz", ""])
def test_what_is_no_path_is_said(users, value):
    for estimator in (DAE, SMALL_BLEND):
        with pytest.raises(TypeError, match="checkpoint must be a path"):
            clone(estimator).set_params(checkpoint=value).fit(users)
        with pytest.raises(ValueError, match=r"nothing stands for ~: pass os.path.expanduser\('~/fits/'\)"):
            clone(estimator).set_params(checkpoint="~/fits/").fit(users)


def test_a_fit_that_diverges_leaves_no_checkpoint_and_one_that_fails_does(users, path, monkeypatch):
    model = clone(DAE).set_params(checkpoint=path, learning_rate=1e30, likelihood="gaussian")
    with pytest.raises(ValueError, match="training diverged"):
        model.fit(users)
    assert not path.exists()
    monkeypatch.setattr("skvae.fitting.validation_score", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        clone(DAE).set_params(checkpoint=path).fit(users[:200], X_val=users[200:])
    assert os.listdir(path.parent) == [path.name]


def test_after_a_ctrl_c_the_checkpoint_stays_and_the_same_fit_goes_on(users, path, monkeypatch):
    expected = clone(DAE).fit(users)
    with monkeypatch.context() as patch:
        patch.setattr(Adam, "step", ended_at(8, KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt, match="after 1 epochs; MultDAERecommender is fitted"):
            clone(DAE).set_params(checkpoint=path).fit(users)
    assert os.listdir(path.parent) == [path.name]
    model = clone(DAE).set_params(checkpoint=path).fit(users)
    assert_same_model(model.set_params(checkpoint=None), expected)


def with_a_ctrl_c(function, n_calls):
    """A function with a Ctrl-C in its n-th call, and a list of how often it was called."""
    called = [0]

    def interrupted(*arguments):
        called[0] += 1
        if called[0] == n_calls:
            signal.raise_signal(signal.SIGINT)
        return function(*arguments)

    return interrupted, called


@pytest.mark.usefixtures("python_s_own_handler")
def test_a_ctrl_c_before_the_first_minute_writes_what_there_is(users, path, monkeypatch):
    dae = clone(DAE).set_params(refit=False)
    expected = clone(dae).fit(users)
    interrupted, n_steps = with_a_ctrl_c(Adam.step, 8)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SECONDS", 60)
        patch.setattr(Adam, "step", interrupted)
        with pytest.raises(KeyboardInterrupt, match="after 1 epochs"):
            clone(dae).set_params(checkpoint=path).fit(users)
        n_steps[0] = -1000
        model = clone(dae).set_params(checkpoint=path).fit(users)
    assert n_steps[0] < -1000 + expected.n_updates_
    assert_same_model(model.set_params(checkpoint=None), expected)


@pytest.mark.usefixtures("python_s_own_handler")
@pytest.mark.parametrize(("kind", "n"), [(SMALL_RECVAE, 3), (SMALL_VAE, 3), (SMALL_DAE, 3), (SMALL_DAE, 6)])
def test_a_ctrl_c_while_an_epoch_is_validated_writes_what_there_is(kind, n, users, path, monkeypatch):
    interrupted, n_scored = with_a_ctrl_c(fitting.validation_score, n)
    estimator = clone(kind).set_params(early_stopping=True, max_iter=6, n_iter_no_change=6)
    expected = clone(estimator).fit(users[:100], X_val=users[100:])
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SECONDS", 60)
        patch.setattr(fitting, "validation_score", interrupted)
        with pytest.raises(KeyboardInterrupt, match="is fitted"):
            clone(estimator).set_params(checkpoint=path).fit(users[:100], X_val=users[100:])
        assert os.listdir(path.parent) == [path.name]
        assert n_scored[0] == n
        model = clone(estimator).set_params(checkpoint=path).fit(users[:100], X_val=users[100:])
    assert n_scored[0] == expected.n_iter_
    assert_same_model(model.set_params(checkpoint=None), expected)


@pytest.mark.usefixtures("python_s_own_handler")
def test_after_a_ctrl_c_in_the_last_epoch_the_refit_alone_is_left(users, path, monkeypatch, falling_scores):
    dae = clone(DAE).set_params(n_iter_no_change=2)
    expected = clone(dae).fit(users)
    interrupted, n_scored = with_a_ctrl_c(fitting.validation_score, expected.n_iter_)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "validation_score", interrupted)
        with pytest.raises(KeyboardInterrupt, match="goes on from the checkpoint"):
            clone(dae).set_params(checkpoint=path).fit(users)
        model = clone(dae).set_params(checkpoint=path).fit(users)
    assert n_scored[0] == expected.n_iter_ < dae.max_iter
    assert expected.refitted_
    assert_same_model(model.set_params(checkpoint=None), expected)


@pytest.mark.usefixtures("python_s_own_handler")
def test_after_a_ctrl_c_behind_the_last_epoch_there_is_nothing_to_go_on_from(users, path, monkeypatch):
    interrupted, _ = with_a_ctrl_c(fitting._store, 1)
    model = clone(DAE).set_params(early_stopping=False, checkpoint=path)
    monkeypatch.setattr(fitting, "_store", interrupted)
    monkeypatch.setattr(checkpoint, "SECONDS", 60)
    with pytest.raises(KeyboardInterrupt, match=r"is fitted, with the weights reached\.$"):
        model.fit(users)
    assert not path.exists()


# -- in a folder


def test_in_a_folder_each_fit_has_a_file_and_a_search_goes_on_at_the_fit_that_was_killed(users, tmp_path):
    folder = f"{tmp_path}/search{os.sep}"  # which is made
    estimator = clone(DAE).set_params(checkpoint=folder)
    search = GridSearchCV(estimator, {"dropout": [0.2, 0.5]}, cv=UserKFold(2), scoring=ndcg_scorer)
    expected = clone(search).set_params(estimator__checkpoint=None).fit(users)
    n_updates = 3 * 4  # of a fit: 150 users in batches of 60, four epochs
    assert killed(partial(clone(search).fit, users), 2 * n_updates + 5)
    (file,) = os.listdir(folder)
    assert file.startswith("MultDAERecommender-")
    assert killed(partial(clone(search).fit, users), 2 * n_updates + n_updates - 5 + 1)  # in the next
    assert len(os.listdir(folder)) == 1
    search.fit(users)
    assert os.listdir(folder) == []
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert_same_model(search.best_estimator_.set_params(checkpoint=None), expected.best_estimator_)


# -- blends


class Counted(EASERecommender):
    """Counts its fits."""

    n_fits = 0

    def fit(self, X, y=None):
        Counted.n_fits += 1
        return super().fit(X)


@pytest.fixture
def blend():
    Counted.n_fits = 0
    return BlendRecommender(
        [
            ("ease", Counted(l2_regularization=20)),
            ("dae", DAE),
            ("pipeline", make_pipeline(SimpleImputer(keep_empty_features=True), clone(DAE).set_params(max_iter=1))),
            ("inner", BlendRecommender([("linear", LINEAR["linear"]), ("vae", VAE)], weights=[1, 2])),
            ("likelihood", clone(DAE).set_params(likelihood=Multinomial())),
        ]
    )


def assert_same_blend(blend, other, users):
    assert blend.best_validation_score_ == other.best_validation_score_
    np.testing.assert_array_equal(blend.weights_, other.weights_)
    np.testing.assert_array_equal(blend.decision_function(users), other.decision_function(users))
    for one, another in zip(blend.estimators_, other.estimators_, strict=True):
        assert re.sub("0x[0-9a-f]+", "", repr(one)) == re.sub("0x[0-9a-f]+", "", repr(another))
        assert vars(one).keys() == vars(another).keys()


def test_a_blend_that_was_killed_goes_on_to_the_same_and_fits_no_member_again(users, X, path, blend):
    expected = clone(blend).fit(users, X_val=X[300:])
    Counted.n_fits = n_killed = 0
    model = clone(blend).set_params(checkpoint=path)
    while killed(partial(model.fit, users, X_val=X[300:]), 9):
        n_killed += 1
        model = clone(model)
    assert n_killed > 4
    assert Counted.n_fits == 1
    assert_same_blend(model.set_params(checkpoint=None), expected, users)
    assert os.listdir(path.parent) == []
    assert model.named_estimators_["inner"].named_estimators_["vae"].partial_fit(users).n_iter_ == 4


def test_a_member_that_is_killed_while_its_blend_keeps_it_goes_on_from_its_own_checkpoint(users, path, monkeypatch):
    blend = BlendRecommender([("dae", DAE), ("vae", VAE)])
    expected = clone(blend).fit(users)
    write = checkpoint_file.write

    def killing(path, document, state):
        if document["identity"]["estimator"] == "BlendRecommender":
            raise Killed
        write(path, document, state)

    monkeypatch.setattr(checkpoint_file, "write", killing)
    with pytest.raises(Killed):
        clone(blend).set_params(checkpoint=path).fit(users)
    monkeypatch.undo()
    assert os.listdir(path.parent) == ["night.npz.member0"]
    written_before = os.stat(f"{path}.member0").st_mtime_ns
    assert killed(partial(clone(blend).set_params(checkpoint=path).fit, users), 1)  # minutes are not over again
    assert os.stat(f"{path}.member0").st_mtime_ns == written_before
    assert_same_blend(clone(blend).set_params(checkpoint=path).fit(users).set_params(checkpoint=None), expected, users)


@pytest.mark.parametrize("random_state", [0, np.random.RandomState(0)], ids=["seed", "RandomState"])
@pytest.mark.parametrize("n_kept", [1, 2, 3])
def test_a_blend_that_is_killed_before_it_removes_the_checkpoint_of_a_member_refits_all_the_same(
    n_kept, random_state, users, path, monkeypatch
):
    members = [("dae", DAE), ("vae", VAE)]
    members = [(name, clone(member).set_params(random_state=random_state)) for name, member in members]
    blend = BlendRecommender(members, validation_fraction=0.2)
    expected = clone(blend).fit(users)
    assert expected.best_validation_score_ is not None  # members are fitted twice
    remove, numbers = checkpoint.Checkpoint.remove_member, count(1)

    def killing(self, number):
        if next(numbers) == n_kept:
            raise Killed
        remove(self, number)

    model = clone(blend).set_params(checkpoint=path)
    with monkeypatch.context() as left_behind:
        left_behind.setattr(checkpoint.Checkpoint, "remove_member", killing)
        with pytest.raises(Killed):
            model.fit(users)
    assert_same_blend(clone(model).fit(users).set_params(checkpoint=None), expected, users)
    assert os.listdir(path.parent) == []


def test_a_blend_that_stores_no_hashes_has_none_of_its_checkpoint(users, path, monkeypatch):
    members = [("linear", clone(LINEAR["linear"])), ("dae", clone(DAE))]
    model = BlendRecommender(members, checkpoint=path, refit=False)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoint, "remove_member", lambda self, number: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            model.fit(users)
    model.set_params(store_user_hashes=False, linear__store_user_hashes=False, dae__store_user_hashes=False).fit(users)
    assert not any(hasattr(each, "was_fitted_on") for each in (model, *model.estimators_))


def test_a_blend_of_other_members_or_weights_is_refused_in_words(users, path, blend):
    model = clone(blend).set_params(checkpoint=path)
    assert killed(partial(model.fit, users), 1)
    with pytest.raises(
        ValueError, match=r"another fit: weights is 'auto' there and .* here; dae__n_components is 8 there and 4"
    ):
        clone(model).set_params(dae__n_components=4, weights=[1] * 5).fit(users)
    with pytest.raises(ValueError, match=r"X is '300 users"):
        clone(model).fit(users[:200])


def test_a_full_disk_costs_a_blend_no_member(users, path, monkeypatch):
    blend = BlendRecommender([("dae", DAE), ("vae", VAE)])
    expected, model = clone(blend).fit(users), clone(blend).set_params(checkpoint=path)
    assert killed(partial(clone(model).fit, users), 5)
    with monkeypatch.context() as full:
        full.setattr(files.os, "fsync", lambda file: os.write(os.open("/dev/full", os.O_WRONLY), b"0"))
        full.setattr(Adam, "step", ended_at(15 + 2, Killed))  # in the second member
        with pytest.warns(RuntimeWarning, match=r"npz(\.member.)? could not be written"), pytest.raises(Killed):
            model.fit(users)
    assert os.listdir(path.parent) == ["night.npz.member0"]
    assert_same_blend(model.fit(users).set_params(checkpoint=None), expected, users)


# -- SIGKILL


def test_a_process_that_is_killed_while_it_writes_leaves_what_the_next_one_goes_on_from():
    code = """if True:
        import harness, kills, skvae
        kills.SECONDS = 0
        model = skvae.MultDAERecommender(4, max_iter=3, batch_size=50, early_stopping=False, random_state=0)
        print(kills.measure(model, harness.make_matrix(200, 60, 8), 6))
    """
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT / "benchmarks", env=environment, capture_output=True, text=True, check=True)
    assert "'kills': 6, 'within the writing': 2, " in run.stdout
    assert "'differing': 0, " in run.stdout


def test_a_function_of_the_same_name_is_another_fit(users, tmp_path):
    def scaled(factor):
        def initialization(network, rows, generator):
            xavier(network, rows, generator)
            network.decoder.item_weight.data *= factor

        return initialization

    model = clone(DAE).set_params(checkpoint=tmp_path / "night.npz")
    assert killed(lambda: clone(model).set_params(initialization=scaled(2)).fit(users), 2)
    with pytest.raises(ValueError, match="initialization"):
        clone(model).set_params(initialization=scaled(3)).fit(users)
    clone(model).set_params(initialization=scaled(2)).fit(users)


@pytest.mark.parametrize("change", [lambda arrays: arrays.pop("1"), lambda arrays: arrays.update({"2": np.ones(1)})])
def test_a_file_that_lacks_an_array_or_has_another_is_damaged(path, change):
    checkpoint_file.write(path, {}, [np.zeros(3), np.ones(2)])
    assert checkpoint_file.read_document(path) == {}
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    with open(path, "wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(ValueError, match="its list of arrays is not as it was written"):
        checkpoint_file.read_document(path)
