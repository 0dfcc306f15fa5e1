"""A matrix on disk: what was saved is what is opened, whatever happens to a write, and models need no copy of it."""

import itertools
import json
import os
import shutil
import tracemalloc
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import (
    AUTOENCODERS,
    CONTAINERS_OF_ONES,
    RECOMMENDERS,
    SMALL_DAE,
    Killed,
    frame,
    left_alone,
    same_weights,
)
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skvae
from skvae import append_interactions, interactions, matrix, open_interactions, ranking, save_interactions
from skvae.core.files import Lock
from skvae.hiding import hide_items
from skvae.matrix import as_float32, count_users
from skvae.user_hashes import user_hashes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "X"


@pytest.fixture
def mapped(X, path):
    save_interactions(X, path)
    return open_interactions(path)


def assert_equal(one, other):
    assert one.shape == other.shape
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def of_a_file(values):
    while values.base is not None and not isinstance(values, np.memmap):
        values = values.base
    return isinstance(values, np.memmap) and not values.flags.writeable


# -- what was saved is what is opened


@pytest.mark.parametrize("container", CONTAINERS_OF_ONES)
def test_what_was_saved_is_opened_from_every_container(container, X, path):
    users = CONTAINERS_OF_ONES[container](X[:30])
    with left_alone(users):
        save_interactions(users, path)
    got = open_interactions(str(path))
    assert type(got) is sp.csr_array
    assert got.data.dtype == np.float32
    assert_equal(got, as_float32(users))
    assert all(map(of_a_file, (got.data, got.indices, got.indptr)))


PARTS = {
    "a list of matrices": lambda X: [X[:100], X[100:100], X[100:]],
    "an iterator": lambda X: (X[i : i + 70] for i in range(0, 500, 70)),
    "arrays": lambda X: [X[:250].toarray(), X[250:].toarray()],
    "of several kinds": lambda X: iter([X[:1].tocoo(), frame(X[1:9]), X[9:].tocsc()]),
    "a list of lists": lambda X: X.toarray().tolist(),
}


@pytest.mark.parametrize("parts", PARTS)
def test_parts_are_users_one_after_the_other_when_saved_and_when_appended(parts, X, path):
    save_interactions(PARTS[parts](X), path)
    assert_equal(open_interactions(path), X)
    append_interactions(PARTS[parts](X), path)
    assert_equal(open_interactions(path), sp.vstack([X, X], format="csr"))


def test_a_matrix_is_written_in_blocks_and_values_are_those_of_float32(monkeypatch, path):
    monkeypatch.setattr(matrix, "ENTRIES_PER_BLOCK", 7)
    ratings = sp.csr_array(np.random.default_rng(0).random((60, 20)).round(1))
    save_interactions(ratings, path)
    assert_equal(open_interactions(path), as_float32(ratings))
    append_interactions(ratings[:0], path)
    append_interactions(sp.csr_array((3, 20)), path)
    assert open_interactions(path).shape == (63, 20)


def test_what_is_open_stays_as_it_was_while_the_folder_is_written_to(X, path, mapped):
    append_interactions(X[:5], path)
    assert_equal(mapped, X)
    save_interactions(X[:3], path)
    assert_equal(mapped, X)
    assert_equal(open_interactions(path), X[:3])


def test_a_folder_takes_its_own_matrix(X, path, mapped):
    append_interactions(mapped, path)
    save_interactions(open_interactions(path), path)
    assert_equal(open_interactions(path), sp.vstack([X, X], format="csr"))


def test_the_arrays_are_files_of_numpy(X, path, mapped):
    append_interactions(X[:5], path)
    data, indices, indptr = (np.load(next(path.glob(f"{name}.*.npy"))) for name in ("data", "indices", "indptr"))
    assert_equal(sp.csr_array((data, indices, indptr), shape=(505, 200)), open_interactions(path))


# -- a write that does not finish


def part_of(X):
    yield X[:20]
    raise Killed


