"""Ctrl-C during fit: what is kept, and that it is passed on."""

import signal
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import pytest
from conftest import same_weights
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import MultDAERecommender, UserKFold, fitting, ndcg_scorer
from skvae.core.initialization import INITIALIZATIONS
from skvae.core.interrupts import Interrupts, opening
from skvae.core.likelihoods import Multinomial
from skvae.core.optimizer import Adam

N_BATCHES = 4  # updates an epoch: 400 users in batches of 100

pytestmark = pytest.mark.usefixtures("python_s_own_handler", "one_by_one")


class Interrupted(Multinomial):
    """Multinomial for n_batches of training, then a Ctrl-C."""

    takes_bfloat16 = takes_item_weights = takes_unknown = True

    def __init__(self, n_batches):
        self.n_batches = n_batches

    def residuals(self, logits, batch):
        self.n_batches -= 1
        if self.n_batches < 0:
            signal.raise_signal(signal.SIGINT)
        return super().residuals(logits, batch)


@pytest.fixture
def estimator(estimator):
    """Both estimators, their updates the same for every max_iter."""
    if "total_anneal_steps" in estimator.get_params():
        estimator.set_params(total_anneal_steps=N_BATCHES)
    return estimator.set_params(batch_size=100, max_iter=20, early_stopping=False)


@pytest.fixture
def users(X):
    return X[:400]


def interrupted(estimator, n_batches, match, *arguments, **keywords):
    model = clone(estimator).set_params(likelihood=Interrupted(n_batches))
    with pytest.raises(KeyboardInterrupt, match=match):
        model.fit(*arguments, **keywords)
    return model


@pytest.mark.parametrize("n_more", [0, 2])
def test_the_best_epoch_so_far_is_kept_where_epochs_are_validated(estimator, X, users, monkeypatch, n_more):
    scores = iter([0.1, 0.3, 0.2, 0.25])
    monkeypatch.setattr(fitting, "validation_score", lambda *_: next(scores))
    best = r"after 4 epochs; \w+ is fitted, with the weights of epoch 2, the best so far\."
    model = interrupted(estimator, 4 * N_BATCHES + n_more, best, users, X_val=X[400:])
    assert model.n_iter_ == len(model.loss_curve_) == len(model.beta_curve_) == 4
    assert model.validation_scores_ == [0.1, 0.3, 0.2, 0.25]
    assert (model.best_iter_, model.best_validation_score_) == (2, 0.3)
    assert same_weights(model, estimator.set_params(max_iter=2).fit(users))


@pytest.mark.parametrize("n_times", [1, 2])
def test_a_refit_that_is_interrupted_where_it_begins_leaves_the_model_of_before(users, tmp_path, n_times):
    """Once: it waits for the first update, and the checkpoint has that; twice: it does not."""
    begun = []

    def initialization(network, rows, generator):
        begun.append(len(begun))
        INITIALIZATIONS["xavier"](network, rows, generator)
        if begun == [0, 1]:
            for _ in range(n_times):
                signal.raise_signal(signal.SIGINT)

    dae = MultDAERecommender(4, batch_size=100, max_iter=3, early_stopping=True, random_state=0)
    dae.set_params(initialization=initialization, checkpoint=tmp_path / "night.npz")
    first = clone(dae).set_params(initialization="xavier", refit=False, checkpoint=None).fit(users)
    with pytest.raises(KeyboardInterrupt, match=r"after 3 epochs; .* the best, without the refit on all users\."):
        dae.fit(users)
    assert not dae.refitted_
    assert same_weights(dae, first)
    assert (tmp_path / "night.npz").exists() == (n_times == 1)
    expected = clone(first).set_params(refit=True).fit(users)
    assert same_weights(dae.fit(users), expected)
    assert len(begun) == (2 if n_times == 1 else 4)


