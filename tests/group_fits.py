"""Fits that several processes make together, for test_processes.py.

``python -c "import group_fits; group_fits.main()"`` forms groups of processes, each of which goes through all fits of
its group and writes what came of them to the file GROUP-RANK. The processes are forked where that is safe, which saves
the imports.
"""

import contextlib
import io
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV

import skvae
from skvae.core import checkpoint, checkpoint_file, gram, item_products, optimizer
from skvae.core.likelihoods import Multinomial
from skvae.core.processes import ALONE, ProcessGroup, process_group
from skvae.datasets import make_interactions

X = make_interactions(n_users=220, n_items=60, density=0.1, random_state=0)
X_VAL = make_interactions(n_users=50, n_items=60, density=0.2, random_state=1)
# of 220 users in batches of 73 the last one has a user, less than there are processes
SMALL = {"batch_size": 73, "max_iter": 3, "early_stopping": False, "random_state": 0}
VAE = skvae.MultVAERecommender(8, hidden_layer_sizes=(16,), **SMALL)
DAE = skvae.MultDAERecommender(8, **SMALL)
RECVAE = skvae.RecVAERecommender(8, hidden_layer_sizes=(16, 16), **SMALL)


def is_last():
    return dist.get_rank() == dist.get_world_size() - 1


class Failing(Multinomial):
    """Multinomial, but that the last process does something before its n-th call."""

    def __init__(self, n, action):
        self.n, self.action = n, action

    def log_prob(self, logits, batch):
        self.n -= 1
        if self.n == 0 and is_last():
            self.action()
        return super().log_prob(logits, batch)


def fail():
    raise MemoryError("no memory left")


def interrupt():
    signal.raise_signal(signal.SIGINT)


def end():
    os._exit(1)


def model_of(estimator, *arguments, n_partial=0, **keywords):
    estimator = clone(estimator).fit(*arguments, **keywords)
    for _ in range(n_partial):
        estimator.partial_fit(arguments[0])
    return estimator


def in_chunks(estimator, **constants):
    """Fit where an item matrix is taken in chunks of 16 to 32 items, and rows of a Gram matrix are in blocks of 16."""
    with (
        mock.patch.multiple(item_products, BYTES_PER_COLUMN=128, **constants),
        mock.patch.object(optimizer, "ROWS_PER_CHUNK", 16),
        mock.patch.object(gram, "ITEMS_PER_BLOCK", 16),
    ):
        return model_of(estimator, X)


def warm():
    model = clone(VAE).set_params(warm_start=True).fit(X, X_val=X_VAL)
    return model.fit(X, X_val=X_VAL)


# name -> fit that several processes make as one does
EQUAL = {
    "vae": lambda: model_of(VAE, X, X_val=X_VAL),
    "vae, likelihood of dropped items": lambda: model_of(clone(VAE).set_params(target="dropped"), X),
    "vae, held-out users": lambda: model_of(clone(VAE).set_params(early_stopping=True), X),
    "vae, chunks": lambda: in_chunks(VAE),
    "vae, tiles": lambda: in_chunks(VAE, BYTES_OF_LOGITS=1, BYTES_OF_TILE=1),
    "vae, sampled items": lambda: in_chunks(clone(VAE).set_params(n_sampled_items=5, l2_regularization=1e-3)),
    "vae, warm start": warm,
    "vae, partial_fit": lambda: model_of(VAE, X, n_partial=2),
    "dae": lambda: model_of(clone(DAE).set_params(dropout=0.0, averaging_epochs=0.0), X),
    "vae, two users": lambda: model_of(VAE, X[:2]),
    "dae, two validation users": lambda: model_of(DAE, X, X_val=X_VAL[:2]),
    "dae, logistic": lambda: model_of(clone(DAE).set_params(likelihood="logistic"), X),
    "recvae": lambda: model_of(RECVAE, X, X_val=X_VAL),
    "ease": lambda: model_of(skvae.EASERecommender(l2_regularization=10), X),
    "ease, in double precision": lambda: model_of(
        skvae.EASERecommender(l2_regularization=0.01), np.tile(X.toarray(), 2)
    ),
    "ease, blocks": lambda: in_chunks(skvae.EASERecommender(l2_regularization=10)),
    "linear, centered": lambda: model_of(skvae.LinearRecommender(l2_regularization=10, centering=0.99), X),
    "linear": lambda: model_of(skvae.LinearRecommender(keep_gram=True), np.repeat(X.toarray(), 3, axis=0), n_partial=1),
    "blend": lambda: model_of(skvae.BlendRecommender([("ease", skvae.EASERecommender()), ("dae", DAE)]), X),
}


