"""Updates of padded batches, and the recording of one; what a GPU does with it is in tests/test_gpu.py."""

from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from skvae.core import updates
from skvae.core.architecture import Architecture
from skvae.core.batches import N_PADDING_USERS, SparseBatch, UserRows
from skvae.core.initialization import xavier
from skvae.core.item_products import ItemProducts
from skvae.core.objectives import NegativeELBO, NegativeLogLikelihood
from skvae.core.optimizer import Adam
from skvae.core.processes import ALONE

N_ITEMS = 20


@pytest.fixture
def rows():
    dense = np.random.default_rng(0).random((30, N_ITEMS)) < 0.3
    return UserRows(sp.csr_array(dense.astype(np.float32)))


def made_objective(kind):
    prior = None if kind == "dae" else "standard_normal"
    network = Architecture(5, (8,), "tanh", "multinomial", prior).build(N_ITEMS).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for part in (network.encoder, network.decoder):
        xavier(part, None, generator)
    return NegativeLogLikelihood(network, 0.0) if kind == "dae" else NegativeELBO(network, 0.0, kind)


@pytest.mark.parametrize("kind", ["dae", "constant", "per_user"])
def test_those_who_pad_a_batch_count_for_nothing(kind, rows, monkeypatch):
    monkeypatch.setattr(SparseBatch, "noise_like", lambda self, codes, generator: torch.zeros_like(codes))
    users = torch.tensor([4, 0, 29, 17])
    losses, gradients = [], []
    for batch in (rows.batch(users), rows.padded_batch(users, 70)):
        objective = made_objective(kind)
        loss = objective(batch, 0.3, None, ItemProducts())
        loss.backward()
        losses.append(loss.item())
        gradients.append([parameter.grad for parameter in objective.network.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for alone, padded in zip(*gradients, strict=True):
        torch.testing.assert_close(padded, alone, atol=1e-6, rtol=1e-5)


class Graph:
    """In place of a CUDA graph: what is captured is made by each replay."""

    now = None

    def register_generator_state(self, generator):
        pass

    def replay(self):
        self.update()


class Recording:
    """In place of `torch.cuda.graph`."""

    def __init__(self, graph, stream, capture_error_mode):
        self.graph = graph

    def __enter__(self):
        Graph.now = self.graph

    def __exit__(self, *error):
        Graph.now = None


class Recorder(updates.ReplayedUpdates):
    """Notes the updates that are made, and the number of users of each."""

    def _update(self, batch, beta):
        if Graph.now is None:
            self.made.append((batch.n_users - batch.n_padding, batch.n_padding, float(beta)))
            return super()._update(batch, beta)
        if self.waits:
            raise RuntimeError("operation not permitted when stream is capturing")
        Graph.now.update = self._update_of_padded
        return None


@pytest.mark.parametrize("waits", [False, True])
def test_what_is_replayed_is_the_same_updates(waits, rows, monkeypatch):
    class Stream:
        def __init__(self, device=None):
            self.device = device

        def wait_stream(self, stream):
            pass

    class Generator(torch.Generator):
        def clone_state(self):
            return self

        def graphsafe_set_state(self, state):
            assert state is self

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    weights = []
    for cls in (updates.Updates, Recorder):
        objective = made_objective("dae")
        optimizer = Adam(objective.network, 0.01, 0.0)
        arguments = objective, rows, ItemProducts(optimizer.update_rows), optimizer, ALONE, Generator()
        made = cls(*arguments) if cls is updates.Updates else cls(8, *arguments)
        made.waits, made.made = waits, []
        for first, last in ((0, 8), (8, 16), (16, 24), (24, 30), (22, 30)):
            users = torch.arange(first, last)
            made(users, int((rows.offsets[users + 1] - rows.offsets[users]).sum()), first / 100)
        weights.append([parameter.detach().clone() for parameter in objective.network.parameters()])
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)
    full = [(8, N_PADDING_USERS, pytest.approx(beta)) for beta in (0, 0.08, 0.16, 0.22)]
    assert made.made == [*full[:3], (6, 0, pytest.approx(0.24)), full[3]]
    assert (made.graph is None) == waits