def test_the_last_epoch_is_put_back_where_it_is_the_best_and_updates_came_after(estimator, X, users, monkeypatch):
    scores = iter([0.1, 0.3])
    monkeypatch.setattr(fitting, "validation_score", lambda *_: next(scores))
    model = interrupted(estimator, 2 * N_BATCHES + 3, "of epoch 2, the best so far", users, X_val=X[400:])
    assert same_weights(model, estimator.set_params(max_iter=2).fit(users))


def test_a_validation_that_is_interrupted_leaves_its_epoch_out(estimator, X, users, monkeypatch):
    scores = iter([0.1, 0.3])

    def validate(*_):
        score = next(scores, None)
        if score is None:
            raise KeyboardInterrupt
        return score

    monkeypatch.setattr(fitting, "validation_score", validate)
    model = clone(estimator)
    with pytest.raises(KeyboardInterrupt, match="after 2 epochs"):
        model.fit(users, X_val=X[400:])
    assert model.n_iter_ == len(model.loss_curve_) == len(model.beta_curve_) == len(model.validation_scores_) == 2
    assert same_weights(model, estimator.set_params(max_iter=2).fit(users))


def test_without_validation_the_weights_are_those_of_the_last_update(estimator, users):
    # the third epoch is not recorded, but all its updates are made
    after_epoch = interrupted(
        estimator, 3 * N_BATCHES - 1, r"after 2 epochs; \w+ is fitted, with the weights reached\.", users
    )
    assert same_weights(after_epoch, clone(estimator).set_params(max_iter=3).fit(users))
    within = interrupted(estimator, 3 * N_BATCHES + 2, "after 3 epochs", users)
    assert within.n_iter_ == within.best_iter_ == len(within.loss_curve_) == len(within.beta_curve_) == 3
    assert within.n_updates_ == 3 * N_BATCHES + 3  # the one under way is finished
    assert any((within.weights_[name] != weights).any() for name, weights in after_epoch.weights_.items())
    assert within.recommend(users)[0].shape == (400, 10)


@pytest.mark.parametrize(("method", "calls_per_update"), [("step", 1), ("update_rows", 2)])  # of two item matrices
def test_an_update_is_made_as_a_whole(estimator, users, monkeypatch, method, calls_per_update):
    within = interrupted(estimator, 2 * N_BATCHES + 1, "after 2 epochs", users)
    called, n_calls = getattr(Adam, method), 0

    def interrupted_call(self, *arguments):
        nonlocal n_calls
        n_calls += 1
        if n_calls == calls_per_update * (2 * N_BATCHES + 1) + 1:  # the first of its update
            signal.raise_signal(signal.SIGINT)
        return called(self, *arguments)

    monkeypatch.setattr(Adam, method, interrupted_call)
    model = clone(estimator)
    with pytest.raises(KeyboardInterrupt, match="after 2 epochs"):
        model.fit(users)
    assert n_calls == calls_per_update * model.n_updates_
    assert model.n_updates_ == within.n_updates_
    assert same_weights(model, within)


@pytest.mark.parametrize("n_batches", [0, N_BATCHES - 1])
def test_a_fit_that_is_interrupted_in_its_first_epoch_leaves_no_model(estimator, users, n_batches):
    model = interrupted(estimator, n_batches, r"^before the first epoch was finished\.$", users)
    assert not hasattr(model, "weights_")
    model.set_params(likelihood="multinomial", max_iter=1).fit(users)
    model.set_params(likelihood=Interrupted(n_batches))
    with pytest.raises(KeyboardInterrupt):
        model.fit(users)
    assert not hasattr(model, "weights_")


def test_an_interrupt_in_the_first_epoch_tells_of_the_checkpoint(users, tmp_path):
    path = tmp_path / "night.npz"
    dae = MultDAERecommender(4, batch_size=100, max_iter=2, random_state=0)
    dae.set_params(likelihood=Interrupted(2), checkpoint=path)
    with pytest.raises(KeyboardInterrupt, match="first epoch was finished: the same call goes on from a checkpoint"):
        dae.fit(users)
    assert path.exists()
    path.unlink()
    with pytest.raises(KeyboardInterrupt, match=r"first epoch was finished\.$"):
        clone(dae).set_params(likelihood=Interrupted(2)).partial_fit(users)
    assert not path.exists()


