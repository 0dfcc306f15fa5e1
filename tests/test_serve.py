"""examples/serve.py as a server process, asked over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from conftest import ROOT, SMALL_VAE, load_script
from sklearn.base import clone

import skvae

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    benchmark = load_script("benchmarks/serve.py")


@pytest.fixture(scope="module")
def model(X):
    return clone(SMALL_VAE).fit(X[:400])


@pytest.fixture(scope="module")
def client(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "model.skvae"
    skvae.save(model, path)
    with benchmark.serving(path) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def _expected(model, items, k):
    visitor = np.zeros((1, 200), np.float32)
    visitor[0, items] = 1
    items, scores = model.recommend(visitor, k)
    return items[items >= 0].tolist(), scores[items >= 0]


def _assert_recommends(model, answer, items, k=10):
    assert answer.status_code == 200
    expected_items, expected_scores = _expected(model, items, k)
    assert answer.json()["items"] == expected_items
    np.testing.assert_allclose(answer.json()["scores"], expected_scores, rtol=1e-6)


def test_it_says_that_it_is_up_and_what_it_serves(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "model": "MultVAERecommender", "n_items": 200}


def test_a_visitor_whom_fit_never_saw_gets_what_recommend_says(client, model, X):
    items = X[[450]].indices.tolist()
    _assert_recommends(model, client.post("/recommend", json={"items": items}), items)
    _assert_recommends(model, client.post("/recommend", json={"items": items[::-1] * 2, "k": 3}), items, k=3)


def test_a_visitor_with_nothing_gets_ten_and_one_with_almost_everything_what_is_left(client, model):
    _assert_recommends(model, client.post("/recommend", json={"items": []}), [])
    items = list(range(197))
    answer = client.post("/recommend", json={"items": items})
    _assert_recommends(model, answer, items)
    assert sorted(answer.json()["items"]) == [197, 198, 199]
    assert client.post("/recommend", json={"items": list(range(200))}).json() == {"items": [], "scores": []}


def test_visitors_who_come_at_the_same_time_get_each_their_own(client, model, X):
    visitors = [X[[user]].indices.tolist() for user in range(400, 480)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda items: client.post("/recommend", json={"items": items}), visitors))
    for answer, items in zip(answers, visitors, strict=True):
        _assert_recommends(model, answer, items)


@pytest.mark.parametrize(
    ("visitor", "place"),
    [
        ({"items": [3, 200]}, ["items", 1]),
        ({"items": [-1]}, ["items", 0]),
        ({"items": ["3"]}, ["items", 0]),
        ({"items": [1.5]}, ["items", 0]),
        ({"items": [True]}, ["items", 0]),
        ({"items": [0] * 201}, ["items"]),
        ({"items": 3}, ["items"]),
        ({}, ["items"]),
        ({"items": [3], "k": 0}, ["k"]),
        ({"items": [3], "k": 201}, ["k"]),
        ({"items": [3], "user": 7}, ["user"]),
    ],
    ids=str,
)
def test_a_request_out_of_range_is_refused_and_told_where(client, visitor, place):
    answer = client.post("/recommend", json=visitor)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", *place]


def test_what_is_no_json_is_refused(client):
    assert client.post("/recommend", content="items", headers={"Content-Type": "application/json"}).status_code == 422


def test_the_benchmark_asks_once_for_each_visitor_and_counts_every_second(client, X, tmp_path):
    address = str(client.base_url).rstrip("/")
    visitors = [X[[user]].indices.tolist() for user in range(400, 430)]
    seconds, latencies = benchmark.ask(address, visitors, concurrency=4)
    assert len(latencies) == 30
    assert 0 < max(latencies) <= seconds <= sum(latencies)
    row = benchmark.summary(4, 2.0, [0.001 * n for n in range(1, 102)])
    assert row == [4, "50", "51.0", "96.0", "100.0"]


def test_the_benchmark_stops_at_a_refused_request(client):
    with pytest.raises(RuntimeError, match="422"):
        benchmark.ask(str(client.base_url), [[200]], concurrency=1)
