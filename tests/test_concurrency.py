"""Threads, processes of every kind, an event loop, and changes beside readers: every answer is that of one caller."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import AUTOENCODERS, LINEAR, RECOMMENDERS, ROOT, first_half, same_weights, widened
from sklearn.base import clone

from skvae import BlendRecommender, PopularityRecommender, base_linear, ranking
from skvae.recommender import BaseRecommender, as_it_is

N_THREADS = 32
METHODS = ("recommend", "decision_function", "transform", "score", "score_samples", "similar_items", "explain")


@pytest.fixture(autouse=True)
def quick_switches():
    """Threads take turns a thousand times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module", params=RECOMMENDERS)
def model(request, X):
    return clone(RECOMMENDERS[request.param]).fit(X[:300])


def asked(model, X, method):
    """What a method answers, a tuple of arrays."""
    arguments = {"similar_items": (range(20),), "explain": (X[:20], np.tile(np.arange(3), (20, 1)))}
    answer = getattr(model, method)(*arguments.get(method, (X,)))
    return answer if isinstance(answer, tuple) else (answer,)


def equal(one, other):
    return all(map(np.array_equal, one, other))


def together(n_threads, function):
    """What a function gives to so many threads that begin at once."""
    barrier = threading.Barrier(n_threads)

    def call(number):
        barrier.wait()
        return function(number)

    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(call, range(n_threads)))


# -- many at once


@pytest.mark.parametrize("method", METHODS)
def test_32_threads_that_begin_at_once_get_what_one_gets(model, method, X):
    if not hasattr(model, method):
        pytest.skip("has no such method")
    expected, users = asked(model, X[:60], method), X[:60]
    fresh = _reloaded(model)  # nothing of it is set up yet
    assert all(equal(answer, expected) for answer in together(N_THREADS, lambda _: asked(fresh, users, method)))


def _reloaded(model):
    copy = clone(model)
    copy.__setstate__(model.__getstate__())
    return copy


def test_threads_with_users_of_their_own_get_the_answers_of_these(model, X):
    expected = [model.recommend(X[user : user + 3]) for user in range(N_THREADS)]
    answers = together(N_THREADS, lambda user: [model.recommend(X[user : user + 3]) for _ in range(5)])
    assert all(equal(answer, expected[user]) for user in range(N_THREADS) for answer in answers[user])


def test_an_event_loop_that_calls_the_model_in_threads_gets_each_user_their_own(model, X):
    async def ask_all():
        users = (X[user : user + 1] for user in range(100))
        return await asyncio.gather(*(asyncio.to_thread(model.recommend, row) for row in users))

    answers = asyncio.run(ask_all())
    assert all(equal(answer, model.recommend(X[user : user + 1])) for user, answer in enumerate(answers))


PROCESSES = """
import multiprocessing, os, sys, threading
import joblib, skvae

path = sys.argv[1]
models, X = joblib.load(path)
tasks = [(model, X, 10) for model in models.values()]


def answers():
    return [skvae.recommend(*task) for task in tasks]


def child():
    found = []  # in a thread beside the main one, as a server's worker
    thread = threading.Thread(target=lambda: found.extend(answers()))
    thread.start()
    thread.join()
    joblib.dump(found, f"{path}.{os.getpid()}")


if __name__ == "__main__":
    found = {"parent": answers()}  # which has used all of them
    children = []  # as gunicorn --preload: load, fork, answer
    for _ in range(3):
        children.append(os.fork())
        if not children[-1]:
            child()
            os._exit(0)
    assert [os.waitpid(process, 0)[1] for process in children] == [0, 0, 0]
    for process in children:
        found[f"preload {process}"] = joblib.load(f"{path}.{process}")
    for kind in ("fork", "spawn"):
        with multiprocessing.get_context(kind).Pool(1) as pool:
            found[kind] = pool.starmap(skvae.recommend, tasks)
    with joblib.parallel_config("loky", n_jobs=2):
        found["loky"] = joblib.Parallel()(joblib.delayed(skvae.recommend)(*task) for task in tasks)
    joblib.dump(found | {"parent afterwards": answers()}, path + ".answers")
"""


@pytest.mark.skipif(not hasattr(os, "fork") or torch.cuda.is_available(), reason="cannot be forked")
def test_processes_of_every_kind_give_the_answers_of_one_without_any(X, tmp_path):
    models = {name: clone(model).fit(X[:300]) for name, model in RECOMMENDERS.items()}
    path, script = tmp_path / "models.joblib", tmp_path / "script.py"
    joblib.dump((models, X[:50]), path)
    script.write_text(PROCESSES)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, script, path], env=environment, check=True, timeout=200)
    found = joblib.load(tmp_path / "models.joblib.answers")
    assert [kind.partition(" ")[0] for kind in found] == [
        "parent",
        *["preload"] * 3,
        "fork",
        "spawn",
        "loky",
        "parent",
    ]
    for answers in found.values():
        for model, (items, scores) in zip(models.values(), answers, strict=True):
            expected = model.recommend(X[:50], k=10)
            assert np.array_equal(items, expected[0])
            np.testing.assert_allclose(scores, expected[1], rtol=1e-5, atol=1e-6)


# -- changes beside readers


@contextlib.contextmanager
def reading(read, n_threads):
    """So many threads that read again and again until the block ends, as futures; the error of one is raised."""
    is_over = threading.Event()

    def again():
        while not is_over.is_set():
            read()

    with ThreadPoolExecutor(n_threads) as pool:
        readers = [pool.submit(again) for _ in range(n_threads)]
        try:
            yield readers
        finally:
            is_over.set()
    for reader in readers:
        reader.result()