WRITES = {"save": save_interactions, "append": append_interactions}
# the function of the system that fails, and in which of its calls: three arrays, meta.json and its renaming
FAILURES = [("save", "write_bytes", i) for i in range(3)]
FAILURES += [(write, *call) for write in WRITES for call in [*(("fsync", i) for i in range(4)), ("replace", 0)]]


def fail_at(patched, name, number):
    owner, numbers = interactions.Path if name == "write_bytes" else os, itertools.count()
    function = getattr(owner, name)

    def failing(*arguments):
        if next(numbers) == number:
            raise Killed
        return function(*arguments)

    patched.setattr(owner, name, failing)


@pytest.mark.parametrize(("write", "name", "number"), [("save", None, 0), ("append", None, 0), *FAILURES])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "an error"])
def test_a_write_that_fails_leaves_the_old_matrix_and_the_next_one_no_trace_of_it(
    write, name, number, killed, X, path, monkeypatch
):
    def sizes():
        return {file.name: file.stat().st_size for file in path.iterdir()}

    save_interactions(X[:50], path)
    clean = sizes()
    with monkeypatch.context() as patched:
        if killed:  # then nobody tidies up
            patched.setattr(interactions, "_remove_rest", lambda folder: None)
        if name:
            fail_at(patched, name, number)
        with pytest.raises(Killed):
            WRITES[write](X[:80] if name else part_of(X), path)
    assert_equal(open_interactions(path), X[:50])
    assert killed or sizes() == clean
    append_interactions(X[50:57], path)
    assert_equal(open_interactions(path), X[:57])
    assert sizes().keys() == clean.keys()
    save_interactions(X[:50], path)
    assert sorted(sizes().values()) == sorted(clean.values())


def test_a_first_save_that_fails_can_be_made_again(X, path):
    with pytest.raises(Killed):
        save_interactions(part_of(X), path)
    with pytest.raises(ValueError, match="its first save did not finish"):
        open_interactions(path)
    save_interactions(X, path)
    assert_equal(open_interactions(path), X)


def test_a_matrix_without_users_has_its_items_already(X, path):
    save_interactions(X[:0], path)
    with pytest.raises(ValueError, match=r"X has 3 items, and the users before have 200: they must be the same"):
        append_interactions(X[:5, :3], path)
    append_interactions(X[:5], path)
    assert_equal(open_interactions(path), X[:5])


def test_a_matrix_in_the_place_of_the_path_is_said(X, path, mapped):
    for call in (save_interactions, append_interactions):
        with pytest.raises(TypeError, match=r"path must be a str or path, got csr_.*: pass the matrix first"):
            call(path, X)


def test_one_writes_at_a_time(X, path, mapped):
    lock = Lock(path / ".skvae-lock")
    lock.acquire()
    for write in WRITES.values():
        with pytest.raises(ValueError, match=r"is being written by another \(process \d+ on .*\): wait for its end"):
            write(X, path)
    lock.release()
    assert_equal(open_interactions(path), X)


