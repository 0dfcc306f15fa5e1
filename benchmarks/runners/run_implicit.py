"""Runs implicit's models, which one "model" says; see common.py."""

import common
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from threadpoolctl import threadpool_limits

NEIGHBOURS = {"BM25": BM25Recommender, "cosine": CosineRecommender, "TFIDF": TFIDFRecommender}


def fit(X, parameters, clock):
    """ALS with its default number of iterations: it shows nothing of those before the last that can be scored."""
    parameters = dict(parameters)
    kind = parameters.pop("model", "ALS")
    if kind in NEIGHBOURS:
        model = NEIGHBOURS[kind](num_threads=common.N_THREADS, **parameters)
    else:
        model = AlternatingLeastSquares(num_threads=common.N_THREADS, random_state=0, **parameters)
    clock.start()
    model.fit(X, show_progress=False)
    if kind in NEIGHBOURS:
        clock.epoch_ended(lambda X: (X @ model.similarity).toarray())
    else:
        clock.epoch_ended(lambda X: model.recalculate_user(np.arange(X.shape[0]), X) @ model.item_factors.T)
    return model


def recommend(model, X, users, k):
    # the factors of users that it was trained on are at hand: no encoder, in its favour
    return model.recommend(users, X[users], N=k)


if __name__ == "__main__":
    threadpool_limits(1, "blas")  # as it asks for: its own threads call BLAS
    common.main(fit, recommend)
