"""Logits of few users."""

import pytest
import torch
from torch import nn

from skvae.core.initialization import xavier
from skvae.core.networks import Decoder


@pytest.mark.parametrize("n_items", [1, 15, 16, 17, 200])
@pytest.mark.parametrize("n_users", [1, 2, 16, 17, 40])
def test_few_users_get_the_logits_that_many_get(n_users, n_items):
    decoder = Decoder([5], n_items, nn.Identity())
    xavier(decoder, None, torch.Generator().manual_seed(0))
    hidden = torch.randn(n_users, 5, generator=torch.Generator().manual_seed(1))
    expected = hidden.double() @ decoder.item_weight.double().T + decoder.item_bias.double()
    with torch.no_grad():
        logits = decoder(hidden, out=torch.full((n_users, n_items), torch.nan))
    torch.testing.assert_close(logits.double(), expected.detach(), atol=1e-5, rtol=1e-5)
