"""The laws of the splits: what is hidden of a user, and which users are for testing."""

import datetime
import decimal
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import CONTAINERS, SPARSE, dense, left_alone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.model_selection import ShuffleSplit, cross_validate

import skvae
from skvae import (
    PopularityRecommender,
    UserKFold,
    UserShuffleSplit,
    fold_in_split,
    strong_generalization_split,
    user_hashes,
    validation_users,
)
from skvae import ndcg_scorer as scorer
from skvae.datasets import make_interactions
from skvae.model_selection import count_interactions, eligible_users
from skvae.validation_users import hold_out_users, validation_folds

matrices = arrays(
    np.float64, st.tuples(st.integers(1, 7), st.integers(1, 30)), elements=st.sampled_from([0.0, 1.0, 1.0, 2.5])
)
seeds = st.integers(0, 2**32)
X = make_interactions(40, 25, density=0.3, random_state=0).toarray().astype(np.float64)
X[X > 0] = np.random.default_rng(0).integers(1, 6, np.count_nonzero(X))
X[::7, 3:] = 0  # users below five interactions
LIGHT = np.count_nonzero(X, axis=1) < 5
TIMES = np.random.default_rng(1).integers(1, 90, X.shape)


def hidden_items(matrix, **kwargs):
    return dense(fold_in_split(matrix, **kwargs)[1]) != 0


@settings(max_examples=100, deadline=None)
@given(matrix=matrices, seed=seeds, fraction=st.sampled_from([0.2, 0.3, 0.5, 0.99]), least=st.integers(1, 8))
@pytest.mark.parametrize("container", [np.array, sp.csr_array])
def test_fold_in_and_held_out_are_disjoint_and_add_up_to_X(container, matrix, seed, fraction, least):
    fold_in, held_out = fold_in_split(
        container(matrix), held_out_fraction=fraction, min_interactions=least, random_state=seed
    )
    np.testing.assert_array_equal(dense(fold_in) + dense(held_out), matrix)
    assert not (dense(fold_in) * dense(held_out)).any()
    for row, hidden in zip(matrix, dense(held_out), strict=True):
        n = np.count_nonzero(row)
        assert np.count_nonzero(hidden) == (int(fraction * n) if n >= least else 0)


@pytest.mark.parametrize(("n", "n_hidden"), [(0, 0), (1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3)])
def test_a_fifth_is_hidden_and_nothing_of_users_below_five(n, n_hidden):
    assert hidden_items(np.arange(20)[None] < n).sum() == n_hidden


@settings(max_examples=60, deadline=None)
@given(matrix=matrices, seed=seeds, data=st.data())
def test_a_users_split_does_not_depend_on_other_users_order_or_values(matrix, seed, data):
    hidden = hidden_items(matrix, random_state=seed)
    users = data.draw(st.lists(st.integers(0, len(matrix) - 1), min_size=1))
    np.testing.assert_array_equal(hidden_items(matrix[users], random_state=seed), hidden[users])
    np.testing.assert_array_equal(hidden_items(np.sign(matrix) * 7, random_state=seed), hidden)
    np.testing.assert_array_equal(hidden_items(matrix != 0, random_state=seed), hidden)
    # nor on items that come after the last one
    wider = np.pad(matrix, ((0, 0), (0, 3)))
    np.testing.assert_array_equal(hidden_items(wider, random_state=seed)[:, : matrix.shape[1]], hidden)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_splits_alike_and_is_left_alone(container):
    expected_fold_in, expected_held_out = (dense(part) for part in fold_in_split(X))
    matrix = CONTAINERS[container](X)
    with left_alone(matrix):
        fold_in, held_out = fold_in_split(matrix)
    np.testing.assert_array_equal(dense(fold_in), expected_fold_in)
    np.testing.assert_array_equal(dense(held_out), expected_held_out)
    # nor can a change of the parts reach X
    for part in (fold_in, held_out):
        if sp.issparse(part):
            part.data[:] = 99
    np.testing.assert_array_equal(dense(matrix), X)


@pytest.mark.parametrize("container", SPARSE)
@pytest.mark.parametrize("dtype", [np.float32, np.int8, bool])
def test_both_parts_keep_class_and_dtype_and_store_no_zero(container, dtype):
    matrix = SPARSE[container](X).astype(dtype)
    for part in fold_in_split(matrix):
        assert type(part) is type(matrix)
        assert part.dtype == dtype
        assert part.nnz == part.count_nonzero()


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_a_dense_fold_in_keeps_its_dtype(dtype):
    fold_in, held_out = fold_in_split(X.astype(dtype))
    assert type(fold_in) is np.ndarray
    assert isinstance(held_out, sp.csr_array)
    assert fold_in.dtype == held_out.dtype == dtype


ITEM_NAMES, USER_NAMES = [f"item {i}" for i in range(25)], [f"user {u}" for u in range(40)]
FRAMES = {
    "named": pd.DataFrame(X.copy(), columns=ITEM_NAMES, index=USER_NAMES),
    "named axes": pd.DataFrame(
        X.copy(), columns=pd.Index(ITEM_NAMES, name="item"), index=pd.Index(USER_NAMES, name="user")
    ),
    "int columns": pd.DataFrame(X.copy(), columns=range(100, 125), index=range(40, 0, -1)),
    "number dtypes": pd.DataFrame(X.copy(), columns=ITEM_NAMES).astype({"item 0": np.int8, "item 7": np.float32}),
    "bool": pd.DataFrame(X.copy()).astype(bool),
    "bool and numbers": pd.DataFrame(X.copy(), columns=ITEM_NAMES).astype({"item 0": bool}),
    "nullable integers": pd.DataFrame(X.copy()).astype("Int64"),
    "sparse": pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(X)),
    "names that repeat": pd.DataFrame(X.copy(), columns=["twice", "twice", *ITEM_NAMES[2:]]),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_data_frame_keeps_names_index_and_dtypes(frame):
    frame = FRAMES[frame]
    before = frame.copy()
    fold_in, held_out = fold_in_split(frame)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_index_equal(fold_in.columns, frame.columns)
    pd.testing.assert_index_equal(fold_in.index, frame.index)
    assert fold_in.dtypes.tolist() == frame.dtypes.tolist()
    hidden = dense(held_out) != 0
    np.testing.assert_array_equal(hidden, hidden_items(X))
    np.testing.assert_array_equal(fold_in.to_numpy(float), np.where(hidden, 0, frame.to_numpy(float)))


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    np.testing.assert_array_equal(hidden_items(X, random_state=1), hidden_items(X, random_state=1))
    assert (hidden_items(X, random_state=0) != hidden_items(X, random_state=1)).any()