def test_a_warm_start_and_a_partial_fit_that_are_interrupted_at_once_leave_the_model_as_it_was(estimator, users):
    likelihood = Interrupted(3 * N_BATCHES + 1)
    model = clone(estimator.set_params(max_iter=3)).fit(users)
    again = clone(estimator).set_params(warm_start=True, max_iter=3).set_params(likelihood=likelihood)
    again.likelihood = likelihood  # clone copies it
    again.fit(users)
    for method in (again.fit, again.partial_fit):
        likelihood.n_batches = 1
        with pytest.raises(KeyboardInterrupt):
            method(users)
        assert again.n_iter_ == 3
        assert same_weights(again, model)


def test_training_goes_on_from_an_interrupted_fit(estimator, users):
    model = interrupted(estimator.set_params(warm_start=True), 2 * N_BATCHES + 1, "after 2 epochs", users)
    model.likelihood.n_batches = 10**6
    model.set_params(max_iter=3).fit(users)
    assert model.n_iter_ == len(model.loss_curve_) == 5
    assert model.n_updates_ == 5 * N_BATCHES + 2


def test_a_search_stops(estimator, users):
    estimator.set_params(likelihood=Interrupted(2 * N_BATCHES))
    search = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=UserKFold(2), scoring=ndcg_scorer)
    with pytest.raises(KeyboardInterrupt):
        search.fit(users)
    assert not hasattr(search, "cv_results_")


def test_a_pipeline_recommends_after_the_interrupt(estimator, users):
    pipeline = make_pipeline(Binarizer(), estimator.set_params(likelihood=Interrupted(2 * N_BATCHES)))
    with pytest.raises(KeyboardInterrupt, match="is fitted"):
        pipeline.fit(users)
    assert pipeline.predict(users).shape == (400,)


def test_a_callback_that_interrupts_is_torn_down_and_its_epoch_counts(estimator, users):
    pytest.importorskip("sklearn.callback")

    def end(estimator, context, *, fitted_estimator):
        if context.task_name == "epoch" and context.task_id == 2:
            raise KeyboardInterrupt

    torn_down = []
    callback = SimpleNamespace(
        setup=lambda estimator, context: None,
        teardown=lambda estimator, context: torn_down.append(True),
        on_fit_task_begin=lambda estimator, context: None,
        on_fit_task_end=end,
    )
    model = clone(estimator).set_callbacks(callback)
    with pytest.raises(KeyboardInterrupt, match="after 3 epochs"):
        model.fit(users)
    assert torn_down == [True]
    assert same_weights(model, estimator.set_params(max_iter=3).fit(users))


