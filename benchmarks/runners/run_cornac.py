"""Runs Cornac's VAECF; see common.py."""

from collections import OrderedDict

import common
import cornac.models.vaecf.vaecf as vaecf
import numpy as np
import torch
from cornac.data import Dataset
from cornac.models import VAECF


class Epochs:
    """In the place of the progress bar around the epochs, which is the one place to look on from."""

    def __init__(self, clock):
        self.clock = clock

    def __call__(self, first, last, disable):
        self.numbers = range(first, last)
        return self

    def __iter__(self):
        self.clock.start()
        for number in self.numbers:
            yield number
            if self.clock.epoch_ended(self.score):
                return

    def set_postfix(self, **values):
        pass

    def score(self, X):
        with torch.no_grad():
            codes, _ = self.model.vae.encode(torch.from_numpy(X.toarray()))
            return self.model.vae.decode(codes).numpy()


def fit(X, parameters, clock):
    n_users, n_items = X.shape
    identity = [OrderedDict((i, i) for i in range(n)) for n in (n_users, n_items)]
    users, items = X.nonzero()
    data = Dataset(n_users, n_items, *identity, (users, items, np.ones(len(users), np.float32)))
    vaecf.trange = epochs = Epochs(clock)
    epochs.model = VAECF(n_epochs=10**6, seed=0, **parameters)
    return epochs.model.fit(data)


def recommend(model, X, users, k):
    return [model.recommend(user, k=k, remove_seen=True, train_set=model.train_set) for user in users.tolist()]


if __name__ == "__main__":
    common.main(fit, recommend, n_recommended=100)