def test_over_seeds_each_item_of_a_user_is_hidden_equally_often():
    user = np.ones((1, 20))
    times = sum(hidden_items(user, random_state=seed)[0].astype(int) for seed in range(1000))
    # binomial(1000, 0.2): mean 200, standard deviation 12.6
    assert times.sum() == 4000
    np.testing.assert_allclose(times, 200, atol=5 * 12.6)


def test_over_users_each_item_is_hidden_for_a_fifth_of_those_who_have_it():
    users = np.argsort(np.random.default_rng(0).random((2000, 40)), axis=1) < 20
    shares = hidden_items(users).sum(axis=0) / users.sum(axis=0)
    # about 1000 users have an item: standard deviation 0.0126
    np.testing.assert_allclose(shares, 0.2, atol=5 * 0.0126)


@pytest.mark.parametrize(
    ("kwargs", "error", "sentence"),
    [
        ({"held_out_fraction": 0.0}, ValueError, "held_out_fraction == 0.0, must be > 0"),
        ({"held_out_fraction": 1.0}, ValueError, "held_out_fraction == 1.0, must be < 1"),
        ({"held_out_fraction": float("nan")}, ValueError, "held_out_fraction must be finite, got nan"),
        ({"held_out_fraction": "half"}, TypeError, "held_out_fraction must be an instance of"),
        ({"min_interactions": 0}, ValueError, "min_interactions == 0, must be >= 1"),
        ({"min_interactions": 2.5}, TypeError, "min_interactions must be an instance of"),
        ({"random_state": -1}, ValueError, "random_state == -1, must be >= 0"),
        ({"random_state": None}, TypeError, "random_state must be an instance of .*, not NoneType"),
    ],
)
def test_a_bad_argument_of_fold_in_split_raises_with_its_sentence(kwargs, error, sentence):
    with pytest.raises(error, match=sentence):
        fold_in_split(X, **kwargs)


times = st.sampled_from([np.float64, np.int64])


@settings(max_examples=100, deadline=None)
@given(matrix=matrices, seed=seeds, dtype=times, data=st.data())
def test_with_timestamps_each_users_last_items_are_held_out_as_many_as_without(matrix, seed, dtype, data):
    stamps = data.draw(arrays(dtype, matrix.shape, elements=st.integers(-3, 3)))
    fold_in, held_out = fold_in_split(matrix, random_state=seed, timestamps=stamps)
    np.testing.assert_array_equal(fold_in + dense(held_out), matrix)
    for row, hidden, shown, when in zip(matrix, dense(held_out), fold_in, stamps, strict=True):
        assert np.count_nonzero(hidden) == (int(0.2 * np.count_nonzero(row)) if np.count_nonzero(row) >= 5 else 0)
        assert not hidden.any() or when[hidden > 0].min() >= when[shown > 0].max()
    stored = sp.csr_array(sp.coo_array((stamps[matrix > 0], np.nonzero(matrix)), shape=matrix.shape))  # zeros too
    np.testing.assert_array_equal(hidden_items(matrix, random_state=seed, timestamps=stored), dense(held_out) > 0)
    users = data.draw(st.permutations(range(len(matrix))))
    np.testing.assert_array_equal(
        hidden_items(matrix[users], random_state=seed, timestamps=stamps[users]), dense(held_out)[users] > 0
    )


@settings(max_examples=30, deadline=None)
@given(matrix=matrices, seed=seeds, time=st.sampled_from([0, 7, -1.5]))
def test_with_equal_timestamps_the_draw_is_that_without(matrix, seed, time):
    np.testing.assert_array_equal(
        hidden_items(matrix, random_state=seed, timestamps=np.full(matrix.shape, time)),
        hidden_items(matrix, random_state=seed),
    )


def test_integer_timestamps_are_compared_exactly():
    stamps = 2**62 + np.arange(5)[None]  # all the same in float64
    for order in ([4, 0, 1, 2, 3], [0, 1, 4, 2, 3], [0, 1, 2, 3, 4]):
        held_out = hidden_items(np.ones((1, 5)), timestamps=stamps[:, order])
        assert held_out[0].tolist() == [place == 4 for place in order]


@pytest.mark.parametrize(
    ("timestamps", "sentence"),
    [
        (np.ones((40, 24)), r"timestamps has shape \(40, 24\), X has \(40, 25\)"),
        (np.full((40, 25), np.nan), "timestamps must be finite"),
        (sp.csr_array((40, 25)), "does not store exactly one value for [0-9]+ of the [0-9]+ interactions"),
    ],
)
def test_timestamps_that_do_not_fit_X_raise(timestamps, sentence):
    with pytest.raises(ValueError, match=sentence):
        fold_in_split(X, timestamps=timestamps)


