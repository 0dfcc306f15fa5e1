"""One room reads every users x items matrix: any container and dtype gives the same, a bad one the same sentence."""

import os
import re
import statistics
import traceback
import warnings
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import sklearn.utils
import torch
from conftest import SMALL_DAE, int64_csr, read_only
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import skvae
from skvae import (
    EASERecommender,
    MultDAERecommender,
    PopularityRecommender,
    RankingScorer,
    evaluate,
    matrix,
    recommend,
    value_checks,
)
from skvae.columns import check_same_cells
from skvae.core.likelihoods import Multinomial
from skvae.datasets import make_interactions
from skvae.hiding import fold_in_split, hide_items
from skvae.matrix import as_csr, as_float32, count_interactions, count_users, row_sliceable, take_rows
from skvae.matrix_checks import check_no_matrix_as_y
from skvae.metrics import METRICS, diversity_at_k, novelty_at_k, popularity_at_k
from skvae.model_selection import eligible_users
from skvae.scoring import score_users
from skvae.validation_users import hold_out_users
from skvae.value_checks import warn_of_full_users, warn_of_lone_items, warn_of_scale, warn_of_uneven_counts

PACKAGE, VALIDATION = Path(skvae.__file__).parent, Path(sklearn.utils.__file__).parent
NAMES = [f"item {i}" for i in range(25)]
COUNTS = make_interactions(40, 25, density=0.35, random_state=0).toarray().astype(np.int64)
COUNTS[0, :4] = 1
COUNTS[COUNTS > 0] = np.random.default_rng(0).integers(1, 6, np.count_nonzero(COUNTS))
BINARY = (COUNTS > 0).astype(np.float32)
OTHERS = 1 - BINARY  # what nobody has
MODEL = PopularityRecommender().fit(COUNTS)
EASE = EASERecommender(l2_regularization=5, store_user_hashes=False).fit(COUNTS)  # and evaluated on them
ITEMS, _ = MODEL.recommend(COUNTS, k=5)
FOLD_IN, HELD_OUT = skvae.fold_in_split(sp.csr_array(COUNTS))


def with_data(X, dtype):
    """A CSR array whose values are of a dtype that scipy's constructors refuse."""
    X = sp.csr_array(X)
    X.data = X.data.astype(dtype)
    return X


def in_halves(X, dtype=np.float64):
    """COO whose entries are stored twice, unsorted, with zeros beside them."""
    rows, columns = np.nonzero(X)
    ones = np.ones(len(rows))
    values = np.concatenate([X[rows, columns] - ones, ones, np.zeros(len(X))])
    rows, columns = np.concatenate([rows, rows, np.arange(len(X))]), np.concatenate([columns, columns, [24] * len(X)])
    return sp.coo_array((values[::-1].astype(dtype), (rows[::-1], columns[::-1])), shape=X.shape)


def frame(X):
    return pd.DataFrame(X, columns=NAMES)


def numbers_of(kind):
    return lambda X: np.array([[kind(int(value)) for value in row] for row in X], dtype=object)


DTYPES = ["i1", "u1", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g", ">i4", ">u2", ">f4", ">f8"]
DENSE = {
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in DTYPES},
    "list": lambda X: X.tolist(),
    "tuple of arrays": lambda X: tuple(X),
    "Fortran": np.asfortranarray,
    "read-only": read_only,
    "memoryview": memoryview,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "objects": lambda X: X.astype(object),
    "Fractions": numbers_of(Fraction),
    "Decimals": numbers_of(Decimal),
    "numpy scalars": numbers_of(np.float16),
    "masked array, nothing masked": np.ma.MaskedArray,
    "tensor": torch.tensor,
}
FRAMES = {
    "DataFrame": frame,
    "DataFrame of float32": lambda X: frame(X.astype(np.float32)),
    "DataFrame of bool and numbers": lambda X: (
        frame(X)
        .astype({"item 0": "int8", "item 3": "float16"})
        .assign(**{"item 5": X[:, 5] > 0} if (X[:, 5] <= 1).all() else {})
    ),
    "DataFrame of big-endian": lambda X: frame(X.astype(">f8")),
    "DataFrame of nullable integers": lambda X: frame(X).astype("Int64"),
    "DataFrame of nullable floats": lambda X: frame(X).astype("Float32"),
    "DataFrame of objects": lambda X: frame(X).astype(object),
    "sparse DataFrame": lambda X: pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(X), columns=NAMES),
    "polars": lambda X: pl.DataFrame(X, schema=NAMES),
    "polars of several dtypes": lambda X: pl.DataFrame(X, schema=NAMES).cast(
        {"item 0": pl.Float32, "item 1": pl.UInt8}
    ),
    "pyarrow": lambda X: pa.table(dict(zip(NAMES, X.T, strict=True))),
}
SPARSE = {
    **{
        kind.__name__: kind
        for kind in (
            *(sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.csc_array, sp.coo_matrix, sp.coo_array),
            *(sp.bsr_array, sp.dok_array, sp.lil_array, sp.dia_array),
        )
    },
    "bsr in blocks": lambda X: sp.bsr_array(sp.csr_array(X), blocksize=(4, 5)),
    "int64 indices": int64_csr,
    "read-only csr": lambda X: read_only(sp.csr_array(X)),
    "read-only duplicates in csr": lambda X: read_only(sp.csr_array(in_halves(X))),
    "duplicates in coo": in_halves,
    "duplicates in csr": lambda X: sp.csr_array(in_halves(X)),
    **{f"csr of {dtype}": lambda X, dtype=dtype: with_data(X, dtype) for dtype in ("f2", ">f8", ">i4", "g", object)},
}
FORMS = DENSE | FRAMES | SPARSE
EXCLUDES = FRAMES | SPARSE


def users_of(splitter):
    return lambda X: np.concatenate([np.concatenate(fold) for fold in splitter.split(X)])


def strong(X):
    *parts, items = skvae.strong_generalization_split(X)
    return np.hstack([*(part.toarray().ravel() for part in parts), items]).astype(float)


def prefit_blend():
    """Of members that do not know on whom they were fitted."""
    popularity = skvae.PopularityRecommender(store_user_hashes=False)
    members = [("popularity", popularity), ("ease", skvae.EASERecommender(store_user_hashes=False))]
    return skvae.BlendRecommender([(name, member.fit(COUNTS)) for name, member in members], prefit=True)


def blended(X_val):
    return prefit_blend().fit(COUNTS, X_val=X_val).weights_