def test_who_is_refused_while_another_makes_the_folder_leaves_what_the_other_saved(X, path, monkeypatch):
    iterdir = Path.iterdir

    def saved_meanwhile(folder):
        found = [*iterdir(folder)]
        monkeypatch.setattr(Path, "iterdir", iterdir)
        save_interactions(X, path)
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", saved_meanwhile)
    with pytest.raises(ValueError, match="Negative values"):
        save_interactions(-X, path)
    assert_equal(open_interactions(path), X)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_first_save_that_cannot_begin_says_why(error, X, path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(interactions, "_write_meta", mock.Mock(side_effect=error))
        with pytest.raises(type(error)):
            save_interactions(X, path)
    assert not list(path.iterdir())
    save_interactions(X, path)


@pytest.mark.parametrize("write", WRITES)
def test_a_relative_path_is_that_of_the_call(write, X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    for folder in (tmp_path, other):
        save_interactions(X[:50], folder / "X")

    def parts():
        yield X[:10]
        monkeypatch.chdir(other)
        yield X[10:20]

    WRITES[write](parts(), "X")
    assert_equal(open_interactions("X"), X[:50])
    n_before = 50 if write == "append" else 0
    assert_equal(open_interactions(tmp_path / "X")[n_before:], X[:20])
    assert sorted(path.suffix for path in (tmp_path / "X").iterdir()) == [".json", ".npy", ".npy", ".npy"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_is_followed_to_a_folder_that_is_made(X, path, tmp_path):
    path.symlink_to("there", target_is_directory=True)
    save_interactions(X, path)
    append_interactions(X, path)
    assert_equal(open_interactions(tmp_path / "there"), sp.vstack([X, X], format="csr"))


def test_what_cannot_be_cleaned_up_is_no_reason_to_say_that_nothing_was_written(X, path, monkeypatch):
    save_interactions(X, path)
    (path / "data.5.npy").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", mock.Mock(side_effect=OSError(5, "Input/output error")))
        save_interactions(X[:7], path)
    assert_equal(open_interactions(path), X[:7])
    append_interactions(X, path)
    assert open_interactions(path).shape[0] == 7 + X.shape[0]
    assert len(list(path.glob("data.*.npy"))) == 2


# -- what is no such folder


def changed(**values):
    def change(path):
        meta = json.loads((path / "meta.json").read_text())
        (path / "meta.json").write_text(json.dumps(meta | values))

    return change


def file_of(path, name):
    """meta.json, or the file of an array, which has a number in its name."""
    return next(iter(path.glob(f"{name}.*")))


def overwritten(name, content):
    return lambda path: file_of(path, name).write_bytes(content)


def cut(name):
    return lambda path: os.truncate(file_of(path, name), file_of(path, name).stat().st_size - 1)


def other_array(path):
    np.save(file_of(path, "indices"), np.arange(100_000))


def other_ends(path):
    file = file_of(path, "indptr")
    np.save(file, np.load(file) + 1)


def overlapping_users(path):
    file = file_of(path, "indptr")
    indptr = np.load(file)
    indptr[5] += 2**30
    np.save(file, indptr)


def a_folder(name):
    def change(path):
        file = file_of(path, name)
        file.unlink()
        file.mkdir()

    return change


def a_file(path):
    shutil.rmtree(path)
    path.write_text("")


DAMAGE = {
    "cut data": (cut("data"), r"which is damaged: data\.\d+\.npy has \d+ bytes, and \d+ are needed"),
    "cut indptr": (cut("indptr"), "damaged: indptr"),
    "no indices": (lambda path: file_of(path, "indices").unlink(), r"damaged: indices\.\d+\.npy is no array of int32"),
    "empty data": (overwritten("data", b""), r"damaged: data\.\d+\.npy is no array of float32"),
    "other bytes": (overwritten("data", b"\x93NUMPY" + bytes(10_000)), r"damaged: data\.\d+\.npy is no array"),
    "another dtype": (other_array, r"damaged: indices\.\d+\.npy is no array of int32"),
    "other ends": (other_ends, "damaged: its users have"),
    "users that overlap": (overlapping_users, "damaged: some users have fewer than 0 interactions"),
    "another nnz": (changed(nnz=17), "damaged: its users have .* interactions, and it says 17"),
    "no meta.json": (lambda path: (path / "meta.json").unlink(), "no folder that save_interactions wrote"),
    "meta.json of another": (overwritten("meta", b"{}"), "no folder that save_interactions wrote"),
    "meta.json cut": (cut("meta"), "no folder that save_interactions wrote"),
    "meta.json a list": (overwritten("meta", b"[1]"), "no folder that save_interactions wrote"),
    "a negative size": (changed(n_users=-1), "no folder that save_interactions wrote"),
    "another kind of size": (changed(n_items="200"), "no folder that save_interactions wrote"),
    "more items than SciPy counts": (changed(n_items=2**31), "no folder that save_interactions wrote"),
    "no number of a format": (changed(format=True), "no folder that save_interactions wrote"),
    "other values": (changed(dtype="float64"), "no folder that save_interactions wrote"),
    "a newer format": (changed(format=2, blocks=[]), "is of format 2, this version of skvae reads 1: upgrade skvae"),
    "a folder for data": (a_folder("data"), r"damaged: data\.\d+\.npy is no array of float32, or is not there"),
    "a folder for meta.json": (a_folder("meta"), "no folder that save_interactions wrote"),
    "a file": (a_file, "no folder that save_interactions wrote"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_refused_in_one_sentence_and_nothing_is_appended(damage, X, path, mapped):
    change, message = DAMAGE[damage]
    change(path)
    before = sorted((file, file.stat().st_size) for file in path.glob("*"))
    for call in (open_interactions, lambda path: append_interactions(X, path)):
        with pytest.raises(ValueError, match=message):
            call(path)
    assert sorted((file, file.stat().st_size) for file in path.glob("*")) == before


def test_what_a_kill_left_is_removed_by_the_next_write(X, path):
    path.mkdir()
    (path / ".skvae-killed").mkdir()  # in the first write of meta.json
    (path / ".skvae-killed" / "meta.json").touch()
    save_interactions(X, path)
    assert_equal(open_interactions(path), X)
    (path / ".skvae-again").mkdir()
    append_interactions(X[:1], path)
    assert not list(path.glob(".skvae-*"))


def opened_or_error(path):
    try:
        return open_interactions(path)
    except ValueError as error:
        return str(error)


def test_a_header_with_one_other_bit_is_damaged_or_means_the_same(X, path, mapped):
    file = file_of(path, "data")
    content = file.read_bytes()
    for bit in range(8 * 128):
        changed = bytearray(content[:128])
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bytes(changed) + content[128:])
        opened = opened_or_error(path)
        if isinstance(opened, str):
            assert "is damaged: data" in opened
        else:
            assert_equal(opened, X)


def test_a_new_folder_in_the_place_of_another_has_files_of_other_names(X, path, mapped):
    """By which a worker of joblib, which is told the name, would take one matrix for the other."""
    before = {file.name for file in path.glob("*.npy")}
    shutil.rmtree(path)
    save_interactions(2 * X, path)
    assert before.isdisjoint(file.name for file in path.iterdir())


def test_a_folder_of_something_else_and_a_missing_one_are_left_alone(X, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="no folder that save_interactions wrote"):
        save_interactions(X, tmp_path)
    with pytest.raises(FileNotFoundError, match="make it first"):
        save_interactions(X, tmp_path / "no" / "X")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        open_interactions(tmp_path / "X")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda X: -X, "Negative values in data passed to X"),
        (lambda X: X[:, :100], "X has 100 items, and the users before have 200: they must be the same"),
        (lambda X: [X, X[:, :100]], "X has 100 items"),
        (lambda X: "a path", "X must have two dimensions"),
        (lambda X: {"X": X}, "X must have two dimensions"),
        (lambda X: 1e-60 * X.astype(np.float64), "which is 0 in float32"),
    ],
    ids=["negative", "other items", "other items in a part", "a str", "a dict", "too small"],
)
def test_wrong_users_are_not_appended(wrong, message, X, path, mapped):
    with pytest.raises(ValueError, match=message):
        append_interactions(wrong(X), path)
    assert_equal(open_interactions(path), X)


def test_a_ctrl_c_after_users_are_appended_says_so_and_one_before_appends_none(X, path, mapped, monkeypatch):
    remove, write = interactions._remove_rest, interactions._write_meta
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:  # the first is before the users are written
            raise KeyboardInterrupt
        remove(*arguments)

    monkeypatch.setattr(interactions, "_remove_rest", interrupted)
    with pytest.raises(KeyboardInterrupt, match=f"The users are appended: .* has {2 * X.shape[0]}"):
        append_interactions(X, path)
    monkeypatch.setattr(interactions, "_remove_rest", remove)
    assert_equal(open_interactions(path), sp.vstack([X, X]))

    def interrupted_before(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(interactions, "_write_meta", interrupted_before)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        append_interactions(X, path)
    monkeypatch.setattr(interactions, "_write_meta", write)
    append_interactions(X[:1], path)
    assert_equal(open_interactions(path), sp.vstack([X, X, X[:1]]))


def test_users_of_another_writer_are_not_taken_for_ours(X, path, mapped, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    def opened(folder):  # and then another appends
        before = open_interactions(folder)
        monkeypatch.setattr(interactions, "open_interactions", open_interactions)
        append_interactions(X[:5], folder)
        monkeypatch.setattr(interactions, "_extend", interrupted)
        return before

    monkeypatch.setattr(interactions, "open_interactions", opened)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        append_interactions(X, path)
    assert open_interactions(path).shape[0] == X.shape[0] + 5


def test_what_cannot_be_cut_off_is_written_over(X, path, mapped, monkeypatch):
    def refusing(*arguments):  # Windows, while somebody has the file mapped
        raise OSError(22, "The requested operation cannot be performed on a file with a user-mapped section open")

    monkeypatch.setattr(os, "truncate", refusing)
    monkeypatch.setattr(matrix, "ENTRIES_PER_BLOCK", 500)
    with pytest.raises(ValueError, match="Negative values"):
        append_interactions(sp.vstack([X, -X], format="csr"), path)
    append_interactions(X[:3], path)
    assert_equal(open_interactions(path), sp.vstack([X, X[:3]]))


def test_nothing_and_too_much_is_not_saved(X, path, monkeypatch):
    for nothing in ([], iter([]), np.empty((3, 0))):
        with pytest.raises(ValueError, match=r"two dimensions|X has no items"):
            save_interactions(nothing, path)
    monkeypatch.setattr(interactions, "MOST", 1000)
    with pytest.raises(ValueError, match="X is too large: a matrix has at most 1000 interactions"):
        save_interactions(X, path)


# -- models take it as it is

CALLS_OF_X = {
    "evaluate": lambda model, X: skvae.evaluate(model, X).per_user["ndcg@100"],
    "score": lambda model, X: model.score(X),
    "recommend": lambda model, X: model.recommend(X, k=3),
    "predict": lambda model, X: model.predict(X),
    "was_fitted_on": lambda model, X: model.was_fitted_on(X),
}


@pytest.mark.parametrize("name", RECOMMENDERS)
@pytest.mark.filterwarnings("ignore:.* was fitted on most users")
def test_a_model_of_a_mapped_matrix_is_that_of_one_in_memory(name, X, mapped, path):
    before = {file: file.read_bytes() for file in path.iterdir()}
    expected, got = (clone(RECOMMENDERS[name]).fit(matrix) for matrix in (X, mapped))
    if name in AUTOENCODERS:
        assert got.early_stopping_
        assert same_weights(expected, got)
        assert same_weights(expected.partial_fit(X), got.partial_fit(mapped))
    for call, function in CALLS_OF_X.items():
        np.testing.assert_array_equal(function(expected, X), function(got, mapped), err_msg=call)
    assert {file: file.read_bytes() for file in path.iterdir()} == before


def test_splits_of_a_mapped_matrix_are_those_of_one_in_memory(X, mapped):
    for splitter in (skvae.UserKFold(3), skvae.UserShuffleSplit(2)):
        for one, other in zip(splitter.split(X), splitter.split(mapped), strict=True):
            np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))
    for split in (skvae.strong_generalization_split, skvae.fold_in_split):
        for one, other in zip(split(X), split(mapped), strict=True):
            assert not (one != other).sum()


def test_a_search_with_two_processes_takes_a_mapped_matrix(X, mapped):
    model = clone(SMALL_DAE).set_params(max_iter=1)
    searches = [
        GridSearchCV(model, {"dropout": [0.1, 0.5]}, cv=skvae.UserKFold(2), scoring=skvae.ndcg_scorer, n_jobs=n_jobs)
        for n_jobs in (1, 2)
    ]
    expected, got = (search.fit(users).cv_results_ for search, users in zip(searches, (X, mapped), strict=True))
    np.testing.assert_array_equal(expected["mean_test_score"], got["mean_test_score"])


@pytest.mark.filterwarnings("ignore:.* held-out items of", "ignore:.* was fitted on most users")
def test_the_size_of_a_block_changes_nothing(X, monkeypatch):
    model = skvae.PopularityRecommender().fit(X)
    y = sp.csr_array(np.random.default_rng(0).random(X.shape) < 0.1)

    def answers():
        yield from (part.toarray() for part in (*skvae.fold_in_split(X), *hide_items(X, y)))
        yield from (part.toarray() for part in skvae.fold_in_split(X, timestamps=X.astype(np.float64) * np.arange(200)))
        yield from (user_hashes(X), count_users(X), model.score(X))
        for evaluation in (skvae.evaluate(model, X), skvae.evaluate(model, X, y=y)):
            yield from evaluation.per_user.values()
            yield list(evaluation.evaluated.items())

    expected = list(answers())
    monkeypatch.setattr(matrix, "ENTRIES_PER_BLOCK", 37)
    assert len(matrix.row_blocks(X)) > 100
    for one, other in zip(expected, answers(), strict=True):
        if np.asarray(one).dtype.kind == "f":  # the order of a sum is that of the processor's vectors
            np.testing.assert_allclose(one, other, rtol=1e-14)
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["fit", "partial_fit", "recommend", "evaluate", "score", "split", "popularity"])
@pytest.mark.filterwarnings("ignore:.* was fitted on most users")
def test_no_call_holds_a_copy_of_a_mapped_matrix(name, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "ENTRIES_PER_BLOCK", 2**13)
    for name_of_size in ("SCORES_PER_BLOCK", "SCORES_PER_BLOCK_OF_GPU"):
        monkeypatch.setattr(ranking, name_of_size, 2**16)
    items = np.sort(np.random.default_rng(0).permuted(np.tile(np.arange(250), (10_000, 1)), axis=1)[:, :100], axis=1)
    X = sp.csr_array((np.ones(items.size, np.float32), items.ravel(), np.arange(0, items.size + 1, 100)))
    save_interactions(X, tmp_path / "X")
    X = open_interactions(tmp_path / "X")
    model = skvae.MultDAERecommender(4, max_iter=1, random_state=0, validation_fraction=0.01)
    calls = {
        "fit": lambda: clone(model).fit(X),
        "partial_fit": lambda: model.partial_fit(X),
        "recommend": lambda: model.recommend(X, k=2),
        "evaluate": lambda: skvae.evaluate(model, X),
        "score": lambda: model.score(X),
        "split": lambda: list(skvae.UserKFold(2).split(X)),
        "popularity": lambda: skvae.PopularityRecommender().fit(X),
    }
    model.partial_fit(X[:100])
    tracemalloc.start()  # of arrays of NumPy
    try:
        calls[name]()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0 < peak < X.data.nbytes / 2


