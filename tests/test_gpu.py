"""What a GPU alone can show; the other tests run on one too where there is one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import skvae
from skvae.core import gpu_sums, item_products, updates
from skvae.core.likelihoods import LIKELIHOODS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

AUTOENCODERS = [skvae.MultVAERecommender, skvae.MultDAERecommender]  # RecVAE trains now this, now that


@pytest.fixture
def X():
    return skvae.datasets.make_interactions(300, 80, density=0.2, random_state=0)


def fitted(cls, X, **settings):
    settings = {"batch_size": 40, "max_iter": 4, "early_stopping": False, "random_state": 0} | settings
    return cls(device="cuda", **settings).fit(X)


def make_one_by_one(updates_, *arguments):
    updates_.can_record = False
    updates_.graph = None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cls", AUTOENCODERS)
def test_replayed_updates_are_those_made_one_by_one(cls, precision, X, monkeypatch):
    recorded = []
    record = updates.ReplayedUpdates._record
    monkeypatch.setattr(
        updates.ReplayedUpdates, "_record", lambda self: (record(self), recorded.append(self.can_record))
    )
    replayed = fitted(cls, X, precision=precision)
    assert recorded == [True]
    monkeypatch.setattr(updates.ReplayedUpdates, "_record", make_one_by_one)
    one_by_one = fitted(cls, X, precision=precision)
    np.testing.assert_allclose(replayed.loss_curve_, one_by_one.loss_curve_, rtol=1e-4)
    differences = replayed.decision_function(X) - one_by_one.decision_function(X)
    assert np.abs(differences).mean() < 1e-2


def test_no_replay_overtakes_what_its_recording_begins_with(X, monkeypatch):
    expected = fitted(skvae.MultDAERecommender, X)
    begin = torch.cuda.CUDAGraph.capture_begin

    def late(graph, *arguments, **options):  # as where other processes use the GPU too
        torch.cuda._sleep(10**9)
        begin(graph, *arguments, **options)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "capture_begin", late)
    got = fitted(skvae.MultDAERecommender, X)
    assert np.array_equal(got.decision_function(X), expected.decision_function(X))


@pytest.mark.parametrize("width", [1, 8, 100, 600])
@pytest.mark.parametrize("mean_length", [0, 2, 60])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_sums_of_rows_are_those_of_torch(mean_length, width, dtype):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(0, 2 * mean_length + 1, (301,), generator=generator)
    lengths[7] += 1000  # one is long, and some are empty
    rows, n = torch.randn(50, width, generator=generator), int(lengths.sum())
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]).to(dtype)
    indices, weights = torch.randint(0, 50, (n,), generator=generator), torch.rand(n, generator=generator)
    arguments = [tensor.cuda() for tensor in (indices, rows, offsets, weights)]
    expected = item_products._sum_by_torch(indices, rows.double(), offsets.long(), weights.double())
    for kernel in (item_products._sum_of_rows, gpu_sums.sum_of_rows):
        torch.testing.assert_close(kernel(*arguments).cpu(), expected.float(), atol=2e-5, rtol=1e-5)
    assert item_products._kernel(torch.device("cuda", 0)) is gpu_sums.sum_of_rows


def test_without_a_compiler_the_sums_are_torch_s(X, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(gpu_sums, "sum_of_rows", fail)
    assert not gpu_sums.can_sum("cuda")
    monkeypatch.undo()
    kernel = fitted(skvae.MultVAERecommender, X)
    monkeypatch.setattr(item_products, "_kernel", lambda device: item_products._sum_by_torch)
    plain = fitted(skvae.MultVAERecommender, X)
    np.testing.assert_allclose(kernel.loss_curve_, plain.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("n_items", [80, 81])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_rows_of_no_item_change_nothing(likelihood, n_items, X, monkeypatch):
    X = X[:, :n_items] if n_items <= X.shape[1] else np.pad(X.toarray(), ((0, 0), (0, n_items - X.shape[1])))
    padded = fitted(skvae.MultDAERecommender, X, precision="bfloat16", likelihood=likelihood, n_components=12)
    for name in ("MULTIPLE_OF_ITEMS", "MULTIPLE_OF_WIDTH"):
        monkeypatch.setattr(item_products, name, 1)
    plain = fitted(skvae.MultDAERecommender, X, precision="bfloat16", likelihood=likelihood, n_components=12)
    np.testing.assert_allclose(padded.loss_curve_, plain.loss_curve_, rtol=1e-3)
    differences = padded.decision_function(X) - plain.decision_function(X)
    assert np.abs(differences).mean() < 2e-2


def test_threads_that_fit_at_once_get_what_each_gets_alone(X):
    def scores(seed):
        model = fitted(skvae.MultVAERecommender, X, random_state=seed, max_iter=10)
        return model.decision_function(X)

    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(scores, range(8)))
    for seed in range(8):
        np.testing.assert_allclose(at_once[seed], scores(seed), atol=1e-3)


def test_a_fit_is_the_same_again(X):
    first, second = (fitted(skvae.MultVAERecommender, X) for _ in range(2))
    assert np.array_equal(first.decision_function(X), second.decision_function(X))


def test_what_waits_for_the_gpu_is_made_one_by_one(X, monkeypatch):
    update = updates.ReplayedUpdates._update

    def waiting(self, batch, beta):
        float(batch.values.sum())
        return update(self, batch, beta)

    monkeypatch.setattr(updates.ReplayedUpdates, "_update", waiting)
    stopped = fitted(skvae.MultVAERecommender, X)
    monkeypatch.setattr(updates.ReplayedUpdates, "_update", update)
    monkeypatch.setattr(updates.ReplayedUpdates, "_record", make_one_by_one)
    one_by_one = fitted(skvae.MultVAERecommender, X)
    np.testing.assert_allclose(stopped.loss_curve_, one_by_one.loss_curve_, rtol=1e-4)
    monkeypatch.undo()
    fitted(skvae.MultVAERecommender, X)  # the GPU is as it was
