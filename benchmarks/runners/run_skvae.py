"""Runs skvae; see common.py."""

import time

import common
import numpy as np

import skvae


def make(model, **parameters):
    return getattr(skvae, model)(random_state=0, **parameters)


def fit(X, parameters, clock):
    clock.start()
    model = make(**{"early_stopping": False} | parameters)
    return model.set_callbacks(common.EpochEnd(clock.epoch_ended)).fit(X)


def recommend(model, X, users, k):
    return model.recommend(X[users], k=k)


def weight_bytes(model):
    return sum(array.nbytes for array in model.weights_.values())


def curve(fit, folder, *, parameters, limit, patience):
    """The plain fit with its own validation and early stopping, all of it counted."""
    train, *validation = (common.load(folder, name) for name in ("train", "fold_in", "held_out"))
    seconds, start = [], time.perf_counter()

    def epoch_ended():
        seconds.append(time.perf_counter() - start)

    model = make(**parameters).set_callbacks(common.EpochEnd(epoch_ended)).fit(train, X_val=tuple(validation))
    seconds[-1] = time.perf_counter() - start  # and putting the best epoch back
    return {"seconds": seconds, "scores": np.array(model.validation_scores_).tolist()}


if __name__ == "__main__":
    common.main(fit, recommend, curve=curve, weight_bytes=weight_bytes)