@settings(max_examples=50, deadline=None)
@given(matrix=matrices, least=st.integers(1, 10))
def test_interactions_are_counted_and_eligible_users_have_enough(matrix, least):
    counts = [sum(value != 0 for value in row) for row in matrix]
    assert count_interactions(matrix).tolist() == counts
    assert count_interactions(sp.coo_array(matrix)).tolist() == counts
    enough = [user for user, count in enumerate(counts) if count >= least]
    if enough:
        assert eligible_users(matrix, least).tolist() == enough
    else:
        with pytest.raises(ValueError, match=f"No user of X has min_interactions={least} interactions or more"):
            eligible_users(matrix, least)


def test_where_most_users_have_too_few_items_to_be_tested_splitters_say_what_to_pass():
    baskets = sp.csr_array(np.tri(4, 30)[[2] * 60 + [3] * 2])  # of three items, and of four
    heavy = sp.vstack([baskets, sp.csr_array(np.ones((20, 30)))], format="csr")
    remedy = "give splitters min_interactions=2, and evaluate and RankingScorer held_out_fraction=1"
    next(UserKFold(2, min_interactions=2).split(heavy))
    for splitter in (UserKFold(2), UserShuffleSplit(2)):
        with pytest.raises(ValueError, match=f"the most that a user has is 4.* {remedy}"):
            next(splitter.split(baskets))
        with pytest.warns(UserWarning, match=f"Only 20 of 82 users of X with two interactions or more .* {remedy}"):
            next(splitter.split(heavy))
    with pytest.warns(UserWarning, match="Only 20 of 82 users"):
        skvae.strong_generalization_split(heavy)
    hiding = {"held_out_fraction": 1, "min_interactions": 2}
    scored = skvae.evaluate(PopularityRecommender().fit(baskets), baskets, **hiding).per_user
    assert np.isfinite(scored["ndcg@100"]).sum() == 62
    with pytest.raises(ValueError, match=f"the most that a user of X has is 4.* {remedy}"):
        skvae.evaluate(PopularityRecommender().fit(baskets), baskets)
    # more than by default was asked for on purpose: the remedy would be another protocol
    next(UserKFold(2, min_interactions=6).split(heavy))
    for call in (
        lambda: next(UserKFold(2, min_interactions=31).split(heavy)),
        lambda: skvae.evaluate(PopularityRecommender().fit(heavy), heavy, min_interactions=31),
    ):
        with pytest.raises(ValueError, match=r"is 30\.$"):
            call()


SPLITTERS = {
    "kfold": UserKFold(4),
    "kfold in order": UserKFold(4, shuffle=False),
    "shuffle split": UserShuffleSplit(5),
    "shuffle split with a train size": UserShuffleSplit(5, test_size=0.3, train_size=10),
}
every_splitter = pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS)


@every_splitter
def test_no_user_is_in_train_and_test_and_light_users_are_always_in_train(splitter):
    n_splits = 0
    for train, test in splitter.split(X):
        n_splits += 1
        assert not set(train) & set(test)
        assert len(set(train)) == len(train)
        assert len(set(test)) == len(test) > 0
        assert set(np.flatnonzero(LIGHT)) <= set(train)
        assert not LIGHT[test].any()
    assert n_splits == splitter.get_n_splits(X) == splitter.get_n_splits()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("n_splits", [2, 3, 7, 34])
def test_test_folds_partition_the_eligible_users_evenly(n_splits, shuffle):
    folds = list(UserKFold(n_splits, shuffle=shuffle).split(X))
    assert sorted(user for _, test in folds for user in test) == np.flatnonzero(~LIGHT).tolist()
    assert max(len(test) for _, test in folds) - min(len(test) for _, test in folds) <= 1
    assert all(len(train) + len(test) == 40 for train, test in folds)


def test_folds_follow_the_order_of_users_without_shuffle_and_the_seed_with_it():
    in_order = np.concatenate([test for _, test in UserKFold(3, shuffle=False).split(X)])
    assert (np.diff(in_order) > 0).all()
    first, again, other = (next(UserKFold(3, random_state=seed).split(X))[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("sizes", "n_train", "n_test"),
    [
        ({}, 30, 4),
        ({"test_size": 0.3}, 23, 11),
        ({"test_size": 7}, 27, 7),
        ({"train_size": 0.5}, 17, 17),
        ({"test_size": 0.3, "train_size": 10}, 10, 11),
    ],
)
def test_shuffle_split_sizes_count_eligible_users(sizes, n_train, n_test):
    assert (~LIGHT).sum() == 34
    for train, test in UserShuffleSplit(3, **sizes).split(X):
        assert (len(train), len(test)) == (n_train + LIGHT.sum(), n_test)


def test_shuffle_splits_differ_within_a_call():
    tests = [tuple(test) for _, test in UserShuffleSplit(5, test_size=0.5).split(X)]
    assert UserShuffleSplit().get_n_splits() == ShuffleSplit().get_n_splits()
    assert len(set(tests)) == 5


@every_splitter
def test_groups_are_ignored_with_a_warning(splitter):
    with pytest.warns(UserWarning, match=f"groups parameter is ignored by {type(splitter).__name__}"):
        folds = list(splitter.split(X, groups=np.arange(40)))
    np.testing.assert_array_equal(folds[0][1], next(splitter.split(X))[1])


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: UserKFold(1), ValueError, "n_splits == 1, must be >= 2"),
        (lambda: UserKFold(3.0), TypeError, "n_splits must be an instance of .*, not float"),
        (lambda: UserKFold(shuffle="no"), TypeError, "shuffle must be an instance of"),
        (lambda: UserShuffleSplit(n_splits=-3), ValueError, "n_splits == -3, must be >= 1"),
        (lambda: next(UserShuffleSplit(test_size=np.nan).split(X)), ValueError, "test_size and train_size must be num"),
        (lambda: UserKFold(min_interactions=0), ValueError, "min_interactions == 0, must be >= 1"),
        (lambda: UserKFold(random_state=None), TypeError, "random_state must be an instance of .*, not NoneType"),
        (lambda: UserShuffleSplit(min_interactions=1.5), TypeError, "min_interactions must be an instance of"),
        (
            lambda: next(UserKFold(35).split(X)),
            ValueError,
            "n_splits=35 is more than the 34 users of X with at least 5",
        ),
        (lambda: next(UserKFold(min_interactions=99).split(X)), ValueError, "No user of X has min_interactions=99"),
        (lambda: next(UserShuffleSplit(min_interactions=99).split(X)), ValueError, "No user of X has min_interactions"),
        (lambda: next(UserShuffleSplit(test_size=34).split(X)), ValueError, "test_size=34 should be .* samples 34"),
    ],
)
def test_a_bad_argument_of_a_splitter_raises_with_its_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


