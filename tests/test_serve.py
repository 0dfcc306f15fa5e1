"""examples/serve.py, asked over HTTP: within the tests' process, and as two workers with the benchmark's client."""

import asyncio
import json
import math
import socket
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SMALL_VAE, fitted_on, load_script
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

import skvae
from skvae import EASERecommender, InteractionEncoder

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of httpx, whose successor is no dependency yet
    warnings.simplefilter("ignore", UserWarning)
    from fastapi.testclient import TestClient

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    benchmark = load_script("benchmarks/serve.py")
serve = load_script("examples/serve.py")

NAMES = [f"item {3 * i % 200}" for i in range(200)]  # their order is not that of the columns


@pytest.fixture(scope="module")
def model(X):
    return clone(SMALL_VAE).fit(X[:400])


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "model.skvae"
    skvae.save(model, path)
    return path


@pytest.fixture(scope="module")
def client(path):
    return TestClient(serve.create_app(path))


def _ask(client, visitors, **options):
    answer = client.post("/recommend", json={"visitors": visitors, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _refused(client, body, status=422):
    """The one sentence of a refusal."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/recommend", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"detail"}
    sentence = answer.json()["detail"]
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def _assert_recommends(model, answers, visitors, k=10, columns_of=list, names=range(200)):
    """What recommend says of the visitors' rows, by the names of the columns."""
    X = np.zeros((len(visitors), 200), np.float32)
    for row, items in zip(X, visitors, strict=True):
        row[columns_of(items)] = 1
    assert len(answers) == len(visitors)
    for answer, items, scores in zip(answers, *skvae.recommend(model, X, k), strict=True):
        assert answer["items"] == [names[item] for item in items[items >= 0]]
        np.testing.assert_allclose(answer["scores"], scores[items >= 0], rtol=1e-5)
        assert answer["unknown"] == []


def test_it_says_that_it_is_up_and_what_it_serves(client):
    assert client.get("/health").json() == {"status": "ok"}
    about = {"skvae": skvae.__version__, "model": "MultVAERecommender", "format": "skvae", "n_items": 200}
    assert client.get("/version").json() == about
    assert client.get("/openapi.json").status_code == 200


def test_visitors_whom_fit_never_saw_get_each_what_recommend_says(client, model, X):
    visitors = [X[[user]].indices.tolist() for user in range(400, 480)]
    visitors[3] = []
    _assert_recommends(model, _ask(client, visitors), visitors)
    once = [visitors[0][::-1] * 2]
    _assert_recommends(model, _ask(client, once, k=3), visitors[:1], k=3)


def test_a_visitor_with_almost_everything_gets_what_is_left(client, model):
    visitors = [list(range(197)), list(range(200))]
    left, none = _ask(client, visitors)
    _assert_recommends(model, [left], visitors[:1])
    assert sorted(left["items"]) == [197, 198, 199]
    assert none == {"items": [], "scores": [], "unknown": []}


def test_a_request_names_the_items_that_may_come(client, model, X):
    visitor, limits = [3, 7, 11], {"candidates": [11, 150, 3, 40, 900], "exclude": [40, -1]}
    row = np.zeros((1, 200), np.float32)
    row[0, visitor] = 1
    for options, columns in [
        (limits, [150]),
        (limits | {"exclude_seen": False}, [3, 11, 150]),
        ({"candidates": []}, []),
        ({"exclude": list(range(198)), "exclude_seen": False}, [198, 199]),
        ({"candidates": None, "exclude": None}, [item for item in range(200) if item not in visitor]),
    ]:
        (answer,) = _ask(client, [visitor], k=200, **options)
        scores = model.decision_function(row)[0, columns]
        order = np.lexsort((columns, -scores))
        assert answer["items"] == np.array(columns, int)[order].tolist()
        np.testing.assert_allclose(answer["scores"], scores[order], rtol=1e-5)


@pytest.mark.parametrize("first", [1, 1000])
def test_columns_that_are_numbers_are_the_items(X, tmp_path, first):
    table = pd.DataFrame(X.toarray(), columns=range(first, first + 200))
    model = EASERecommender().fit(table)
    skvae.save(model, tmp_path / "model.skvae")
    client = TestClient(serve.create_app(tmp_path / "model.skvae"))
    answers = _ask(client, [[first + 3, first + 11]])
    _assert_recommends(EASERecommender().fit(X), answers, [[3, 11]], names=range(first, first + 200))
    (unknown,) = _ask(client, [[first - 1]])
    assert unknown["unknown"] == [first - 1]


@pytest.mark.parametrize("place", ["candidates", "exclude"])
def test_items_of_another_kind_are_refused_wherever_they_stand(client, place):
    assert _refused(client, {"visitors": [[3]], place: ["tea"]}).startswith(f"{place}: Item ids are")
    assert (
        _refused(client, {"visitors": [[3]], place: [True]})
        == f"{place}.0: an item must be a string or a finite number."
    )
    assert _refused(client, {"visitors": [[3]], place: 3}).startswith(f"{place}: ")


def test_unknown_items_are_listed_and_count_for_nothing(client):
    known, with_others = _ask(client, [[3, 7], [3, 200, -1, 7, 10**30, 1.5]])
    assert with_others == known | {"unknown": [200, -1, 10**30, 1.5]}


@pytest.mark.parametrize(
    ("ids", "visitor"),
    [([f"film {i}" for i in range(200)], ["film 3", "film 150"]), ([7 * i for i in range(200)], [21, 1050])],
    ids=["strings", "numbers"],
)
@pytest.mark.parametrize("weighted", [False, True], ids=["ones", "weights"])
def test_with_an_encoder_items_are_the_users_own_ids(X, tmp_path, ids, visitor, weighted):
    users, items = X.nonzero()
    parameters = {"weight": "stars", "threshold": 4, "binary": False, "handle_unknown": "error"} if weighted else {}
    events = (users, np.array(ids)[items], np.full(len(users), 4.0))[: 3 if weighted else 2]
    encoder, model = fitted_on(events, EASERecommender(), item="film", **parameters)
    skvae.save((encoder, model), tmp_path / "model.skvae")
    client = TestClient(serve.create_app(tmp_path / "model.skvae"))
    expected = encoder.recommend(model, (np.zeros(2, int), np.array(visitor)), k=5)
    (answer,) = _ask(client, [visitor], k=5)
    assert answer["items"] == expected["film"].tolist()
    assert answer["scores"] == pytest.approx(expected["score"].tolist())
    unknown = "absent" if isinstance(visitor[0], str) else 3
    assert _ask(client, [[unknown, *visitor, *visitor]], k=5) == [answer | {"unknown": [unknown]}]
    assert "item ids are" in _refused(client, {"visitors": [[3 if isinstance(visitor[0], str) else "3"]]}).lower()


@pytest.mark.parametrize("ending", ["skvae", "joblib"])
@pytest.mark.parametrize("first", [None, Binarizer(), "passthrough"], ids=["model", "pipeline", "passthrough"])
def test_models_and_pipelines_are_served_from_files_of_either_kind(X, tmp_path, first, ending):
    model = EASERecommender() if first is None else make_pipeline(first, EASERecommender())
    model.fit(X[:400])
    save = skvae.save if ending == "skvae" else joblib.dump
    save(model, tmp_path / f"model.{ending}")
    client = TestClient(serve.create_app(tmp_path / f"model.{ending}"))
    _assert_recommends(model, _ask(client, [[3, 11], []]), [[3, 11], []])
    about = client.get("/version").json()
    assert (about["model"], about["format"]) == ("EASERecommender", ending)


def test_columns_that_have_names_are_asked_for_by_name(X, tmp_path):
    model = EASERecommender().fit(pd.DataFrame(X.toarray(), columns=NAMES))
    skvae.save(model, tmp_path / "model.skvae")
    with warnings.catch_warnings():
        client = TestClient(serve.create_app(tmp_path / "model.skvae"))
        answers = _ask(client, [[NAMES[3], NAMES[11]]])
    _assert_recommends(EASERecommender().fit(X), answers, [[3, 11]], names=NAMES)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"visitors": [[3], [7, True]]}, "visitors.1.1"),
        ({"visitors": [[None]]}, "visitors.0.0"),
        ({"visitors": [[[3]]]}, "visitors.0.0"),
        ({"visitors": [[math.nan]]}, "visitors.0.0"),
        ({"visitors": [[-math.inf]]}, "visitors.0.0"),
        ({"visitors": [["3"]]}, "visitors"),
        ({"visitors": [[3, "3"]]}, "visitors"),
        ({"visitors": [[2.0**60]]}, "visitors"),
        ({"visitors": [3]}, "visitors.0"),
        ({"items": [3]}, "visitors"),
        ({"visitors": [3, 7]}, "visitors.0"),
        ({"visitors": 3}, "visitors"),
        ({"visitors": []}, "visitors"),
        ({"visitors": [[]] * (serve.MAX_VISITORS + 1)}, "visitors"),
        ({}, "visitors"),
        ({"visitors": [[3]], "k": 0}, "k"),
        ({"visitors": [[3]], "k": serve.MAX_K + 1}, "k"),
        ({"visitors": [[3]], "k": math.nan}, "k"),
        ({"visitors": [[3]], "user": 7}, "user"),
        ([[3]], "body"),
        (b'{"visitors": [[1e400]]}', "visitors.0.0"),
        (b'{"visitors": [[3]]', "body"),
        (b'{"visitors": [["\xff"]]}', "body"),
        (b'{"visitors": [["\\ud800"]]}', "body"),
        (b"[" * 100_000, "body"),
        (b'{"visitors": [[' + b"9" * 5000 + b"]]}", "body"),
        (b"", "body"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, (dict, list, bytes)) else "",
)
def test_a_request_out_of_range_is_refused_and_told_where(client, query, place):
    assert _refused(client, query).startswith(f"{place}: ")


