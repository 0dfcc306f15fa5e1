"""Ids, times and weights of every type in every kind of table: as they went in, or an error in our own words."""

import datetime
import decimal
import enum
import traceback
import uuid
import warnings
from contextlib import contextmanager
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import fitted_on
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import skvae
from skvae import InteractionEncoder, PopularityRecommender

PACKAGE = str(Path(skvae.__file__).parent)
Decimal = decimal.Decimal
LETTERS = ["a", "b", "c"]
UUIDS = [uuid.UUID(int=number) for number in range(3)]


class Drink(enum.StrEnum):
    TEA = "tea"
    JUICE = "juice"


def objects(values):
    return np.fromiter(values, object, len(values))


def listed(column):
    """Values of a column of any kind as Python's."""
    name = next(name for name in ("to_pylist", "to_list", "tolist") if hasattr(column, name))
    return getattr(column, name)()


def type_of(column):
    return column.type if isinstance(column, pa.ChunkedArray) else column.dtype


def pandas_table(items):
    return pd.DataFrame({"user": [1, 1, 2], "item": items})


def polars_table(items):
    return pl.DataFrame({"user": [1, 1, 2], "item": items})


def arrow_table(items):
    return pa.table({"user": [1, 1, 2], "item": items})


def recommended(events, visitor=None, **kwargs):
    """Recommendations of all items to a visitor, and the encoder that was fitted on events."""
    encoder, model = fitted_on(events)
    visitor = events if visitor is None else visitor
    return encoder.recommend(model, visitor, exclude_seen=False, **kwargs), encoder


# -- ids come back as they went in

COLUMNS = {
    **{
        f"numpy {dtype}": (pandas_table, np.array([1, 2, 100], dtype)) for dtype in ("i1", "u2", "i4", "u4", "i8", "u8")
    },
    **{f"numpy {dtype}": (pandas_table, np.array([0.5, 2, -100], dtype)) for dtype in ("f4", "f8")},
    **{f"pandas {dtype}": (pandas_table, pd.array([1, 2, 100], dtype)) for dtype in ("Int8", "UInt64", "Int64")},
    "pandas Float64": (pandas_table, pd.array([0.5, 2, 3], "Float64")),
    "pandas boolean": (pandas_table, pd.array([True, False, True], "boolean")),
    "pandas int64[pyarrow]": (pandas_table, pd.array([1, 2, 2**53 + 1], "int64[pyarrow]")),
    "pandas objects": (pandas_table, pd.Series(LETTERS, dtype=object)),
    "pandas string": (pandas_table, pd.array(LETTERS, "string")),
    "pandas string[pyarrow]": (pandas_table, pd.array(LETTERS, "string[pyarrow]")),
    "pandas category": (pandas_table, pd.Categorical(LETTERS)),
    "pandas ordered category": (pandas_table, pd.Categorical(LETTERS, ["c", "a", "b"], ordered=True)),
    "pandas decimals": (pandas_table, objects([Decimal("0.10"), Decimal(2), Decimal(10**30)])),
    "pandas decimal128": (
        pandas_table,
        pd.array([Decimal(1), Decimal(2), Decimal(3)], pd.ArrowDtype(pa.decimal128(10, 2))),
    ),
    "pandas bytes": (pandas_table, objects([b"a", b"b\0", b""])),
    "pandas UUIDs": (pandas_table, objects(UUIDS)),
    "pandas huge": (pandas_table, objects([2**63 + 1, -5, 2**63 + 2])),
    **{
        f"polars {dtype}": (polars_table, pl.Series([1, 2, 100], dtype=dtype))
        for dtype in (pl.Int8, pl.UInt32, pl.Int64, pl.Float32, pl.Decimal(10, 0), pl.Decimal(20, 3))
    },
    "polars UInt64": (polars_table, pl.Series([2**64 - 1, 1, 2], dtype=pl.UInt64)),
    **{
        f"polars {dtype}": (polars_table, pl.Series(LETTERS, dtype=dtype))
        for dtype in (pl.String, pl.Categorical, pl.Enum(["c", "a", "d", "b"]))
    },
    "polars Binary": (polars_table, pl.Series([b"a", b"b", b""])),
    "polars Object": (polars_table, pl.Series(UUIDS, dtype=pl.Object)),
    "polars Boolean": (polars_table, pl.Series([True, False, True])),
    **{
        f"pyarrow {dtype}": (arrow_table, pa.array([1, 2, 100], dtype))
        for dtype in (pa.int8(), pa.uint64(), pa.float32())
    },
    "pyarrow decimal128": (arrow_table, pa.array([Decimal(1), Decimal(2), Decimal(10) ** 8], pa.decimal128(12, 2))),
    **{f"pyarrow {dtype}": (arrow_table, pa.array(LETTERS, dtype)) for dtype in (pa.string(), pa.large_string())},
    "pyarrow dictionary": (arrow_table, pa.array(LETTERS).cast(pa.dictionary(pa.uint32(), pa.string()))),
    **{
        f"pyarrow {dtype}": (arrow_table, pa.array([b"a", b"b", b"c"], dtype))
        for dtype in (pa.binary(), pa.large_binary(), pa.binary(1))
    },
}


@pytest.mark.parametrize("column", COLUMNS)
def test_ids_come_back_in_the_value_and_the_type_that_they_had(column):
    make, items = COLUMNS[column]
    events = make(items)
    table, encoder = recommended(events)
    assert encoder.item_ids_.tolist() == sorted(set(listed(events["item"])))
    assert sorted(set(listed(table["item"]))) == encoder.item_ids_.tolist()
    assert type(listed(table["item"])[0]) is type(listed(events["item"])[0])
    assert type_of(table["item"]) == type_of(events["item"])
    # nothing to recommend: the same types
    empty, _ = recommended(events, candidates=encoder.item_ids_[:0])
    assert len(empty) == 0
    assert type_of(empty["item"]) == type_of(table["item"])
    # users too
    swapped = nw.from_native(events).select(nw.col("item").alias("user"), nw.col("user").alias("item")).to_native()
    table, encoder = recommended(swapped)
    assert set(listed(table["user"])) == set(encoder.user_ids_.tolist()) == set(listed(events["item"]))
    assert type_of(table["user"]) == type_of(events["item"])