def wait_until_longer(answers, n, readers):
    """Until there are more than n answers, or a reader failed."""
    while len(answers) <= n and not any(reader.done() for reader in readers):
        time.sleep(1e-3)


CHANGED = {name: model for name, model in {**AUTOENCODERS, **LINEAR}.items() if hasattr(model, "partial_fit")}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CHANGED)
def test_a_reader_beside_partial_fit_gets_one_model_never_two(name, method, X, monkeypatch):
    if not hasattr(CHANGED[name], method):
        pytest.skip("has no such method")
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 9 * X.shape[1])  # a call reads the model many times
    monkeypatch.setattr("skvae.matrix.ENTRIES_PER_BLOCK", 60)
    model, users = clone(CHANGED[name]).fit(X[:100]), X[:60]
    possible, answers = [asked(model, users, method)], []
    with reading(lambda: answers.append(asked(model, users, method)), 3) as readers:
        for part in range(2):
            n_before = len(answers)
            model.partial_fit(X[100 + 50 * part : 150 + 50 * part])
            wait_until_longer(answers, n_before + 3, readers)  # some that began with this model
            possible.append(asked(model, users, method))
    assert len(answers) >= 8
    assert all(any(equal(answer, one) for one in possible) for answer in answers)


@pytest.mark.parametrize("name", [*CHANGED, "ease"])
def test_a_reader_beside_add_items_gets_the_answer_or_is_told_of_the_columns(name, X, monkeypatch):
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 9 * X.shape[1])
    model, outcomes = clone(RECOMMENDERS[name]).fit(X), []
    n_adds = 20
    users = [widened(X[:60], n_added) for n_added in range(n_adds + 1)]
    expected = model.recommend(users[0])[0]

    def read():
        try:
            items, _ = model.recommend(widened(X[:60], model.n_features_in_ - X.shape[1]))
            outcomes.append((items == expected).mean() > 0.99)
        except ValueError as error:
            outcomes.append("features" in str(error))

    with reading(read, 3) as readers:
        for _ in range(n_adds):
            n_before = len(outcomes)
            model.add_items(1)
            wait_until_longer(outcomes, n_before + 1, readers)
    assert len(outcomes) >= 2 * n_adds
    assert all(outcomes)


# -- fits


def test_fits_in_threads_beside_each_other_are_those_of_one_thread(X):
    models = [clone(model).set_params(max_iter=2) for model in AUTOENCODERS.values()] * 2
    fitted = together(len(models), lambda number: clone(models[number]).fit(first_half(X)))
    for model, in_thread in zip(models, fitted, strict=True):
        assert same_weights(clone(model).fit(first_half(X)), in_thread)


def test_a_refit_of_a_blend_leaves_the_warnings_of_other_threads_alone(X):
    filters = []

    class Member(PopularityRecommender):
        def fit(self, X, y=None):
            filters.append(list(warnings.filters))
            return super().fit(X)

    BlendRecommender([("a", Member()), ("b", PopularityRecommender())], random_state=0).fit(X)
    assert len(filters) == 2
    assert filters[0] == filters[1] == warnings.filters


def test_a_call_that_began_before_add_items_ends_with_the_model_of_then(X):
    for name, model in RECOMMENDERS.items():
        model = clone(model).fit(X[:300])
        if not hasattr(model, "add_items") or not hasattr(model, "block_scorer"):
            continue
        expected, scorer = model.decision_function(X[:20]), model.block_scorer()
        model.add_items(1)
        np.testing.assert_allclose(
            scorer.scores(X[:20]).numpy(force=True), expected, rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("method", ["recommend", "decision_function", "transform", "score_samples", "posterior"])
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_items_added_while_rows_are_checked_are_not_seen_by_the_call(name, method, X, monkeypatch):
    if not (hasattr(RECOMMENDERS[name], method) and hasattr(RECOMMENDERS[name], "add_items")):
        pytest.skip("has no such method")
    model, check = clone(RECOMMENDERS[name]).fit(X[:300]), BaseRecommender._check_interactions
    expected, is_added = getattr(model, method)(X[:20]), []

    def check_and_add(self, *args, **kwargs):
        checked = check(self, *args, **kwargs)
        if not is_added:
            is_added.append(model.add_items(1))
        return checked

    monkeypatch.setattr(BaseRecommender, "_check_interactions", check_and_add)
    answer = getattr(model, method)(X[:20])
    assert is_added
    for got, wanted in zip(answer, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_a_linear_model_reads_one_model_for_one_answer(X, monkeypatch):
    model, check = clone(LINEAR["linear"]).fit(X[:100]), base_linear._check_finite
    users = sp.csr_array(X[:3] * np.array([[1], [0], [1]]))  # one has nothing, whom popularity answers
    before = model.decision_function(users)

    def meanwhile(*arguments):
        check(*arguments)
        model.partial_fit(X[100:])

    monkeypatch.setattr(base_linear, "_check_finite", meanwhile)
    assert np.array_equal(model.decision_function(users), before)


def test_readers_of_a_blend_beside_add_items_get_one_width(X):
    blend = BlendRecommender([(name, LINEAR["ease"]) for name in "abc"], weights=[1, 1, 1]).fit(X[:100])
    widths = set()

    def read():
        widths.add(blend.similar_items([0])[0].shape)
        model = as_it_is(blend)
        assert {member.n_features_in_ for member in model.estimators_} == {model.n_features_in_}

    with reading(read, 2):
        for _ in range(50):
            blend.add_items(1)
    assert widths == {(1, 10)}