def test_an_interrupt_waits_until_it_is_passed_on_and_the_handler_is_put_back():
    handler, done = signal.getsignal(signal.SIGINT), []

    def block():
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            done.append("after the signal")
            interrupts.pass_on()
            done.append("after it was passed on")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["after the signal"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interrupt_that_nobody_passed_on_is_passed_on_at_the_end():
    done = []

    def block():
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == [True]


@pytest.fixture
def reached():
    """A list that gets an item for each Ctrl-C that reaches the handler of the user, which raises nothing."""
    calls = []
    before = signal.signal(signal.SIGINT, lambda *_: calls.append(True))
    yield calls
    signal.signal(signal.SIGINT, before)


MOVES = ["a Ctrl-C", "enter", "enter with openings", "open", "leave", "pass on"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.sampled_from(MOVES), max_size=25))
@example(moves=["enter with openings", "a Ctrl-C", "open"])
@example(moves=["enter", "open"])
def test_one_interrupt_waits_in_contexts_of_any_depth_and_each_is_passed_on_once(reached, moves):
    handler, within, n_sent = signal.getsignal(signal.SIGINT), [], 0
    reached.clear()
    for move in [*moves, *["leave"] * len(moves)]:
        innermost = within[-1] if within else None
        is_within = isinstance(innermost, Interrupts)
        if move == "a Ctrl-C":
            is_second, n_sent = is_within and innermost.has_arrived, n_sent + 1
            was_impatient = is_within and innermost.impatient
            signal.raise_signal(signal.SIGINT)
            assert len(reached) == n_sent - is_within
            assert not is_within or innermost.impatient == (was_impatient or is_second)
        elif move.startswith("enter"):
            within.append(Interrupts(has_openings=move != "enter").__enter__())
            assert within[-1].has_arrived == (len(reached) < n_sent)
        elif move == "open" and is_within:
            if innermost.has_openings:
                within.append(opening())
                within[-1].__enter__()
                assert len(reached) == n_sent
            else:
                with opening():
                    n_sent += 1
                    signal.raise_signal(signal.SIGINT)
                    assert len(reached) == n_sent - 1
        elif move == "leave" and within:
            within.pop().__exit__(None, None, None)
            assert not is_within or len(reached) == n_sent
        elif move == "pass on" and is_within:
            innermost.pass_on()
            assert len(reached) == n_sent
    assert len(reached) == n_sent
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("n_around", [0, 1])
def test_an_interrupt_is_passed_on_where_the_end_of_its_context_fails(reached, n_around):
    """By the context around it, if there is one, in which it waits."""

    @contextmanager
    def failing():
        raise ArithmeticError
        yield

    def block():
        with Interrupts(failing):
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    if n_around:
        with Interrupts() as around:
            with pytest.raises(ArithmeticError):
                block()
            assert around.has_arrived
            assert not reached
    else:
        with pytest.raises(ArithmeticError):
            block()
    assert len(reached) == 1
    assert signal.getsignal(signal.SIGINT) is handler


def test_where_a_block_fails_nothing_is_agreed_on_at_the_end(reached):
    agreements = []

    @contextmanager
    def agreed():
        agreements.append(True)
        yield

    with Interrupts(agreed):
        assert not agreements
    assert len(agreements) == 1
    with pytest.raises(ArithmeticError), Interrupts(agreed):
        raise ArithmeticError
    assert len(agreements) == 1


def test_a_second_interrupt_does_not_wait_and_leaves_no_model(estimator, users):
    class Twice(Interrupted):
        def residuals(self, logits, batch):
            if self.n_batches == 0:
                signal.raise_signal(signal.SIGINT)
            return super().residuals(logits, batch)

    model = clone(estimator).set_params(likelihood=Twice(2 * N_BATCHES))
    model.likelihood.n_batches = 2 * N_BATCHES
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        model.fit(users)
    assert not hasattr(model, "weights_")


@pytest.mark.parametrize("of_the_user", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_handler_that_raises_nothing_is_left_alone(of_the_user):
    handler = signal.signal(signal.SIGINT, of_the_user)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGINT) is of_the_user
    finally:
        signal.signal(signal.SIGINT, handler)


def test_a_fit_in_another_thread_touches_no_handler(estimator, users):
    model, failures = clone(estimator).set_params(max_iter=1), []

    def fit():
        try:
            model.fit(users)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert not failures
    assert model.n_iter_ == 1


def test_a_sigterm_that_is_made_a_ctrl_c_writes_the_checkpoint_too(users, tmp_path):
    model = MultDAERecommender(8, batch_size=100, max_iter=3, early_stopping=False, random_state=0)
    expected = clone(model).fit(users)
    path = tmp_path / "night.npz"
    model.set_params(checkpoint=str(path))
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt), mock.patch.object(Adam, "step", ending(Adam.step, after=6)):
            clone(model).fit(users)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert path.exists()
    assert same_weights(model.fit(users), expected)
    assert not path.exists()


def ending(step, after):
    """A step that is told to end the process once it was made so often."""
    calls = []

    def told(*args, **kwargs):
        calls.append(1)
        if len(calls) == after:
            signal.raise_signal(signal.SIGTERM)
        return step(*args, **kwargs)

    return told
