"""Runs implicit's ALS; see common.py."""

import common
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits


def fit(X, parameters, clock):
    """Its default number of iterations: it shows nothing of those before the last that can be scored."""
    model = AlternatingLeastSquares(num_threads=common.N_THREADS, random_state=0, **parameters)
    clock.start()
    model.fit(X, show_progress=False)
    clock.epoch_ended(lambda X: model.recalculate_user(np.arange(X.shape[0]), X) @ model.item_factors.T)
    return model


def recommend(model, X, users, k):
    # the factors of users that it was trained on are at hand: no encoder, in its favour
    return model.recommend(users, X[users], N=k)


if __name__ == "__main__":
    threadpool_limits(1, "blas")  # as it asks for: its own threads call BLAS
    common.main(fit, recommend)
