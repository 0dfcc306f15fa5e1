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