@every_splitter
@pytest.mark.parametrize("container", ["csr_array", "csr_matrix", "array", "DataFrame"])
def test_splitters_work_in_cross_validate(splitter, container):
    matrix = CONTAINERS[container](X)
    result = cross_validate(PopularityRecommender(), matrix, scoring=scorer, cv=splitter, error_score="raise")
    by_hand = [scorer(PopularityRecommender().fit(X[train]), X[test]) for train, test in splitter.split(X)]
    np.testing.assert_allclose(result["test_score"], by_hand, rtol=1e-12)


# every value is its user's number + 1 and every user has item 24, so that users can be told from the rows
NUMBERED = np.where(X != 0, np.arange(1, 41)[:, None], 0)
NUMBERED[:, 24] = np.arange(1, 41)
NUMBERED_LIGHT = np.count_nonzero(NUMBERED, axis=1) < 5


def users_of(part):
    return (dense(part).max(axis=1) - 1).astype(int).tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("validation_size", "test_size"), [(0.1, 0.1), (5, 0.2), (0.3, 7), (1, 1), (15, 15)])
def test_strong_generalization_split_puts_each_user_into_one_part(seed, validation_size, test_size):
    split = strong_generalization_split(
        NUMBERED, validation_size=validation_size, test_size=test_size, random_state=seed
    )
    train, validation, test, items = split
    users = [users_of(part) for part in (train, validation, test)]
    assert sorted(users[0] + users[1] + users[2]) == list(range(40))
    assert not NUMBERED_LIGHT[users[1] + users[2]].any()
    n_eligible = (~NUMBERED_LIGHT).sum()
    for part, size in ((validation, validation_size), (test, test_size)):
        expected = size if isinstance(size, int) else size * n_eligible
        assert abs(part.shape[0] - expected) < 1
    for part, rows in zip((train, validation, test), users, strict=True):
        np.testing.assert_array_equal(dense(part), NUMBERED[rows][:, items])
    np.testing.assert_array_equal(items, np.flatnonzero(NUMBERED[users[0]].any(axis=0)))


def test_an_item_that_no_training_user_has_is_dropped_also_where_it_is_an_explicit_zero():
    matrix = sum(np.eye(60, k=shift) for shift in range(10))
    every_cell = (matrix.ravel(), np.tile(np.arange(60), 60), np.arange(0, 3601, 60))
    stored = sp.csr_array(every_cell, shape=(60, 60))
    assert stored.nnz == 3600
    for container in (matrix, stored, stored.tocoo()):
        train, *others, items = strong_generalization_split(container, validation_size=20, test_size=20, random_state=0)
        assert len(items) < 60
        assert (dense(train) != 0).any(axis=0).all()
        # a row holds ten items to the diagonal's right: what is dropped belongs to the others
        assert sum(np.count_nonzero(dense(part)) for part in (train, *others)) < np.count_nonzero(matrix)