@pytest.mark.parametrize(
    ("make", "items"),
    [
        (arrow_table, pa.array([b"a", b"b", b"c"], pa.binary_view())),
        (arrow_table, pa.array(LETTERS, pa.string_view())),
        (arrow_table, pa.array([Decimal(1), Decimal(2), Decimal(10) ** 40], pa.decimal256(50, 0))),
        (polars_table, pl.Series([-1, 2**100, 2**100 + 1], dtype=pl.Int128)),
        (polars_table, pl.Series([1, 2, 3], dtype=pl.Int128)),
        (pandas_table, pd.Categorical([7, 8, 9], ordered=True)),
        (pandas_table, pd.arrays.SparseArray([7, 8, 9])),
        (pandas_table, np.array([1, 2, 3], "f2")),
        (pandas_table, objects([5, 2**63 + 1, 2**63 + 2])),
        (arrow_table, pa.array(np.array([1, 2, 3], "f2"))),
        (arrow_table, pa.array([7, 8, 9]).dictionary_encode()),
        (arrow_table, pa.RunEndEncodedArray.from_arrays([1, 2, 3], LETTERS)),
    ],
)
def test_ids_of_rarer_types_come_back_in_the_value_that_they_had(make, items):
    events = make(items)
    table, encoder = recommended(events)
    assert listed(table["item"]) == encoder.item_ids_.tolist() * 2
    assert encoder.item_ids_.tolist() == listed(events["item"])


INTEGER_VISITORS = {
    **{
        f"numpy {dtype}": lambda dtype=dtype: pandas_table(np.array([7] * 3, dtype))
        for dtype in ("i1", "u1", "f4", ">i2")
    },
    "pandas Int8": lambda: pandas_table(pd.array([7] * 3, "Int8")),
    "pandas category": lambda: pandas_table(pd.Categorical([7] * 3)),
    "pandas ordered category": lambda: pandas_table(pd.Categorical([7] * 3, ordered=True)),
    "pandas objects": lambda: pandas_table(objects([7, 7.0, Decimal(7)])),
    "pandas int8[pyarrow]": lambda: pandas_table(pd.array([7] * 3, "int8[pyarrow]")),
    "polars Int8": lambda: polars_table(pl.Series([7] * 3, dtype=pl.Int8)),
    "polars UInt8": lambda: polars_table(pl.Series([7] * 3, dtype=pl.UInt8)),
    "polars Int128": lambda: polars_table(pl.Series([7] * 3, dtype=pl.Int128)),
    "polars Decimal": lambda: polars_table(pl.Series([7] * 3, dtype=pl.Decimal(1, 0))),
    "pyarrow int8": lambda: arrow_table(pa.array([7] * 3, pa.int8())),
    "pyarrow decimal": lambda: arrow_table(pa.array([Decimal(7)] * 3, pa.decimal128(1, 0))),
    "pyarrow dictionary": lambda: arrow_table(pa.array([7] * 3, pa.int8()).dictionary_encode()),
    "lists": lambda: ([1, 1, 2], [7] * 3),
    "list of a scalar": lambda: ([1, 1, 2], [np.int8(7)] * 3),
    "array": lambda: np.array([[1, 7], [1, 7], [2, 7]], "i1"),
    "floats": lambda: np.array([[1, 7], [1, 7], [2, 7.0]]),
    "masked array": lambda: (np.ma.masked_array([1, 1, 2]), np.ma.masked_array([7] * 3)),
    "pandas Series": lambda: (pd.Series([1, 1, 2]), pd.Series([7] * 3, dtype="Int8")),
    "polars Series": lambda: (pl.Series([1, 1, 2]), pl.Series([7] * 3, dtype=pl.Int8)),
    "pyarrow Array": lambda: (pa.array([1, 1, 2]), pa.array([7] * 3, pa.int8())),
    "pandas Index": lambda: (pd.Index([1, 1, 2]), pd.Index([7] * 3)),
}


@pytest.mark.parametrize("visitor", INTEGER_VISITORS)
def test_recommended_integers_are_items_whatever_type_the_visitors_table_has(visitor):
    table, encoder = recommended(pandas_table([7, 300, 3_000_000_000]), INTEGER_VISITORS[visitor]())
    assert listed(table["item"])[:3] == [7, 300, 3_000_000_000]
    column = nw.from_native(table["item"], series_only=True, pass_through=True)
    assert str(column.dtype).lower() == "int64"  # that of the table that was fitted
    assert encoder.item_indices(INTEGER_VISITORS[visitor]()[1]).tolist() == [0, 0, 0] if visitor == "lists" else True


def test_the_type_does_not_depend_on_the_items_that_are_drawn():
    visitor = pandas_table(np.array([7] * 3, "i1"))
    for k in (1, 2):
        assert recommended(pandas_table([7, 8, 3000]), visitor, k=k)[0]["item"].dtype == np.int64


STRING_VISITORS = {
    "pandas category": (lambda: pandas_table(pd.Categorical(["a"] * 3)), nw.Categorical),
    "pandas ordered category": (lambda: pandas_table(pd.Categorical(["a"] * 3, ordered=True)), nw.String),
    "pandas ordered category of all": (
        lambda: pandas_table(pd.Categorical(["a"] * 3, ["c", "b", "a"], ordered=True)),
        nw.Enum,
    ),
    "polars Enum": (lambda: polars_table(pl.Series(["a"] * 3, dtype=pl.Enum(["a"]))), nw.String),
    "polars Enum of all": (lambda: polars_table(pl.Series(["a"] * 3, dtype=pl.Enum(["c", "b", "a"]))), nw.Enum),
    "polars Categorical": (lambda: polars_table(pl.Series(["a"] * 3, dtype=pl.Categorical)), nw.Categorical),
    "polars String": (lambda: polars_table(["a"] * 3), nw.String),
    "pyarrow dictionary": (lambda: arrow_table(pa.array(["a"] * 3).dictionary_encode()), nw.Categorical),
    "pandas objects": (lambda: pandas_table(objects([np.str_("a")] * 3)), nw.String),
}


@pytest.mark.parametrize("visitor", STRING_VISITORS)
@pytest.mark.parametrize("fitted", [LETTERS, pd.Categorical(LETTERS), pd.Categorical(LETTERS, ordered=True)], ids=str)
def test_recommended_strings_are_items_whatever_categories_the_visitors_table_has(fitted, visitor):
    make, dtype = STRING_VISITORS[visitor]
    table, _ = recommended(pandas_table(fitted), make(), k=3)
    assert listed(table["item"]) == LETTERS * 2
    assert isinstance(nw.from_native(table)["item"].dtype, dtype)


@pytest.mark.parametrize("index", [pa.int8(), pa.int32(), pa.uint32()])
@pytest.mark.parametrize("strings", [pa.string(), pa.large_string()])
def test_recommended_strings_have_the_type_of_a_dictionary(index, strings):
    events = arrow_table(pa.array(LETTERS).cast(pa.dictionary(index, strings)))
    table, _ = recommended(events)
    assert table["item"].type == events["item"].type
    assert listed(table["item"]) == LETTERS * 2
    many = pa.table({"user": [1] * 200, "item": [f"item {i:03}" for i in range(200)]})
    encoder, model = fitted_on(many)
    encoder.handle_unknown = "ignore"
    table = encoder.recommend(model, events, k=200)
    assert set(listed(table["item"])) == set(listed(many["item"]))  # more than eight bits count