def test_the_longest_body_is_answered_and_one_byte_more_refused(client):
    body = b'{"visitors": [[3]]}'.ljust(serve.MAX_BYTES)
    assert client.post("/recommend", content=body).status_code == 200
    assert str(serve.MAX_BYTES) in _refused(client, body + b" ", 413)
    chunks = iter([b" " * 65536] * 1000)  # without a length in the header
    assert client.post("/recommend", content=chunks).status_code == 413


def test_nothing_is_computed_for_clients_who_have_left(path, monkeypatch):
    app, asked = serve.create_app(path), []
    monkeypatch.setattr(InteractionEncoder, "recommend", lambda *_, **__: asked.append(1))
    scope = {"type": "http", "method": "POST", "path": "/recommend", "query_string": b"", "headers": []}
    events = iter([{"type": "http.request", "body": b'{"visitors": [[3]]}'}])
    sent = []

    async def receive():
        return next(events, {"type": "http.disconnect"})

    async def send(event):
        sent.append(event)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 499
    assert not asked


def test_more_requests_than_are_computed_at_once_are_all_answered(client, model, X):
    visitors = [X[[user]].indices.tolist() for user in range(400, 400 + 3 * serve.MAX_AT_ONCE)]
    with client, ThreadPoolExecutor(len(visitors)) as pool:
        answers = list(pool.map(lambda visitor: _ask(client, [visitor])[0], visitors))
    _assert_recommends(model, answers, visitors)