def test_another_seed_of_strong_generalization_split_gives_other_users():
    splits = [users_of(strong_generalization_split(NUMBERED, random_state=seed).test) for seed in (0, 1)]
    assert splits[0] != splits[1]


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"test_size": 40}, "test_size=40 should be"),
        ({"validation_size": 40}, "validation_size"),
        ({"validation_size": 0.001}, "validation_size"),
        ({"validation_size": 0}, "validation_size"),
        ({"min_interactions": 99}, "No user of X has min_interactions=99"),
    ],
)
def test_a_bad_argument_of_strong_generalization_split_is_named(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        strong_generalization_split(X, **kwargs)


# -- defaults and bounds


@pytest.mark.parametrize(
    ("default", "seeded"),
    [
        (lambda: UserKFold(3).split(X), lambda seed: UserKFold(3, random_state=seed).split(X)),
        (lambda: UserShuffleSplit(3).split(X), lambda seed: UserShuffleSplit(3, random_state=seed).split(X)),
        (lambda: [strong_generalization_split(X)], lambda seed: [strong_generalization_split(X, random_state=seed)]),
        (lambda: [fold_in_split(X)], lambda seed: [fold_in_split(X, random_state=seed)]),
    ],
    ids=["UserKFold", "UserShuffleSplit", "strong_generalization_split", "fold_in_split"],
)
def test_the_default_seed_is_0(default, seeded):
    def parts(splits):
        return [dense(part) for split in splits for part in split]

    def same(ones, others):
        return all(a.shape == b.shape and (a == b).all() for a, b in zip(ones, others, strict=True))

    expected = parts(default())
    assert same(parts(seeded(0)), expected)
    assert not any(same(parts(seeded(seed)), expected) for seed in (1, 2, 3))


def test_the_largest_seed_of_a_split_is_that_of_64_bits():
    hidden = [hidden_items(X, random_state=seed) for seed in (2**64 - 1, 2**63, 0)]
    assert (hidden[0] != hidden[1]).any()
    assert (hidden[0] != hidden[2]).any()
    with pytest.raises(ValueError, match=f"random_state == {2**64}, must be <= {2**64 - 1}"):
        fold_in_split(X, random_state=2**64)


def test_the_largest_seed_of_a_splitter_is_that_of_numpys_generator():
    next(UserKFold(random_state=2**32 - 1).split(X))
    with pytest.raises(ValueError, match=f"random_state == {2**32}, must be <= {2**32 - 1}"):
        UserKFold(random_state=2**32)


def test_validation_users_are_of_those_that_the_test_users_left():
    # of the 34 users with enough interactions
    split = strong_generalization_split(X, test_size=30, validation_size=3)
    assert (split.validation.shape[0], split.test.shape[0], split.train.shape[0]) == (3, 30, 40 - 33)
    for size in (4, 5, 34, 0.12):
        with pytest.raises(ValueError, match=f"validation_size={size} should be .* of the 4 users that have enough"):
            strong_generalization_split(X, test_size=30, validation_size=size)
    # a share is of all of them
    assert strong_generalization_split(X, test_size=0.5, validation_size=0.25).validation.shape[0] == round(0.25 * 34)


@pytest.mark.parametrize("size", [float("nan"), float("inf"), -1, -0.5, 1.0, "half", None])
def test_a_size_that_is_none_is_named(size):
    with pytest.raises((ValueError, TypeError), match=r"^test_size(=| must be)"):
        strong_generalization_split(X, test_size=size)


def test_the_most_interactions_are_named_where_no_user_has_enough():
    most = np.count_nonzero(X, axis=1).max()
    for call in (lambda: eligible_users(X, 99), lambda: next(UserKFold(min_interactions=99).split(X))):
        with pytest.raises(
            ValueError, match=f"min_interactions=99 interactions or more: the most that a user has is {most}."
        ):
            call()


def test_times_of_an_entry_that_is_stored_twice_are_not_summed():
    stamps = sp.coo_array(sp.csr_array(X))
    twice = sp.coo_array(
        (np.append(stamps.data, 5), (np.append(stamps.row, stamps.row[0]), np.append(stamps.col, stamps.col[0]))),
        shape=X.shape,
    )
    with pytest.raises(ValueError, match="does not store exactly one value for 1 of the"):
        fold_in_split(X, timestamps=twice)
    fold_in_split(X, timestamps=sp.csr_array((X != 0) * 1.0))


@pytest.mark.parametrize(
    "stamps", [np.full(X.shape, "2024-01-01"), np.full(X.shape, 1j, object), pd.DataFrame(np.full(X.shape, "x"))]
)
def test_times_that_are_no_numbers_or_datetimes_raise(stamps):
    with pytest.raises(ValueError, match="timestamps must hold numbers or datetimes, got the dtype"):
        fold_in_split(X, timestamps=stamps)


@pytest.mark.parametrize("dtype", ["M8[s]", ">f8", "f2", "u4", "g"])
def test_times_of_any_dtype_order_alike(dtype):
    stamps = np.arange(1000).reshape(40, 25) % 61
    expected = hidden_items(X, timestamps=stamps)
    np.testing.assert_array_equal(hidden_items(X, timestamps=stamps.astype(dtype)), expected)


# -- a number of items, and a moment


@pytest.mark.parametrize("timestamps", [None, TIMES], ids=["drawn", "last"])
@pytest.mark.parametrize("n", [1, np.int64(3)], ids=["1", "3"])
def test_a_number_of_items_is_hidden_of_all_who_keep_one(n, timestamps):
    counts = (X != 0).sum(axis=1)
    hidden = hidden_items(X, held_out_fraction=n, min_interactions=1, timestamps=timestamps)
    np.testing.assert_array_equal(hidden.sum(axis=1), np.where(counts > n, n, 0))


def test_a_moment_parts_what_came_before_from_the_rest_of_all_users():
    moment = np.median(TIMES[X != 0])
    for matrix, times in [(X, TIMES), (sp.csr_array(X), sp.csr_array(np.where(X != 0, TIMES, 0)))]:
        before, after = (dense(part) for part in fold_in_split(matrix, timestamps=times, at=moment))
        np.testing.assert_array_equal(before != 0, (X != 0) & (moment > TIMES))
        np.testing.assert_array_equal(before + after, X)


DAYS = np.datetime64("2018-01-01", "us") + TIMES.astype("timedelta64[D]")
PARIS = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize("unit", [np.int64, "datetime64[us]", "datetime64[s]"], ids=["int64", "us", "s"])
@pytest.mark.parametrize(
    "at",
    [
        "2018-02-01",
        datetime.date(2018, 2, 1),
        pd.Timestamp("2018-02-01"),
        np.datetime64("2018-02-01"),
        datetime.datetime(2018, 2, 1, 2, tzinfo=PARIS),
    ],
    ids=lambda at: type(at).__name__,
)
def test_a_date_is_a_moment_in_utc(at, unit):
    held_out = dense(fold_in_split(X, timestamps=DAYS.astype(unit), at=at)[1])
    np.testing.assert_array_equal(held_out != 0, (X != 0) & (np.datetime64("2018-02-01") <= DAYS))


def test_a_moment_of_nanoseconds_is_compared_with_times_of_nanoseconds_as_it_is():
    nanoseconds = 1_600_000_000_000_000_000 + np.array([[0, 1200, 1400, 1600, 1800, 5000]])
    at = np.datetime64(int(nanoseconds[0, 3]), "ns")
    for times in (nanoseconds.astype("datetime64[ns]"), pd.DataFrame(nanoseconds.astype("datetime64[ns]"))):
        for moment in (at, pd.Timestamp(at), at - np.timedelta64(100, "ns")):
            held_out = fold_in_split(np.ones((1, 6)), timestamps=times, at=moment)[1]
            assert held_out.toarray().tolist() == [[0, 0, 0, 1, 1, 1]]


def test_a_moment_of_nanoseconds_is_cut_as_the_times_of_an_encoder_are():
    at = pd.Timestamp("2018-01-01") + pd.Timedelta(1001, "ns")
    table = pd.DataFrame({"user": ["ann"] * 3, "item": [*"abc"], "time": [pd.Timestamp("2017-12-31"), at, at]})
    encoder = skvae.InteractionEncoder(timestamp="time")
    X = encoder.fit_transform(table)
    held_out = fold_in_split(X, timestamps=encoder.timestamps(table), at=at)[1]
    assert held_out.toarray().tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("unit", ["us", "s", "D", "M"])
def test_a_moment_of_any_unit_parts_times_of_any_other(unit):
    times = np.array([["2018-01-01", "2018-03-01", "9999-12-31"]], f"datetime64[{unit}]")
    for at in ("2018-03-01", np.datetime64("2018-03-01", "ns"), np.datetime64("2018-02-02T00:00:00.000000001")):
        assert fold_in_split(np.ones((1, 3)), timestamps=times, at=at)[1].toarray().tolist() == [[0, 1, 1]]
    with pytest.raises(ValueError, match="is not between the first and the last of the timestamps"):
        fold_in_split(np.ones((1, 2)), timestamps=times[:, :2].astype("datetime64[ns]"), at="9999-01-01")


def test_few_users_around_a_moment_are_warned_of_where_nobody_asked_for_so_few():
    moment = np.quantile(TIMES[X != 0], 0.7)
    with pytest.warns(
        UserWarning, match=r"users are tested and \d+ validated: only \d+ have interactions before and after"
    ):
        strong_generalization_split(X, timestamps=TIMES, at=moment, validation_size=0.3)
    strong_generalization_split(X, timestamps=TIMES, at=moment, validation_size=2, test_size=2)


def test_a_split_at_a_moment_trains_on_nothing_of_later_or_of_test_users():
    moment = np.quantile(TIMES[X != 0], 0.7)
    sizes = {"validation_size": 8, "test_size": 8}
    train, validation, test, items = strong_generalization_split(X, timestamps=TIMES, at=moment, **sizes)
    early, late = np.where(moment > TIMES, X, 0), np.where(moment > TIMES, 0, X)
    assert train.shape == (len(X) - 16, len(items))
    users = []
    for fold_in, held_out in (validation, test):
        assert (np.diff(fold_in.indptr) > 0).all()
        for row, hidden in zip(dense(fold_in), dense(held_out), strict=True):
            users.append(next(u for u in range(len(X)) if (early[u, items] == row).all()))
            np.testing.assert_array_equal(late[users[-1], items], hidden)
    np.testing.assert_array_equal(dense(train), np.delete(early, users, axis=0)[:, items])
    assert (dense(train) != 0).any(axis=0).all()


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"at": 5}, ValueError, "pass timestamps too"),
        ({"timestamps": TIMES, "at": -1}, ValueError, "not between the first and the last"),
        ({"timestamps": TIMES, "at": float("nan")}, ValueError, "at=nan is no moment"),
        ({"timestamps": TIMES, "at": "2018-01-01"}, ValueError, "as microseconds since 1970"),
        (
            {"timestamps": DAYS.astype(np.int64), "at": "2030-01-01"},
            ValueError,
            r"\d+ \(2018-01-\d\dT00:00:00\) and \d+",
        ),
        ({"timestamps": DAYS, "at": "today"}, ValueError, "at='today' is no date: write it as in"),
        ({"timestamps": DAYS, "at": ""}, ValueError, "at='' is no date: write it as in"),
        ({"timestamps": DAYS, "at": "15.02.2018"}, ValueError, "at='15.02.2018' is no date: write it as in"),
        ({"timestamps": TIMES, "at": [3]}, TypeError, "at must be a number"),
        ({"timestamps": TIMES, "at": True}, TypeError, "at must be a number"),
        ({"timestamps": DAYS, "at": 5}, TypeError, "at=5 cannot be compared with timestamps of datetime64"),
        ({"timestamps": DAYS - DAYS.min(), "at": "2018-01-01"}, TypeError, "with timestamps of timedelta64"),
    ],
    ids=[
        "no times",
        "before all",
        "nan",
        "another unit",
        "after all",
        "another day tomorrow",
        "nothing",
        "no date",
        "list",
        "bool",
        "number",
        "durations",
    ],
)
def test_a_moment_that_cuts_nothing_raises(kwargs, error, message):
    for split in (fold_in_split, strong_generalization_split):
        with pytest.raises(error, match=message):
            split(X, **kwargs)