# every public function that takes a matrix, as an array that can be compared; those of an estimator convert to float32
ESTIMATORS = {
    "Popularity.fit": lambda X: PopularityRecommender().fit(X).item_counts_,
    "EASE.fit": lambda X: EASERecommender(l2_regularization=5).fit(X).weights_,
    "decision_function": lambda X: EASE.decision_function(X),
    "predict": lambda X: EASE.predict(X),
    "method recommend": lambda X: EASE.recommend(X, 3)[0],
    "score": lambda X: np.array(EASE.score(X)),
    "score's fold-in": lambda X: np.array(EASE.score(X, OTHERS)),
    "X_val": blended,
    "X_val's fold-in": lambda X: blended((X, OTHERS * (np.arange(25) % 7 == 0))),
}
FUNCTIONS = {
    "as_csr": lambda X: as_csr(X).toarray().astype(float),
    "count_interactions": count_interactions,
    "count_users": count_users,
    "eligible_users": eligible_users,
    "hold_out_users": lambda X: hold_out_users(X, 0.2, required=True)[1],
    "fold_in_split": lambda X: skvae.fold_in_split(X)[1].toarray().astype(float),
    "fold_in_split's fold-in": lambda X: as_csr(skvae.fold_in_split(X)[0]).toarray().astype(float),
    "UserKFold": users_of(skvae.UserKFold(3)),
    "UserShuffleSplit": users_of(skvae.UserShuffleSplit(3)),
    "strong_generalization_split": strong,
    "hide_items": lambda X: hide_items(X)[1].toarray().astype(float),
    "evaluate": lambda X: evaluate(EASE, X, "ndcg@10").per_user["ndcg@10"],
    "evaluate's fold-in": lambda X: evaluate(MODEL, X, "ndcg@10", y=OTHERS).per_user["ndcg@10"],
    "evaluate with seen items": lambda X: evaluate(EASE, X, "ndcg@10", exclude_seen=False).per_user["ndcg@10"],
    "RankingScorer": lambda X: np.array(RankingScorer("recall@5")(EASE, X)),
    "by_activity": lambda X: np.array([group.most for group in evaluate(EASE, COUNTS).by_activity(X)]),
    "recommend": lambda X: recommend(EASE, X, 3)[0],
    "recommend of a foreign model": lambda X: recommend(FOREIGN, X, 3)[0],
    "novelty_at_k": lambda X: novelty_at_k(ITEMS, X, per_user=True),
    "popularity_at_k": lambda X: popularity_at_k(ITEMS, X, per_user=True),
}
OF_HELD_OUT = {
    "evaluate's y": lambda y: evaluate(MODEL, UNSEEN, "ndcg@10", y=y).per_user["ndcg@10"],
    "RankingScorer's y": lambda y: np.array(RankingScorer("recall@5")(MODEL, UNSEEN, y)),
    "score's y": lambda y: np.array(MODEL.score(UNSEEN, y)),
    "hide_items' y": lambda y: hide_items(UNSEEN, y)[1].toarray().astype(float),
    "score_users": lambda y: score_users(MODEL, UNSEEN, y, "map@7")["map@7"],
    "X_val's held-out items": lambda y: blended_with_unseen(y),
    **{name: lambda y, name=name: METRICS[name](y, ITEMS, k=4, per_user=True) for name in METRICS},
}
# of users who have nothing of it
UNSEEN = sp.csr_array(OTHERS)


def blended_with_unseen(y):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fold-in of X_val")
        return blended((UNSEEN, y))


class Foreign:
    """A model of somebody else, who reads what it gets with NumPy and checks nothing."""

    def decision_function(self, X):
        rows = X.toarray() if sp.issparse(X) else np.asarray(X)
        return np.tile(np.arange(float(rows.shape[1])), (rows.shape[0], 1))


FOREIGN = Foreign()
READERS = ESTIMATORS | FUNCTIONS | OF_HELD_OUT
names_are_lost = pytest.mark.filterwarnings(
    "ignore:X has feature names, but", "ignore:X does not have valid feature names"
)


# -- the same from every form


@names_are_lost
@pytest.mark.parametrize("reader", READERS)
def test_every_function_reads_every_form_alike(reader):
    expected = READERS[reader](COUNTS)
    for form, make in FORMS.items():
        np.testing.assert_allclose(READERS[reader](make(COUNTS)), expected, rtol=1e-6, err_msg=form)


@names_are_lost
@pytest.mark.parametrize("reader", READERS)
def test_every_function_reads_bools_as_ones(reader):
    np.testing.assert_array_equal(READERS[reader](COUNTS > 0), READERS[reader](BINARY))
    np.testing.assert_array_equal(READERS[reader](sp.csc_array(COUNTS > 0)), READERS[reader](BINARY))


@pytest.mark.parametrize("form", EXCLUDES)
def test_exclude_is_read_in_every_form(form):
    items, _ = recommend(FOREIGN, sp.csr_array((40, 25)), 3, exclude=EXCLUDES[form](COUNTS))
    expected = recommend(FOREIGN, COUNTS, 3)[0]
    np.testing.assert_array_equal(items, expected)


@pytest.mark.parametrize("form", [name for name in FORMS if not name.startswith("tuple")])
def test_no_function_changes_what_it_reads(form):
    X, before = FORMS[form](COUNTS), FORMS[form](COUNTS)
    for reader in (*FUNCTIONS.values(), PopularityRecommender().fit):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader(X)
    np.testing.assert_array_equal(as_csr(X).toarray(), as_csr(before).toarray())
    if sp.issparse(X) and X.format == "csr":
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(X, part), getattr(before, part), strict=True)


def test_a_canonical_matrix_is_read_without_a_copy():
    X = sp.csr_array(COUNTS.astype(np.float32))
    for read in (as_csr, as_float32):
        assert np.shares_memory(read(X).data, X.data)
        assert np.shares_memory(read(X).indices, X.indices)


@pytest.mark.parametrize(("dtype", "expected"), [("f2", "f4"), (">i2", "i2"), (">f8", "f8"), ("u8", "u8"), ("?", "?")])
def test_a_dtype_is_kept_or_widened(dtype, expected):
    assert as_csr(COUNTS.astype(dtype)).dtype == np.dtype(expected)
    assert as_csr(with_data(COUNTS, dtype)).dtype == np.dtype(expected)


STORED_TWICE = {
    "coo": lambda data: sp.coo_array((data, ([0, 0, 0, 1], [1, 1, 1, 0])), shape=(2, 2)),
    "csr": lambda data: sp.csr_array((data, [1, 1, 1, 0], [0, 3, 4]), shape=(2, 2)),
    "csc": lambda data: sp.csc_array((np.roll(data, 1), [1, 0, 0, 0], [0, 1, 4]), shape=(2, 2)),
    "bsr": lambda data: sp.bsr_array((data[:, None, None], [1, 1, 1, 0], [0, 3, 4]), shape=(2, 2)),
}


@pytest.mark.parametrize("form", STORED_TWICE)
@pytest.mark.parametrize(
    ("dtype", "value"), [("i1", 100), ("u1", 200), ("i2", 30_000), ("i4", 2**31 - 1), ("i8", 2**62)]
)
def test_integers_that_are_stored_twice_do_not_wrap(form, dtype, value):
    X = STORED_TWICE[form](np.array([value] * 3 + [1], dtype))
    assert as_csr(X).toarray().tolist() == [[0, 3 * value], [1, 0]]
    assert as_float32(X).toarray().tolist() == [[0, np.float32(3.0 * value)], [1, 0]]
    if X.format in ("coo", "bsr"):  # scipy sums their duplicates on the way to CSR
        assert row_sliceable(X).toarray().tolist() == [[0, 3 * value], [1, 0]]
    small = sp.coo_array((np.array([3, 4], dtype), ([0, 0], [1, 1])), shape=(2, 2))
    assert as_csr(small).dtype == dtype


def test_integers_beyond_float32_stay_exact_where_values_decide():
    ratings = COUNTS.copy()
    ratings[ratings > 0] += 2**24
    for threshold in range(2**24, 2**24 + 6):
        above = (ratings > threshold).astype(np.int64) * ratings
        expected = score_users(MODEL, *split_of(above, ratings), "recall@5")
        got = score_users(MODEL, *skvae.fold_in_split(ratings), "recall@5", min_value=threshold)
        np.testing.assert_array_equal(got["recall@5"], expected["recall@5"])


