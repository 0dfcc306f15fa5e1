"""The real data that benchmarks and tests read.

From the folder SKVAE_DATA, by default ../shared/data, and MovieLens small from examples/data.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from skvae.model_selection import MIN_INTERACTIONS, count_interactions
from skvae.preprocessing import k_core

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SKVAE_DATA") or ROOT.parent / "shared" / "data")
NAMES = ("movielens-small", "movietweetings-100k", "msweb", "anime", "lastfm-2k", "citeulike-a")


def load(name):
    """Users with at least 5 interactions; ratings of 4 of 5 stars, or 7 of 10, count as one, and so do play counts.

    "anime-medium" is the popular half of anime's items, with the users who have 40 of them; "gowalla-heavy" are the
    users of gowalla-train with 60 items, and the items that three of them have: a long tail. Of "NAME-transposed" each
    row is an item of NAME, with the users who have it, of whom there are 5: data that no default was chosen by.
    """
    if name.endswith("-transposed"):
        X = load(name.removesuffix("-transposed")).T.tocsr()
        return X[count_interactions(X) >= MIN_INTERACTIONS]
    if name == "movielens-small":
        ratings = pd.read_csv(ROOT / "examples" / "data" / name / "ratings.csv.gz")
        ratings = ratings[ratings["rating"] >= 4]
        users, items = (pd.factorize(ratings[column])[0] for column in ("userId", "movieId"))
        X = sp.csr_array((np.ones(len(ratings), np.float32), (users, items)))
    else:
        files = {"anime-medium": "anime", "gowalla-heavy": "gowalla-train"}
        X = sp.csr_array(sp.load_npz(DATA / f"{files.get(name, name)}.npz"))
    if name == "movietweetings-100k":
        X = (X >= 7).astype(np.float32)
        users, items = k_core(X, MIN_INTERACTIONS, MIN_INTERACTIONS)
        return X[users][:, items]
    if name == "lastfm-2k":
        X = (X > 0).astype(np.float32)
        X = X[:, np.bincount(X.indices, minlength=X.shape[1]) >= 3]
    if name == "gowalla-heavy":
        X = X[count_interactions(X) >= 60]
        X = X[:, np.bincount(X.indices, minlength=X.shape[1]) >= 3]
    if name == "anime-medium":
        counts = np.bincount(X.indices, minlength=X.shape[1])
        X = X[:, np.sort(np.argsort(-counts, kind="stable")[:3500])]
        return X[count_interactions(X) >= 40]
    return X[count_interactions(X) >= MIN_INTERACTIONS]
