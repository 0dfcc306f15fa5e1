"""A change is made as a whole: one that fails at any line is none, and between two lines others see none or all."""

import copy
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import skvae
from skvae.datasets import make_interactions

PACKAGE = str(Path(skvae.__file__).parent)
EVERY, LAST = 15, 10  # of the lines that a call runs, and all of the last before all is done
X = make_interactions(n_users=60, n_items=20, random_state=0)
MORE = make_interactions(n_users=20, n_items=20, random_state=1)
SMALL = {"n_components": 4, "max_iter": 2, "batch_size": 16, "random_state": 0}
DAE = skvae.MultDAERecommender(**SMALL)
LINEAR = skvae.LinearRecommender(l2_regularization=1.0, keep_gram=True)
MODELS = {
    "popularity": skvae.PopularityRecommender(),
    "ease": skvae.EASERecommender(),
    "linear": LINEAR,
    "dae": DAE,
    "warm dae": skvae.MultDAERecommender(**SMALL, warm_start=True),
    "vae": skvae.MultVAERecommender(hidden_layer_sizes=(6,), **SMALL),
    "recvae": skvae.RecVAERecommender(hidden_layer_sizes=(6,), **SMALL),
    "sampled dae": skvae.MultDAERecommender(**SMALL, n_sampled_items=5),
    "blend": skvae.BlendRecommender([("ease", skvae.EASERecommender()), ("dae", DAE)], refit=False),
}
EVENTS, LATER = (["ann", "bob", "ann"], ["tea", "tea", "jam"]), (["bob", "eve"], ["milk", "jam"])
CALLS = {
    "fit": lambda model: model.fit(MORE),
    "partial_fit": lambda model: model.partial_fit(MORE),
    "add_items": lambda model: model.add_items(2),
}
CALLS_OF_ENCODER = {
    "fit": lambda encoder: encoder.fit(LATER),
    "partial_fit": lambda encoder: encoder.partial_fit(LATER),
    "keep_items": lambda encoder: encoder.keep_items([1]),
}


def fitted(name):
    model = MODELS[name].__class__(**MODELS[name].get_params(deep=False)).fit(X)
    return model.partial_fit(MORE) if hasattr(model, "partial_fit") else model


def traced(call, at_line, is_asked=lambda code: code.co_filename.startswith(PACKAGE)):
    """Run a call and ask ``at_line`` at each line of the package, or of some of its code, which may raise."""

    def trace(frame, event, argument):
        if not is_asked(frame.f_code):
            return None
        if event == "line":
            at_line(frame.f_code, frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)


def lines_of(call, model):
    """The lines that a call runs until all is done, each once, in order: after that there is nothing to undo."""
    lines = {}

    def at_line(code, number):
        if code.co_name != "<lambda>":  # that of available_if, whose error hasattr takes for a no
            lines.setdefault((code.co_filename, code.co_name, number), dict(vars(model)))

    traced(lambda: call(model), at_line)
    return [line for line, then in lines.items() if not same(then, vars(model))]


def same(before, after):
    """Whether two states of an object hold the very same objects, but for scikit-learn's of a fit's callbacks."""
    before, after = ({name: s[name] for name in s if "callback" not in name} for s in (before, after))
    return before.keys() == after.keys() and all(after[name] is value for name, value in before.items())


def failing(call, line):
    """Run a call that fails where it first comes to a line."""
    failed = False

    def at_line(code, number):
        nonlocal failed
        if not failed and (code.co_filename, code.co_name, number) == line:
            failed = True
            raise MemoryError("injected")

    with pytest.raises((MemoryError, AttributeError)):  # the latter from available_if
        traced(call, at_line, lambda code: (code.co_filename, code.co_name) == line[:2])


def check_all_or_nothing(make, call, may_unfit=False):
    first, model, content = make(), None, None
    lines = lines_of(call, make())
    for line in lines[:-LAST:EVERY] + lines[-LAST:]:
        if model is None:
            # a copy has no state of a training, from which partial_fit goes on
            model = copy.deepcopy(first) if may_unfit else make()
            content = pickle.dumps(vars(model))
        before = dict(vars(model))
        failing(lambda model=model: call(model), line)
        if may_unfit and not model.__sklearn_is_fitted__():
            model = None
            continue
        assert same(before, vars(model)), line
        assert pickle.dumps(vars(model)) == content, line


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", CALLS)
def test_a_recommender_is_as_before_or_after_a_failed_fit_none(name, method):
    if not hasattr(MODELS[name], method):
        pytest.skip("has no such method")
    check_all_or_nothing(lambda: fitted(name), CALLS[method], may_unfit=method == "fit" and name != "warm dae")


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("popularity", "ease", "blend")])
def test_who_asks_during_partial_fit_gets_the_answer_of_before_or_after(name):
    model, answers, n_lines = fitted(name), [], 0

    def at_line(code, number):
        nonlocal n_lines
        n_lines += 1
        if n_lines % 100 == 0 or code.co_name == "_store":
            answers.append(model.recommend(X)[1])

    before = model.recommend(X)[1]
    traced(lambda: CALLS["partial_fit"](model), at_line)
    after = model.recommend(X)[1]
    is_new = [np.array_equal(answer, after) for answer in answers]
    assert is_new == sorted(is_new)  # never back again
    assert all(new or np.array_equal(answer, before) for answer, new in zip(answers, is_new, strict=True))
    assert not is_new[0]
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "popularity"])
def test_who_asks_during_add_items_gets_the_answer_of_before_or_is_told_of_new_columns(name):
    model, refused = fitted(name), []

    def at_line(code, number):
        try:
            answer = model.recommend(X)[1], model.decision_function(X)
            assert all(map(np.array_equal, answer, before))
            refused.append(False)
        except ValueError as error:
            assert "features" in str(error)  # noqa: PT017
            refused.append(True)

    before = model.recommend(X)[1], model.decision_function(X)
    traced(lambda: CALLS["add_items"](model), at_line)
    assert refused == sorted(refused)
    assert refused[-1]


@pytest.mark.parametrize("method", CALLS_OF_ENCODER)
def test_an_encoder_is_as_before(method):
    check_all_or_nothing(lambda: skvae.InteractionEncoder().fit(EVENTS), CALLS_OF_ENCODER[method])
