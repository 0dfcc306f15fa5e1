"""Files of earlier versions, and of other versions of the libraries, load, answer as they did, and go on training."""

from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.preprocessing import MaxAbsScaler

import skvae
from skvae.datasets import make_interactions
from skvae.saved_state_checks import classes

# vae, dae, recvae, ease and blend on 60 users x 12 items, written by the version before formats had a number 2
FORMAT_1 = Path(__file__).parent / "files" / "format_1"
# written by tests/write_saved_files.py with the newest and with the oldest libraries
OF_SAVE = sorted((Path(__file__).parent / "files" / "save_1").glob("*/*.skvae"))
SCALER_WITH_CLIP = Path(__file__).parent / "files" / "save_1" / "newest" / "scaler.skvae"


def _load(path):
    if path.suffix == ".joblib":
        return joblib.load(path)
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


@pytest.mark.parametrize("path", sorted(FORMAT_1.glob("*.[js]*")), ids=lambda path: path.name)
def test_a_model_of_format_1_answers_as_it_did(path):
    X = make_interactions(n_users=60, n_items=12, density=0.3, random_state=0)
    model = _load(path)
    with np.load(FORMAT_1 / "scores.npz") as scores:
        np.testing.assert_allclose(model.decision_function(X[:5]), scores[path.stem], rtol=1e-5, atol=1e-6)
    assert type(model)(**model.get_params(deep=False))  # with a value for each of today's parameters
    if hasattr(model, "partial_fit"):
        assert model.partial_fit(X).n_iter_ == 3
        assert np.isfinite(model.set_params(max_iter=1).fit(X).score_samples(X)).all()


def _load_of_save(path):
    if path == SCALER_WITH_CLIP and not hasattr(MaxAbsScaler(), "clip"):
        with pytest.raises(ValueError, match=r"MaxAbsScaler has the attribute 'clip', .* 'scikit-learn': '1\.9\.1'"):
            skvae.load(path)
        path = path.parents[1] / "oldest" / path.name
    return skvae.load(path)


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
@pytest.mark.parametrize("path", OF_SAVE, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_a_file_of_skvae_save_answers_as_it_did_with_other_versions_of_the_libraries(path, tmp_path):
    X = make_interactions(n_users=60, n_items=12, density=0.3, random_state=0)
    model = _load_of_save(path)
    with np.load(path.parent / "scores.npz") as scores:
        expected = scores[path.stem]
    if path.stem == "encoder":
        assert [model.user_ids_.dtype, *model.inverse_items(expected)] == [np.int64, "jam", "tea"]
    else:
        np.testing.assert_allclose(model.decision_function(X[:5]), expected, rtol=1e-5, atol=1e-6)
    skvae.save(model, tmp_path / "again.skvae")
    assert repr(skvae.load(tmp_path / "again.skvae")) == repr(model)
    if hasattr(model, "partial_fit") and path.stem != "encoder":
        assert np.isfinite(model.partial_fit(X).decision_function(X)).all()


def test_a_file_of_skvae_save_is_there_of_each_class_that_it_takes():
    assert {path.parent.name for path in OF_SAVE} == {"newest", "oldest"}
    for environment in ("newest", "oldest"):
        models = [_load_of_save(path) for path in OF_SAVE if path.parent.name == environment]
        steps = [step for model in models for _, step in getattr(model, "steps", [])]
        assert {type(part).__name__ for part in (*models, *steps)} >= {cls.__name__ for cls in classes()}


def test_a_file_of_a_later_format_says_so():
    model = skvae.MultDAERecommender(2, max_iter=1).fit(np.ones((3, 4)))
    state = model.__getstate__()
    with pytest.raises(ValueError, match="saved in format 99, this version of skvae reads up to 2: upgrade skvae"):
        skvae.MultDAERecommender().__setstate__(state | {"_skvae_format": 99})


def test_old_names_of_modules_hold_the_same_classes():
    from skvae.baselines import EASERecommender, PopularityRecommender
    from skvae.ensemble import BlendRecommender
    from skvae.model_selection import count_interactions
    from skvae.plotting import ActivityDisplay
    from skvae.ranking import row_sliceable

    assert (EASERecommender, PopularityRecommender) == (skvae.EASERecommender, skvae.PopularityRecommender)
    assert (BlendRecommender, ActivityDisplay) == (skvae.BlendRecommender, skvae.ActivityDisplay)
    assert all(map(callable, (count_interactions, row_sliceable)))
