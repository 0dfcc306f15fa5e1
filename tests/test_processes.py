"""Fits in a process group of torch.distributed: the model is that of one process, and a failure is one of all."""

import os
import pickle
import re
import subprocess
import sys
import traceback
from functools import cache

import group_fits
import numpy as np
import pytest
from conftest import ROOT, same_weights
from group_fits import EQUAL, GROUPS

import skvae

one_process = cache(lambda name: EQUAL[name]())


def run(*arguments, folder, **more):
    """What a Python process of its own prints, which imports this copy and the tests."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    # threads that spin while they wait would take the cores from the other processes
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    environment = os.environ | {"PYTHONPATH": path, **threads, **more}
    command = [sys.executable, *arguments]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Group -> for each of its processes that came to its end, fit -> what it returned or raised."""
    folder = tmp_path_factory.mktemp("groups")
    run("-c", "import group_fits; group_fits.main()", folder=folder)
    paths = {group: sorted(folder.glob(f"{group}-*")) for group in GROUPS}
    return {group: [pickle.loads(path.read_bytes()) for path in paths[group]] for group in GROUPS}


@pytest.fixture
def of_processes(outcomes, group, name):
    """What a fit returned or raised in each process of a group."""
    assert len(outcomes[group]) == GROUPS[group][0]
    return [of_process[name] for of_process in outcomes[group]]


def fits(*names):
    """Parametrize over fits, in each group that makes them."""
    pairs = [(group, name) for name in names for group, (_, made) in GROUPS.items() if name in made]
    return pytest.mark.parametrize(("group", "name"), pairs)


def weights_of(model):
    """Weights by name, those of the members of a blend too."""
    named = model.weights_ if isinstance(model.weights_, dict) else {"weights": model.weights_}
    members = enumerate(getattr(model, "estimators_", []))
    return named | {f"{number} {name}": w for number, member in members for name, w in weights_of(member).items()}