def test_bytearrays_are_bytes():
    _, encoder = recommended(([1, 1], objects([bytearray(b"y"), b"x"])))
    assert encoder.item_ids_.tolist() == [b"x", b"y"]


def test_a_library_without_a_type_for_the_ids_gets_objects_or_says_so():
    events = ([1, 1, 2], [2**63 + 1, -5, 7])
    table, _ = recommended(events, polars_table([7, 7, 7]), k=3)
    assert table["item"].to_list() == [-5, 7, 2**63 + 1] * 2
    with pytest.raises(
        TypeError, match=r"^No column of pyarrow holds the ids of all items, such as -5: pass events as"
    ):
        recommended(events, arrow_table([7, 7, 7]))


def test_strings_of_enumerations_and_of_numpy_are_strings():
    _, encoder = recommended(([1, 1], [Drink.TEA, "jam"]))
    assert encoder.item_ids_.tolist() == ["jam", "tea"]
    assert {type(item) for item in encoder.item_ids_} == {str}
    assert encoder.item_indices(np.array(["tea"])).tolist() == [1]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([2**53, 2**53 + 1], np.int64),
        ([2**63 + 1, 5], np.uint64),
        ([2**63 + 1, -5], object),
        ([np.uint64(2**63 + 1), np.int8(-5)], object),
        ([2**70, 2**70 + 1], object),
        ([1, 2.5], np.float64),
        ([2**53 + 1, 2.5], object),
        ([True, False], bool),
        (np.array([1, 2], ">i4"), np.int32),
        (np.array([0.5, 2], np.longdouble), np.float64),
    ],
)
def test_numbers_in_a_list_stay_different(ids, expected):
    encoder = InteractionEncoder().fit((ids, ["x"] * len(ids)))
    assert encoder.user_ids_.dtype == expected
    assert encoder.user_ids_.dtype.isnative
    assert encoder.user_ids_.tolist() == sorted(np.asarray(ids, object).tolist())


@pytest.mark.parametrize(
    ("ids", "digits"),
    [
        (np.array([2.0**53, 1]), 53),
        (np.array([-(2.0**60), 1]), 53),
        (np.array([2**24, 1], np.float32), 24),
        (np.array([2**11, 1], np.float16), 11),
        (np.array([2.0**53, 1], object), 53),
        (np.array([np.longdouble(2**53) + 1, 1]), 53),
        (pd.Series([2.0**53, 1]), 53),
        (pl.Series([2.0**53, 1]), 53),
    ],
    ids=str,
)
def test_floats_that_may_stand_for_several_integers_are_no_ids(ids, digits):
    sentence = rf"^Ids in column 'item' are .*, and from 2\*\*{digits} on different integers are the same float: read"
    with pytest.raises(ValueError, match=sentence):
        InteractionEncoder().fit((["a", "b"], ids))


@pytest.mark.parametrize(
    ("items", "got"), [([1.0, np.inf], "inf: drop these rows"), ([Decimal(1), Decimal("Infinity")], "Infinity")]
)
def test_an_infinite_number_is_no_id(items, got):
    with pytest.raises(ValueError, match=f"^Ids in column 'item' must be finite, got {got}"):
        InteractionEncoder().fit((["a", "b"], items))


# -- ids are not guessed

MISSING = {
    "None": None,
    "NaN": float("nan"),
    "NumPy's NaN": np.float32("nan"),
    "NA": pd.NA,
    "NaT": pd.NaT,
    "NumPy's NaT": np.datetime64("NaT"),
    "a duration's NaT": np.timedelta64("NaT"),
    "masked": np.ma.masked,
    "a decimal NaN": Decimal("NaN"),
    "a signalling NaN": Decimal("sNaN"),
}
CONTAINERS_OF_OBJECTS = {
    "lists": lambda columns: tuple(list(column) for column in columns.values()),
    "tuples": lambda columns: tuple(tuple(column) for column in columns.values()),
    "arrays": lambda columns: tuple(map(objects, columns.values())),
    "array": lambda columns: np.stack(list(map(objects, columns.values())), axis=1),
    "masked arrays": lambda columns: tuple(np.ma.masked_array(objects(column)) for column in columns.values()),
    "pandas": lambda columns: pd.DataFrame({name: objects(column) for name, column in columns.items()}),
    "pandas Series": lambda columns: tuple(pd.Series(objects(column)) for column in columns.values()),
    "polars": lambda columns: pl.DataFrame(
        {name: pl.Series(name, column, dtype=pl.Object) for name, column in columns.items()}
    ),
}


@pytest.mark.parametrize("container", CONTAINERS_OF_OBJECTS)
@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("present", ["ann", 7, 7.5], ids=str)
def test_a_missing_id_is_said_in_every_spelling(container, missing, present):
    columns = {"user": ["a", "b", "c"], "item": [present, MISSING[missing], present]}
    with pytest.raises(ValueError, match=r"^1 of 3 events have no value in column 'item': fill or drop them\.$"):
        InteractionEncoder().fit(CONTAINERS_OF_OBJECTS[container](columns))


@pytest.mark.parametrize(
    "items",
    [
        np.ma.masked_array([1, 2, 3], [False, True, False]),
        np.ma.masked_array(["x", "y", "z"], [False, True, False]),
        pd.array([1, None, 3], "Int64"),
        pd.array([1, None, 3], "int64[pyarrow]"),
        pd.array(["x", None, "z"], "string"),
        pd.Categorical(["x", None, "z"]),
        pd.Categorical(["x", None, "z"], ordered=True),
        pl.Series([1, None, 3]),
        pl.Series([1.0, float("nan"), 3.0]),
        pl.Series(["x", None, "z"], dtype=pl.Categorical),
        pl.Series([Decimal(1), None, Decimal(2)]),
        pl.Series([1, None, 3], dtype=pl.Int128),
        pa.array([2**60, None, 3]),
        pa.array([b"x", None, b"z"], pa.large_binary()),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["x", None])),
        pa.chunked_array([pa.array([1, None, 3])]),
        np.array(["x", np.nan, "z"]),  # strings, one of them "nan"
        np.array([1, np.nan, 3]),
    ],
    ids=lambda items: f"{type(items).__name__}",
)
def test_a_missing_id_is_said_in_every_type_of_column(items):
    tables = [(["a", "b", "c"], items)]
    if type(items).__module__.startswith("pandas"):
        tables.append(pd.DataFrame({"user": ["a", "b", "c"], "item": items}))
    elif isinstance(items, pl.Series):
        tables.append(pl.DataFrame({"user": ["a", "b", "c"], "item": items}))
    elif type(items).__module__.startswith("pyarrow"):
        tables.append(pa.table({"user": ["a", "b", "c"], "item": items}))
    for events in tables:
        with pytest.raises(ValueError, match=r"^1 of 3 events have no value in column 'item'"):
            InteractionEncoder().fit(events)