def split_of(above, ratings):
    fold_in, held_out = skvae.fold_in_split(ratings)
    return fold_in, held_out.multiply(above > 0)


# -- tables


@pytest.mark.parametrize("form", [name for name in FRAMES if "endian" not in name])  # older pandas drops it
def test_a_tables_fold_in_is_a_table_of_the_same_names_and_dtypes(form):
    table = FRAMES[form](COUNTS)
    fold_in, held_out = skvae.fold_in_split(table)
    assert type(fold_in) is type(table)
    assert fold_in.shape == table.shape
    names = fold_in.column_names if form == "pyarrow" else list(fold_in.columns)
    assert names == NAMES
    kinds = [str(kind) for kind in (table.schema.types if form == "pyarrow" else table.dtypes)]
    assert [str(kind) for kind in (fold_in.schema.types if form == "pyarrow" else fold_in.dtypes)] == kinds
    np.testing.assert_array_equal(as_csr(fold_in).toarray() + held_out.toarray(), COUNTS)


@pytest.mark.parametrize("form", ["DataFrame", "polars", "pyarrow"])
@pytest.mark.parametrize(
    "model",
    [
        EASERecommender(store_user_hashes=False),
        MultDAERecommender(4, max_iter=2, random_state=0, store_user_hashes=False),
    ],
    ids=["ease", "dae"],
)
def test_a_model_of_a_table_has_its_names_and_evaluates_without_a_warning(form, model):
    table = FRAMES[form](COUNTS)
    fitted = clone(model).fit(table)
    assert fitted.feature_names_in_.tolist() == NAMES
    expected = evaluate(clone(model).fit(COUNTS), COUNTS, "ndcg@10")
    assert evaluate(fitted, table, "ndcg@10").mean == expected.mean
    np.testing.assert_array_equal(fitted.recommend(table, 3)[0], clone(model).fit(COUNTS).recommend(COUNTS, 3)[0])
    assert RankingScorer("ndcg@10")(fitted, table) == expected.mean["ndcg@10"]


@pytest.mark.parametrize("form", ["DataFrame", "polars", "pyarrow"])
def test_held_out_items_of_a_table_are_evaluated_without_a_warning_of_names(form):
    shown, held_out = fold_in_split(OTHERS)
    fitted = EASERecommender().fit(FRAMES[form](COUNTS))
    fold_in, y = (FRAMES[form](as_csr(part).toarray()) for part in (shown, held_out))
    assert evaluate(fitted, fold_in, "ndcg@10", y=y).n_users > 0


@pytest.mark.parametrize("form", FRAMES)
@pytest.mark.parametrize("rows", [slice(3, 9), np.array([7, 0, 7])], ids=["slice", "numbers"])
def test_rows_of_a_table_are_a_table(form, rows):
    table = FRAMES[form](COUNTS)
    taken = take_rows(row_sliceable(table), rows)
    assert type(taken) is type(table)
    np.testing.assert_array_equal(as_csr(taken).toarray(), COUNTS[rows])


NAMED = EASERecommender().fit(frame(COUNTS))
BESIDE = {
    "evaluate": lambda X, beside: evaluate(NAMED, X, "ndcg@10", y=beside),
    "RankingScorer": lambda X, beside: RankingScorer("ndcg@10")(NAMED, X, beside),
    "score": lambda X, beside: NAMED.score(X, beside),
    "hide_items": lambda X, beside: hide_items(X, beside, model=NAMED),
    "exclude": lambda X, beside: recommend(NAMED, X, 3, exclude=beside),
    "method's exclude": lambda X, beside: NAMED.recommend(X, 3, exclude=beside),
}
OTHER_NAMES = {
    "reversed": lambda table: table[NAMES[::-1]],
    "two exchanged": lambda table: table[[*NAMES[:3], NAMES[4], NAMES[3], *NAMES[5:]]],
    "one renamed": lambda table: table.rename(columns={NAMES[3]: "another"}),
    "polars": lambda table: pl.DataFrame(table[NAMES[::-1]].to_dict("list")),
    "pyarrow": lambda table: pa.table(table[NAMES[::-1]].to_dict("list")),
}


@names_are_lost
@pytest.mark.parametrize("other", OTHER_NAMES)
@pytest.mark.parametrize("call", BESIDE)
def test_a_table_beside_X_with_other_columns_raises(call, other):
    y = frame(OTHERS)
    for X in (frame(COUNTS), FRAMES["polars"](COUNTS), COUNTS, sp.csr_array(COUNTS)):  # by X's names, or by the model's
        BESIDE[call](X, y)
        with pytest.raises(
            ValueError, match=r"(y|exclude) has the column .* \(column \d+\): they must have the same columns"
        ):
            BESIDE[call](X, OTHER_NAMES[other](y))


@pytest.mark.parametrize("other", OTHER_NAMES)
def test_a_table_of_timestamps_with_other_columns_raises(other):
    times = frame(np.arange(1000).reshape(40, 25))
    for X in (frame(COUNTS), FRAMES["polars"](COUNTS)):
        skvae.fold_in_split(X, timestamps=times)
        with pytest.raises(ValueError, match="timestamps has the column"):
            skvae.fold_in_split(X, timestamps=OTHER_NAMES[other](times))


@names_are_lost
@pytest.mark.parametrize("other", OTHER_NAMES)
@pytest.mark.parametrize("model", [NAMED, MODEL], ids=["fitted with names", "without"])
def test_tables_of_X_val_with_other_columns_raise(model, other):
    y = frame(OTHERS * (np.arange(25) % 7 == 0))
    X = frame(COUNTS) if model is NAMED else COUNTS
    blend = skvae.BlendRecommender([("a", model), ("b", model)], prefit=True)
    blend.fit(X, X_val=(frame(COUNTS), y))
    with pytest.raises(ValueError, match=r"has the column|feature names should match"):
        blend.fit(X, X_val=(frame(COUNTS), OTHER_NAMES[other](y)))


@names_are_lost
def test_rows_of_tables_in_another_order_raise_and_other_rows_do_not():
    ids = [f"user {u}" for u in range(40)]
    X, y = frame(COUNTS).set_axis(ids), frame(OTHERS).set_axis(ids)
    with pytest.raises(ValueError, match=r"in another order.* y.loc\[X.index\].* y.set_axis\(X.index\)"):
        evaluate(MODEL, X, y=y[::-1])
    evaluate(MODEL, X, y=y)
    one, other = X.reset_index(drop=True), y.reset_index(drop=True)  # as pandas numbers rows without a name
    for pair in ((one, other[::-1]), (one[::-1], other)):
        with pytest.raises(ValueError, match="another order"):
            check_same_cells(*pair, "y")
    check_same_cells(y.reset_index(drop=True), X[::-1], "y")
    check_same_cells(y.set_axis(range(100, 140)), X, "y")


def test_tables_of_another_width_raise():
    with pytest.raises(ValueError, match=r"y has shape \(40, 24\), X has \(40, 25\)"):
        evaluate(MODEL, frame(COUNTS), y=frame(COUNTS)[NAMES[:-1]])
    with pytest.raises(ValueError, match=r"exclude has shape \(40, 24\), X has \(40, 25\)"):
        recommend(MODEL, COUNTS, exclude=frame(COUNTS)[NAMES[:-1]])