def searched():
    """A grid with a candidate that diverges, which is that of all processes too."""
    grid = {"learning_rate": [1e30, 1e-3], "likelihood": ["gaussian"], "max_iter": [2]}
    search = GridSearchCV(DAE, grid, cv=skvae.UserKFold(2), scoring=skvae.ndcg_scorer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return search.fit(X).cv_results_["mean_test_score"]


def without_seed():
    return model_of(clone(VAE).set_params(random_state=None), X)


def not_corrected():
    """Without the last broadcast, for which on equal processors there is nothing to do."""
    broadcast, calls = ProcessGroup.broadcast_, []

    def first_alone(self, *tensors):
        calls.append(tensors)
        if len(calls) == 1:
            broadcast(self, *tensors)

    with mock.patch.object(ProcessGroup, "broadcast_", first_alone):
        return model_of(VAE, X), len(calls)


def printed():
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        model_of(skvae.BlendRecommender([("dae", clone(DAE).set_params(verbose=1))], verbose=1, refit=False), X)
    return out.getvalue()


def stopped():
    """By a callback, which the first process alone has to ask for it."""

    def end(estimator, context, *, fitted_estimator):
        calls.append(context.task_name)
        return calls.count("epoch") == 2

    calls: list = []
    nothing = dict.fromkeys(("setup", "teardown", "on_fit_task_begin"), lambda estimator, context: None)
    callback = SimpleNamespace(**nothing, on_fit_task_end=end)
    for estimator in (skvae.EASERecommender(), skvae.PopularityRecommender()):
        estimator.set_callbacks(callback).fit(X)
    return clone(VAE).set_callbacks(callback).fit(X).set_callbacks(), calls


def other_users():
    return model_of(VAE, X[:200] if dist.get_rank() else X)


def other_parameter():
    return model_of(clone(VAE).set_params(learning_rate=1e-3 * (1 + dist.get_rank())), X)


def other_model():
    return model_of(VAE if dist.get_rank() else skvae.EASERecommender(), X)


def other_call():
    model = clone(VAE)
    return (model.partial_fit if dist.get_rank() else model.fit)(X)


def other_weights():
    model = clone(VAE).fit(X)
    model.weights_["decoder.item_bias"] = model.weights_["decoder.item_bias"] + np.float32(dist.get_rank())
    return model.partial_fit(X)


def other_users_of_popularity():
    return model_of(skvae.PopularityRecommender(), X[:200] if dist.get_rank() else X)


def other_weights_of_a_blend():
    members = [("popularity", skvae.PopularityRecommender()), ("ease", skvae.EASERecommender())]
    return model_of(skvae.BlendRecommender(members, weights=[1, 1 + dist.get_rank()]), X)


def member_of_another_library():
    """Which fails in the last process, whose next fit must not meet what is left of this one."""
    failing = outcome(lambda: skvae.BlendRecommender([("own", Own()), ("ease", skvae.EASERecommender())]).fit(X))
    return failing, model_of(skvae.EASERecommender(), X)


class Own(BaseEstimator):
    """Another library's recommender, without memory enough in the last process."""

    def fit(self, X, y=None):
        """Fail there."""
        self.n_features_in_ = X.shape[1]
        if dist.get_rank() == dist.get_world_size() - 1:
            raise MemoryError("own failed")
        return self

    def decision_function(self, X):
        """Zeros."""
        return np.zeros(X.shape)


def piece_with_nan():
    return model_of(clone(DAE).set_params(likelihood=WithNan()), X)


class WithNan(Multinomial):
    """An attribute that is not equal to itself."""

    def __init__(self):
        self.unused = float("nan")


def negative_in_last(estimator=VAE):
    return model_of(estimator, -X if is_last() else X)


def negative_in_last_of_ease():
    return negative_in_last(skvae.EASERecommender())


class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")


def wordless():
    raise Wordless


def failing_without_words():
    return model_of(clone(DAE).set_params(likelihood=Failing(6, wordless)), X)


def failing_update():
    return model_of(clone(DAE).set_params(likelihood=Failing(6, fail)), X)


def interrupted():
    """By a Ctrl-C in the last process, in the second update of the second epoch."""
    model = clone(DAE).set_params(likelihood=Failing(6, interrupt))
    try:
        model.fit(X)
    except KeyboardInterrupt as error:
        return model, str(error)


def interrupted_at_each_call():
    """Name -> the errors of all processes in fits with a Ctrl-C in the last one at its first call to others, ..."""
    blend = skvae.BlendRecommender([("ease", skvae.EASERecommender()), ("popular", skvae.PopularityRecommender())])
    setting = {name: 0.5 for name in ("l2_regularization", "dropout", "user_exponent", "item_exponent", "centering")}
    linear = skvae.LinearRecommender(**setting, keep_gram=True)
    vae = clone(VAE).set_params(max_iter=1)
    fits = {
        "popularity": skvae.PopularityRecommender().fit,
        "ease": skvae.EASERecommender().fit,
        "linear": linear.fit,
        "linear, partial_fit": clone(linear).fit(X).partial_fit,
        "vae": vae.fit,
        "vae, partial_fit": clone(vae).partial_fit,
        "blend": blend.fit,
    }
    return {name: list(_interrupted_at_each_call(fit)) for name, fit in fits.items()}


def _interrupted_before(call, number):
    """The call, but that the last process gets a Ctrl-C just before the call of that number."""
    calls = count(1)

    def interrupted(self, *arguments):
        if next(calls) == number and is_last():
            interrupt()
        call(self, *arguments)

    return interrupted


def _interrupted_at_each_call(fit):
    for number in count(1):
        with mock.patch.object(ProcessGroup, "_call", _interrupted_before(ProcessGroup._call, number)):
            error = outcome(lambda: fit(X) and None)
        errors = ProcessGroup()._gathered(type(error).__name__)
        yield errors
        if set(errors) != {"KeyboardInterrupt"}:
            return


def checkpoint_of_a_blend():
    return model_of(skvae.BlendRecommender([("dae", DAE)], checkpoint="blend.npz"), X)


def diverged():
    return model_of(clone(DAE).set_params(learning_rate=1e30, likelihood="gaussian", max_iter=20), X)


def fit_that_ends_early(path):
    """When its first process has written some checkpoints."""
    write, numbers = checkpoint_file.write, count(1)

    def ending(*arguments):
        write(*arguments)
        if next(numbers) == 5:
            raise MemoryError

    with (
        mock.patch.multiple(checkpoint, SECONDS=0.0, SHARE_OF_TIME=np.inf),
        mock.patch.object(checkpoint_file, "write", ending),
        contextlib.suppress(RuntimeError, MemoryError),
    ):
        clone(VAE).set_params(checkpoint=path).fit(X, X_val=X_VAL)


def continued(path="continued.npz"):
    there = os.path.exists(path)
    return clone(VAE).set_params(checkpoint=path).fit(X, X_val=X_VAL), there, os.path.exists(path)


def ended_and_continued():
    fit_that_ends_early("left.npz")  # for the next group
    fit_that_ends_early("continued.npz")
    return continued()


def continued_by_three():
    return continued("left.npz")


def killed():
    """The last process ends, in the middle of an update."""
    return model_of(clone(DAE).set_params(likelihood=Failing(6, end)), X)


def group():
    return "alone" if process_group() is ALONE else "group"


OTHERS = [
    searched, without_seed, not_corrected, printed, stopped, other_users, other_parameter, other_model, other_call,
    other_weights, other_users_of_popularity, other_weights_of_a_blend, member_of_another_library, piece_with_nan,
    negative_in_last, negative_in_last_of_ease, failing_update, failing_without_words, interrupted,
    interrupted_at_each_call, checkpoint_of_a_blend, diverged, ended_and_continued,
]  # fmt: skip
FITS = EQUAL | {fit.__name__: fit for fit in OTHERS}
OF_THREE = [
    "vae",
    "vae, sampled items",
    "vae, two users",
    "dae, two validation users",
    "ease",
    "negative_in_last",
    "interrupted",
]
GROUPS = {
    "one": (1, {"group": group}),
    "two": (2, FITS),
    "three": (3, {name: FITS[name] for name in OF_THREE} | {"continued_by_three": continued_by_three}),
    "killed": (2, {"killed": killed}),
}


def outcome(fit):
    """What a fit returns, or the error that it raises."""
    try:
        return fit()
    except (Exception, KeyboardInterrupt) as error:
        return error


def take_part(group, rank):
    """Fit as one of the processes of a group."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    size, fits = GROUPS[group]
    torch.set_num_threads(1 + rank)  # as on machines of different kinds
    place = f"file://{Path.cwd() / group}.group"
    dist.init_process_group("gloo", place, timedelta(seconds=60), rank=rank, world_size=size)
    outcomes = {name: outcome(fit) for name, fit in fits.items()}
    Path(f"{group}-{rank}").write_bytes(pickle.dumps(outcomes))
    dist.destroy_process_group()


def main():
    can_fork = sys.platform == "linux" and not torch.cuda.is_available()
    context = multiprocessing.get_context("fork" if can_fork else "spawn")
    clone(VAE).set_params(max_iter=1).fit(X, X_val=X_VAL)  # what is imported late, once for all of them
    for group, (size, _) in GROUPS.items():
        processes = [context.Process(target=take_part, args=(group, rank)) for rank in range(size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