def test_nan_beside_strings_in_an_array_says_what_numpy_made_of_it_and_the_bread_of_that_name_is_an_id():
    with pytest.raises(ValueError, match=r"^1 of 2 .*column 'user' \('nan' is what NumPy makes of NaN beside strings"):
        InteractionEncoder().fit(np.array([["ann", "a"], [float("nan"), "b"]]))
    assert InteractionEncoder().fit((["a", "b"], np.array(["nan", "roti"]))).item_ids_.tolist() == ["nan", "roti"]
    assert InteractionEncoder().fit((["a", "b"], ["nan", "roti"])).item_ids_.tolist() == ["nan", "roti"]


@pytest.mark.parametrize("container", CONTAINERS_OF_OBJECTS)
def test_missing_values_of_all_columns_are_in_one_error(container):
    columns = {
        "user": ["a", None, "c"],
        "item": ["x", "y", float("nan")],
        "stars": [1, pd.NA, None],
        "time": [datetime.date(2024, 1, 1), pd.NaT, datetime.date(2024, 1, 2)],
    }
    sentence = (
        "^1 of 3 events have no value in column 'user', 1 in column 'item', 2 in column 'stars', 1 in column 'time': "
        r"fill or drop them\.$"
    )
    with pytest.raises(ValueError, match=sentence):
        InteractionEncoder(weight="stars", timestamp="time", binary=False).fit(
            CONTAINERS_OF_OBJECTS[container](columns)
        )


@pytest.mark.parametrize("container", CONTAINERS_OF_OBJECTS)
@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (["ann", 7], r"must be all strings or all numbers, got numbers \(7\) and strings \('ann'\): convert them"),
        (["7", 7.0], r".* or all numbers, got numbers \(7.0\) and strings \('7'\)"),
        ([b"7", "7"], r".* or all numbers, got bytes \(b'7'\) and strings \('7'\)"),
        ([True, 1], r".* or all numbers, got booleans \(True\) and numbers \(1\)"),
        ([UUIDS[0], "a"], ".* or all numbers, got UUIDs .* and strings"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], "must be strings or numbers, got date: convert them"),
        ([datetime.datetime(2024, 1, 1), "a"], r"must be strings or numbers, got (datetime|Timestamp): convert them"),
        ([("shop", 1), ("shop", 2)], "must be strings or numbers, got tuple"),
        ([[1], [2]], "must be strings or numbers, got list"),
        ([1j, 2], "must be strings or numbers, got complex"),
    ],
)
def test_ids_of_several_kinds_or_of_none_raise(container, ids, sentence):
    columns = {"user": ids, "item": ["x", "y"]}
    with pytest.raises(TypeError, match=f"^Ids in column 'user' {sentence}"):
        InteractionEncoder().fit(CONTAINERS_OF_OBJECTS[container](columns))


@pytest.mark.parametrize(
    "items",
    [
        pd.date_range("2024", periods=3),
        pd.period_range("2024", periods=3, freq="D"),
        pd.Categorical(pd.date_range("2024", periods=3)),
        np.array([1, 2, 3], "m8[s]"),
        np.array([1j, 2, 3]),
        np.array([(1,), (2,), (3,)], [("x", int)]),
        pl.Series([[1], [2], [3]]),
        pl.Series([{"a": 1}, {"a": 2}, {"a": 3}]),
        pl.Series([datetime.time(1), datetime.time(2), datetime.time(3)]),
        pa.array([[1], [2], [3]]),
    ],
    ids=lambda items: type(items).__name__,
)
def test_what_can_be_no_id_raises_in_every_type_of_column(items):
    with pytest.raises(TypeError, match=r"^(Ids in column 'item' must be strings or|Column .* one value in each row)"):
        InteractionEncoder().fit((["a", "b", "c"], items))


STRINGS = ["1", "2"]
OTHER_KINDS = [
    objects([1, 2]),
    np.array([1, 2]),
    [1, 2],
    [1.0, 2.5],
    [b"1", b"2"],
    [True, False],
    [Decimal(1), Decimal(2)],
]


@pytest.mark.parametrize("items", OTHER_KINDS, ids=str)
def test_ids_of_another_kind_than_those_of_fit_raise_wherever_they_come(items):
    encoder = InteractionEncoder(handle_unknown="ignore").fit((["a", "b"], STRINGS))
    model = PopularityRecommender().fit(encoder.transform((["a", "b"], STRINGS)))
    events = (["a", "b"], items)
    for call in (
        lambda: encoder.partial_fit(events),
        lambda: encoder.transform(events),
        lambda: encoder.recommend(model, events),
        lambda: encoder.recommend(model, (["a"], ["1"]), candidates=items),
        lambda: encoder.item_indices(items),
    ):
        with pytest.raises(
            ValueError, match=r"^Item ids are .* here and were strings in fit, such as .* and '1': convert them"
        ):
            call()
    assert encoder.item_ids_.tolist() == STRINGS


@pytest.mark.parametrize(
    ("fitted", "new", "dtype"),
    [
        (np.array([1, 2]), np.array([3], np.uint32), np.int64),
        (np.array([1, 2], np.int8), np.array([100]), np.int8),
        (np.array([1, 2], np.int8), np.array([300]), np.int64),
        (np.array([1, 2]), np.array([2**63 + 1], np.uint64), np.uint64),
        (np.array([1, -2]), np.array([2**63 + 1], np.uint64), object),
        (np.array([1, 2]), np.array([3.0]), np.int64),
        (np.array([1, 2]), np.array([2.5]), np.float64),
        (np.array([1, 2**53 + 1]), np.array([2.5]), object),
        (np.array([1.0, 2.0]), np.array([3]), np.float64),
        (np.array([1.0, 2.0], np.float32), np.array([2**24 + 1]), np.float64),
        (np.array([1.0, 2.0]), np.array([2**53 + 1]), object),
        ([Decimal(1), Decimal(2)], np.array([3]), object),
        ([1, 2], [Decimal("2.5")], object),
        (["a", "b"], np.array(["c"]), object),
    ],
)
def test_new_items_of_another_type_are_the_same_kind_and_keep_their_value(fitted, new, dtype):
    encoder = InteractionEncoder().fit((["a", "a"], fitted)).partial_fit((["a"], new))
    assert encoder.item_ids_.tolist() == sorted(list(fitted)) + list(new)
    assert encoder.item_ids_.dtype == dtype
    assert encoder.item_indices(new).tolist() == [2]