# -- what is refused, by every function and wherever it stands


def with_value(value, form=np.array, dtype=float):
    def make(place=(0, 0)):
        X = COUNTS.astype(dtype)
        X[place] = value
        return form(X)

    return make


def with_index(index, kind=sp.csr_array):
    def make():
        X = kind(COUNTS * 1.0)
        part = X.col if X.format == "coo" else X.indices
        part[3] = index
        return X

    return make


def with_indptr(change):
    def make():
        X = sp.csr_array(COUNTS * 1.0)
        X.indptr = change(X.indptr.copy())
        return X

    return make


def put(array, place, value):
    array[place] = value
    return array


def infinite_sum():
    X = sp.coo_array(sp.csr_array(COUNTS.astype(np.float32)))
    values, rows, columns = np.float32([3e38, 3e38]), [0, 0], [0, 0]
    return sp.coo_array((np.append(X.data, values), (np.append(X.row, rows), np.append(X.col, columns))), shape=X.shape)


NAN, INFINITE, NEGATIVE = "contains NaN.*fill with 0", "contains infinity", "Negative values in data.*-[1-9]"
TEXT, DAMAGED = "InteractionEncoder makes of a table of events", "is a damaged sparse matrix"
BAD = {
    "NaN": (with_value(np.nan), NAN),
    "NaN in float16": (with_value(np.nan, dtype="f2"), NAN),
    "NaN in csr": (with_value(np.nan, sp.csr_array), NAN),
    "NaN in csc of big-endian": (with_value(np.nan, lambda X: with_data(X, ">f4").tocsc()), NAN),
    "NaN in a DataFrame": (with_value(np.nan, frame), NAN),
    "None": (with_value(None, dtype=object), NAN),
    "pd.NA": (lambda: frame(COUNTS).astype("Int64").replace(5, pd.NA), NAN),
    "pd.NA beside bool": (lambda: frame(COUNTS).astype("Int64").replace(5, pd.NA).assign(**{NAMES[1]: True}), NAN),
    "null of polars": (
        lambda: pl.DataFrame(with_value(None, dtype=object)().tolist(), schema=NAMES, orient="row"),
        NAN,
    ),
    "masked cells": (lambda: np.ma.masked_equal(COUNTS, 5), "has masked cells.*fill them with 0"),
    "infinity": (with_value(np.inf), INFINITE),
    "minus infinity": (with_value(-np.inf, sp.csc_array), INFINITE),
    "a sum that is infinite": (infinite_sum, INFINITE),
    "the same in csr": (lambda: sp.csr_array(infinite_sum()), INFINITE),
    "-1": (with_value(-1), NEGATIVE),
    "-1 in int8": (with_value(-1, sp.coo_array, np.int8), NEGATIVE),
    "-1 in polars": (with_value(-1, FRAMES["polars"]), NEGATIVE),
    "text": (lambda: COUNTS.astype(str), TEXT),
    "text in objects": (with_value("like", dtype=object), TEXT),
    "text in a DataFrame": (lambda: frame(COUNTS).assign(**{NAMES[2]: "like"}), TEXT),
    "dates": (lambda: COUNTS.astype("M8[D]"), TEXT),
    "a dict in a cell": (with_value({}, dtype=object), "must hold numbers"),
    "complex": (lambda: COUNTS * 1j, "Complex data not supported"),
    "one dimension": (lambda: COUNTS[0], "must have two dimensions.*Reshape your data"),
    "one dimension, sparse": (
        lambda: sp.coo_array(COUNTS[0]),
        r"must have two .* by \S+\[\[row\]\] of",
    ),
    "one dimension in a list": (lambda: COUNTS[0].tolist(), "must have two dimensions.*Reshape your data"),
    "one dimension of text in pandas": (lambda: pd.Series(["a", "b"]), "must have two dimensions.*Reshape your data"),
    "one dimension of text in polars": (lambda: pl.Series(["a", "b"]), "must have two dimensions.*Reshape your data"),
    "three dimensions": (
        lambda: COUNTS[None],
        r"must have two dimensions, users and items, got \w+ of shape \(.*\)\.$",
    ),
    "lists of different lengths": (lambda: [[1, 2], [3]], "of which NumPy makes no array"),
    "column 25": (with_index(25), f"{DAMAGED}: it stores an entry in column 25, and has the columns 0 to 24"),
    "column 2 billion": (with_index(2 * 10**9), f"{DAMAGED}: .* column 2000000000"),
    "column -1": (with_index(-1), f"{DAMAGED}: .* column -1"),
    "column 25 in int64": (lambda: int64_csr(with_index(25)()), DAMAGED),
    "row 40 in csc": (with_index(40, sp.csc_array), f"{DAMAGED}: .* row 40, and has the rows 0 to 39"),
    "row -7 in csc": (with_index(-7, sp.csc_matrix), DAMAGED),
    "column 25 in coo": (with_index(25, sp.coo_array), DAMAGED),
    "column -1 in coo": (with_index(-1, sp.coo_matrix), DAMAGED),
    "column 25 in bsr": (with_index(25, sp.bsr_array), DAMAGED),
    "indptr that falls": (with_indptr(lambda indptr: put(indptr, 7, 10**6)), f"{DAMAGED}: its indptr"),
    "indptr below 0": (with_indptr(lambda indptr: put(indptr, 7, -5)), f"{DAMAGED}: its indptr"),
    "indptr from 1": (with_indptr(lambda indptr: put(indptr, 0, 1)), f"{DAMAGED}: its indptr"),
    "indptr beyond the entries": (with_indptr(lambda indptr: put(indptr, -1, 10**6)), f"{DAMAGED}: its indptr"),
    "indptr too short": (with_indptr(lambda indptr: indptr[:-1]), f"{DAMAGED}: its indptr"),
}


def is_raised_in(folder, error):
    return traceback.extract_tb(error.__traceback__)[-1].filename.startswith(str(folder))


def refusal(call, *args):
    """The error that a call raises, "nothing" without one; it has to come from skvae itself."""
    try:
        call(*args)
    except (ValueError, TypeError) as error:
        if not is_raised_in(PACKAGE, error):
            raise
        return str(error)
    return "nothing"


@names_are_lost
@pytest.mark.parametrize("reader", READERS)
def test_every_function_refuses_every_bad_matrix_in_the_same_words(reader):
    name = "X_val" if reader.startswith("X_val") else "(y|held_out|X)" if reader in OF_HELD_OUT else "X"
    misses = {}
    for bad, (make, sentence) in BAD.items():
        if reader in OF_HELD_OUT and ("dimension" in bad or "lengths" in bad):
            sentence += "|y must be a held-out matrix|y is one-dimensional|has shape"
        if reader in METRICS and bad.startswith("-1"):  # a held-out entry is relevant above 0
            sentence, name = "nothing", ""
        text = refusal(READERS[reader], make())
        if not (re.search(sentence, text) and re.search(name, text)):
            misses[bad] = text
    assert not misses