def test_timestamps_without_a_moment_split_no_users():
    with pytest.raises(ValueError, match="fold_in_split hides each user's last"):
        strong_generalization_split(X, timestamps=TIMES)


def test_a_fit_validates_on_a_fraction_of_the_users_and_on_so_many_at_the_most(monkeypatch):
    trained, validated = hold_out_users(X, 0.5, required=True)
    assert len(validated) == (~LIGHT).sum() // 2
    np.testing.assert_array_equal(np.sort(np.concatenate([trained, validated])), np.arange(40))
    monkeypatch.setattr(validation_users, "MAX_VALIDATION_USERS", 7)
    others, fewer = hold_out_users(X, 0.5, required=True)
    assert len(fewer) == 7
    assert set(fewer) < set(validated)
    assert set(trained) < set(others)


def test_a_moment_in_words_may_have_a_zone():
    X = make_interactions(n_users=60, n_items=20, random_state=0)
    times = X.copy()
    minutes = np.random.default_rng(0).integers(0, 240, X.nnz)
    times.data = np.datetime64("2026-02-19T20:00", "us").astype(np.int64) + 60_000_000 * minutes
    splits = [
        strong_generalization_split(X, validation_size=6, test_size=6, timestamps=times, at=at)
        for at in ("2026-02-20T00:00+02:00", "2026-02-19T22:00", np.datetime64("2026-02-19T22:00"))
    ]
    assert 0 < splits[0].train.nnz < X.nnz
    for split in splits[1:]:
        assert (split.train != splits[0].train).nnz == 0