# -- ids outside a table


@pytest.mark.parametrize(
    "items",
    [
        ["b", "no item"],
        ("b", "no item"),
        dict.fromkeys(["b", "no item"]),
        np.array(["b", "no item"]),
        pd.Series(["b", "no item"], dtype="category"),
        pd.Index(["b", "no item"]),
        pl.Series(["b", "no item"]),
        pa.array(["b", "no item"]),
        pa.chunked_array([["b", "no item"]]),
        (item for item in ["b", "no item"]),
    ],
    ids=lambda items: type(items).__name__,
)
def test_candidates_and_items_may_be_of_any_kind_of_array(items):
    encoder = InteractionEncoder().fit(([1, 1], ["a", "b"]))
    assert encoder.item_indices(items).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("items", "error", "sentence"),
    [
        ("abc", TypeError, r"item ids must be an array or a list of ids, such as \[.abc.\], got .abc."),
        (7, TypeError, r"item ids must be an array or a list of ids, such as \[7\], got 7"),
        ([["a"]], TypeError, "Ids in item ids must be strings or numbers, got list"),
        (np.array([["a"]]), ValueError, r"item ids must be one-dimensional, got shape \(1, 1\)"),
        (["a", None], ValueError, "1 of 2 item ids have no value: drop them"),
        (["a", 7], TypeError, "Ids in item ids must be all strings or all numbers"),
    ],
)
def test_what_is_no_list_of_ids_raises(items, error, sentence):
    encoder = InteractionEncoder().fit(([1, 1], ["a", "b"]))
    with pytest.raises(error, match=f"^{sentence}"):
        encoder.item_indices(items)


@pytest.mark.parametrize(
    ("indices", "sentence"),
    [
        (np.array([2**64 - 1], np.uint64), "There is no item 18446744073709551615"),
        ([[0], [0, 1]], "Indices of items must be an array of integers, got rows of several lengths"),
        (["0"], "Indices of items must be integers, got dtype <U1"),
        ([None], "Indices of items must be integers, got dtype object"),
    ],
)
def test_what_is_no_index_raises(indices, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        InteractionEncoder().fit(([1, 1], ["a", "b"])).inverse_items(indices)


# -- tables that are none


@pytest.mark.parametrize(
    ("events", "error", "sentence"),
    [
        (
            lambda: pl.LazyFrame({"user": [1], "item": [1]}),
            TypeError,
            "events must be .* in memory, .*collect it first",
        ),
        (
            lambda: pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"]),
            ValueError,
            "events cannot be read, have two of its columns the same name",
        ),
        (lambda: (np.array(5), np.array(6)), ValueError, "events must have the 2 columns user, item"),
        (lambda: ("ab", "cd"), TypeError, "Each column of events must be an array or a list, got 'ab'"),
        (lambda: (5, 6), TypeError, "Each column of events must be an array or a list, got 5"),
        (lambda: np.zeros((0, 2)), ValueError, "events has no rows"),
        (lambda: np.zeros((3, 0)), ValueError, "events must have the 2 columns user, item"),
        (lambda: {"user": [1], "thing": [1]}, ValueError, "events has no column 'item', its columns are: user, thing"),
        (lambda: {"user": [1, 2], "item": [1]}, ValueError, "events must have the 2 columns user, item, all equally"),
        (lambda: {"user": 1, "item": 1}, TypeError, "Each column of events must be an array or a list, got 1"),
    ],
)
def test_what_is_no_table_raises(events, error, sentence):
    with pytest.raises(error, match=f"^{sentence}"):
        InteractionEncoder().fit(events())


# -- times


@pytest.mark.parametrize(
    "kinds", [("numbers", "zone"), ("naive", "zone"), ("durations", "numbers"), ("naive", "numbers")]
)
@pytest.mark.parametrize("library", [pd.Series, pl.Series, lambda values: pd.Series(values, dtype=object)])
def test_all_tables_have_times_of_one_kind(kinds, library):
    moment = datetime.datetime(2026, 2, 20)
    values = {
        "numbers": 5,
        "naive": moment,
        "zone": moment.replace(tzinfo=datetime.UTC),
        "durations": datetime.timedelta(hours=3),
    }
    tables = [([1], [item], library([values[kind]])) for item, kind in enumerate(kinds)]
    encoder = InteractionEncoder(timestamp="when", duplicates="last")
    for table in tables:
        encoder.fit([table, table])
    with pytest.raises(ValueError, match=r"Table 2 of events: Column 'when' holds .*the tables before .*: convert one"):
        encoder.fit(tables)


NAIVE = [datetime.datetime(1970, 1, 1), datetime.datetime(2001, 1, 1, 0, 0, 0, 1), datetime.datetime(1969, 12, 31)]
MICROSECONDS = [0, 978307200000001, -86400000000]
NUMPY_TIMES = np.array(NAIVE, "M8[us]")
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Ho_Chi_Minh", "+05:30"]


def tables_of_times(times):
    """Tables of pandas, polars and pyarrow, and tuples with a column of pandas."""
    items = {"user": [1, 1, 1], "item": [1, 2, 3]}
    yield pd.DataFrame({**items, "when": times})
    yield pd.DataFrame({**items, "when": pd.Series(times).astype(object)})
    yield pa.table({**items, "when": pa.array(times)})
    yield (*items.values(), pd.Series(times))
    yield (*items.values(), list(times))
    yield (*items.values(), objects(list(times)))


def times_of(events):
    return InteractionEncoder(timestamp="when").fit(events).timestamps(events)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_of_every_zone_are_microseconds_since_1970_in_utc(zone, unit):
    utc = pd.Series(NUMPY_TIMES.astype(f"M8[{unit}]")).dt.tz_localize("UTC")
    for events in tables_of_times(utc.dt.tz_convert(zone)):
        times = times_of(events)
        assert times.dtype == np.int64
        assert times.data.tolist() == MICROSECONDS
    frame = pl.DataFrame({"user": [1, 1, 1], "item": [1, 2, 3], "when": pl.Series(NUMPY_TIMES.astype(f"M8[{unit}]"))})
    if zone != "+05:30":
        frame = frame.with_columns(pl.col("when").dt.replace_time_zone("UTC").dt.convert_time_zone(zone))
    assert times_of(frame).data.tolist() == MICROSECONDS


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_without_a_zone_are_those_of_utc(unit):
    for events in tables_of_times(pd.Series(NUMPY_TIMES.astype(f"M8[{unit}]"))):
        assert times_of(events).data.tolist() == MICROSECONDS
    assert times_of(([1, 1, 1], [1, 2, 3], NAIVE)).data.tolist() == MICROSECONDS
    assert times_of(([1, 1, 1], [1, 2, 3], list(NUMPY_TIMES.astype(f"M8[{unit}]")))).data.tolist() == MICROSECONDS


@pytest.mark.parametrize("zone", [None, "Asia/Ho_Chi_Minh"])
def test_objects_of_every_unit_are_microseconds_rounded_down(zone):
    before_1970, far = pd.Timestamp(-1, unit="ns", tz="UTC"), pd.Timestamp(np.datetime64("9000-01-01", "s"), tz="UTC")
    moments = [moment.tz_convert(zone) for moment in (before_1970, far, far.as_unit("ms"))]
    moments += [datetime.datetime(1970, 1, 1, tzinfo=zone and datetime.UTC)]
    times = times_of(([1] * 4, [1, 2, 3, 4], objects(moments)))
    assert times.data.tolist() == [-1, 221845392000000000, 221845392000000000, 0]


def test_a_time_of_pandas_beyond_microseconds_is_refused():
    with pytest.raises(ValueError, match="300000-01-01"):
        times_of(([1], [1], objects([pd.Timestamp(np.datetime64("300000-01-01", "s"))])))


@pytest.mark.parametrize(
    "dates",
    [
        pd.Series([datetime.date(1970, 1, 1), datetime.date(1950, 1, 1)]),
        pd.Series([datetime.date(1970, 1, 1), datetime.date(1950, 1, 1)], dtype="date32[pyarrow]"),
        pl.Series([datetime.date(1970, 1, 1), datetime.date(1950, 1, 1)]),
        pa.array([datetime.date(1970, 1, 1), datetime.date(1950, 1, 1)]),
        pa.array([datetime.date(1970, 1, 1), datetime.date(1950, 1, 1)], pa.date64()),
        [datetime.date(1970, 1, 1), datetime.date(1950, 1, 1)],
        [datetime.date(1970, 1, 1), datetime.datetime(1950, 1, 1)],
        [datetime.date(1970, 1, 1), np.datetime64("1950-01-01")],
        np.array(["1970", "1950"], "M8[Y]"),
    ],
    ids=lambda dates: type(dates).__name__,
)
def test_dates_are_microseconds_of_their_midnight(dates):
    assert times_of(([1, 1], [1, 2], dates)).data.tolist() == [0, -631152000000000]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (np.array([1, 2], "m8[D]"), [86400000000, 172800000000]),
        ([datetime.timedelta(seconds=-1), datetime.timedelta(0)], [-1000000, 0]),
        (pl.Series([datetime.timedelta(seconds=-1), datetime.timedelta(0)]), [-1000000, 0]),
        ([5, 2**62], [5, 2**62]),
        ([2**53 + 1, 2**53], [2**53 + 1, 2**53]),
        (np.array([5, 7], np.uint64), [5, 7]),
        ([True, False], [1, 0]),
        ([1, 2.5], [1, 2.5]),
        ([Decimal("1.5"), Decimal(2)], [1.5, 2]),
        (np.array([1, 2.5], np.float16), [1, 2.5]),
    ],
    ids=str,
)
def test_durations_are_microseconds_and_numbers_are_as_they_are(times, expected):
    result = times_of(([1, 1], [1, 2], times))
    assert result.data.tolist() == expected
    assert result.dtype == (np.int64 if all(isinstance(value, int) for value in expected) else np.float64)


