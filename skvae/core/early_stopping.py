"""When a training stops early, and which of its epochs is the best."""

from itertools import pairwise
from math import isclose


def is_best(score, history):
    """Whether a new epoch with this score is better than all before, the weights at the beginning included.

    Where nothing is validated (None) it always is.
    """
    return score is None or score > max([history.first_score, *history.validation_scores])


def is_out_of_patience(history, patience, final_beta):
    """Whether the best epoch is further back than the patience allows, a number of epochs or None.

    The patience counts from where beta reached its final value, from below or from above: before that the objective
    still changes, and the score with it.
    """
    if patience is None or not history.validation_scores:
        return False
    epoch = len(history.losses)
    steps = enumerate(pairwise([*history.betas[:1], *history.betas]))
    reached = (i for i, step in steps if min(step) <= final_beta <= max(step) or isclose(step[1], final_beta))
    first = next(reached, epoch)
    return epoch - max(history.best_epoch, first) >= patience
