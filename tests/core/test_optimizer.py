"""Adam with an item matrix updated a chunk of its rows at a time."""

import pytest
import torch
from torch import nn

from skvae.core.optimizer import Adam


@pytest.mark.parametrize("chunk", [1, 4, 7, 10])
def test_updates_by_rows_are_those_of_a_step_with_the_whole_gradient(chunk):
    torch.manual_seed(0)
    network, expected = (nn.Linear(3, 10, dtype=torch.float64) for _ in range(2))
    expected.load_state_dict(network.state_dict())
    ours, by_step = Adam(network, 0.1, 0.01), torch.optim.Adam(expected.parameters(), lr=0.1)
    for _ in range(3):
        gradient, of_bias = torch.randn(10, 3, dtype=torch.float64), torch.randn(10, dtype=torch.float64)
        expected.weight.grad = gradient + 2 * 0.01 * expected.weight.detach()
        network.bias.grad, expected.bias.grad = of_bias, of_bias.clone()
        for first in range(0, 10, chunk):
            rows = slice(first, min(first + chunk, 10))
            ours.update_rows(network.weight, rows, gradient[rows])
        ours.step()
        by_step.step()
        for p, p_expected in zip(network.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(p, p_expected, rtol=0, atol=1e-12)
    assert [ours.state[p]["step"].item() for p in network.parameters()] == [3, 3]


def test_the_moments_of_rows_go_on_from_a_saved_state():
    networks = [nn.Linear(3, 10, dtype=torch.float64) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers = [Adam(network, 0.1, 0.0) for network in networks]
    for i in range(4):
        if i == 2:  # a new one with the state of the old
            state = optimizers[1].state_dict()
            optimizers[1] = Adam(networks[1], 0.1, 0.0)
            optimizers[1].load_state_dict(state)
        for network, optimizer in zip(networks, optimizers, strict=True):
            gradient = torch.arange(30, dtype=torch.float64).view(10, 3).sub(12).mul(i + 1)
            optimizer.update_rows(network.weight, slice(0, 6), gradient[:6])
            optimizer.update_rows(network.weight, slice(6, 10), gradient[6:])
    assert torch.equal(networks[0].weight, networks[1].weight)


def _sparse_updates(optimizer, parameters, expected, by_step, n_updates, rate):
    """Updates of a few rows at random, of magnitudes that differ, beside torch's Adam of dense gradients."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(n_updates):
        by_step.zero_grad()
        for p, p_expected in zip(parameters, expected, strict=True):
            items = torch.randperm(len(p), generator=generator)[: int(rate * len(p))]
            gradient = torch.randn(len(items), *p.shape[1:], generator=generator, dtype=p.dtype)
            gradient *= 10 ** torch.randint(-5, 2, (len(items),) + (1,) * (p.ndim - 1), generator=generator)
            p_expected.grad = torch.zeros_like(p_expected)
            p_expected.grad[items] = gradient
            rows = optimizer.rows(p, items)
            torch.testing.assert_close(rows.weight, p_expected[items], rtol=0, atol=1e-5)
            for first in range(0, len(items), 20):
                chunk = slice(first, min(first + 20, len(items)))
                rows.update(rows.weight, chunk, gradient[chunk])
        by_step.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("rate", [0.03, 0.3, 1.0])
def test_updates_of_few_rows_are_those_of_torch_with_gradients_of_zero(rate, dtype, monkeypatch):
    monkeypatch.setattr("skvae.core.optimizer.ROWS_PER_CHUNK", 30)
    network, expected = nn.Linear(3, 50, dtype=dtype), nn.Linear(3, 50, dtype=dtype)
    expected.load_state_dict(network.state_dict())
    ours, by_step = Adam(network, 0.002, 0.0), torch.optim.Adam(expected.parameters(), lr=0.002)
    parameters = [[*module.parameters()] for module in (network, expected)]
    _sparse_updates(ours, *parameters, by_step, 200, rate)
    ours.catch_up()
    state = ours.state_dict()["state"]
    for i, (p, p_expected) in enumerate(zip(*parameters, strict=True)):
        torch.testing.assert_close(p, p_expected, rtol=0, atol=1e-5)
        for name in ("step", "exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(state[i][name], by_step.state[p_expected][name], rtol=1e-4, atol=1e-12)


def test_rows_that_are_long_behind_have_missed_no_update():
    network, expected = nn.Linear(2, 3, dtype=torch.float64), nn.Linear(2, 3, dtype=torch.float64)
    expected.load_state_dict(network.state_dict())
    ours, by_step = Adam(network, 0.01, 0.0), torch.optim.Adam(expected.parameters(), lr=0.01)
    gradient, items = torch.ones(1, 2, dtype=torch.float64), torch.tensor([1])
    for i in range(1200):
        expected.weight.grad = torch.zeros_like(expected.weight)
        if i % 500 == 0:  # row 1, which row 2 has but once
            expected.weight.grad[: 2 if i else 3] = 1
            items = torch.arange(2 if i else 3)
        else:
            expected.weight.grad[0], items = 1, torch.tensor([0])
        rows = ours.rows(network.weight, items)
        rows.update(rows.weight, slice(0, len(items)), gradient.expand(len(items), 2).contiguous())
        by_step.step()
    ours.catch_up()
    torch.testing.assert_close(network.weight, expected.weight, rtol=0, atol=1e-8)


def test_rows_of_a_matrix_that_a_pass_leaves_alone_miss_nothing():
    network = nn.Linear(3, 10)
    before, optimizer = network.weight.detach().clone(), Adam(network, 0.1, 0.0)
    rows = optimizer.rows(network.weight, torch.tensor([1, 2]))
    rows.update(rows.weight, slice(0, 2), torch.ones(2, 3))
    after = network.weight.detach().clone()
    for _ in range(5):  # read, not updated
        assert torch.equal(optimizer.rows(network.weight, torch.tensor([2, 5])).weight, after[[2, 5]])
    optimizer.catch_up()
    assert torch.equal(network.weight, after)
    assert (after != before).any(1).tolist() == [i in (1, 2) for i in range(10)]