AWARE = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        (
            ["2024-01-01", "2024-01-02"],
            "Column 'when' must hold numbers or datetimes, got strings, such as '2024-01-01'",
        ),
        (
            ["03/02/2024", "4.2.2024"],
            r"Column .when. .*: convert it, as with .*, utc=True, dayfirst=True\), with dayfirst=False or format=",
        ),
        *[
            ([date, other], f"Column 'when' .* such as '{date}' and '{other}': convert each kind by its own format")
            for date in ("2024-02-03", "2024/02/03", "2024.02.03 10:00")
            for other in ("04/02/2024", "Mon 4.2.2024")
        ],
        (["2024-02-03 10:00 PM", "2024-02-03"], r"Column 'when' .*: convert it, as with .*, utc=True\), in polars"),
        (["2/4/2024", "1/13/2024"], r"Column 'when' .*: convert it, as with .*, utc=True, dayfirst=False\)\.$"),
        (
            ["Monday, 3/2/2024", "4/2/2024"],
            r"Column 'when' .*: convert it, as with .*, utc=True, dayfirst=True\), with dayfirst=False",
        ),
        (["13/02/2024", "01/13/2024"], r"Column 'when' .* such as '13/02/2024' and '01/13/2024': convert each kind"),
        ([b"2024-02-03", b"04/02/2024"], r"Column 'when' .* such as '2024-02-03' and '04/02/2024': convert each kind"),
        (["03/13/2024", "03/02/2024"], r"Column 'when' .*, utc=True, dayfirst=False\)\.$"),
        (["20240203", "20240204"], r"Column 'when' .*: convert it, as with .*, utc=True, format=\"%Y%m%d\"\)"),
        (["nan", "2024-02-03"], r"Column 'when' .*: convert it, as with .*, utc=True\), in polars"),
        (["1", "2"], r"Column 'when' .*: convert it, as with events\['when'\] = pd.to_numeric\(events\['when'\]\)"),
        ([1, "2"], "Column 'when' must hold numbers or datetimes, got strings"),
        (
            [AWARE, datetime.datetime(2024, 1, 1)],
            "1 of 2 events have a time without a zone in column 'when', the others",
        ),
        ([AWARE, datetime.date(2024, 1, 1)], "1 of 2 events have a time without a zone"),
        ([datetime.date(2024, 1, 1), 5], "Column 'when' mixes date and int: convert it to one type"),
        ([datetime.time(1), datetime.time(2)], "Column 'when' must hold numbers or datetimes: .*'datetime.time'"),
        (pd.period_range("2024", periods=2, freq="D"), "Column 'when' must hold numbers or datetimes: .*Period"),
        ([1j, 2], "Column 'when' must hold numbers or datetimes: .*complex"),
        (np.array([1j, 2]), "Column 'when' must hold numbers or datetimes, got complex128"),
        ([1, 2**63], "Column 'when' holds times from 1 to 9223372036854775808: they must be below"),
        (
            np.array([1, 2**63], np.uint64),
            "Column 'when' holds times from 1 to 9223372036854775808: they must be below",
        ),
        (np.array([1, 10**9], "M8[D]"), "Column 'when' holds times of more than 290 000 years"),
        ([1, np.inf], "1 of 2 events have a value in column 'when' that is not finite"),
        (np.array([1, "NaT"], "m8[D]"), "1 of 2 events have no value in column 'when'"),
        (np.array(["2024", "NaT"], "M8[D]"), "1 of 2 events have no value in column 'when'"),
        (pd.Series([AWARE, None]), "1 of 2 events have no value in column 'when'"),
        (pl.Series([AWARE, None]), "1 of 2 events have no value in column 'when'"),
        (pl.Series([datetime.timedelta(1), None]), "1 of 2 events have no value in column 'when'"),
        ([1.0, np.nan], "1 of 2 events have no value in column 'when'"),
    ],
    ids=str,
)
def test_what_is_no_time_says_what_to_do(times, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        times_of(([1, 1], [1, 2], times))


# -- weights


@pytest.mark.parametrize(
    "weights",
    [
        [1, 2.5],
        [Decimal(1), Decimal("2.5")],
        ["1", "2.5"],
        np.array([1, 2.5], np.float16),
        pd.array([1, 2.5], "Float64"),
        pd.Categorical([1, 2.5]),
        pl.Series([Decimal(1), Decimal("2.5")], dtype=pl.Decimal(5, 2)),
        pa.array([1, 2.5], pa.float32()),
        np.ma.masked_array([1, 2.5]),
    ],
    ids=lambda weights: type(weights).__name__,
)
def test_weights_are_numbers_of_any_type(weights):
    X = InteractionEncoder(weight="w", binary=False).fit_transform(([1, 1], [1, 2], weights))
    assert X.data.tolist() == [1, 2.5]


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.array([1, 2], "m8[s]"), "Column 'w' must hold numbers, got times: convert it, as with .dt.total_seconds"),
        ([datetime.timedelta(1), datetime.timedelta(2)], "Column 'w' must hold numbers, got times"),
        (np.array(["2024", "2025"], "M8[s]"), "Column 'w' must hold numbers, got times"),
        ([1, datetime.date(2024, 1, 1)], "Column 'w' must hold numbers, got times"),
        ([1, "much"], "Column 'w' must hold numbers: could not convert string to float: 'much'"),
        ([1, 1j], "Column 'w' must hold numbers: .*complex"),
        (np.array([1, 1j]), "Column 'w' must hold numbers, got complex128"),
        ([1, 10**400], "Column 'w' must hold numbers: int too large"),
        ([1, [2]], "Column 'w' must hold numbers: "),
        ([1, None], "1 of 2 events have no value in column 'w'"),
        ([1, np.nan], "1 of 2 events have no value in column 'w'"),
        (np.array([1, np.nan]), "1 of 2 events have no value in column 'w'"),
        ([1, np.inf], "1 of 2 events have a value in column 'w' that is not finite"),
        ([1, "inf"], "1 of 2 events have a value in column 'w' that is not finite"),
        ([1, -1], "Column 'w' has negative weights, the lowest is -1.* sum them first, as events.groupby"),
    ],
    ids=str,
)
def test_what_is_no_weight_says_what_to_do(weights, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        InteractionEncoder(weight="w", binary=False).fit(([1, 1], [1, 2], weights))


# -- whatever comes: the right answer, or an error in our own words

IDS = {
    "integers": [-3, 0, 1, 2, 3],
    "large integers": [2**53, 2**53 + 1, -(2**63), 2**63 - 1],
    "unsigned integers": [0, 2**63, 2**64 - 1],
    "huge integers": [2**63 + 1, -5, 2**70],
    "floats": [0.5, 2.0, -1.5, 3.0],
    "large floats": [1e300, 2.0**53, float("inf"), 1.0],
    "strings": ["a", "b", "nan", "", "7", "\xfc"],
    "strings of NumPy": [np.str_("a"), "b", Drink.TEA],
    "half a character": ["\ud800", "a"],
    "bytes": [b"a", b"b", b"", b"a\0"],
    "decimals": [Decimal(1), Decimal("2.50"), Decimal("3.125")],
    "infinite decimals": [Decimal(1), Decimal("-Infinity")],
    "booleans": [True, False],
    "UUIDs": UUIDS,
    "scalars of NumPy": [np.int8(1), np.uint64(2**63), np.float32(1.5)],
    "numbers": [1, 2.5, Decimal(3)],
    "strings and numbers": [1, "a", 2, "7"],
    "booleans and numbers": [True, 1, 2],
    **{f"strings and {name}": ["a", "b", value] for name, value in MISSING.items()},
    **{f"numbers and {name}": [1, 2.5, value] for name, value in MISSING.items()},
    "dates": [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)],
    "tuples": [("a", 1), ("b", 2)],
    "lists": [[1], [2]],
    "complex": [1j, 2],
}
WEIGHTS = [1, 2, 0.5, 0, 3, 1e-50, 1e39, True, Decimal("1.5"), "2"]
NO_WEIGHTS = [-1, float("nan"), float("inf"), None, "x", pd.NA, datetime.timedelta(1), 1j, 10**400]
TIMES = {
    "integers": [0, 5, -3, 2**62],
    "large integers": [2**63, 1],
    "floats": [0.5, 1e9],
    "decimals": [Decimal("1.5"), Decimal(2)],
    "booleans": [True, False],
    "datetimes": NAIVE,
    "datetimes with a zone": [
        AWARE,
        datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5))),
    ],
    "Timestamps": list(pd.to_datetime(["2020-01-01", "2024-07-01"]).tz_localize("Asia/Ho_Chi_Minh")),
    "Timestamps and datetimes": [pd.Timestamp(1, tz="UTC"), AWARE],
    "datetimes of NumPy": [np.datetime64("2020-01-01"), np.datetime64("2020-01-01T01", "ns")],
    "dates": [datetime.date(2020, 1, 1), datetime.date.min],
    "durations": [datetime.timedelta(1), datetime.timedelta(-1)],
    "some with a zone": [AWARE, NAIVE[0]],
    "dates and numbers": [1, datetime.date(2020, 1, 1)],
    "strings": ["2020-01-01", "5"],
    "times of day": [datetime.time(1)],
    "some missing": [pd.NaT, pd.Timestamp(0)],
    "complex": [1j],
}