# -- files that cannot be served


def test_a_file_of_something_else_ends_in_one_sentence(model, tmp_path):
    encoder = InteractionEncoder().fit((["ann", "bob"], ["tea", "jam"]))
    for saved, kinds in {
        (model, encoder): "MultVAERecommender, InteractionEncoder",
        encoder: "InteractionEncoder",
    }.items():
        skvae.save(saved, tmp_path / "model.skvae")
        with pytest.raises(ValueError, match=rf"holds {kinds}: save a model, or \(encoder, model\), in this order\.$"):
            serve.create_app(tmp_path / "model.skvae")


def test_without_a_path_it_says_what_to_set(monkeypatch):
    monkeypatch.delenv("SKVAE_MODEL", raising=False)
    with pytest.raises(ValueError, match="export SKVAE_MODEL="):
        serve.create_app()


def test_a_file_that_cannot_be_served_ends_the_server_before_it_starts_workers(tmp_path, monkeypatch):
    def started(*arguments, **options):
        raise AssertionError("uvicorn was started")

    monkeypatch.setattr(uvicorn, "run", started)
    monkeypatch.setenv("SKVAE_MODEL", "another")
    (tmp_path / "broken.skvae").write_bytes(b"no model")
    for name, reason in (("none.skvae", "none.skvae is no file"), ("broken.skvae", "Cannot load")):
        for n_workers in "12":
            monkeypatch.setattr("sys.argv", ["serve.py", str(tmp_path / name), "--workers", n_workers])
            with pytest.raises(SystemExit, match=reason):
                serve.main()


