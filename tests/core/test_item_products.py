"""Products with an item matrix that has rows and columns of no item, as a GPU wants them in bfloat16."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone

import skvae
from skvae.core import item_products
from skvae.core.likelihoods import LIKELIHOODS, Multinomial
from skvae.datasets import make_interactions

X = make_interactions(n_users=120, n_items=50, density=0.2, random_state=0)
DAE = skvae.MultDAERecommender(6, max_iter=3, batch_size=40, precision="bfloat16", device="cpu", random_state=0)


class OwnLogProb(Multinomial):
    takes_bfloat16 = takes_item_weights = takes_unknown = True

    def log_prob(self, logits, batch):
        assert logits.shape[1] == X.shape[1]
        return (logits.float().log_softmax(-1) * batch.to_dense()).sum(-1)


class OwnResiduals(Multinomial):
    takes_bfloat16 = takes_item_weights = takes_unknown = True

    def residuals(self, logits, batch):
        assert logits.shape[1] == X.shape[1]
        return super().residuals(logits, batch)


class InSingle(Multinomial):
    takes_bfloat16 = False


LIKELIHOODS_OF_ALL_KINDS = {name: name for name in LIKELIHOODS} | {
    cls.__name__: cls() for cls in (OwnLogProb, OwnResiduals, InSingle)
}


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("bytes_of_logits", [2**30, 1])
@pytest.mark.parametrize("likelihood", LIKELIHOODS_OF_ALL_KINDS)
def test_rows_and_columns_of_no_item_change_nothing(likelihood, bytes_of_logits, dropped, monkeypatch):
    monkeypatch.setattr(item_products, "BYTES_OF_LOGITS", bytes_of_logits)  # or all in tiles
    monkeypatch.setattr(item_products, "BYTES_OF_TILE", 1)
    monkeypatch.setattr(item_products, "BYTES_PER_COLUMN", 32)  # chunks of 16 items, of which the last has other ones
    likelihood = LIKELIHOODS_OF_ALL_KINDS[likelihood]
    model, shapes = clone(DAE).set_params(likelihood=likelihood, target="dropped" if dropped else "all"), []
    plain = clone(model).fit(X)

    def padded(weight):
        half = F.pad(weight.bfloat16(), (0, 3, 0, 9))
        shapes.append(half.shape)
        return half

    monkeypatch.setattr(item_products, "_half", padded)
    model.fit(X)
    assert set(shapes) == {(59, 9)}
    np.testing.assert_allclose(model.loss_curve_, plain.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(model.decision_function(X), plain.decision_function(X), atol=1e-3)
    assert all(np.isfinite(model.weights_[name]).all() for name in model.weights_)


def test_a_gpu_s_copy_has_whole_blocks_of_rows_and_columns(monkeypatch):
    class OnGPU(torch.Tensor):
        is_cuda = True

    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.to(torch.bfloat16).as_subclass(OnGPU))
    half = item_products._half(torch.ones(100, 30))
    assert half.shape == (128, 32)
    assert half.float().sum() == 3000