def test_a_split_shows_its_shapes():
    split = strong_generalization_split(make_interactions(n_users=100, n_items=50, random_state=0))
    assert repr(split) == "UserSplit of shapes train: (80, 50), validation: (10, 50), test: (10, 50), items: (50,)"


def test_items_of_a_sparse_dataframe_are_hidden_in_the_memory_of_what_is_stored():
    stored = make_interactions(3000, 600, density=0.01, random_state=0)
    frame = pd.DataFrame.sparse.from_spmatrix(stored).rename(columns=lambda i: f"item {i % 599}")  # two of one name
    fold_in, held_out = fold_in_split(stored)
    tracemalloc.start()
    try:
        table, of_table = fold_in_split(frame)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < stored.shape[0] * stored.shape[1] * 4  # one dense matrix
    assert (of_table != held_out).nnz == 0
    assert table.dtypes.equals(frame.dtypes)
    assert table.columns.equals(frame.columns)
    assert (sp.csr_array(table.sparse.to_coo()) != fold_in).nnz == 0


@pytest.mark.parametrize(
    "convert",
    [
        lambda T: T.astype("Int64"),
        lambda T: T.astype("int64[pyarrow]"),
        lambda T: T.to_numpy().astype(object),
        lambda T: T.apply(pd.to_datetime, unit="s", utc=True),
        lambda T: T.apply(pd.to_datetime, unit="s").astype("timestamp[ns][pyarrow]"),
        lambda T: T.apply(lambda column: pd.to_datetime(column, unit="D").dt.date),
        lambda T: T.astype("Int64").mask(dense(X) == 0),
        lambda T: T.apply(pd.to_datetime, unit="s", utc=True).mask(dense(X) == 0),
    ],
    ids=["Int64", "arrow", "objects", "zoned", "dates of arrow", "dates", "missing beside X", "missing dates beside X"],
)
def test_times_of_pandas_other_types_hide_the_same(convert):
    table = pd.DataFrame(np.random.default_rng(0).integers(1, 10**5, X.shape))
    expected = fold_in_split(X, timestamps=table)[1]
    found = fold_in_split(X, timestamps=convert(table))[1]
    np.testing.assert_array_equal(dense(found), dense(expected))


def test_a_missing_time_of_an_interaction_raises():
    table = pd.DataFrame(np.ones(X.shape)).astype("Int64").mask(dense(X) > 0)
    with pytest.raises(ValueError, match="timestamps must be finite for each interaction of X"):
        fold_in_split(X, timestamps=table)


@pytest.mark.parametrize("n", [np.uint8(255), np.int8(127), np.int64(255)])
def test_a_small_integer_as_the_number_of_items_to_hide_does_not_wrap(n):
    ones = np.ones((2, int(n) + 5))
    assert fold_in_split(ones, held_out_fraction=n)[1].sum(axis=1).tolist() == [int(n)] * 2
    assert not fold_in_split(ones[:, : int(n)], held_out_fraction=n)[1].sum()


@pytest.mark.parametrize("at", [float("nan"), np.datetime64("NaT"), pd.NaT, decimal.Decimal("NaN")])
def test_no_moment_is_none_to_cut_at(at):
    X = sp.csr_array(np.ones((3, 6)))
    with pytest.raises(ValueError, match=r"^at=.* is no moment: pass a date, or a number"):
        skvae.fold_in_split(X, timestamps=np.arange(18.0).reshape(3, 6), at=at)


def test_a_signalling_nan_among_timestamps_is_named():
    times = np.full((3, 6), decimal.Decimal(1), object)
    times[1, 2] = decimal.Decimal("sNaN")
    with pytest.raises(ValueError, match="timestamps must be finite"):
        skvae.fold_in_split(np.ones((3, 6)), timestamps=times, at=2)


def test_a_split_in_time_says_whom_it_counts():
    with pytest.raises(ValueError, match="users that have enough interactions, and some before and after at="):
        strong_generalization_split(X, timestamps=TIMES, at=np.quantile(TIMES, 0.7), test_size=30)


def test_sessions_that_all_lie_on_one_side_of_a_moment_are_not_split_there():
    times = sp.csr_array(np.repeat(np.arange(1.0, 21), 6).reshape(20, 6))
    with pytest.raises(ValueError, match="No user with min_interactions=5 has interactions both before and after at=9"):
        strong_generalization_split(sp.csr_array(np.ones((20, 6))), timestamps=times, at=9)


def test_a_duration_is_no_moment_and_nothing_is_cut_where_there_is_nothing():
    times = sp.csr_array(np.arange(1, 13).reshape(3, 4) * 10**6)
    for moment in (np.timedelta64(3, "s"), datetime.timedelta(seconds=3)):
        with pytest.raises(TypeError, match="at must be a number in the unit of timestamps, or a date"):
            fold_in_split(sp.csr_array(np.ones((3, 4))), timestamps=times, at=moment)
    empty = sp.csr_array((3, 4), dtype=np.float32)
    with pytest.raises(ValueError, match="at=3 cuts interactions by time, and X holds none"):
        fold_in_split(empty, timestamps=empty, at=3)