@pytest.mark.parametrize("X", ["events.csv", None, {"user": [1]}, 5, [], {1, 2}], ids=repr)
def test_what_is_no_array_is_not_told_to_reshape(X):
    got = type(X).__name__ + (r" of shape \(0,\)" if X == [] else "")
    more = r" Read the file first; a folder .* is opened by skvae.open_interactions\." if isinstance(X, str) else ""
    for call in (EASERecommender().fit, partial(evaluate, MODEL), MODEL.recommend, skvae.fold_in_split):
        with pytest.raises(ValueError, match=rf"^X must have two dimensions, users and items, got {got}\.{more}$"):
            call(X)


@pytest.mark.parametrize("pair", [(FOLD_IN, HELD_OUT), [COUNTS, COUNTS], (frame(COUNTS), HELD_OUT)])
def test_a_pair_as_X_is_told_of_y(pair):
    scorer = partial(RankingScorer(), MODEL)
    beside_y = partial(evaluate, MODEL, y=HELD_OUT)
    for call in (beside_y, scorer, MODEL.score, MODEL.recommend, EASERecommender().fit, skvae.fold_in_split):
        with pytest.raises(ValueError, match=r"^X is a pair of matrices.*evaluate\(model, fold_in, y=held_out\)\.$"):
            call(pair)


def test_X_val_with_the_columns_of_X_in_another_order_is_named():
    with pytest.raises(ValueError, match=r"^X_val has the column 'item 24' where X has 'item 0' .*X_val\[X\.columns\]"):
        MultDAERecommender(2, max_iter=1).fit(frame(COUNTS), X_val=frame(COUNTS).iloc[:, ::-1])


@pytest.mark.parametrize("bad", [name for name in BAD if "csr" in name or "DataFrame" in name or "column" in name])
def test_a_bad_exclude_is_refused(bad):
    make, sentence = BAD[bad]
    with pytest.raises(ValueError, match=f"exclude.*{sentence}"):
        recommend(FOREIGN, COUNTS, 3, exclude=make())


@pytest.mark.parametrize("bad", [name for name in BAD if "column" in name or "indptr" in name or "row" in name])
def test_damaged_timestamps_and_item_vectors_are_refused(bad):
    make, _ = BAD[bad]
    with pytest.raises(ValueError, match=f"timestamps {DAMAGED}"):
        skvae.fold_in_split(COUNTS, timestamps=make())
    with pytest.raises(ValueError, match=f"item_vectors {DAMAGED}"):
        diversity_at_k(ITEMS, make())


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("container", [np.array, sp.csr_array, frame])
def test_a_bad_value_is_refused_wherever_it_is_and_whatever_is_hidden(value, container):
    user = np.flatnonzero(COUNTS[1])
    for item in user:
        X = container(with_value(value)((1, item)))
        for reader in (
            "evaluate",
            "RankingScorer",
            "fold_in_split",
            "UserKFold",
            "strong_generalization_split",
            "score",
        ):
            with pytest.raises(ValueError, match=r"NaN|infinity|Negative"):
                READERS[reader](X)
        with pytest.raises(ValueError, match=r"NaN|infinity|Negative"):
            evaluate(MODEL, UNSEEN, y=X)


@pytest.mark.parametrize("dtype", ["f8", "g", object])
@pytest.mark.parametrize("reader", [name for name in ESTIMATORS if "held" not in name])
def test_estimators_refuse_what_float32_does_not_hold(reader, dtype):
    for value, sentence in (
        (1e39, "holds the value 1e[+]39, and models compute in float32"),
        (1e-50, "which is 0 in float32"),
    ):
        X = with_value(value, dtype=dtype)()
        with pytest.raises(ValueError, match=sentence):
            READERS[reader](X)
        with pytest.raises(ValueError, match=sentence):
            READERS[reader](with_data(X.astype(float), dtype))
    READERS[reader](with_value(1e-30, dtype=dtype)())


def test_beside_an_estimator_no_value_is_lost():
    X = with_value(1e-50)()
    np.testing.assert_array_equal(count_interactions(X), count_interactions(COUNTS))
    assert skvae.fold_in_split(X)[0].dtype == np.float64
    assert as_csr(X).toarray()[0, 0] == 1e-50


@pytest.mark.parametrize(
    "indices", [np.array(3), [[0]], ["item 3"], np.array(["a"], object), {"a"}, [0.5], [[1], [1, 2]], [25], [-1]]
)
@pytest.mark.parametrize("name", ["candidates", "exclude"])
def test_item_indices_that_are_none_are_refused_in_words(name, indices):
    with pytest.raises(ValueError, match=f"^{name} (must be|holds)"):
        recommend(MODEL, COUNTS, 3, **{name: indices})


@pytest.mark.parametrize("name", ["candidates", "exclude"])
@pytest.mark.parametrize(
    "container",
    [set, frozenset, tuple, dict.fromkeys, lambda items: dict.fromkeys(items).keys(), iter, np.uint64, pd.Index],
)
def test_item_indices_come_in_any_container(name, container):
    expected = recommend(MODEL, COUNTS, 3, **{name: [3, 8, 11, 2]})[0]
    np.testing.assert_array_equal(recommend(MODEL, COUNTS, 3, **{name: container([11, 2, 8, 3])})[0], expected)


def test_text_as_candidates_is_told_of_the_encoder():
    with pytest.raises(ValueError, match=r"candidates holds text, such as 'item 3': .*InteractionEncoder.item_indices"):
        recommend(MODEL, COUNTS, 3, candidates=["item 3", "item 4"])
    with pytest.raises(ValueError, match="items must be a list or array of item indices, got a set"):
        EASE.similar_items({1, 2})


# -- what is fitted by mistake


EVENTS = pd.DataFrame({"user": np.repeat(np.arange(60), 3), "item": np.tile(np.arange(30), 6), "rating": 4.5})


@pytest.mark.parametrize(
    ("user", "item"), [("user", "item"), ("userId", "movieId"), ("customer_id", "product_id"), ("User", "Song")]
)
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(
    "model",
    [EASERecommender(), PopularityRecommender(), MultDAERecommender(4, max_iter=1)],
    ids=lambda m: type(m).__name__,
)
def test_a_table_of_events_is_told_of_the_encoder(model, library, user, item):
    table = EVENTS.rename(columns={"user": user, "item": item})
    table = {
        "pandas": table,
        "polars": pl.DataFrame(table.to_dict("list")),
        "pyarrow": pa.table(table.to_dict("list")),
    }[library]
    with pytest.raises(
        ValueError, match=f"table of events.*InteractionEncoder.user='{user}', item='{item}'.*fit_transform"
    ):
        clone(model).fit(table)


@pytest.mark.parametrize("column", [pd.Timestamp("2024-01-01"), "web", None, 0.5])
def test_a_table_of_events_is_told_of_the_encoder_whatever_else_it_holds(column):
    table = EVENTS.assign(user=EVENTS["user"].map("ann {}".format), more=column)
    with pytest.raises(ValueError, match="X has the columns 'user' and 'item': it is a table of events"):
        EASERecommender().fit(table)
    if column == "web":
        with pytest.raises(ValueError, match=r"X holds text, such as 'ann 0'.*InteractionEncoder"):
            EASERecommender().fit(table[["user", "more"]])


@pytest.mark.parametrize(
    "form", [np.asarray, lambda events: events.to_numpy().tolist(), lambda events: sp.csr_array(events.to_numpy())]
)
def test_numbers_like_ids_in_few_columns_are_warned_of(form):
    for columns in (["user", "item"], ["user", "item", "rating"]):
        with pytest.warns(
            UserWarning, match=rf"180 users and only {len(columns)} items, with numbers like ids .*InteractionEncoder"
        ):
            PopularityRecommender().fit(form(EVENTS[columns]))


