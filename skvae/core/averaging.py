"""The moving average of the weights over the updates of a training."""

from contextlib import contextmanager

import torch

TERMS_PER_EPOCH = 3  # a pass over all weights each: as good as one term per update, at less of its cost


class MovingAverage:
    r"""Exponential moving average of a network's weights, taken at equal distances.

    .. math:: \bar\theta_n = \bar\theta_{n-1} + \max(1 / n, 1 / s)\,(\theta_n - \bar\theta_{n-1})

    which is the plain mean of the first s terms, and forgets older ones from then on (Polyak and
    Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
    Optimization, 1992).

    Parameters
    ----------
    network : module
    n_epochs : float
        That the average reaches back.
    n_updates : int
        Of an epoch.
    """

    def __init__(self, network, n_epochs, n_updates):
        self.parameters = dict(network.named_parameters())
        self.averages = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.interval = max(1, round(n_updates / TERMS_PER_EPOCH))
        self.span = max(1.0, n_epochs * n_updates / self.interval)
        self.n_updates = 0

    @torch.no_grad()
    def updated(self, catch_up=lambda: None):
        """Count an update of the weights, and take a term where it is due, after ``catch_up`` of rows left behind."""
        self.n_updates += 1
        n_terms, remainder = divmod(self.n_updates, self.interval)
        if not remainder:
            catch_up()
            for name, average in self.averages.items():
                average.lerp_(self.parameters[name], max(1 / n_terms, 1 / self.span))

    def state(self):
        """What another average can `resume` from; not copied."""
        return {"averages": self.averages, "n_updates": self.n_updates}

    def resume(self, state):
        """Go on from the `state` of another average."""
        self.n_updates = state["n_updates"]
        for name, average in self.averages.items():
            average.copy_(state["averages"][name])

    def exchange(self):
        """Let the network and the average change places; nothing is copied."""
        for name, average in self.averages.items():
            parameter = self.parameters[name]
            parameter.data, average.data = average.data, parameter.data

    @contextmanager
    def in_place(self):
        """The network holds the averages as long as this lasts."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()