@pytest.mark.parametrize(("scale", "unit"), [(1, "s"), (1000, "ms"), (10**6, None)])
def test_a_date_beside_seconds_says_how_to_make_dates_of_them(scale, unit):
    times = sp.csr_array(np.array([[1.5e9, 1.6e9], [1.7e9, 1.8e9]]) * scale)
    with pytest.raises(ValueError, match="at='1969-01-01' is not between") as raised:
        fold_in_split(sp.csr_array(np.ones((2, 2))), timestamps=times, at="1969-01-01")
    assert ("pd.to_datetime" in str(raised.value)) == (unit is not None)
    assert unit is None or f'unit="{unit}"' in str(raised.value)


@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_copies_of_validation_users_are_not_trained_on(fraction):
    X = make_interactions(n_users=400, n_items=60, density=0.3, random_state=0)
    twice = sp.csr_array(sp.vstack([X, 2 * X[::2]], format="csr"))
    counts = np.diff(twice.indptr)
    for trained, validated in [hold_out_users(twice, fraction), *validation_folds(twice[:450])]:
        items = {tuple(twice[[user]].indices) for user in validated[counts[validated] >= 10]}
        assert items
        assert not items & {tuple(twice[[user]].indices) for user in trained}
    trained, validated = hold_out_users(X, fraction)
    assert len(trained) + len(validated) == 400  # no two have the same
    same = np.repeat([[1, 0]], [59, 1], axis=1).repeat(400, axis=0)  # a set that many have is no copy
    assert len(hold_out_users(same, fraction)[0]) == 400 * (1 - fraction)
    pairs = sp.csr_array(np.vstack([np.kron(np.eye(3), np.ones((1, 12))), np.zeros((9, 36))]))
    trained, validated = hold_out_users(sp.vstack([pairs[:3]] * 2 + [pairs[3:]], format="csr"), 0.99, required=True)
    assert len(set(trained) | set(validated)) == 15  # else only users without items were left


def test_nobody_who_has_every_item_is_validated_on():
    X = make_interactions(n_users=400, n_items=60, density=0.3, random_state=0).toarray()
    X[::2] = 1
    for trained, validated in [hold_out_users(X, 0.3), *validation_folds(X)]:
        assert len(validated)
        assert not (X[validated] == 1).all(axis=1).any()
        assert set(range(0, 400, 2)) <= set(trained)
    assert [len(users) for users in hold_out_users(np.ones((400, 60)), 0.3, required=True)] == [400, 0]
    assert not validation_folds(np.ones((400, 60)))


def test_twins_do_not_choose_what_remembers_best():
    X = make_interactions(n_users=1100, n_items=80, density=0.25, random_state=0)
    twice = sp.vstack([X[:600]] * 2, format="csr")
    model = skvae.LinearRecommender(dropout=0.33, user_exponent=0.3, item_exponent=0).fit(twice)
    assert model.best_validation_score_ < 1.1 * skvae.evaluate(model, X[600:]).mean["ndcg@100"]


@pytest.mark.parametrize("entries_per_block", [1, 7, 10**6])
@pytest.mark.parametrize("seed", [0, 5])
def test_a_hash_is_that_of_a_users_items_whoever_is_beside_them(entries_per_block, seed, monkeypatch):
    X = sp.csr_array(np.random.default_rng(0).random((60, 12)) < 0.3, dtype=np.float32)
    monkeypatch.setattr(skvae.matrix, "ENTRIES_PER_BLOCK", entries_per_block)
    hashes, of_entries = user_hashes.user_hashes(X, seed), user_hashes.entry_hashes(X, seed)
    sets = [tuple(X[[user]].indices) for user in range(60)]
    for user in range(60):
        alone = X[[user]]  # of fewer entries than there are items
        assert user_hashes.user_hashes(alone, seed) == hashes[user]
        of_user = of_entries[X.indptr[user] : X.indptr[user + 1]]
        np.testing.assert_array_equal(user_hashes.entry_hashes(alone, seed), of_user)
        assert (hashes[user] == 0) == (not sets[user])
    assert len(set(hashes.tolist())) == len(set(sets))
    users = np.repeat(np.arange(60), np.diff(X.indptr)).tolist()
    drawn = {(sets[user], item): n for user, item, n in zip(users, X.indices.tolist(), of_entries, strict=True)}
    assert len(set(drawn.values())) == len(drawn)
    others = user_hashes.user_hashes(X, seed + 1)
    assert not np.isin(others[others > 0], hashes).any()


@pytest.mark.parametrize("n_items_of_each", [9, 10])
@pytest.mark.parametrize("n_same", [2, 5, 6])
def test_two_to_five_users_with_the_same_ten_items_are_copies_and_no_others(n_items_of_each, n_same):
    kinds = np.argsort(np.random.default_rng(0).random((40, 60)), axis=1) < n_items_of_each
    X, kind_of = sp.csr_array(np.repeat(kinds, n_same, axis=0), dtype=np.float32), np.repeat(np.arange(40), n_same)
    trained, validated = hold_out_users(X, 0.3, required=True)
    in_both = set(kind_of[trained]) & set(kind_of[validated])
    assert bool(in_both) == (n_items_of_each < 10 or n_same > 5)
    assert set(kind_of[trained]) | set(kind_of[validated]) == set(range(40))


def test_how_many_are_validated_grows_with_the_users_and_is_a_fifth_of_many():
    folds = {n: validation_users.n_validation_folds(n, n) for n in range(1, 7000)}
    assert {n for n in folds if not folds[n]} == set(range(1, 100))
    assert {n for n in folds if folds[n] == 1} == set(range(2000, 7000))  # a fifth of them are 400
    assert {n for n in folds if folds[n] == 5} == set(range(100, 2000))
    assert validation_users.n_validation_folds(5001, 249) == 0  # of a fifth of whom are fewer than fifty
    assert validation_users.n_validation_folds(5001, 250) == 1
    assert validation_users.n_validation_folds(5000, 250) == 5
    assert validation_users.n_validation_folds(5000, 99) == 0
