"""The properties that make_interactions promises, and where load_movielens_small finds its tables."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import ROOT

import skvae.datasets._movielens_small as small
from skvae.datasets import load_movielens_small, make_interactions

SHAPES = [(1, 1, 1), (7, 3, 1), (50, 5, 2), (300, 40, 4), (20, 200, 7)]


@pytest.mark.parametrize(("n_users", "n_items", "n_groups"), SHAPES)
@pytest.mark.parametrize("density", [0.01, 0.3, 1])
def test_interactions_are_canonical_float32_ones_of_the_shape_asked_for(n_users, n_items, n_groups, density):
    X = make_interactions(n_users, n_items, n_groups=n_groups, density=density, random_state=0)
    assert isinstance(X, sp.csr_array)
    assert X.shape == (n_users, n_items)
    assert X.dtype == np.float32
    assert X.has_canonical_format
    assert (X.data == 1).all()


@pytest.mark.parametrize(("n_users", "n_items", "n_groups"), SHAPES)
def test_every_user_has_five_items_where_that_many_exist(n_users, n_items, n_groups):
    X = make_interactions(n_users, n_items, n_groups=n_groups, density=0.01, random_state=0)
    assert np.diff(X.indptr).min() >= min(5, n_items)


@pytest.mark.parametrize(("n_items", "n_groups"), [(3, 4), (1, 2), (20, 50)])
def test_there_may_be_more_groups_than_items_or_it_raises(n_items, n_groups):
    # a group without items: either the parameter is refused by name, or the users have their items
    try:
        X = make_interactions(100, n_items, n_groups=n_groups, random_state=0)
    except ValueError as error:
        assert "n_groups" in str(error)  # noqa: PT017
    else:
        assert np.diff(X.indptr).min() >= min(5, n_items)


@pytest.mark.parametrize("density", [0.1, 0.3, 0.6])
def test_the_density_is_near_what_was_asked_for(density):
    X = make_interactions(2000, 100, density=density, random_state=0)
    # 2000 Poisson counts of mean 100 * density: their mean has a standard error below 0.18 items
    assert X.nnz / 200_000 == pytest.approx(density, abs=0.01)


def test_users_like_one_group_and_its_low_items_more():
    X = make_interactions(500, 200, n_groups=4, density=0.05, random_state=0).toarray()
    by_group = np.stack([X[:, group::4].sum(axis=1) for group in range(4)], axis=1)
    shares = by_group / by_group.sum(axis=1, keepdims=True)
    assert shares.max(axis=1).mean() > 0.7
    assert set(shares.argmax(axis=1)) == {0, 1, 2, 3}
    assert X[:, :100].sum() > 1.5 * X[:, 100:].sum()


def test_the_same_seed_gives_the_same_interactions_and_another_seed_others():
    first, again, instance, other = (
        make_interactions(30, 40, random_state=seed).toarray() for seed in (3, 3, np.random.RandomState(3), 4)
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, instance)
    assert (first != other).any()


def test_numpys_global_random_state_is_left_alone():
    before = np.random.get_state()  # noqa: NPY002
    make_interactions(10, 10, random_state=0)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize(
    ("kwargs", "error", "sentence"),
    [
        ({"n_users": 0}, ValueError, "n_users == 0, must be >= 1"),
        ({"n_items": -1}, ValueError, "n_items == -1, must be >= 1"),
        ({"n_groups": 0}, ValueError, "n_groups == 0, must be >= 1"),
        ({"n_users": 2.5}, TypeError, "n_users must be an instance of .*, not float"),
        ({"density": 0.0}, ValueError, "density == 0.0, must be > 0"),
        ({"density": 1.5}, ValueError, "density == 1.5, must be <= 1"),
        ({"density": float("nan")}, ValueError, "density must be finite, got"),
        ({"density": np.float32("nan")}, ValueError, "density must be finite, got"),
        ({"density": "high"}, TypeError, "density must be an instance of .*, not str"),
        ({"random_state": "seed"}, ValueError, "'seed' cannot be used to seed"),
    ],
)
def test_a_bad_argument_raises_with_its_sentence(kwargs, error, sentence):
    with pytest.raises(error, match=sentence):
        make_interactions(**kwargs)


COPY = Path("examples", "data", "movielens-small")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder outside of any copy of the repository, with the package outside too."""
    monkeypatch.setattr(small, "PACKAGE", tmp_path / "site-packages")
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_small_movielens_is_that_of_the_repository_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    movielens = load_movielens_small()
    ratings = pd.read_csv(ROOT / COPY / "ratings.csv.gz")
    assert movielens.ratings.columns.tolist() == ["user", "item", "rating", "timestamp"]
    assert np.array_equal(movielens.ratings, ratings[["userId", "movieId", "rating", "timestamp"]])
    assert movielens.movies.loc[1].tolist() == ["Toy Story (1995)", 1995, "Adventure|Animation|Children|Comedy|Fantasy"]
    assert movielens.movies.index.name == "item"
    assert set(movielens.ratings["item"]) == set(movielens.movies.index)
    assert "GroupLens" in movielens.DESCR


def test_a_copy_of_the_repository_is_found_from_a_folder_in_it(elsewhere, monkeypatch):
    shutil.copytree(ROOT / COPY, elsewhere / COPY)
    monkeypatch.chdir(elsewhere / "examples" / "data")
    assert len(load_movielens_small().ratings) == 100_004


def test_without_a_copy_the_small_movielens_is_downloaded_with_a_warning(elsewhere):
    (elsewhere / "home" / "skvae").mkdir(parents=True)
    with zipfile.ZipFile(elsewhere / "home" / "skvae" / "ml-latest-small.zip", "w") as archive:
        archive.writestr("ml-latest-small/README.txt", "Terms")
        movies = "movieId,title,genres\n3,Alien (1979),Horror|Sci-Fi\n8,Home,Drama\n"
        archive.writestr("ml-latest-small/movies.csv", movies)
        ratings = "userId,movieId,rating,timestamp\n1,8,4.0,70\n1,3,2.5,60\n2,3,5.0,80\n"
        archive.writestr("ml-latest-small/ratings.csv", ratings)
    with pytest.warns(UserWarning, match="a download of 1 MB: results differ") as record:
        movielens = load_movielens_small()
    assert record[0].filename == __file__
    assert movielens.ratings.values.tolist() == [[1, 3, 2.5, 60], [1, 8, 4, 70], [2, 3, 5, 80]]
    assert movielens.ratings.columns.tolist() == ["user", "item", "rating", "timestamp"]
    assert movielens.movies.loc[3].tolist() == ["Alien (1979)", 1979, "Horror|Sci-Fi"]
    assert movielens.movies["year"].isna().tolist() == [False, True]
    assert movielens.movies.index.name == "item"
    assert "Terms" in movielens.DESCR
