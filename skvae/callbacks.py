"""Reports of a fit: scikit-learn's callbacks, or a stand-in where it has none yet, and the printed lines."""

import functools
import time
from contextlib import contextmanager, nullcontext
from typing import Any

from .core.architecture import to_numpy
from .core.processes import ends_alike, process_group
from .core.training import Monitor
from .core.user_warnings import report
from .scoring import VALIDATION_METRIC


class NoCallbacks:
    """A callback context that nobody listens to."""

    def subcontext(self, **task):
        """Context of a part of the task: itself.

        Parameters
        ----------
        **task : object

        Returns
        -------
        NoCallbacks
        """
        return self

    def call_on_fit_task_begin(self, **task):
        """Call nobody.

        Parameters
        ----------
        **task : object
        """

    def call_on_fit_task_end(self, **task):
        """Call nobody.

        Parameters
        ----------
        **task : object

        Returns
        -------
        bool
            False: nobody wants to stop.
        """
        return False

    def propagate_callback_context(self, sub_estimator):
        """Tell a part of the estimator of nobody.

        Parameters
        ----------
        sub_estimator : estimator

        Returns
        -------
        context manager
        """
        return nullcontext()


class _NoCallbackSupport:
    """The part of scikit-learn's CallbackSupportMixin that fit calls."""

    def _init_callback_context(self, **task):
        return NoCallbacks()


def _unchanged(method):
    return method


try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9: the same calls without callbacks
    CallbackSupportMixin, with_callbacks = _NoCallbackSupport, _unchanged


def callback_context(estimator, processes, **task):
    """The callback context of a fit; of several processes that fit together the first one calls the callbacks.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin
    processes : Alone or ProcessGroup
    **task : object

    Returns
    -------
    callback context
    """
    return estimator._init_callback_context(**task) if processes.is_first else NoCallbacks()


def as_one_task(fit):
    """A fit without parts that tells callbacks of its beginning and its end.

    Parameters
    ----------
    fit : method of (self, X, y=None) of an estimator with CallbackSupportMixin

    Returns
    -------
    method
    """

    @with_callbacks
    @ends_alike
    @functools.wraps(fit)
    def fit_as_one_task(self, X, y=None):
        processes = process_group(f"{type(self).__name__}.fit")
        with processes.agreed():
            context = callback_context(self, processes)
        with as_task(context, self, processes, X=X, y=y):
            fit(self, X, y)
        return self

    return fit_as_one_task


@contextmanager
def as_task(task, estimator, processes, **data):
    """A task of which callbacks are told the beginning, and the end unless it fails.

    Parameters
    ----------
    task : callback context
    estimator : estimator
    processes : Alone or ProcessGroup
    **data : object
        X and y, where they are told too.
    """
    with processes.agreed():
        task.call_on_fit_task_begin(estimator=estimator, **data)
    yield
    with processes.agreed():
        task.call_on_fit_task_end(estimator=estimator, **data)


class InverseMonitor:
    """The inverses of a linear model, each a task of the fit, with a line before it where asked for.

    Parameters
    ----------
    estimator : linear model
    solve : callable
        (gram, squares, setting, dense=True) -> B as `item_regression` returns it, by one inverse.
    n_inverses : int
        Planned.
    context : callback context
        Of the fit.
    processes : Alone or ProcessGroup
    """

    def __init__(self, estimator, solve, n_inverses, context, processes):
        self.estimator, self.solve, self.context, self.processes = estimator, solve, context, processes
        self.n_begun, self.n_inverses = 0, n_inverses

    def __call__(self, gram, squares, setting, dense=True):
        """B of a setting, as ``solve`` takes and returns it."""
        self.n_begun += 1
        self._print(f"inverse {self.n_begun}/{self.n_inverses}", setting, "item_exponent", "centering")
        with self.processes.agreed():
            task = self.context.subcontext(task_name="inverse")
        with as_task(task, self.estimator, self.processes):
            return self.solve(gram, squares, setting, dense=dense)

    def has_chosen(self, setting, score):
        """Print where asked to what was chosen, and how good that is; one inverse is left.

        Parameters
        ----------
        setting : Setting
        score : float or None
            On validation users; None where nobody was held out.
        """
        self.n_inverses = self.n_begun + 1
        if score is not None:
            self._print(f"chosen, {VALIDATION_METRIC} {score:.4f}", setting)

    def _print(self, text, setting, *but):
        if self.estimator.verbose and self.processes.is_first:
            numbers = setting._asdict().items()
            told = "  ".join(f"{name} {value:.3g}" for name, value in numbers if name not in ("diagonal", *but))
            report(f"[{type(self.estimator).__name__}] {text}  {told}")


class EpochMonitor(Monitor):
    """Calls scikit-learn's callbacks around each epoch, and prints a line after it where asked to.

    Parameters
    ----------
    estimator : autoencoder
        In training.
    network : module
        Its network.
    n_epochs : int
        Planned.
    validation : pair of csr_array, or None
        Fold-in and held-out, for callbacks that score; no users rather than those trained on.
    context : callback context
        Of the fit.
    learned : callable or None
        (estimator, weights, history) -> the fitted attributes of the weights of this epoch; None: callbacks get no
        fitted estimator.
    epoch : str, default="epoch"
        What the task and the line of one are called.
    """

    X: Any
    y: Any

    def __init__(self, estimator, network, n_epochs, validation, context, learned, epoch="epoch"):
        self.estimator, self.network, self.n_epochs, self.context = estimator, network, n_epochs, context
        self.learned, self.epoch = learned, epoch
        self.X, self.y = validation or (None, None)
        self.task = NoCallbacks()
        self._name, self._begin = type(estimator).__name__, time.perf_counter()

    def goes_on(self, history):
        """Print where asked to that the fit goes on from a checkpoint; callbacks hear of no epoch before.

        Parameters
        ----------
        history : History
            Of the finished epochs.
        """
        if self.estimator.verbose:
            report(
                f"[{self._name}] goes on from its checkpoint, after {self.epoch} {len(history.losses)}/{self.n_epochs}"
            )

    def epoch_begins(self):
        """Call the callbacks of an epoch's beginning."""
        self._begin = time.perf_counter()
        self.task = self.context.subcontext(task_name=self.epoch)
        self.task.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def epoch_ends(self, history):
        """Call the callbacks of an epoch's end, and print the report; True where a callback wants to stop.

        Parameters
        ----------
        history : History
            The epoch included.

        Returns
        -------
        bool
        """
        fitted: dict = {}
        if self.learned is not None:
            fitted["reconstruction_attributes"] = lambda: self.learned(
                self.estimator, to_numpy(self.network, copy=True), history
            )
        stopped = self.task.call_on_fit_task_end(estimator=self.estimator, X=self.X, y=self.y, **fitted)
        if self.estimator.verbose:
            report(self._report(history))
        return stopped

    def _report(self, history):
        scores = history.validation_scores
        score = f"  {VALIDATION_METRIC} {scores[-1]:.4f}" if scores else ""
        beta = f"  beta {history.betas[-1]:.3f}" if any(history.betas) else ""
        seconds = time.perf_counter() - self._begin
        return (
            f"[{self._name}] {self.epoch} {len(history.losses)}/{self.n_epochs}"
            f"  loss {history.losses[-1]:.3f}{beta}{score}  {seconds:.2f} s"
        )