def test_who_opens_a_folder_while_it_is_saved_gets_the_old_or_the_new_matrix(X, path, monkeypatch):
    save_interactions(X, path)
    read, before = interactions._read_meta, interactions._read_meta(path)
    save_interactions(X[:7], path)  # after the other one has read what was there
    answers = iter([before])
    monkeypatch.setattr(interactions, "_read_meta", lambda folder: next(answers, None) or read(folder))
    assert open_interactions(path).shape == (7, X.shape[1])
    answers = iter([before])
    for file in path.glob("indptr.*"):
        file.unlink()
    with pytest.raises(ValueError, match="which is damaged"):
        open_interactions(path)


def test_a_file_where_a_folder_should_be_is_named(X, tmp_path):
    (tmp_path / "X").write_text("")
    with pytest.raises(FileExistsError, match="a file: interactions need a folder of their own"):
        save_interactions(X, tmp_path / "X")


def test_tables_with_other_columns_are_no_further_users(tmp_path):
    pd = pytest.importorskip("pandas")
    first = pd.DataFrame([[1, 1, 0]], columns=["tea", "jam", "oats"])
    with pytest.raises(ValueError, match=r"A table of X has the column 'oats' where the first has 'tea' \(column 0\)"):
        save_interactions([first, first[["oats", "jam", "tea"]]], tmp_path / "X")
    save_interactions([first, first.to_numpy(), first], tmp_path / "X")
    assert open_interactions(tmp_path / "X").shape == (3, 3)
