import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import settings

from skvae import MultDAERecommender, MultVAERecommender
from skvae.datasets import make_interactions

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SKVAE_DATA") or ROOT.parent / "shared" / "data")

SMALL_VAE = MultVAERecommender(8, hidden_layer_sizes=(16,), max_iter=5, random_state=0)
SMALL_DAE = MultDAERecommender(8, max_iter=5, random_state=0)


@pytest.fixture(params=[SMALL_VAE, SMALL_DAE], ids=["vae", "dae"])
def estimator(request):
    """Both estimators at small sizes, not fitted."""
    from sklearn.base import clone

    return clone(request.param)


@pytest.fixture(scope="session")
def X():
    """500 users x 200 items, 5 % full."""
    return make_interactions(n_users=500, n_items=200, density=0.05, random_state=0)


def load_real_data(name):
    """Users with at least 5 interactions of a real data set; skipped where it is not at hand."""
    if name == "movielens-small":
        ratings = pd.read_csv(ROOT / "examples" / "data" / "movielens-small" / "ratings.csv.gz")
        ratings = ratings[ratings["rating"] >= 4]
        users, items = pd.factorize(ratings["userId"])[0], pd.factorize(ratings["movieId"])[0]
        X = sp.csr_array((np.ones(len(ratings), np.float32), (users, items)))
    else:
        path = DATA / f"{name}.npz"
        if not path.exists():
            if os.environ.get("SKVAE_DATA"):
                pytest.fail(f"SKVAE_DATA is set, but {path} is not there")
            pytest.skip(f"no {path}; set SKVAE_DATA to the folder that holds it")
        X = sp.csr_array(sp.load_npz(path))
        if name == "movietweetings-100k":
            X.data = (X.data >= 7).astype(np.float32)
            X.eliminate_zeros()
    return X[np.diff(X.indptr) >= 5]