@pytest.mark.parametrize("n_items", [2, 3, 4, 5])
def test_a_small_catalogue_is_no_table_of_events(n_items):
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 2, (200, n_items)), rng.integers(1, 6, (200, n_items)), rng.random((200, n_items))):
        PopularityRecommender().fit(values)
    plays = rng.integers(1, 500, (200, n_items)) * (rng.random((200, n_items)) < 0.5)
    PopularityRecommender().fit(plays)
    PopularityRecommender().fit(pd.DataFrame(plays, columns=["user guide", "item", "movie", "song", "book"][:n_items]))


def test_validation_users_as_y_are_told_of_X_val():
    X = sp.csr_array(COUNTS)
    for y in (X[:30], COUNTS[:30], frame(COUNTS)[:30], (X, X), (COUNTS, COUNTS)):
        with pytest.raises(ValueError, match="fit learns from X alone: autoencoders and blends take validation"):
            check_no_matrix_as_y(y, X)
        with pytest.raises(ValueError, match="X_val"):
            PopularityRecommender()._check_interactions(X, reset=True, y=y)
    for y in (None, np.zeros(40), list(range(40)), ["a", "b"] * 20, X, COUNTS[:, :1]):
        check_no_matrix_as_y(y, X)


def test_a_swapped_pair_of_validation_users_is_warned_of():
    blend = prefit_blend()
    with pytest.warns(UserWarning, match="pair .fold_in, held_out.; are the two swapped"):
        blend.fit(COUNTS, X_val=(HELD_OUT, FOLD_IN))
    blend.fit(COUNTS, X_val=(FOLD_IN, HELD_OUT))


def test_two_users_in_a_list_are_no_pair():
    rows = COUNTS[:2].tolist()
    np.testing.assert_array_equal(blended(rows), blended(COUNTS[:2]))


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e20, 1e30])
def test_values_that_train_next_to_nothing_are_warned_of(scale):
    with pytest.warns(UserWarning, match="learn almost nothing from such values: scale X"):
        warn_of_scale(as_float32(BINARY * np.float64(scale)))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 2.0**24, 1e15])
def test_usual_values_are_not_warned_of(scale):
    warn_of_scale(as_float32(BINARY * np.float64(scale)))
    mixed = np.where(BINARY > 0, 1e-9, 0)
    mixed[0, 0] = 1
    warn_of_scale(as_float32(mixed))


def users_of_counts(power):
    X = make_interactions(200, 50, density=0.2, random_state=0)
    X.data = np.round(1 + np.random.default_rng(0).pareto(1.2, X.nnz) ** power).astype(np.float32)
    return X


@pytest.mark.parametrize(
    "model", [EASERecommender(l2_regularization=1e9), MultDAERecommender(4, max_iter=1, early_stopping=False)]
)
def test_raw_counts_in_any_unit_are_warned_of_and_their_logarithms_are_not(model):
    X = users_of_counts(1)
    for unit in (1, 0.37, 1 / 60):
        with pytest.warns(UserWarning, match="few large values of each user outweigh all others.*np.log1p") as caught:
            model.fit(X * unit)
        assert caught[0].filename == __file__
    model.fit(X.log1p())
    model.fit(X.sign())
    chosen = X.copy()
    chosen.data = np.random.default_rng(0).choice([1, 20], X.nnz, p=[0.95, 0.05]).astype(np.float32)
    model.fit(chosen)


@pytest.mark.parametrize("fit", [MultDAERecommender.fit, MultDAERecommender.partial_fit])
def test_counts_are_not_warned_of_where_a_likelihood_of_ones_own_is_of_such_values(fit):
    class OfCounts:
        def log_prob(self, logits, batch):
            return Multinomial().log_prob(logits, batch)

        mean = Multinomial.mean

    model = MultDAERecommender(4, max_iter=1, early_stopping=False, likelihood=OfCounts())
    fit(model, users_of_counts(1))
    with pytest.warns(UserWarning, match="few large values of each user"):
        fit(clone(model).set_params(likelihood=Multinomial()), users_of_counts(1))


def nearly_full(n_lacking):
    """200 users x 40 items, values 1 to 5; of each some are missing."""
    draws = np.random.default_rng(0)
    X = draws.integers(1, 6, (200, 40)).astype(np.float32)
    X[np.argsort(draws.random(X.shape), axis=1) < n_lacking] = 0
    return X


@pytest.mark.parametrize("n_lacking", [0, 5])
def test_a_matrix_with_a_value_for_nearly_every_item_is_warned_of(n_lacking):
    X, n_epochs = nearly_full(n_lacking), 7
    numbers = {"max_iter": n_epochs, "validation_fraction": 0.2, "random_state": 0, "store_user_hashes": False}
    model = MultDAERecommender(4, likelihood="gaussian", **numbers)
    for estimator in (model, skvae.LinearRecommender()):
        with pytest.warns(UserWarning, match="a value for nearly each of the 40 items") as caught:
            estimator.fit(X)
        assert caught[0].filename == __file__
    if not n_lacking:  # any ranking is right: it chooses no epoch
        assert model.best_iter_ == n_epochs
        assert not model.validation_scores_
    for score in (partial(evaluate, model, X), partial(skvae.RankingScorer("ndcg@10"), model, X)):
        with pytest.warns(UserWarning, match="a random ranking would score nearly as well"):
            score()
    model.set_params(early_stopping=False).fit(X)
    likes = nearly_full(10)
    skvae.LinearRecommender().fit(likes)
    evaluate(model.fit(likes[:100]), likes[100:])


