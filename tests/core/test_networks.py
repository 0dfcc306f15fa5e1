"""The weights that a training begins with, and copies of them."""

import pytest
import torch
from torch import nn

from skvae.core.networks import Decoder, Encoder, initialize
from skvae.core.optimizer import Adam


def _weights(output):
    network = nn.ModuleDict(
        {
            "encoder": Encoder(3000, [60, 20], nn.Tanh(), nn.Identity()),
            "decoder": Decoder([20, 60], 3000, nn.Tanh()),
        }
    )
    initialize(network, torch.Generator().manual_seed(0), output)
    return dict(network.named_parameters())


def test_xavier_has_the_variance_of_glorot_in_every_matrix_and_nearly_no_bias():
    for name, weight in _weights("xavier").items():
        if weight.ndim == 2:
            assert weight.std().item() == pytest.approx((2 / sum(weight.shape)) ** 0.5, rel=0.05), name
        else:
            assert weight.abs().max() <= 0.002


def test_fan_in_changes_the_output_layer_alone_to_logits_of_variance_one():
    xavier, fan_in = _weights("xavier"), _weights("fan_in")
    changed = [name for name in xavier if not torch.equal(xavier[name], fan_in[name])]
    assert changed == ["decoder.item_weight"]
    logits = torch.randn(500, 60, generator=torch.Generator().manual_seed(1)) @ fan_in["decoder.item_weight"].T
    assert logits.std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("n_items", [1, 15, 16, 17, 200])
@pytest.mark.parametrize("n_users", [1, 2, 16, 17, 40])
def test_few_users_get_the_logits_that_many_get(n_users, n_items):
    decoder = Decoder([5], n_items, nn.Identity())
    initialize(decoder, torch.Generator().manual_seed(0), "fan_in")
    hidden = torch.randn(n_users, 5, generator=torch.Generator().manual_seed(1))
    expected = hidden.double() @ decoder.item_weight.double().T + decoder.item_bias.double()
    with torch.no_grad():
        logits = decoder(hidden, torch.full((n_users, n_items), torch.nan))
    torch.testing.assert_close(logits.double(), expected.detach(), atol=1e-5, rtol=1e-5)


def test_a_frozen_copy_of_an_encoder_keeps_its_weights_and_leaves_the_optimizer_out():
    encoder = Encoder(5, [4, 2], nn.Tanh(), nn.Identity())
    initialize(encoder, torch.Generator().manual_seed(0))
    encoder.optimizer = Adam(encoder, 0.1, 0.0)
    before = encoder.item_weight.detach().clone()
    frozen = encoder.frozen_copy()
    encoder.optimizer.update_rows(encoder.item_weight, slice(0, 5), torch.ones(5, 4))
    assert frozen.optimizer is None
    assert not any(p.requires_grad for p in frozen.parameters())
    assert torch.equal(frozen.item_weight, before)
    assert not torch.equal(encoder.item_weight, before)
