"""Runs implicit's ALS for the speed of its recommend alone; see common.py."""

import common
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits


def fit(X, parameters, clock):
    model = AlternatingLeastSquares(iterations=2, num_threads=common.N_THREADS, random_state=0, **parameters)
    clock.start()
    model.fit(X, show_progress=False, callback=lambda *_: clock.epoch_ended())
    return model


def recommend(model, X, users, k):
    # the factors of users that it was trained on are at hand: no encoder, in its favour
    return model.recommend(users, X[users], N=k)


if __name__ == "__main__":
    threadpool_limits(1, "blas")  # as it asks for: its own threads call BLAS
    common.main(fit, recommend)
