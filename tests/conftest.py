import importlib.util
import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from skvae import BlendRecommender, MultDAERecommender, MultVAERecommender, PopularityRecommender, RecVAERecommender
from skvae.core.initialization import xavier
from skvae.datasets import make_interactions

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).parents[1]

SMALL_VAE = MultVAERecommender(8, hidden_layer_sizes=(16,), max_iter=5, random_state=0)
SMALL_DAE = MultDAERecommender(8, max_iter=5, random_state=0)
SMALL_RECVAE = RecVAERecommender(8, hidden_layer_sizes=(16, 16), max_iter=5, random_state=0)
SMALL_BLEND = BlendRecommender([("popularity", PopularityRecommender()), ("dae", SMALL_DAE)])


@pytest.fixture(params=[SMALL_VAE, SMALL_DAE], ids=["vae", "dae"])
def estimator(request):
    """Both estimators at small sizes, not fitted."""
    from sklearn.base import clone

    return clone(request.param)


@pytest.fixture(scope="session")
def X():
    """500 users x 200 items, 5 % full."""
    return make_interactions(n_users=500, n_items=200, density=0.05, random_state=0)


def objective_of(model, n_items, dtype=None):
    """What an autoencoder minimises, over a network that begins with Xavier's weights."""
    network = model._architecture().build(n_items).to_empty(device="cpu").to(dtype)
    xavier(network, None, torch.Generator().manual_seed(0))
    return model._objective(network)


def load_script(path):
    """A script of benchmarks/ or examples/ as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_real_data(name):
    """Users with at least 5 interactions of a real data set; skipped where it is not at hand."""
    real_data = load_script("benchmarks/real_data.py")
    path = real_data.DATA / f"{name}.npz"
    if name != "movielens-small" and not path.exists():
        if os.environ.get("SKVAE_DATA"):
            pytest.fail(f"SKVAE_DATA is set, but {path} is not there")
        pytest.skip(f"no {path}; set SKVAE_DATA to the folder that holds it")
    return real_data.load(name)
