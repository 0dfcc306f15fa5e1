"""The weights that a training begins with."""

import pytest
import torch
from torch import nn

from skvae.core.networks import Decoder, Encoder, initialize


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