# -- the benchmark


def test_workers_share_a_socket_on_which_asyncio_sets_nodelay():
    with serve.bind_tcp(uvicorn.Config("serve:create_app", port=0)) as bound:
        assert bound.proto == socket.IPPROTO_TCP  # where it is 0, answers wait for 40 ms on Linux
        assert bound.getsockname()[0] == "127.0.0.1"
        assert bound.get_inheritable()


def test_two_workers_answer_the_benchmark_which_asks_once_for_each_visitor(path, model, X):
    visitors = [X[[user]].indices.tolist() for user in range(400, 430)]
    with benchmark.serving(path, n_workers=2) as url:
        answers = httpx.post(f"{url}/recommend", json={"visitors": visitors}, timeout=60).json()
        seconds, latencies = benchmark.ask(url, visitors, concurrency=4)
        with pytest.raises(RuntimeError, match="422"):
            benchmark.ask(url, [["3"]], concurrency=1)
    _assert_recommends(model, answers, visitors)
    assert len(latencies) == 30
    assert 0 < max(latencies) <= seconds <= sum(latencies)


def test_the_benchmark_counts_every_second():
    row = benchmark.summary(2, 4, 2.0, [0.001 * n for n in range(1, 102)])
    assert row == [2, 4, "50", "51.0", "96.0", "100.0"]


@pytest.mark.parametrize(
    ("encoder", "items", "message"),
    [
        (InteractionEncoder(), [uuid.UUID(int=i) for i in range(5)], "ids of type UUID, which JSON does not have"),
        (InteractionEncoder(), [b"\xff", b"a", b"b"], "ids of type bytes"),
        (InteractionEncoder(threshold=2), ["a", "a", "b", "b"], "asks for 2 events of a user with an item"),
    ],
)
def test_what_visitors_cannot_ask_for_is_not_served(encoder, items, message, tmp_path):
    X = encoder.fit_transform(([0] * len(items), items))
    skvae.save((encoder, EASERecommender().fit(X)), tmp_path / "model.skvae")
    with pytest.raises(ValueError, match=message):
        serve.create_app(tmp_path / "model.skvae")


@pytest.mark.parametrize("encoder", [None, InteractionEncoder(binary=False)])
def test_a_pipeline_whose_steps_drop_what_visitors_send_is_not_served(X, encoder, tmp_path):
    model = make_pipeline(Binarizer(threshold=2.5), EASERecommender()).fit(3 * X)
    saved = model
    if encoder is not None:
        encoder.fit((np.zeros(200, int), np.arange(200)))
        saved = encoder, model
    skvae.save(saved, tmp_path / "model.skvae")
    with pytest.raises(ValueError, match=r"A step of the Pipeline of .*skvae drops events of weight 1"):
        serve.create_app(tmp_path / "model.skvae")
