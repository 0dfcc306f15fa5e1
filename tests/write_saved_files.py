"""Write small models with `skvae.save`, and what they answer: the files that tests/test_saved_files.py reads.

    python tests/write_saved_files.py tests/files/save_1/newest

with the newest libraries, and with those of constraints/oldest.txt into ``oldest``. Once for each format: files of an
earlier version are never written anew.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler, Normalizer

import skvae
from skvae.datasets import make_interactions


def models(X):
    """Name -> fitted model of 12 items."""
    dae = skvae.MultDAERecommender(3, max_iter=3, random_state=0)
    popularity, ease = skvae.PopularityRecommender().fit(X), skvae.EASERecommender(l2_regularization=5).fit(X)
    steps = Binarizer(), Normalizer(), TfidfTransformer(), FunctionTransformer(np.log1p)
    return {
        "popularity": popularity,
        "ease": ease,
        "linear": skvae.LinearRecommender(keep_gram=True).fit(X),
        "vae": skvae.MultVAERecommender(3, hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X),
        "dae": dae.fit(X),
        "recvae": skvae.RecVAERecommender(3, hidden_layer_sizes=(4, 4), max_iter=3, random_state=0).fit(X),
        "blend": skvae.BlendRecommender([("ease", ease), ("popularity", popularity)]).fit(X),
        "pipeline": make_pipeline(*steps, FrozenEstimator(ease)).fit(X),
        "scaler": make_pipeline(MaxAbsScaler(), FrozenEstimator(ease)).fit(X),
    }


def write(folder):
    """Files, and scores.npz with the scores of five users."""
    X = make_interactions(n_users=60, n_items=12, density=0.3, random_state=0)
    fitted = models(X)
    np.savez(
        folder / "scores.npz",
        encoder=np.arange(2),
        **{name: model.decision_function(X[:5]) for name, model in fitted.items()},
    )
    encoder = skvae.InteractionEncoder().fit(([1, 2, 1], ["tea", "tea", "jam"]))
    for name, model in {**fitted, "encoder": encoder}.items():
        skvae.save(model, folder / f"{name}.skvae")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    write(target)
