"""Logits of few users, and copies of an encoder."""

import pytest
import torch
from torch import nn

from skvae.core.initialization import initialize
from skvae.core.networks import Decoder, Encoder
from skvae.core.optimizer import Adam


@pytest.mark.parametrize("n_items", [1, 15, 16, 17, 200])
@pytest.mark.parametrize("n_users", [1, 2, 16, 17, 40])
def test_few_users_get_the_logits_that_many_get(n_users, n_items):
    decoder = Decoder([5], n_items, nn.Identity())
    initialize(decoder, torch.Generator().manual_seed(0))
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