def polars_series(name, values):
    # polars panics of a decimal that is no number
    is_plain = len(set(map(type, values))) == 1 and not {"NaN", "sNaN", "-Infinity"} & set(map(str, values))
    return pl.Series(name, values, strict=False) if is_plain else pl.Series(name, values, dtype=pl.Object)


def polars_frame(columns, dtype_of=None):
    frame = pl.DataFrame([polars_series(name, values) for name, values in columns.items()])
    texts = [name for name in ("user", "item") if frame[name].dtype == pl.String and dtype_of is not None]
    return frame.with_columns(frame[name].cast(dtype_of(frame[name])) for name in texts)


def arrow_frame(columns, convert=lambda array: array):
    arrays = {name: pa.array(values) for name, values in columns.items()}
    return pa.table(arrays | {name: convert(arrays[name]) for name in ("user", "item")})


def as_view(array):
    types = {pa.string(): pa.string_view(), pa.binary(): pa.binary_view()}
    return array.cast(types.get(array.type, array.type))


def pandas_frame(columns):
    return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})


CONTAINERS = CONTAINERS_OF_OBJECTS | {
    "NumPy's arrays": lambda columns: tuple(np.array(values) for values in columns.values()),
    "NumPy's array": lambda columns: np.array([list(row) for row in zip(*columns.values(), strict=True)]),
    "arrays with a mask": lambda columns: tuple(
        np.ma.masked_array(np.array(values), [len(values) > 4] + [False] * (len(values) - 1))
        for values in columns.values()
    ),
    "pandas' own types": pandas_frame,
    "pandas with labels": lambda columns: pandas_frame(columns).set_axis([9] * len(columns["user"])),
    "pandas nullable": lambda columns: pandas_frame(columns).convert_dtypes(),
    "pandas of pyarrow": lambda columns: pandas_frame(columns).convert_dtypes(dtype_backend="pyarrow"),
    "pandas category": lambda columns: pandas_frame(columns).astype({"user": "category", "item": "category"}),
    "pandas ordered category": lambda columns: pandas_frame(columns).assign(
        item=lambda frame: pd.Categorical(frame["item"], ordered=True)
    ),
    "pandas Index": lambda columns: tuple(map(pd.Index, columns.values())),
    "pandas arrays": lambda columns: tuple(map(pd.array, columns.values())),
    "polars' own types": polars_frame,
    "polars Categorical": lambda columns: polars_frame(columns, lambda series: pl.Categorical),
    "polars Enum": lambda columns: polars_frame(columns, lambda series: pl.Enum(series.unique().sort())),
    "polars Series": lambda columns: tuple(polars_series("", values) for values in columns.values()),
    "pyarrow": arrow_frame,
    "pyarrow dictionary": lambda columns: arrow_frame(columns, lambda array: array.dictionary_encode()),
    "pyarrow views": lambda columns: arrow_frame(columns, as_view),
    "pyarrow Arrays": lambda columns: tuple(map(pa.array, columns.values())),
}


