"""What a GPU alone can show; the other tests run on one too where there is one."""

import numpy as np
import pytest
import torch

import skvae
from skvae.core import updates

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