def assert_same_everywhere(models):
    first, *others = map(weights_of, models)
    for other in others:
        assert all(np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
@fits(*EQUAL)
def test_the_model_is_that_of_one_process(of_processes, name):
    assert_same_everywhere(of_processes)
    one = one_process(name)
    expected, weights = weights_of(one), weights_of(of_processes[0])
    assert expected.keys() == weights.keys()
    for key in expected:
        np.testing.assert_allclose(weights[key], expected[key], atol=1e-5, err_msg=key)
    for model in of_processes:
        for curve in ("loss_curve_", "validation_scores_"):
            np.testing.assert_allclose(getattr(model, curve, None) or [], getattr(one, curve, None) or [], rtol=1e-5)
        for number in ("n_iter_", "best_iter_", "n_updates_", "l2_regularization_"):
            assert getattr(model, number, None) == getattr(one, number, None)


@fits("searched")
def test_a_search_has_the_scores_of_one_process(of_processes):
    expected = group_fits.searched()
    assert np.isnan(expected).tolist() == [True, False]
    for scores in of_processes:
        np.testing.assert_allclose(scores, expected, rtol=1e-6)


@fits("not_corrected")
def test_processes_do_not_drift_apart(of_processes):
    models, n_broadcasts = zip(*of_processes, strict=True)
    assert set(n_broadcasts) == {2}  # of the weights that the fit begins with, and of those that it ends with
    assert_same_everywhere(models)


@fits("without_seed")
def test_without_a_seed_all_take_that_of_the_first_process(of_processes):
    assert_same_everywhere(of_processes)
    assert len({model._seed for model in of_processes}) == 1


@fits("printed")
def test_the_first_process_alone_prints(of_processes):
    first, *others = of_processes
    assert first.count("epoch") == 3
    assert first.count("[BlendRecommender] fit") == 1
    assert not any(others)


@fits("stopped")
def test_the_first_process_calls_the_callbacks_and_all_stop(of_processes):
    pytest.importorskip("sklearn.callback")
    models, (calls, *others) = zip(*of_processes, strict=True)
    assert calls == ["fit", "fit", "epoch", "epoch", "fit"]  # of EASE, popularity and Mult-VAE
    assert not any(others)
    assert {model.n_iter_ for model in models} == {2}
    assert_same_everywhere(models)


SENTENCES = {
    "other_users": r"X is '220 users x 60 items, .*' in process 0 and '200 users .*' in process 1\. Give each of them",
    "other_parameter": r"do not fit the same: learning_rate is 0\.001 in process 0 and 0\.002 in process 1\. Give",
    "other_model": r"call is 'EASERecommender\.fit' in process 0 and 'MultVAERecommender\.fit' in process 1\.",
    "other_call": r"call is 'MultVAERecommender\.fit' in process 0 and 'MultVAERecommender\.partial_fit' in process 1",
    "other_weights": r"do not fit the same: model to go on from is .* in process 0 and .* in process 1\. Give",
    "other_users_of_popularity": r"X is '220 users x 60 items, .*' in process 0 and '200 users .*' in process 1\. Give",
    "other_weights_of_a_blend": r"weights is \[1, 1\] in process 0 and \[1, 2\] in process 1\. Give",
    "checkpoint_of_a_blend": r"checkpoint='blend\.npz' is of one process, and 2 fit this blend together: leave",
    "diverged": r"training diverged at learning_rate=1e\+30\. Lower",
}


@fits(*SENTENCES)
def test_what_is_wrong_in_all_processes_is_said_by_all(of_processes, name):
    for error in of_processes:
        with pytest.raises(ValueError, match=SENTENCES[name]):
            raise error


ERRORS = {
    "negative_in_last": "ValueError: Negative values in data passed to X",
    "negative_in_last_of_ease": "ValueError: Negative values in data passed to X",
    "failing_update": "MemoryError: no memory left",
    "failing_without_words": "Wordless",
}


@fits(*ERRORS)
def test_what_is_wrong_in_one_process_ends_all(of_processes, name):
    *others, last = of_processes
    assert "".join(traceback.format_exception_only(last)).removeprefix("group_fits.").startswith(ERRORS[name])
    for error in others:
        with pytest.raises(
            RuntimeError, match=rf"^Process [12] of the [23] that fit together failed, .*{ERRORS[name]}"
        ):
            raise error


@fits("member_of_another_library")
def test_what_a_foreign_member_raises_in_one_process_ends_all_before_the_next_fit(of_processes):
    (first, model), (second, _) = of_processes
    assert isinstance(second, MemoryError)
    assert str(first).endswith("which ends all: MemoryError: own failed")
    assert_same_everywhere([model for _, model in of_processes])
    assert model.n_features_in_ == 60


@fits("piece_with_nan")
def test_a_piece_with_a_nan_is_the_same_in_all_processes(of_processes):
    assert_same_everywhere(of_processes)


@fits("interrupted")
def test_a_ctrl_c_in_one_process_ends_all_with_the_same_model(of_processes):
    models, messages = zip(*of_processes, strict=True)
    assert_same_everywhere(models)
    assert set(messages) == {"after 1 epochs; MultDAERecommender is fitted, with the weights reached."}
    assert {model.n_updates_ for model in models} == {6}


@fits("interrupted_at_each_call")
def test_a_ctrl_c_in_one_process_is_one_in_all_whenever_it_comes(of_processes):
    """No process waits for another that has left; at the last call of all the fit is finished."""
    for name, (*errors, at_last_call) in of_processes[0].items():
        assert len(errors) > 2, name
        assert errors == [["KeyboardInterrupt"] * 2] * len(errors), name
        assert at_last_call == ["NoneType", "KeyboardInterrupt"], name


@fits("ended_and_continued", "continued_by_three")
def test_a_fit_goes_on_from_the_checkpoint_of_the_first_process(of_processes, outcomes, name):
    expected = outcomes["two"][0]["vae"]
    for model, was_there, is_there in of_processes:
        assert was_there
        assert not is_there
        if name == "ended_and_continued":
            assert same_weights(model, expected)
            assert model.loss_curve_ == expected.loss_curve_
        for key, weights in model.weights_.items():
            np.testing.assert_allclose(weights, expected.weights_[key], atol=1e-5)
        np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-5)


def test_a_process_that_dies_ends_the_other(outcomes):
    (first,) = outcomes["killed"]
    with pytest.raises(RuntimeError, match=r"Process 0 of the 2 .* lost another one, which ended or did not answer"):
        raise first["killed"]


def test_a_group_of_one_process_is_none(outcomes):
    assert group_fits.group() == "alone"
    assert outcomes["one"] == [{"group": "alone"}]


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun there needs a store that torch is built without")
def test_the_example_trains_one_model_in_two_processes(tmp_path):
    script = str(ROOT / "examples" / "distributed" / "torchrun.py")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    printed = run(*torchrun, script, "--users", "100", folder=tmp_path, CUDA_VISIBLE_DEVICES="")  # may be one for two
    assert printed.count("epoch 10/10") == 1
    # not line by line: two unbuffered processes can print into one
    assert sorted(re.findall("process . of 2: 10 items for each of 5 users", printed)) == [
        f"process {rank} of 2: 10 items for each of 5 users" for rank in range(2)
    ]
    assert skvae.load(tmp_path / "model.skvae").n_iter_ == 10