@given(
    n_items=st.sampled_from([19, 20, 24, 30]),
    counts=st.lists(st.integers(0, 30), min_size=3, max_size=3),
    n_of_counts=st.tuples(*[st.sampled_from([0, 33, 49, 50, 51, 100])] * 3),
)
def test_where_the_median_user_has_more_than_five_sixths_of_the_items_it_is_warned_of(n_items, counts, n_of_counts):
    """Of a hundred users or more, who have an item, and twenty items or more."""
    counts = [min(count, n_items) for count, n_users in zip(counts, n_of_counts, strict=True) for _ in range(n_users)]
    X = sp.csr_array(np.arange(n_items) < np.array(counts, int)[:, None], dtype=np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_full_users(X)
    of_users = [count for count in counts if count]
    is_large = len(of_users) >= 100 and n_items >= 20
    assert bool(caught) == (is_large and 6 * statistics.median(of_users) > 5 * n_items)


def test_an_object_that_holds_a_matrix_is_told_so():
    with pytest.raises(ValueError, match=r"got SimpleNamespace\. Pass the matrix that it holds, X\.X\.$"):
        as_csr(SimpleNamespace(X=COUNTS, shape=COUNTS.shape))


def test_users_may_weigh_differently():
    X = users_of_counts(0)
    warn_of_uneven_counts(sp.csr_array(X.multiply(10.0 ** np.arange(200)[:, None] ** 0.3)))


@pytest.mark.parametrize("estimator", [skvae.EASERecommender(), skvae.MultDAERecommender(8, max_iter=1)])
def test_users_of_one_item_each_are_warned_of(estimator):
    X = np.zeros((300, 20), np.float32)
    X[np.arange(300), np.arange(300) % 20] = 1
    X[np.arange(20), np.arange(20) - 1] = 1
    with pytest.warns(UserWarning, match="Only 20 of the 300 users with interactions have two items or more"):
        estimator.fit(sp.csr_array(X))


@pytest.mark.parametrize("n_users", [99, 2000])
def test_enough_users_of_two_items_are_not_warned_of(n_users):
    X = sp.lil_array((n_users, 30))
    X[:, 0] = 1
    X[: n_users // 19, 1] = 1
    warn_of_lone_items(X.tocsr())


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_evenness_is_of_each_user_whatever_is_read_at_once(power, monkeypatch):
    X = users_of_counts(power).toarray()
    X[[0, 7, 199]] = 0
    X = sp.csr_array(X)
    expected = sum(row.sum() ** 2 / (row**2).sum() for row in X.toarray().astype(np.float64) if row.any()) / X.nnz
    for size in (1, 100, 10**6):
        monkeypatch.setattr(matrix, "ENTRIES_PER_BLOCK", size)
        assert value_checks._even_share(X) == pytest.approx(expected)


@pytest.mark.parametrize("model", [EASE, MODEL], ids=["ease", "popularity"])
@pytest.mark.parametrize("bad", [name for name in BAD if "dict" not in name])
def test_a_refused_fit_leaves_the_model_as_it_was(model, bad):
    fitted = clone(model).fit(frame(COUNTS))
    with pytest.raises(ValueError, match=r"."):
        fitted.fit(BAD[bad][0]())
    assert (fitted.n_features_in_, fitted.feature_names_in_.tolist()) == (25, NAMES)
    np.testing.assert_array_equal(fitted.predict(frame(COUNTS)), model.predict(COUNTS))


# -- anything at all: an answer, or a sentence of ours

EXAMPLES = int(os.environ.get("SKVAE_EXAMPLES", 300))
VALUES = st.sampled_from([0, 1, 1, 1, 2, 5, 0.5, 255, 2**24 + 1])
ODD_VALUES = st.sampled_from([np.nan, np.inf, -np.inf, -1, 1e39, 3e38, 1e-50, 1e-7, 2**63, -0.0])


@st.composite
def matrices(draw):
    """A matrix of any container and dtype, often of several faults; and whether it surely has none."""
    shape = draw(st.integers(0, 9)), draw(st.integers(0, 12))
    values = VALUES if draw(st.integers(0, 2)) else VALUES | ODD_VALUES
    places = [st.integers(0, max(0, n - 1)) for n in shape]
    cells = draw(st.lists(st.tuples(*places, values), max_size=70)) if all(shape) else []
    rows, columns, numbers = (list(part) for part in zip(*cells, strict=True)) if cells else ([], [], [])
    kind = draw(
        st.sampled_from(["csr", "csc", "coo", "bsr", "dok", "lil", "array", "list", "frame", "polars", "pyarrow"])
    )
    dtype = draw(st.sampled_from(["?", "i1", "u1", "i4", "u8", "f2", "f4", "f8", "g", ">f8", ">i2", "O"]))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            data = np.array(numbers, object).astype(dtype)
        except (ValueError, OverflowError):
            assume(False)
        is_valid = bool((data >= 0).all() and np.isfinite(float(data.sum())))
    if kind in ("csr", "csc", "coo", "bsr", "dok", "lil"):
        X, is_intact = damaged(draw, stored(kind, data, rows, columns, shape))
        return X, is_valid and is_intact
    X = np.zeros(shape, dtype)
    X[rows, columns] = data
    names = [f"i{i}" for i in range(shape[1])]
    if kind in ("polars", "pyarrow"):
        assume(dtype not in ("g", "f2", "O", ">f8", ">i2") and all(shape))
    container = {
        "array": lambda: X,
        "list": X.tolist if len(X) else lambda: X,
        "frame": lambda: pd.DataFrame(X, columns=names),
        "polars": lambda: pl.DataFrame(X, schema=names),
        "pyarrow": lambda: pa.table(dict(zip(names, X.T.copy(), strict=True))),
    }[kind]()
    return container, is_valid


def stored(kind, data, rows, columns, shape):
    """A sparse matrix of unsorted entries with duplicates."""
    if kind in ("dok", "lil", "bsr"):
        assume(data.dtype.kind in "biuf" and data.dtype != np.float16 and data.dtype.isnative)
        with np.errstate(all="ignore"):  # scipy sums duplicates
            return sp.coo_array((data, (rows, columns)), shape=shape).asformat(kind)
    if kind == "coo":
        X = sp.coo_array((np.ones(len(data)), (rows, columns)), shape=shape)
        X.data = data
        return X
    major, minor = (rows, columns) if kind == "csr" else (columns, rows)
    order = np.argsort(major, kind="stable").astype(int)
    starts = np.concatenate([[0], np.cumsum(np.bincount(np.array(major, int), minlength=shape[kind == "csc"]))])
    make = sp.csr_array if kind == "csr" else sp.csc_matrix
    X = make((np.ones(len(data)), np.array(minor, int)[order], starts), shape=shape)
    X.data = data[order]
    return X


def damaged(draw, X):
    """Sometimes an index, or a start of a row, that is not in the matrix; and whether all are as they were."""
    is_damaged = X.format in ("csr", "csc", "coo") and X.nnz and not draw(st.integers(0, 4))
    if is_damaged:
        part = draw(st.sampled_from([X.col] if X.format == "coo" else [X.indices, X.indptr]))
        part[draw(st.integers(0, len(part) - 1))] = draw(st.sampled_from([-1, 9, 12, 10**9]))
    if X.format in ("csr", "csc") and not draw(st.integers(0, 2)):
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X, not is_damaged


def fitted_on_the_width_of(X, model):
    n_items = np.shape(X)[1] if np.ndim(X) == 2 else 1
    return clone(model).fit(np.ones((3, max(1, n_items))))


CALLS = {
    **{
        name: FUNCTIONS[name]
        for name in FUNCTIONS
        if name not in ("evaluate", "recommend", "by_activity", "RankingScorer")
    },
    "evaluate": lambda X: evaluate(fitted_on_the_width_of(X, PopularityRecommender()), X, {"ndcg@3", "map@50"}).mean,
    "evaluate's y": lambda X: evaluate(FOREIGN, sp.csr_array(np.shape(X)), "recall@3", y=X).mean,
    "evaluate of X beside X": lambda X: evaluate(FOREIGN, X, "recall@3", y=X, exclude_seen=False).mean,
    "RankingScorer": lambda X: RankingScorer("ndcg@3", min_interactions=1, held_out_fraction=0.5)(FOREIGN, X),
    "recommend": lambda X: recommend(FOREIGN, X, 3)[0],
    "exclude": lambda X: recommend(FOREIGN, sp.csr_array(np.shape(X)), 3, exclude=X)[0],
    "timestamps": lambda X: skvae.fold_in_split(np.ones(np.shape(X)), timestamps=X)[1].toarray(),
    "by_activity": lambda X: len(skvae.Evaluation({"a": np.ones(np.shape(X)[0])}).by_activity(X)),
    "metric": lambda X: METRICS["ndcg"](
        X, np.tile(np.arange(min(2, np.shape(X)[1])), (np.shape(X)[0], 1)), per_user=True
    ),
    "diversity": lambda X: diversity_at_k([[0, 1]], X),
    "fit": lambda X: PopularityRecommender().fit(X).item_counts_,
    "fit of EASE": lambda X: EASERecommender().fit(X).weights_,
    "decision_function": lambda X: fitted_on_the_width_of(X, EASERecommender()).decision_function(X),
    "score": lambda X: fitted_on_the_width_of(X, PopularityRecommender()).predict(X),
    "X_val": lambda X: (
        skvae.BlendRecommender([("a", PopularityRecommender()), ("b", EASERecommender())])
        .fit(np.ones((3, max(1, np.shape(X)[1]))), X_val=X)
        .weights_
    ),
}
ANSWERS_ALL_VALID = {"as_csr", "count_interactions", "count_users"}  # others want more of X
MAY_BE_NAN = {
    "metric",
    "diversity",
    "novelty_at_k",
    "popularity_at_k",
    "evaluate's fold-in",
    "evaluate with seen items",
}


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(drawn=matrices(), call=st.sampled_from(sorted(CALLS)))
def test_any_matrix_gets_an_answer_or_a_sentence_of_ours(drawn, call):
    X, is_valid = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ours in (
            "X has feature names",
            "X has .* users and only",
            "No validation user",
            "No user",
            "The fold-in of X_val",
        ):
            warnings.filterwarnings("ignore", ours)
        warnings.filterwarnings("ignore", r"\d+ held-out items of \d+ users are in their fold-in")
        warnings.filterwarnings(
            "ignore", "invalid value", RuntimeWarning, "skvae.core.item_regression"
        )  # squares of 3e38
        try:
            answer = CALLS[call](X)
        except (ValueError, TypeError) as error:
            if not (is_raised_in(PACKAGE, error) or is_raised_in(VALIDATION, error)):
                raise
            assert not (is_valid and call in ANSWERS_ALL_VALID)
            return
    numbers = np.array(list(answer.values()) if isinstance(answer, dict) else answer, float)
    assert call in MAY_BE_NAN or not np.isnan(numbers).any()


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(drawn=matrices())
def test_what_is_read_of_any_matrix_is_what_it_holds(drawn):
    X, is_valid = drawn
    try:
        read = as_csr(X)
    except (ValueError, TypeError):
        assert not is_valid
        return
    assert read.has_canonical_format
    assert read.shape == np.shape(X)
    expected = np.zeros(read.shape, np.longdouble)
    if sp.issparse(X):
        coo = X.tocoo() if X.format in ("dok", "lil", "bsr") else X
        if coo.format == "coo":
            rows, columns = coo.row, coo.col
        else:
            major = np.repeat(np.arange(len(coo.indptr) - 1), np.diff(coo.indptr))
            minor = coo.indices[: len(major)]  # there may be more than indptr says
            rows, columns = (major, minor) if coo.format == "csr" else (minor, major)
        bools = coo.data.dtype == bool
        np.add.at(expected, (rows, columns), coo.data[: len(rows)].astype(np.longdouble))
        expected = expected > 0 if bools else expected
    else:
        expected = np.asarray(X).astype(np.longdouble)
    np.testing.assert_allclose(read.toarray().astype(np.longdouble), expected, rtol=1e-6)


def test_a_frame_of_sparse_columns_is_read_as_it_is(X, monkeypatch):
    frame = pd.DataFrame.sparse.from_spmatrix(X, columns=[f"item {i}" for i in range(X.shape[1])])
    dense = frame.sparse.to_dense().iloc[:, :3]
    filled = dense.astype(pd.SparseDtype(np.float32, 1))
    assert (as_csr(filled) != sp.csr_array(dense.to_numpy())).nnz == 0
    for name in ("__array__", "to_numpy"):
        monkeypatch.setattr(pd.DataFrame, name, None)
    read = as_csr(frame)
    assert (read != X).nnz == 0
    assert read.has_canonical_format


@pytest.mark.parametrize("first", [0, 1, 700])
def test_ids_of_users_among_the_items_are_warned_of(first):
    X = pd.DataFrame(make_interactions(n_users=60, n_items=20, random_state=0).toarray()).add_prefix("item ")
    ids = first + np.cumsum(np.arange(60) % 3 + 1) - 1
    X.insert(2, "customer", ids)
    with pytest.warns(UserWarning, match=r"^The column 'customer' of X holds integers that grow .* X.set_index"):
        PopularityRecommender().fit(X)
    with pytest.warns(UserWarning, match=r"^Column 2 of X holds integers that grow from row to row.*: drop it\.$"):
        PopularityRecommender().fit(X.to_numpy())
    PopularityRecommender().fit(X.set_index("customer"))  # warnings are errors here
    PopularityRecommender().fit(X.assign(customer=ids[::-1]))  # counts, for all that is known
    PopularityRecommender().fit(X.assign(customer=ids + 0.5 * (np.arange(60) == 30)))
    with pytest.raises(ValueError, match="it is a table of events"):
        PopularityRecommender().fit(X.set_index("customer")).recommend(pd.DataFrame({"user": [1], "item": [2]}))


@pytest.mark.parametrize(
    "table",
    [
        lambda X: pl.DataFrame(X).cast(pl.Decimal(10, 2)),
        lambda X: pa.table({f"c{i}": pa.array(X[:, i]).dictionary_encode() for i in range(X.shape[1])}),
    ],
    ids=["decimals of polars", "dictionaries of pyarrow"],
)
def test_what_fit_takes_can_be_split_and_evaluated(table):
    X = np.random.default_rng(0).integers(0, 2, (60, 20))
    of_table, of_array = (skvae.EASERecommender().fit(users) for users in (table(X[:30]), X[:30]))
    split = skvae.fold_in_split(X)
    for mine, others in zip(skvae.fold_in_split(table(X)), split, strict=True):
        np.testing.assert_array_equal(skvae.matrix.as_csr(mine).toarray(), skvae.matrix.as_csr(others).toarray())
    assert skvae.evaluate(of_table, table(X[30:])).mean == skvae.evaluate(of_array, X[30:]).mean


@pytest.mark.parametrize(
    "call",
    [
        skvae.strong_generalization_split,
        lambda X: list(skvae.UserKFold(2).split(X)),
        skvae.fold_in_split,
        lambda X: skvae.evaluate(PopularityRecommender().fit(np.eye(3)), X),
        lambda X: skvae.evaluate(PopularityRecommender().fit(np.eye(3)), np.eye(3), y=X),
    ],
)
def test_a_table_of_events_is_no_matrix_to_split_or_to_evaluate(call):
    events = pd.DataFrame({"userId": np.arange(60) % 9, "movieId": np.arange(60) % 7, "rating": 4.0, "a": 1, "b": 2})
    with pytest.raises(ValueError, match="has the columns 'userId' and 'movieId': it is a table of events"):
        call(events)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "recommend", "decision_function", "transform", "score"])
def test_columns_of_one_name_are_refused_by_all_that_take_a_table(method, X):
    items = [f"item {i}" for i in range(X.shape[1])]
    model = clone(SMALL_DAE).fit(pd.DataFrame(X.toarray(), columns=items))
    with pytest.raises(ValueError, match="X has several columns called 'item 1': each item needs a name of its own"):
        getattr(model, method)(pd.DataFrame(X.toarray(), columns=[*items[:-1], "item 1"]))