def made(container, columns):
    """A table, where its library makes one of these columns."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CONTAINERS[container](columns)
    except Exception:
        return None


def ids_in(events, place):
    """The ids of users (0) or items (1) as the table itself has them."""
    if isinstance(events, tuple):
        return listed(events[place]) if hasattr(events[place], "__array__") else list(events[place])
    return listed(events[:, place] if isinstance(events, np.ndarray) else events["item" if place else "user"])


def values(table, name):
    return listed(table[name])


@st.composite
def event_columns(draw):
    n_events = draw(st.integers(1, 6))
    kinds = [draw(st.sampled_from([*IDS, *["integers", "strings"] * 10])) for _ in range(2)]
    pools = {name: IDS[kind] for name, kind in zip(("user", "item"), kinds, strict=True)}
    if draw(st.booleans()):
        pools["weight"] = draw(st.sampled_from([WEIGHTS, WEIGHTS, NO_WEIGHTS]))
    if draw(st.booleans()):
        pools["time"] = TIMES[draw(st.sampled_from([*TIMES]))]
    return {
        name: draw(st.lists(st.sampled_from(pool), min_size=n_events, max_size=n_events))
        for name, pool in pools.items()
    }


def check_answers(encoder, X, events, visitors):
    """Whether every method of an encoder, fitted on events, answers in its ids."""
    items, users = encoder.item_ids_.tolist(), encoder.user_ids_.tolist()
    assert X.nnz
    assert (X.data > 0).all()
    assert np.isfinite(X.data).all()
    assert set(items) <= set(ids_in(events, 1))
    assert set(users) <= set(ids_in(events, 0))
    if encoder.weight is None:
        assert [set(items), set(users)] == [set(ids_in(events, 1)), set(ids_in(events, 0))]
    assert encoder.inverse_items(np.arange(len(items))).tolist() == items
    assert encoder.inverse_users(np.arange(len(users))).tolist() == users
    assert encoder.item_indices(items).tolist() == list(range(len(items)))
    assert set(encoder.user_ids_of(events).tolist()) == set(ids_in(events, 0))
    assert encoder.transform(events).nnz == X.nnz
    if encoder.timestamp is not None:
        times = encoder.timestamps(events, users=encoder.user_ids_)
        assert times.shape == X.shape
        assert (times.indices == X.indices).all()
    model = PopularityRecommender().fit(X)
    for table in (events, visitors):
        if table is None:
            continue
        for exclude_seen in (False, True):
            answer = encoder.recommend(model, table, k=3, exclude_seen=exclude_seen)
            assert set(values(answer, "item")) <= set(items)
            assert set(values(answer, "user")) <= set(ids_in(table, 0))
            assert exclude_seen or len(values(answer, "item")) == min(3, len(items)) * len(encoder.user_ids_of(table))
    if visitors is not None:
        encoder.partial_fit(visitors)
        assert encoder.item_ids_.tolist()[: len(items)] == items
        assert set(encoder.item_ids_.tolist()) <= {*items, *ids_in(visitors, 1)}


@contextmanager
def errors_in_our_own_words():
    try:
        yield
    except (ValueError, TypeError) as error:
        if not traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE):
            raise


@settings(max_examples=400)
@given(
    columns=event_columns(),
    other=event_columns(),
    containers=st.tuples(st.sampled_from([*CONTAINERS]), st.sampled_from([*CONTAINERS])),
    duplicates=st.sampled_from(["sum", "max", "last"]),
)
def test_every_table_gives_its_own_ids_back_or_an_error_in_our_own_words(columns, other, containers, duplicates):
    events = made(containers[0], columns)
    assume(events is not None)
    roles = {"weight": "weight", "timestamp": "time"}
    encoder = InteractionEncoder(
        **{role: name for role, name in roles.items() if name in columns},
        binary="weight" not in columns,
        duplicates=duplicates if "time" in columns else "max",
        handle_unknown="ignore",
    )
    visitors = made(containers[1], columns if columns.keys() != other.keys() else other)
    with errors_in_our_own_words():
        X = encoder.fit_transform(events)
        check_answers(encoder, X, events, visitors)
