"""The laws of InteractionEncoder: tables in, ids out."""

import builtins
import copy
import pickle
import warnings
from functools import partial
from pathlib import Path

import joblib
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from conftest import fitted_on
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

import skvae
from skvae import EASERecommender, InteractionEncoder, MultDAERecommender, PopularityRecommender, fold_in_split
from skvae.datasets import make_interactions
from skvae.ids import item_index

FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
TABLES = {
    **FRAMES,
    "tuple": lambda columns: tuple(columns.values()),
    "array": lambda columns: np.array(list(columns.values()), object).T,
    "dict": dict,
}
WEIGHTED = InteractionEncoder(weight="weight", binary=False)


def columns_of(n_events=300, n_users=20, n_items=12, seed=0):
    """Columns of events with repeats; items are strings."""
    rng = np.random.default_rng(seed)
    return {
        "user": rng.integers(100, 100 + n_users, n_events),
        "item": np.array([f"i{item}" for item in rng.integers(0, n_items, n_events)], object),
        "weight": rng.integers(1, 6, n_events) / 2,
        "timestamp": rng.integers(0, 50, n_events),
    }


def events_of(n_events=300, **kwargs):
    return pd.DataFrame(columns_of(n_events, **kwargs))


def rows_of(weights):
    """Lists of events, one of them at least of a weight that is not 0."""
    event = st.tuples(st.integers(0, 6), st.sampled_from("abcdef"), weights, st.integers(0, 3))
    return st.lists(event, min_size=1).filter(lambda rows: any(weight for _, _, weight, _ in rows))


event_rows = rows_of(st.integers(0, 10)) | rows_of(st.integers(0, 40).map(lambda n: n / 4))  # quarters add up exactly


def frame_of(rows):
    return pd.DataFrame(rows, columns=["user", "item", "weight", "timestamp"])


# -- the matrix


@settings(max_examples=50)
@given(rows=event_rows)
@pytest.mark.parametrize("duplicates", ["sum", "max"])
def test_the_matrix_is_the_cross_tabulation_of_pandas(rows, duplicates):
    events = frame_of(rows)
    positive = events[events["weight"] > 0]
    expected = pd.crosstab(positive["user"], positive["item"], positive["weight"], aggfunc=duplicates).fillna(0)
    encoder = clone(WEIGHTED).set_params(duplicates=duplicates)
    X = encoder.fit_transform(events)
    np.testing.assert_array_equal(X.toarray(), expected.to_numpy())
    assert encoder.user_ids_.tolist() == expected.index.tolist()
    assert encoder.item_ids_.tolist() == expected.columns.tolist()
    counts = pd.crosstab(events["user"], events["item"])
    np.testing.assert_array_equal(InteractionEncoder(binary=False).fit_transform(events).toarray(), counts)
    np.testing.assert_array_equal(InteractionEncoder().fit_transform(events).toarray(), counts > 0)


@settings(max_examples=50)
@given(rows=event_rows)
def test_decoding_what_was_encoded_gives_the_events_back(rows):
    events = frame_of(rows).sort_values("weight").drop_duplicates(["user", "item"], keep="last")
    encoder = clone(WEIGHTED)
    X = encoder.fit_transform(events).tocoo()
    decoded = zip(encoder.inverse_users(X.row), encoder.inverse_items(X.col), X.data, strict=True)
    positive = events.loc[events["weight"] > 0, ["user", "item", "weight"]]
    assert sorted(decoded) == sorted(positive.itertuples(index=False, name=None))


@settings(max_examples=50)
@given(rows=event_rows, data=st.data())
@pytest.mark.parametrize("duplicates", ["sum", "max", "last"])
def test_the_order_of_the_events_changes_nothing(rows, duplicates, data):
    encoder = InteractionEncoder(weight="weight", timestamp="timestamp", binary=False, duplicates=duplicates)
    events, shuffled = frame_of(rows), frame_of(data.draw(st.permutations(rows)))
    events["weight"], shuffled["weight"] = events["weight"] / 3, shuffled["weight"] / 3  # sums that round
    X, other = encoder.fit_transform(events), clone(encoder).fit_transform(shuffled)
    np.testing.assert_array_equal(X.toarray(), other.toarray())
    np.testing.assert_array_equal(encoder.timestamps(events).toarray(), encoder.timestamps(shuffled).toarray())


@pytest.mark.parametrize("table", TABLES)
def test_every_kind_of_table_gives_the_same(table):
    columns = columns_of()
    encoder = InteractionEncoder(weight="weight", timestamp="timestamp", threshold=2, min_item_interactions=3)
    X = clone(encoder).fit_transform(pd.DataFrame(columns))
    events = TABLES[table](columns)
    other = encoder.fit_transform(events)
    assert type(other) is sp.csr_array
    assert other.dtype == np.float32
    assert other.has_canonical_format
    np.testing.assert_array_equal(other.toarray(), X.toarray())
    assert encoder.item_ids_.tolist() == sorted(set(encoder.item_ids_))
    assert encoder.user_ids_of(events).tolist() == np.unique(columns["user"]).tolist()
    assert encoder.timestamps(events).nnz == encoder.transform(events).nnz


@pytest.mark.parametrize(
    "make",
    [lambda ids: ids.astype("category"), lambda ids: ids.astype("string"), lambda ids: ids.to_numpy().astype("U")],
)
def test_strings_are_the_same_ids_however_they_are_stored(make):
    columns = columns_of()
    items = make(pd.Series(columns["item"]))
    plain, other = InteractionEncoder().fit((columns["user"], columns["item"])), InteractionEncoder()
    other.fit(pd.DataFrame({"user": columns["user"], "item": items}))
    assert other.item_ids_.dtype == plain.item_ids_.dtype == object
    assert other.item_ids_.tolist() == plain.item_ids_.tolist()


def test_read_only_arrays_are_read_and_left_alone():
    columns = columns_of()
    for column in columns.values():
        column.flags.writeable = False
    encoder = clone(WEIGHTED).set_params(timestamp="timestamp")
    assert encoder.fit_transform(tuple(columns.values())).sum() == columns["weight"].sum()
    events = pd.DataFrame(columns)
    before = events.copy()
    encoder.fit(events)
    pd.testing.assert_frame_equal(events, before)


@settings(max_examples=50)
@given(rows=event_rows, least_items=st.integers(1, 4), least_users=st.integers(1, 4))
def test_the_k_core_holds_and_is_the_largest(rows, least_items, least_users):
    events = frame_of(rows)
    encoder = InteractionEncoder(min_user_interactions=least_items, min_item_interactions=least_users)
    core = events.drop_duplicates(["user", "item"])
    while True:  # the definition, on the table
        kept = core[
            (core.groupby("user")["item"].transform("size") >= least_items)
            & (core.groupby("item")["user"].transform("size") >= least_users)
        ]
        if len(kept) == len(core):
            break
        core = kept
    if core.empty:
        with pytest.raises(ValueError, match="No user is left with min_user_interactions"):
            encoder.fit(events)
        return
    X = encoder.fit_transform(events)
    assert encoder.user_ids_.tolist() == sorted(core["user"].unique())
    assert encoder.item_ids_.tolist() == sorted(core["item"].unique())
    assert X.nnz == len(core)


@pytest.mark.parametrize(("duplicates", "weights"), [("sum", [[4, 9]]), ("max", [[4, 5]])])
def test_a_threshold_is_of_each_event_so_that_two_dislikes_are_no_like(duplicates, weights):
    events = (["a"] * 6, ["x", "x", "y", "y", "z", "z"], [4, 1, 2, 2, 4, 5], [3, 9, 1, 2, 5, 4])
    encoder = InteractionEncoder(weight="stars", threshold=4, timestamp="time", duplicates=duplicates, binary=False)
    np.testing.assert_array_equal(encoder.fit_transform(events).toarray(), weights)
    assert encoder.item_ids_.tolist() == ["x", "z"]
    encoder.set_params(handle_unknown="ignore")
    assert encoder.timestamps(events).data.tolist() == [3, 5]  # of the events that count


@pytest.mark.parametrize("low", [0, 0.5])
def test_with_duplicates_last_only_the_last_event_meets_the_threshold(low):
    encoder = InteractionEncoder(weight="stars", threshold=4, timestamp="time", duplicates="last")
    encoder.fit((["a"] * 4, ["x", "x", "y", "y"], [5, low, low, 5], [1, 2, 1, 2]))
    assert encoder.item_ids_.tolist() == ["y"]


def test_without_weights_a_threshold_is_of_the_number_of_events():
    encoder = InteractionEncoder(threshold=2).fit((["a"] * 3, ["x", "y", "x"]))
    assert encoder.item_ids_.tolist() == ["x"]


def test_repeats_below_the_threshold_are_repeats_all_the_same():
    with pytest.raises(ValueError, match="1 events repeat a user and an item"):
        InteractionEncoder(weight="stars", threshold=4, duplicates="error").fit((["a"] * 2, ["x", "x"], [5, 1]))


def test_a_weight_of_zero_is_no_interaction():
    encoder = clone(WEIGHTED)
    assert encoder.fit_transform((["a", "a", "b", "b"], ["x", "y", "y", "z"], [2, 3, 4, 0])).nnz == 3
    assert encoder.item_ids_.tolist() == ["x", "y"]


def test_a_weight_above_zero_is_an_interaction_however_small():
    X = clone(WEIGHTED).fit_transform((["a", "a", "a", "b"], ["x", "y", "z", "x"], [1e-50, 5e-324, 1e-40, 1]))
    assert X.nnz == 4
    assert (X.data[:3] == np.finfo(np.float32).tiny).all()
    assert X.data[3] == 1


@pytest.mark.parametrize("weights", [[1e39, 1], [3e38, 3e38], [1.7e308, 1.7e308]])
def test_weights_beyond_float32_say_what_to_do_and_do_not_matter_where_entries_are_ones(weights):
    events = (["a", "a"], ["x", "x"], weights)
    with pytest.raises(ValueError, match=r"must be at most 3.4e\+38, what a float32 holds, got .*: divide them all"):
        clone(WEIGHTED).fit(events)
    X = InteractionEncoder(weight="weight", threshold=1).fit_transform(events)
    assert X.data.tolist() == [1]


def test_the_last_of_repeated_events_is_that_of_the_latest_time():
    encoder = InteractionEncoder(weight="rating", timestamp="time", duplicates="last", binary=False)
    X = encoder.fit_transform((["a"] * 4, ["x", "x", "x", "y"], [5, 1, 2, 3], [1, 9, 9, 0]))
    np.testing.assert_array_equal(X.toarray(), [[2, 3]])


def test_repeated_events_raise_where_they_are_said_to_be_errors():
    encoder = InteractionEncoder(duplicates="error")
    with pytest.raises(ValueError, match=r"^2 events repeat a user and an item, such as user 'b' and item 'y'"):
        encoder.fit((["a", "b", "b", "b"], ["x", "y", "y", "y"]))
    assert encoder.fit_transform((["a", "b"], ["x", "x"])).nnz == 2


# -- users and items that fit has not seen


def test_fit_transform_is_transform_without_the_users_who_have_too_few():
    events = events_of(100)
    encoder = InteractionEncoder(min_user_interactions=3, min_item_interactions=4, handle_unknown="ignore")
    X = encoder.fit_transform(events)
    users = encoder.user_ids_of(events)
    assert len(users) > len(encoder.user_ids_)
    kept = np.isin(users, encoder.user_ids_)
    np.testing.assert_array_equal(encoder.transform(events)[kept].toarray(), X.toarray())


def test_users_never_seen_are_rows_and_one_without_known_items_is_an_empty_row():
    encoder = InteractionEncoder(handle_unknown="ignore").fit((["a", "b"], ["x", "y"]))
    events = (["d", "c", "c"], ["new", "y", "new"])
    np.testing.assert_array_equal(encoder.transform(events).toarray(), [[0, 1], [0, 0]])
    assert encoder.user_ids_of(events).tolist() == ["c", "d"]


def test_events_of_unknown_items_are_counted_in_one_warning_or_raise():
    encoder = InteractionEncoder().fit((["a", "b"], ["x", "y"]))
    events = (["a", "a", "a", "a"], ["x", "v", "w", "w"])
    with pytest.warns(
        UserWarning, match=r"^3 of 4 events are of items that .* does not have, 2 different ones, such as 'v'"
    ) as record:
        X = encoder.transform(events)
    assert len(record) == 1
    np.testing.assert_array_equal(X.toarray(), [[1, 0]])
    with pytest.raises(ValueError, match=r"3 of 4 events are of items that .* have, 2 different ones"):
        encoder.set_params(handle_unknown="error").transform(events)


def test_ids_of_indices_and_indices_of_ids():
    encoder = InteractionEncoder().fit(([7, 7, 3], [30, 10, 20]))
    np.testing.assert_array_equal(encoder.inverse_items([[0, 2], [1, 0]]), [[10, 30], [20, 10]])
    assert encoder.inverse_items([[0, 2]]).dtype == np.int64
    assert encoder.inverse_items([1, -1]).tolist() == [20, None]
    assert encoder.inverse_users([1, 0]).tolist() == [7, 3]
    assert encoder.item_indices([30, 11, 10]).tolist() == [2, -1, 0]
    with pytest.raises(ValueError, match="There is no item 3: indices go from 0 to 2, and -1 is none"):
        encoder.inverse_items([3])
    with pytest.raises(ValueError, match="Indices of users must be integers"):
        encoder.inverse_users([0.5])


# -- recommendations


@pytest.fixture(scope="module")
def fitted():
    """Encoder, columns of events and a model."""
    columns = columns_of(120)
    encoder = InteractionEncoder()
    return encoder, columns, EASERecommender(l2_regularization=1).fit(encoder.fit_transform(named(columns)))


def named(columns, make=pd.DataFrame):
    return make({name: columns[name] for name in ("user", "item")})


@pytest.mark.parametrize("library", FRAMES)
def test_recommendations_come_in_the_kind_of_frame_and_of_ids_that_came_in(fitted, library):
    encoder, columns, model = fitted
    events = named(columns, FRAMES[library])
    table = encoder.recommend(model, events, k=12)
    assert type(table) is type(events)
    table, events = nw.from_native(table), nw.from_native(events)
    assert table.columns == ["user", "rank", "item", "score"]
    assert [table.schema[name] for name in ("user", "item")] == [events.schema[name] for name in ("user", "item")]
    X = encoder.transform(named(columns))
    items, scores = model.recommend(X, 12)
    users, places = np.nonzero(items >= 0)  # padding is left out
    assert table["user"].to_list() == encoder.inverse_users(users).tolist()
    assert table["rank"].to_list() == (places + 1).tolist()
    assert table["item"].to_list() == encoder.inverse_items(items[users, places]).tolist()
    assert table["score"].to_list() == scores[users, places].tolist()
    assert not set(table.select("user", "item").iter_rows()) & set(events.iter_rows())


def test_recommendations_of_arrays_are_a_dict_of_arrays(fitted):
    encoder, columns, model = fitted
    table = encoder.recommend(model, (columns["user"], columns["item"]), k=3)
    expected = encoder.recommend(model, named(columns), k=3)
    pd.testing.assert_frame_equal(pd.DataFrame(table), expected, check_dtype=False)


@pytest.mark.parametrize("make", [*FRAMES.values(), dict], ids=[*FRAMES, "dict"])
@pytest.mark.parametrize("k", [None, 1, 3, 100])
def test_reranked_tables_have_what_the_function_chooses_for_each_user(fitted, make, k):
    encoder, columns, model = fitted
    vectors = encoder.transform(named(columns)).T
    table = pd.DataFrame(encoder.recommend(model, (columns["user"], columns["item"]), k=8))
    table = table[(table["user"] != table["user"].iloc[0]) | (table["rank"] <= 2)].sample(frac=1, random_state=0)
    answer = encoder.rerank(make(table.to_dict("list")), vectors, k, relevance_weight=0.4)
    assert type(answer) is type(make({}))
    reranked = answer if make is dict else nw.from_native(answer).to_dict(as_series=False)
    expected = []
    for user, rows in table.groupby("user", sort=False):
        n = len(rows) if k is None else min(k, len(rows))
        listed = encoder.item_indices(rows["item"])[None], rows["score"].to_numpy()[None]
        items, scores = (of_user[0] for of_user in skvae.rerank(*listed, vectors, n, relevance_weight=0.4))
        expected += zip([user] * n, range(1, n + 1), encoder.inverse_items(items), scores, strict=True)
    assert list(zip(*reranked.values(), strict=True)) == expected
    assert list(reranked) == ["user", "rank", "item", "score"]


@pytest.mark.filterwarnings("ignore:.* of .* items are unknown")
def test_what_reranks_a_table_describes_its_items_in_their_order(fitted):
    encoder, columns, model = fitted
    vectors = pd.DataFrame(encoder.transform(named(columns)).T.toarray(), index=encoder.item_ids_)
    table = encoder.recommend(model, named(columns), k=3)
    assert encoder.rerank(table, vectors).equals(encoder.rerank(table, vectors.to_numpy()))
    assert encoder.rerank(table.assign(item="unknown"), vectors).empty
    with pytest.raises(ValueError, match="in another order"):
        encoder.rerank(table, vectors[::-1])
    with pytest.raises(ValueError, match=f"has 2 rows, the encoder {len(vectors)} items"):
        encoder.rerank(table, vectors[:2])
    with pytest.raises(ValueError, match="other row labels"):
        encoder.rerank(table, vectors[::-1].rename(index={"i0": "another"}))
    assert encoder.rerank(table, vectors.reset_index(drop=True)).equals(encoder.rerank(table, vectors))
    with pytest.raises(ValueError, match="no column 'score'"):
        encoder.rerank(table.drop(columns="score"), vectors)
    for scores, sentence in (
        (np.ones(len(table) + 1), "must have the 3 columns user, item, score, all equally long"),
        (["high"] * len(table), "Column 'score' must hold numbers"),
        (pd.date_range("2026-01-01", periods=len(table), tz="UTC"), "Column 'score' must hold numbers, got times"),
    ):
        with pytest.raises(ValueError, match=sentence):
            encoder.rerank({"user": table["user"], "item": table["item"], "score": scores}, vectors)
    for relevance_weight in (0.0, 0.7):
        options = {"k": 2, "relevance_weight": relevance_weight}
        by_item = table.sort_values(["user", "item"], kind="stable")
        chosen = [encoder.rerank(rows, vectors, **options).set_index("user") for rows in (table, by_item)]
        pd.testing.assert_frame_equal(chosen[0], chosen[1].loc[chosen[0].index.unique()])
    whole = table.assign(score=10 - table["rank"])
    assert encoder.rerank(whole, vectors, relevance_weight=1)["score"].tolist() == whole["score"].tolist()


@pytest.mark.parametrize("library", TABLES)
def test_explanations_and_similar_items_in_ids_are_those_of_the_model(fitted, library):
    encoder, columns, model = fitted
    events = TABLES[library](named(columns, dict))
    table = encoder.recommend(model, events, k=2)
    search = GridSearchCV(make_pipeline(Binarizer(), clone(model)), {}, scoring=skvae.ndcg_scorer, cv=2)
    for answering in (model, search.fit(encoder.transform(named(columns)))):
        answer = encoder.explain(answering, events, table, k=3)
        assert type(answer) is type(table)
        explained = nw.from_native(answer).to_dict(as_series=False) if library in FRAMES else answer
        items, _ = model.recommend(encoder.transform(events), k=2)
        own_items, contributions = model.explain(encoder.transform(events), items, k=3)
        users, places, ranks = np.nonzero(own_items >= 0)
        expected = {
            "user": encoder.user_ids_of(events)[users],
            "item": encoder.inverse_items(items[users, places]),
            "own_rank": ranks + 1,
            "own_item": encoder.inverse_items(own_items[users, places, ranks]),
            "contribution": contributions[users, places, ranks],
        }
        assert explained.keys() == expected.keys()
        assert all(np.array_equal(explained[name], expected[name]) for name in expected)
    similar, similarities = model.similar_items(encoder.item_indices(["i3", "i1", "i3"]), 2)
    asked = ["i3", "i1", "i3"]
    answer = encoder.similar_items(model, FRAMES[library]({"any": asked})["any"] if library in FRAMES else asked, k=2)
    assert type(answer) is type(table)
    told = nw.from_native(answer).to_dict(as_series=False) if library in FRAMES else answer
    expected = {
        "item": np.repeat(asked, 2),
        "similar_rank": [1, 2] * 3,
        "similar_item": encoder.inverse_items(similar.ravel()),
        "similarity": similarities.ravel(),
    }
    assert told.keys() == expected.keys()
    assert all(np.array_equal(told[name], expected[name]) for name in expected)


def test_rows_of_a_table_are_explained_one_by_one_in_their_order(fitted):
    encoder, columns, model = fitted
    events = named(columns)
    table = encoder.recommend(model, events, k=3)
    whole = encoder.explain(model, events, table, k=2)
    mixed = pd.concat([table, table[:5]]).sample(frac=1, random_state=0)[["item", "user"]]
    rows = [encoder.explain(model, events, mixed[row : row + 1], k=2) for row in range(len(mixed))]
    pd.testing.assert_frame_equal(encoder.explain(model, events, mixed, k=2), pd.concat(rows, ignore_index=True))
    assert rows[0].merge(whole, on=[*whole.columns[:4]]).shape[0] == len(rows[0]) > 0
    assert encoder.explain(model, events, mixed[:0]).columns.tolist() == whole.columns.tolist()
    with pytest.warns(UserWarning, match="1 of 2 items are unknown to the encoder, such as 'no item'"):
        assert not len(encoder.explain(model, events, pd.DataFrame({"user": [7, 100], "item": ["i1", "no item"]})))


def test_recommendations_in_the_place_of_the_events_are_warned_of(fitted):
    encoder, columns, model = fitted
    events = named(columns)
    table = encoder.recommend(model, events, k=1)
    for exchanged in (table, dict(table)):
        with pytest.warns(UserWarning, match="as what recommend returned: is it explain"):
            encoder.explain(model, exchanged, events)


def test_many_rows_of_one_user_do_not_widen_those_of_all(fitted, monkeypatch):
    encoder, columns, model = fitted
    shapes, explain = [], EASERecommender.explain

    def spy(self, X, items, k):
        shapes.append(items.shape)
        return explain(self, X, items, k)

    monkeypatch.setattr(EASERecommender, "explain", spy)
    events = named(columns)
    heavy = pd.DataFrame({"user": 100, "item": np.tile(encoder.item_ids_, 20)})
    table = pd.concat([encoder.recommend(model, events, k=1), heavy], ignore_index=True)
    encoder.explain(model, events, table)
    assert np.prod(shapes[0]) <= 2 * len(table) + len(encoder.user_ids_)


def test_a_step_that_drops_columns_is_refused_where_it_would_shift_the_ids(fitted):
    encoder, columns, _ = fitted
    X = encoder.transform(named(columns))
    pipeline = make_pipeline(SelectKBest(chi2, k=5), EASERecommender()).fit(X, np.arange(X.shape[0]) % 2)
    for call in (
        partial(encoder.similar_items, pipeline, ["i1"]),
        partial(encoder.explain, pipeline, named(columns), ([100], ["i1"])),
    ):
        with pytest.raises(ValueError, match="EASERecommender has 5 items, the encoder 12: a step before it drops"):
            call()


def test_a_visitor_without_weights_is_explained():
    encoder = InteractionEncoder(weight="weight", threshold=2, timestamp="timestamp")
    model = EASERecommender(l2_regularization=1).fit(encoder.fit_transform(events_of()))
    visitor = pd.DataFrame({"user": [1, 1], "item": ["i1", "i2"]})
    explained = encoder.explain(model, visitor, encoder.recommend(model, visitor, k=2))
    assert set(explained["own_item"]) == {"i1", "i2"}
    some = visitor.assign(timestamp=[1, 2], weight=[3, np.nan])
    with pytest.raises(ValueError, match="fill them, or pass the columns 'user' and 'item' alone"):
        encoder.recommend(model, some)
    with pytest.raises(ValueError, match="in column 'weight': fill or drop them"):
        encoder.transform(some)


def test_similar_items_are_candidates_that_are_not_excluded(fitted):
    encoder, _, model = fitted
    every = encoder.similar_items(model, ["i1"], k=11)["similar_item"]
    allowed = encoder.item_ids_[2:8]
    found = encoder.similar_items(model, ["i1"], k=11, candidates=allowed, exclude=allowed[-2:])["similar_item"]
    assert found.tolist() == [item for item in every if item in set(allowed[:-2]) - {"i1"}]
    with pytest.raises(TypeError, match="a table of users and items"):
        encoder.similar_items(model, ["i1"], exclude=[pd.DataFrame({"item": ["i2"]})])


def test_similar_items_of_unknown_ids_have_no_rows(fitted):
    encoder, _, model = fitted
    with pytest.warns(UserWarning, match="1 of 2 items are unknown to the encoder, such as 'gin': they have no rows"):
        table = encoder.similar_items(model, pd.Series(["gin", "i1"], name="any"), k=2)
    assert table.columns.tolist() == ["item", "similar_rank", "similar_item", "similarity"]
    assert table["item"].tolist() == ["i1", "i1"]
    silent = clone(encoder).set_params(handle_unknown="ignore").fit(named(columns_of(120)))
    assert not len(silent.similar_items(model, ["gin"])["item"])
    strict = clone(encoder).set_params(handle_unknown="error").fit(named(columns_of(120)))
    with pytest.raises(ValueError, match="items are unknown to the encoder, such as 'gin': leave them out"):
        strict.similar_items(model, ["gin"])
    popularity = PopularityRecommender().fit(encoder.transform(named(columns_of(120))))
    with pytest.raises(TypeError, match="PopularityRecommender has no similar_items"):
        encoder.similar_items(popularity, ["i1"])
    blend = skvae.BlendRecommender([("popular", popularity), ("ease", model)], prefit=True, weights=[1, 1])
    with pytest.raises(TypeError, match=r"has no similar_items\. This blend has no .*, since its member 'popular'"):
        encoder.similar_items(blend.fit(encoder.transform(named(columns_of(120)))), ["i1"])
    with pytest.raises(ValueError, match="was fitted on 3 items, the encoder has 12"):
        encoder.similar_items(EASERecommender().fit(np.ones((3, 3))), ["i1"])


@pytest.mark.parametrize(
    "convert", [lambda e: e.astype({"user": "Int32", "item": "category"}), lambda e: pl.DataFrame(e.to_dict("list"))]
)
def test_recommendations_join_with_the_tables_of_the_user(fitted, convert):
    encoder, columns, model = fitted
    events = convert(named(columns))
    recommended = nw.from_native(encoder.recommend(model, events, k=2))
    assert len(recommended.join(nw.from_native(events).select("item").unique(), on="item")) == len(recommended)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
def test_to_no_users_nothing_is_recommended_as_an_empty_table(library):
    events = library({"user": ["a", "a", "b"], "item": ["x", "y", "x"]})
    encoder, model = fitted_on(events)
    recommended = nw.from_native(encoder.recommend(model, events, users=[]))
    assert (len(recommended), recommended.columns) == (0, ["user", "rank", "item", "score"])
    assert recommended.schema == nw.from_native(encoder.recommend(model, events)).schema


def test_a_matrix_of_users_has_their_rows_in_this_order_and_empty_ones_for_those_without_an_event():
    events = pd.DataFrame({"user": ["a", "b", "a", "c"], "item": ["x", "x", "y", "y"], "day": [1, 1, 3, 3]})
    before, after = events[events["day"] < 2], events[events["day"] >= 2]
    encoder = InteractionEncoder().fit(events)
    users = encoder.user_ids_of(after)
    assert encoder.transform(before, users=users).toarray().tolist() == [[1, 0], [0, 0]]
    assert encoder.transform(after, users=users[::-1]).toarray().tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ValueError, match=r"User ids are numbers here and were strings in events"):
        encoder.transform(before, users=[1, 2])


def test_pairs_to_exclude_and_columns_without_names_are_told_of_a_table():
    events = pd.DataFrame({"u": ["a", "a", "b"], "i": ["x", "y", "x"]})
    encoder, model = fitted_on(events, user="u", item="i")
    with pytest.raises(TypeError, match=r"exclude is a list of rows, .* pd.DataFrame\(exclude, columns=\[.u., .i"):
        encoder.recommend(model, events, exclude=[("b", "y")])
    with pytest.raises(ValueError, match=r"Name its columns, such as events.rename\(columns=\{0: .user., 1"):
        InteractionEncoder().fit(pd.DataFrame([["a", "x"]]))


def test_items_below_the_threshold_were_seen_and_are_not_recommended():
    events = pd.DataFrame({"u": ["a", "a", "b"], "i": ["x", "y", "z"], "stars": [5, 1, 5]})
    encoder, model = fitted_on(events, user="u", item="i", weight="stars", threshold=4, handle_unknown="ignore")
    loved = pd.DataFrame({"u": ["c", "c"], "i": ["x", "z"], "stars": [5, 1]})
    assert encoder.recommend(model, loved).empty
    assert encoder.recommend(model, loved, exclude_seen=False)["i"].tolist() == ["x", "z"]


def test_only_candidates_are_recommended_and_unknown_ones_cannot_be(fitted):
    encoder, columns, model = fitted
    table = encoder.recommend(model, named(columns), exclude_seen=False, candidates=["i3", "i5", "not sold yet"])
    assert set(table["item"]) == {"i3", "i5"}
    assert len(table) == 2 * len(encoder.user_ids_)
    with pytest.warns(UserWarning, match="candidates holds no id that the encoder knows"):
        assert not len(encoder.recommend(model, named(columns), candidates=["not sold yet"]))
    assert not len(encoder.recommend(model, named(columns), candidates=[]))
    assert set(encoder.recommend(model, named(columns), candidates=iter(["i3"]), exclude_seen=False)["item"]) == {"i3"}


@pytest.mark.parametrize("make", [lambda: MultDAERecommender(4, max_iter=2, random_state=0), EASERecommender])
def test_an_encoder_and_a_model_in_one_file_answer_in_the_ids_of_the_user(tmp_path, make):
    events = named(columns_of())
    encoder = InteractionEncoder()
    model = make_pipeline(Binarizer(), make()).fit(encoder.fit_transform(events))
    joblib.dump((encoder, model), tmp_path / "model.joblib")
    for mmap_mode in (None, "r"):
        loaded_encoder, loaded_model = joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode)
        pd.testing.assert_frame_equal(
            loaded_encoder.recommend(loaded_model, events, k=3), encoder.recommend(model, events, k=3)
        )


# -- who is recommended what


def test_the_items_of_a_selection_of_columns_are_those_of_the_encoder():
    events = (["a", "a", "b", "b"], ["x", "y", "z", "y"], [5, 6, 7, 8])
    encoder = InteractionEncoder(timestamp="time", handle_unknown="ignore")
    X = encoder.fit_transform(events)
    assert encoder.keep_items([2, 0]) is encoder
    assert encoder.item_ids_.tolist() == ["z", "x"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one was left out, as was asked for
        encoder.set_params(handle_unknown="warn").transform((["a", "a"], ["x", "y"], [5, 6]))
    with pytest.warns(UserWarning, match="2 of 2 events are of items that the encoder does not have"):
        encoder.transform((["a", "a"], ["v", "w"], [5, 6]))
    encoder.set_params(handle_unknown="ignore")
    np.testing.assert_array_equal(encoder.transform(events).toarray(), X[:, [2, 0]].toarray())
    np.testing.assert_array_equal(encoder.timestamps(events).toarray(), [[0, 5], [7, 0]])
    assert encoder.item_indices(["x", "y", "z"]).tolist() == [1, -1, 0]
    with pytest.raises(ValueError, match="PopularityRecommender was fitted on 1 items, the encoder has 2: where a sp"):
        encoder.recommend(PopularityRecommender().fit(X[:, :1]), events)
    with pytest.raises(ValueError, match="fitted on 3 items, the encoder has 2: recommend with the encoder that made"):
        encoder.recommend(PopularityRecommender().fit(X), events)
    for items in ([], [0, 0], [2], [-1], [True, False], ["x"]):
        with pytest.raises(ValueError, match=r"^items (must be|holds)"):
            encoder.keep_items(items)


def test_users_come_in_the_order_that_was_asked_for_and_repeats_are_repeated(fitted):
    encoder, columns, model = fitted
    everyone = pd.DataFrame(encoder.recommend(model, named(columns), k=4))
    users = [105, 100, 105, 7]
    some = encoder.recommend(model, named(columns), k=4, users=pd.Series(users))
    assert some["user"].tolist() == np.repeat(users, 4).tolist()
    for place, user in enumerate(users[:3]):
        expected = everyone.loc[everyone["user"] == user, ["item", "score"]].to_numpy().tolist()
        assert some.iloc[4 * place : 4 * place + 4][["item", "score"]].to_numpy().tolist() == expected
    counts = pd.Series(columns["item"])[~pd.DataFrame(named(columns)).duplicated().to_numpy()].value_counts()
    assert counts[some["item"][12:]].is_monotonic_decreasing
    with pytest.raises(ValueError, match="User ids are strings here and were numbers in events, such as 'u' and 100"):
        encoder.recommend(model, named(columns), users=["u"])


@pytest.mark.parametrize("library", TABLES)
def test_nobody_gets_what_is_excluded_for_all_or_for_each_user(fitted, library):
    encoder, columns, model = fitted
    everything = {"exclude_seen": False, "k": 12}
    table = pd.DataFrame(encoder.recommend(model, named(columns), exclude={"i3", "not sold"}, **everything))
    assert set(table["item"]) == {f"i{item}" for item in range(12)} - {"i3"}
    table = encoder.recommend(model, named(columns), exclude=["i3", "i4"], candidates=["i4", "i5"], **everything)
    assert set(table["item"]) == {"i5"}
    shown = {"user": np.array([100, 100, 7, 101]), "item": np.array(["i1", "i2", "i1", "no item"], object)}
    table = encoder.recommend(model, named(columns), exclude=TABLES[library](shown), users=[100, 101, 7], **everything)
    for user, items in {100: {"i1", "i2"}, 101: set(), 7: {"i1"}}.items():
        assert set(encoder.item_ids_) - set(table["item"][table["user"] == user]) == items
    of_each = {100: ["i1", "i2"], 7: {"i1"}, 101: np.array(["no item"]), 102: []}
    pd.testing.assert_frame_equal(
        encoder.recommend(model, named(columns), exclude=of_each, users=[100, 101, 7], **everything), table
    )
    unseen = encoder.recommend(model, named(columns), exclude=TABLES[library](shown), k=12)
    expected = pd.DataFrame(encoder.recommend(model, named(columns), k=12))
    is_shown = (expected["user"] == 100) & expected["item"].isin(["i1", "i2"])
    assert is_shown.any()
    assert unseen["item"].tolist() == expected.loc[~is_shown, "item"].tolist()


@pytest.mark.parametrize("of_each", [{100: ["i1"]}, ([100], ["i1"])], ids=["dict", "table"])
def test_of_candidates_each_user_gets_those_that_are_not_excluded_for_that_user(fitted, of_each):
    encoder, columns, model = fitted
    asked = {"users": [100, 7], "exclude_seen": False, "k": 12}
    table = encoder.recommend(model, named(columns), candidates=["i1", "i2"], exclude=of_each, **asked)
    assert {*zip(table["user"], table["item"], strict=True)} == {(100, "i2"), (7, "i1"), (7, "i2")}


@pytest.mark.parametrize("kind", [frozenset, dict.fromkeys, lambda ids: dict.fromkeys(ids).keys()])
def test_ids_of_candidates_come_in_any_set(fitted, kind):
    encoder, columns, model = fitted
    asked = {"exclude_seen": False, "k": 12}
    table = encoder.recommend(model, named(columns), candidates=kind(["i1", "i2"]), **asked)
    assert {*table["item"]} == {"i1", "i2"}


@pytest.mark.parametrize(
    ("exclude", "error", "sentence"),
    [
        (["i1", 7], TypeError, "Ids in exclude must be all strings or all numbers"),
        ([7], ValueError, "Item ids are numbers here and were strings in fit"),
        ((["u"], ["i1"]), ValueError, "User ids are strings here and were numbers in events"),
        (
            pd.DataFrame({"item": ["i1"]}),
            ValueError,
            r"exclude has no column 'user', .*: item. Rename that of users to 'user'",
        ),
        ({100: "i1"}, TypeError, r"exclude\[100\] must be a list of item ids, got 'i1'"),
        ({100: 5}, TypeError, r"exclude\[100\] must be a list of item ids, got 5"),
        ({1: None}, TypeError, r"exclude\[1\] must be a list of item ids, got None"),
        ({100: {"i1": 3}}, TypeError, r"exclude\[100\] must be a list of item ids, got {'i1': 3}"),
        ({"user": [100], "thing": ["i1"]}, ValueError, "exclude has no column 'item', its columns are: user, thing"),
        ({100: ["i1", 7]}, TypeError, "Ids in column 'item' must be all strings or all numbers"),
        ({"u": ["i1"]}, ValueError, "User ids are strings here and were numbers in events"),
        (([100, 101], ["i1"]), ValueError, "exclude must have the 2 columns user, item, all equally long"),
        (([100, None], ["i1", "i2"]), ValueError, "1 of 2 rows of exclude have no value in column 'user'"),
        ("i1", TypeError, r"exclude must be an array or a list of ids, such as \['i1'\], got 'i1'"),
        (
            [pd.DataFrame({"user": [100], "item": ["i1"]}), ["i1"]],
            TypeError,
            "exclude is a table .* not a list of both: pass the table",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_excluded_says_so(fitted, exclude, error, sentence):
    encoder, columns, model = fitted
    with pytest.raises(error, match=f"^{sentence}"):
        encoder.recommend(model, named(columns), exclude=exclude)


@pytest.mark.parametrize(
    "exclude", [["3", "4"], ([100, 7], ["I1", "I2"]), {100: ["i1 "]}], ids=["ids", "table", "dict"]
)
def test_an_exclude_of_which_no_item_is_known_is_warned_of(fitted, exclude):
    encoder, columns, model = fitted
    with pytest.warns(UserWarning, match="exclude holds no item that the encoder knows.*, such as 'i0'"):
        table = encoder.recommend(model, named(columns), exclude=exclude)
    assert table.equals(encoder.recommend(model, named(columns), exclude=[]))
    silent = copy.copy(encoder).set_params(handle_unknown="ignore")
    assert table.equals(silent.recommend(model, named(columns), exclude=exclude))


@pytest.mark.parametrize("duplicates", ["sum", "max", "last"])
def test_an_event_without_a_weight_is_an_interaction(duplicates):
    events = (["a", "a", "b"], ["x", "y", "x"], [5.0, 1.0, 3.0], [1, 2, 3])
    for threshold, weight in ((None, 1), (0.5, 1), (3, 3)):
        encoder = InteractionEncoder(
            weight="w", timestamp="t", binary=False, threshold=threshold, duplicates=duplicates, handle_unknown="ignore"
        )
        model = EASERecommender(l2_regularization=1).fit(encoder.fit_transform(events))
        bare, weighted = (["c", "d"], ["x", "x"]), (["c", "d"], ["x", "x"], [weight] * 2, [0, 0])
        expected = encoder.recommend(model, weighted, exclude_seen=False)
        for visitors in (bare, weighted[:3], pd.DataFrame({"user": ["c", "d"], "item": ["x", "x"]})):
            answer = encoder.recommend(model, visitors, exclude_seen=False)
            assert {name: listed(answer[name]) for name in expected} == {
                name: listed(expected[name]) for name in expected
            }
        assert encoder.user_ids_of(bare).tolist() == ["c", "d"]
        with pytest.raises(ValueError, match="events must have the 4 columns user, item, weight, timestamp"):
            encoder.transform(bare)


def listed(column):
    return np.asarray(column).tolist()


# -- table by table

PARTS = {
    "list": list,
    "iterator": iter,
    "pyarrow data set": lambda tables: ds.dataset([ds.dataset(pa.Table.from_pandas(table)) for table in tables]),
}


@settings(max_examples=30)
@given(
    rows=event_rows,
    data=st.data(),
    duplicates=st.sampled_from(["sum", "max", "last"]),
    threshold=st.sampled_from([None, 2]),
)
def test_events_in_several_tables_are_those_of_one(rows, data, duplicates, threshold):
    ends = sorted(data.draw(st.sets(st.integers(1, len(rows)), max_size=5)) | {len(rows)})
    tables = [frame_of(rows[first:last]) for first, last in zip([0, *ends], ends, strict=False)]
    tables.insert(data.draw(st.integers(0, len(tables))), frame_of([]))
    parts = PARTS[data.draw(st.sampled_from(list(PARTS)))]
    if parts is PARTS["pyarrow data set"]:
        tables = [table.astype(frame_of(rows).dtypes) for table in tables]
    encoder = InteractionEncoder(
        weight="weight", timestamp="timestamp", binary=False, duplicates=duplicates, threshold=threshold
    )
    whole = clone(encoder).set_params(handle_unknown="ignore")
    try:
        expected = whole.fit_transform(frame_of(rows))
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)[:20]):
            encoder.fit(parts(tables))
        return
    X = encoder.set_params(handle_unknown="ignore").fit_transform(parts(tables))
    assert (X.data.tobytes(), X.indices.tolist()) == (expected.data.tobytes(), expected.indices.tolist())
    for name in ("user_ids_", "item_ids_"):
        assert (getattr(encoder, name) == getattr(whole, name)).all()
        assert getattr(encoder, name).dtype == getattr(whole, name).dtype
    for call in ("transform", "timestamps"):
        answer, of_whole = getattr(encoder, call)(parts(tables)), getattr(whole, call)(frame_of(rows))
        np.testing.assert_array_equal(answer.toarray(), of_whole.toarray(), strict=True)
        assert answer.has_canonical_format
    assert encoder.user_ids_of(parts(tables)).tolist() == whole.user_ids_of(frame_of(rows)).tolist()
    model = PopularityRecommender().fit(X)
    answer, of_whole = (encoder.recommend(model, events, k=3) for events in (parts(tables), frame_of(rows)))
    answer = answer.to_pandas() if isinstance(answer, pa.Table) else answer
    pd.testing.assert_frame_equal(answer, of_whole, check_dtype=False)
    assert encoder.partial_fit(parts(tables)).item_ids_.tolist() == whole.partial_fit(frame_of(rows)).item_ids_.tolist()


def test_ids_of_several_tables_have_one_type_that_holds_them_all():
    tables = [([1, 300], np.array(["x", "y"])), (np.array([2, 3], np.uint8), ["y", "z"]), ([2**63], ["x"])]
    encoder = InteractionEncoder().fit(tables)
    assert (encoder.user_ids_.tolist(), encoder.user_ids_.dtype) == ([1, 2, 3, 300, 2**63], np.uint64)
    assert encoder.transform(tables).toarray().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_repeats_in_several_tables_are_repeats():
    tables = [(["a", "b"], ["x", "y"]), (["c"], ["z"]), (["b", "b"], ["y", "y"])]
    with pytest.raises(ValueError, match=r"^2 events repeat a user and an item, such as user 'b' and item 'y': drop"):
        InteractionEncoder(duplicates="error").fit(tables)
    assert InteractionEncoder(duplicates="error").fit_transform(tables[:2]).nnz == 3


@pytest.mark.parametrize(
    ("tables", "error", "sentence"),
    [
        ([(["a"], ["x"]), (["b"], [None])], ValueError, "Table 2 of events: 1 of 1 events have no value in column 'i"),
        ([(["a"], ["x"]), ([7], ["x"])], TypeError, r"Ids in column 'user' .* got numbers \(7\) and strings \('a'\)"),
        ([(["a"], ["x"]), 7], TypeError, "Table 2 of events: events must be a DataFrame, an array .* got int"),
        ([], ValueError, "events is an empty list: pass a table, which may have no rows"),
        ([([], []), ([], [])], ValueError, "events has no rows"),
        (iter([]), ValueError, "events is a list_iterator that gives no table, as after it was read once"),
    ],
    ids=["missing", "kinds", "no table", "none", "empty", "iterator"],
)
def test_what_is_wrong_with_one_of_several_tables_is_said(tables, error, sentence):
    with pytest.raises(error, match=f"^{sentence}"):
        InteractionEncoder().fit(tables)


def test_an_iterator_that_fit_has_gone_through_says_so():
    tables = (table for table in [(["a"], ["x"]), (["b"], ["y"])])
    encoder = InteractionEncoder().fit(tables)
    with pytest.raises(
        ValueError, match=r"events is a generator that gives no table, .*: pass a list of tables or a da"
    ):
        encoder.transform(tables)


def test_a_data_set_of_files_is_read_without_being_held_and_its_checksums_are_verified(tmp_path):
    events = events_of(5000, n_users=300)
    encoder = clone(WEIGHTED)
    expected = encoder.fit_transform(events)
    for part in range(3):
        table = pa.Table.from_pandas(events[part::3], preserve_index=False)
        pq.write_table(table, tmp_path / f"{part}.parquet", row_group_size=200, write_page_checksum=True)
    files = ds.dataset(tmp_path)
    assert (encoder.fit_transform(files) != expected).nnz == 0
    with pytest.raises(ValueError, match="events has no column 'movie', its columns are: user, item, weight, timesta"):
        InteractionEncoder(item="movie").fit(files)
    damaged = bytearray((tmp_path / "0.parquet").read_bytes())
    damaged[200] ^= 1
    (tmp_path / "0.parquet").write_bytes(damaged)
    with pytest.raises(OSError, match=r"checksum|CRC"):
        encoder.fit(files)


# -- time


def test_the_last_items_of_the_table_are_held_out():
    columns = columns_of(400)
    events = pd.DataFrame(columns)
    encoder = InteractionEncoder(timestamp="timestamp").fit(events)
    X, times = encoder.transform(events), encoder.timestamps(events)
    latest = events.groupby(["user", "item"])["timestamp"].max()
    for row, column in zip(*X.nonzero(), strict=True):
        assert times[row, column] == latest[encoder.user_ids_[row], encoder.item_ids_[column]]
    fold_in, held_out = fold_in_split(X, timestamps=times)
    for row in range(X.shape[0]):
        assert times[[row], held_out[[row]].indices].min() >= times[[row], fold_in[[row]].indices].max()


def test_times_are_those_of_the_matrix_of_fit_transform_too():
    events = (["a", "a", "b", "c", "c"], ["x", "y", "x", "y", "z"], [5, 6, 7, 9, 8])
    encoder = InteractionEncoder(timestamp="t", min_user_interactions=2)
    X = encoder.fit_transform(events)
    times = encoder.timestamps(events)
    np.testing.assert_array_equal(times.toarray(), [[5, 6, 0], [0, 9, 8]])
    times_of_all = encoder.timestamps(events, users=encoder.user_ids_of(events))
    assert (times_of_all != encoder.transform(events).multiply(times_of_all)).nnz == 0
    np.testing.assert_array_equal(times_of_all.toarray(), [[5, 6, 0], [7, 0, 0], [0, 9, 8]])
    _, held_out = fold_in_split(X, timestamps=times, min_interactions=2, held_out_fraction=0.5)
    np.testing.assert_array_equal(held_out.toarray(), [[0, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(encoder.timestamps(events, users=["c"]).toarray(), [[0, 9, 8]])
    sentence = r"1 of 2 users have no event in the table, such as '.': pass the table .* users=encoder.user_ids_of\(ev"
    for call in (
        lambda: encoder.timestamps(events, users=["a", "d"]),
        lambda: encoder.timestamps((["a"], ["x"], [5])),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()
    with pytest.raises(ValueError, match="User ids are numbers here and were strings in events, such as 7 and 'a'"):
        encoder.timestamps(events, users=[7])


# -- new items


def test_new_items_come_after_the_old_ones_whose_columns_stay():
    encoder = InteractionEncoder(min_item_interactions=2).fit((["a", "b", "a", "b"], ["y", "y", "x", "x"]))
    # v and u have one user each; x and y come again
    encoder.partial_fit((["c", "d", "c", "d", "c", "c", "d"], ["w", "w", "y", "v", "u", "x", "x"]))
    assert encoder.item_ids_.tolist() == ["x", "y", "w"]
    assert encoder.user_ids_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(encoder.transform((["c", "c"], ["w", "x"])).toarray(), [[1, 0, 1]])
    assert encoder.item_indices(["w", "x", "y"]).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="Item ids are numbers here and were strings in fit, such as 5 and 'x'"):
        encoder.partial_fit((["c"], [5]))


def test_the_first_partial_fit_is_a_fit():
    events = events_of()
    np.testing.assert_array_equal(
        InteractionEncoder().partial_fit(events).item_ids_, InteractionEncoder().fit(events).item_ids_
    )


def test_a_new_item_is_recommended_once_it_was_trained_on_and_not_before():
    dense = make_interactions(n_users=300, n_items=40, density=0.2, random_state=0).toarray()
    users, items = dense.nonzero()
    encoder = InteractionEncoder()
    model = MultDAERecommender(16, learning_rate=0.01, max_iter=20, random_state=0)
    model.fit(encoder.fit_transform((users, items)))
    buyers = np.flatnonzero(dense[:, np.argsort(-dense.sum(0))[5]])  # the new item goes with this one
    users, items = np.append(users, buyers), np.append(items, np.full(len(buyers), 999))
    model.add_items(len(encoder.partial_fit((users, items)).item_ids_) - model.n_features_in_)
    before = encoder.recommend(model, (users, items), k=50, exclude_seen=False)
    assert 999 not in before["item"]
    X = encoder.transform((users, items))
    for _ in range(20):
        model.partial_fit(X)
    others = items != 999
    after = pd.DataFrame(encoder.recommend(model, (users[others], items[others]), k=50))
    ranks = after[after["item"] == 999].set_index("user")["rank"]
    is_buyer = ranks.index.isin(buyers)
    assert ranks[is_buyer].median() <= 3
    assert ranks[~is_buyer].median() > ranks[is_buyer].median() + 5


# -- as scikit-learn would have it


def test_an_encoder_clones_pickles_and_says_its_parameters():
    encoder = InteractionEncoder(user="u", min_item_interactions=3, duplicates="max")
    assert clone(encoder).get_params() == encoder.get_params()
    assert set(encoder.get_params()) == set(InteractionEncoder.__init__.__kwdefaults__)
    fitted = InteractionEncoder().fit(events_of())
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.item_ids_, fitted.item_ids_)
    assert not hasattr(clone(fitted), "item_ids_")
    assert all(f"    {name} : " in InteractionEncoder.__doc__ for name in vars(fitted) if name.endswith("_"))


def test_inference_leaves_the_encoder_as_it_was(fitted):
    encoder, columns, model = fitted
    before = pickle.dumps(encoder)
    encoder.recommend(model, named(columns))
    encoder.transform(named(columns))
    assert pickle.dumps(encoder) == before


def test_the_index_of_the_ids_is_made_once_and_follows_partial_fit_and_a_refit():
    encoder = InteractionEncoder().fit((["a", "a"], ["x", "y"]))
    index = item_index(encoder)
    encoder.item_indices(["x"])
    assert item_index(encoder) is index
    encoder.partial_fit((["a"], ["z"]))
    assert item_index(encoder) == {"x": 0, "y": 1, "z": 2}
    encoder.fit((["a"], ["z"]))
    assert encoder.item_indices(["x", "z"]).tolist() == [-1, 0]
    assert item_index(pickle.loads(pickle.dumps(encoder))) == {"z": 0}


def test_an_encoder_in_a_pipeline_is_named_as_the_cause_where_events_are_taken_for_users():
    columns = columns_of()
    events = pd.DataFrame({"who": columns["user"], "what": columns["weight"].astype(int)})
    pipeline = make_pipeline(InteractionEncoder(user="who", item="what"), PopularityRecommender()).fit(events)
    sentence = "InteractionEncoder make users of events.*stands before the Pipeline"
    with pytest.raises(ValueError, match=sentence):
        skvae.recommend(pipeline, events)
    with pytest.raises(ValueError, match=sentence):
        skvae.ndcg_scorer(pipeline, events.assign(a=1, b=1, c=1))
    with pytest.raises(ValueError, match="takes no y"):
        pipeline.fit(events, np.ones(len(events)))


def test_what_needs_a_fit_says_so():
    encoder = InteractionEncoder()
    for call in (encoder.transform, encoder.inverse_items, encoder.inverse_users, encoder.item_indices):
        with pytest.raises(ValueError, match="not fitted"):
            call(([0], [0]))


# -- errors

ROWS = {"user": ["a", "b"], "item": ["x", "y"], "rating": [1.0, 2.0]}
RATED = {"weight": "rating", "binary": False}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("changes", "parameters", "sentence"),
    [
        ({}, {"user": "userId"}, r"^events has no column 'userId', its columns are: user, item, rating"),
        (
            {},
            {"user": "u", "item": "i", "timestamp": "t"},
            r'^events has no columns \'u\' and \'i\' and \'t\', .*\(user="...", item="...", timestamp="..."\)\.',
        ),
        ({"item": ["x", None]}, {}, "^1 of 2 events have no value in column 'item': fill or drop them"),
        ({"user": [1.0, np.nan]}, {}, "^1 of 2 events have no value in column 'user'"),
        ({"rating": [1.0, None]}, RATED, "^1 of 2 events have no value in column 'rating'"),
        ({"rating": [1.0, np.inf]}, RATED, "^1 of 2 events have a value in column 'rating' that is not finite"),
        ({"rating": [1.0, -2.5]}, RATED, "^Column 'rating' has negative weights, the lowest is -2.5"),
        ({"rating": ["1", "good"]}, RATED, "^Column 'rating' must hold numbers: could not convert.*'good'"),
        ({"rating": ["1", "1,5"]}, RATED, '^Column .rating. must hold numbers: .* decimal=","'),
        ({"rating": ["1", "good, bad"]}, RATED, r"^Column .rating. must hold numbers: .*'good, bad'\)?\.$"),
        ({"user": [], "item": [], "rating": []}, {}, "^events has no rows"),
        ({"rating": [0.0, 0.0]}, RATED, "^No user is left with"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said_in_one_sentence(library, changes, parameters, sentence):
    events = FRAMES[library](ROWS | changes)
    with pytest.raises(ValueError, match=sentence):
        InteractionEncoder(**parameters).fit(events)


@pytest.mark.parametrize(
    ("events", "error", "sentence"),
    [
        (([1, 2], [1, "x"], [1, 1]), ValueError, r"must have the 2 columns user, item.* got \(2,\), \(2,\), \(2,\)"),
        (([1, 2], [1]), ValueError, r"all equally long, got \(2,\), \(1,\)"),
        (np.ones((3, 4)), ValueError, "must have the 2 columns user, item"),
        (np.ones(3), ValueError, "must be two-dimensional"),
        ([[1, 2]], TypeError, r"list of rows, such as \[1, 2\]: .* pd.DataFrame\(events, columns=\['user', 'item'\]\)"),
        (iter([("ann", 2)]), TypeError, "is a list_iterator of rows, such as"),
        ([{"user": "ann", "item": 2}], TypeError, r"is a list of rows, .* pd.DataFrame\(events\)"),
        (np.ones(3, [("user", int), ("item", int)]), TypeError, r"array of records: .* pd.DataFrame\(events\)"),
        (([1, 2], [["tea"], ["jam"]]), TypeError, "Ids in column 'item' .* got list: .*explode"),
        (sp.csr_array((2, 2)), TypeError, "got csr_array; a user-item matrix needs no InteractionEncoder"),
        ([1, 364], TypeError, r"got int; of one user's items \(\[user\] \* len\(items\), items\) is a table"),
        ("ann", TypeError, r"got str; of one user's items"),
        (["tea", "jam"], TypeError, r"got str; of one user's items"),
        (([], []), ValueError, "events has no rows"),
    ],
)
def test_what_is_wrong_with_arrays_is_said_in_one_sentence(events, error, sentence):
    with pytest.raises(error, match=sentence):
        InteractionEncoder().fit(events)


@pytest.mark.parametrize(
    ("parameters", "error", "sentence"),
    [
        ({"user": None}, TypeError, "user must be a str"),
        ({"weight": 2}, TypeError, "weight must be a str"),
        ({"min_user_interactions": 0}, ValueError, "min_user_interactions == 0"),
        ({"min_item_interactions": 1.5}, TypeError, "min_item_interactions must be an instance of"),
        ({"threshold": -1}, ValueError, "threshold == -1"),
        ({"binary": "yes"}, TypeError, "binary must be an instance of"),
        ({"duplicates": "first"}, ValueError, "duplicates must be one of error, last, max, sum, got 'first'"),
        ({"handle_unknown": "drop"}, ValueError, "handle_unknown must be one of error, ignore, warn, got 'drop'"),
        ({"weight": "rating"}, ValueError, "weight='rating' needs threshold or binary=False"),
        ({"duplicates": "last"}, ValueError, 'duplicates="last" needs timestamp'),
        ({"user": "own_item"}, ValueError, "user='own_item' is the name of a column that explain adds"),
        ({"item": "score"}, ValueError, "item='score' is the name of a column that answers have: rename that of ev"),
        ({"user": "rank"}, ValueError, "user='rank' is .*, for example to 'user_rank', and use InteractionEncoder"),
        ({"item": "user"}, ValueError, "user and item both name the column 'user': name two columns"),
        ({"weight": "item", "binary": False}, ValueError, "item and weight both name the column 'item'"),
        ({"timestamp": "user"}, ValueError, "user and timestamp both name the column 'user'"),
        ({"weight": "w", "timestamp": "w", "binary": False}, ValueError, "weight and timestamp both name the column"),
    ],
)
def test_a_bad_parameter_is_said_in_one_sentence(parameters, error, sentence):
    with pytest.raises(error, match=sentence):
        InteractionEncoder(**parameters).fit(pd.DataFrame(ROWS))


def test_timestamps_need_the_name_of_their_column():
    events = pd.DataFrame(ROWS)
    with pytest.raises(ValueError, match="timestamp=None names no column"):
        InteractionEncoder().fit(events).timestamps(events)


def test_without_narwhals_arrays_work_and_a_frame_says_what_to_install(monkeypatch):
    def without_narwhals(name, *args, **kwargs):
        if name.startswith("narwhals"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_narwhals)
    assert InteractionEncoder().fit_transform((ROWS["user"], ROWS["item"])).nnz == 2
    with pytest.raises(ImportError, match=r'needs narwhals: pip install "skvae\[tables\]"'):
        InteractionEncoder().fit(pd.DataFrame(ROWS))


def test_a_batch_of_pyarrow_is_a_table():
    table = pa.table({"user": ["ann", "ann", "bob"], "item": ["tea", "jam", "tea"]})
    (batch,) = table.to_batches()
    encoder = InteractionEncoder()
    expected = encoder.fit_transform(table).toarray().tolist()
    assert encoder.fit_transform(batch).toarray().tolist() == expected
    assert encoder.fit_transform(table.to_reader()).toarray().tolist() == expected
    model = PopularityRecommender().fit(encoder.transform(table))
    assert encoder.recommend(model, batch, k=1).equals(encoder.recommend(model, table, k=1))


@pytest.mark.parametrize("name", ["users", "candidates"])
def test_a_dict_is_no_list_of_ids(name):
    events = ["ann", "ann", "bob"], ["tea", "jam", "tea"]
    encoder, model = fitted_on(events)
    with pytest.raises(TypeError, match=f"{name} must be an array or a list of ids, got dict"):
        encoder.recommend(model, events, **{name: {"ann": 2}})


def test_a_pipeline_that_drops_events_without_weights_raises():
    rng = np.random.default_rng(0)
    events = pd.DataFrame({"user": np.repeat(np.arange(60), 8), "item": rng.integers(0, 30, 480)}).drop_duplicates()
    events["rating"] = rng.integers(1, 6, len(events)).astype(float)
    encoder = InteractionEncoder(weight="rating", binary=False)
    model = make_pipeline(Binarizer(threshold=3.5), EASERecommender()).fit(encoder.fit_transform(events))
    visitor = events[events["user"] == 3].assign(rating=5.0)
    assert len(encoder.recommend(model, visitor, k=5)) == 5
    with pytest.raises(
        ValueError, match=r"no column 'rating', so that .* 1 of 1 users the steps before EASERecommender"
    ):
        encoder.recommend(model, visitor.drop(columns="rating"), k=5)
    assert len(encoder.recommend(model, visitor.drop(columns="rating").iloc[:0], k=5, users=[9])) == 5
    disliked = visitor.assign(rating=1.0)
    parts = [visitor.iloc[:0], disliked]  # a part without events lacks no column
    assert encoder.recommend(model, parts, k=5).equals(encoder.recommend(model, disliked, k=5))
    gentle = make_pipeline(Binarizer(threshold=0.5), EASERecommender()).fit(encoder.transform(events))
    assert len(encoder.recommend(gentle, visitor.drop(columns="rating"), k=5)) == 5
    assert len(encoder.recommend(model[-1], visitor.drop(columns="rating"), k=5)) == 5


def test_the_columns_of_a_wide_table_are_named_in_part():
    with pytest.raises(ValueError, match=r"its columns are: 0, 1, .*, 11 and 28 more\. Say"):
        InteractionEncoder().fit(pd.DataFrame(np.eye(40)))


def test_a_missing_weight_may_be_added_or_done_without():
    encoder = InteractionEncoder(weight="w", binary=False).fit(([1], [2], [3.0]))
    with pytest.raises(ValueError, match=r'InteractionEncoder\(weight="..."\), or .* events.assign\(w=...\)'):
        encoder.transform(pd.DataFrame({"user": [1], "item": [2]}))


@pytest.mark.parametrize("duplicates", ["sum", "max", "last"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, "Float32"])
def test_a_weight_of_exactly_the_threshold_counts_in_every_precision(dtype, duplicates):
    table = pd.DataFrame(
        {"user": list("aabbc"), "item": list("xyxyx"), "weight": [4.6, 5, 4.5, 5, 4.6], "time": range(5)}
    )
    table["weight"] = table["weight"].astype(dtype)
    encoder = InteractionEncoder(weight="weight", timestamp="time", threshold=4.6, duplicates=duplicates)
    assert encoder.fit_transform(table).nnz == (table["weight"] >= 4.6).sum() == 4


def test_more_items_than_there_are_make_no_larger_table():
    events = events_of()
    encoder, model = fitted_on(events)
    expected = encoder.recommend(model, events, k=12)
    for k in (10**9, np.uint8(255)):
        pd.testing.assert_frame_equal(encoder.recommend(model, events, k=k), expected)
    with pytest.raises(ValueError, match="k == 0"):
        encoder.recommend(model, events, k=0)


def test_a_data_set_without_rows_is_an_empty_table_of_events():
    events = events_of()
    encoder, model = fitted_on(events)
    schema = pa.table({"user": [1], "item": ["i1"]}).schema
    for nothing in (ds.dataset([], schema=schema), ds.dataset(schema.empty_table())):
        table = encoder.recommend(model, nothing, 1, users=[1, 9])
        assert table.column("user").to_pylist() == [1, 9]
        with pytest.raises(ValueError, match="events has no rows"):
            InteractionEncoder().fit(nothing)


# -- models around the encoder


def test_a_step_that_drops_events_without_weights_is_seen_wherever_it_is():
    encoder = InteractionEncoder(weight="weight", binary=False)
    events = pd.DataFrame(columns_of()).assign(weight=5.0)
    X, step = encoder.fit_transform(events), Binarizer(threshold=3.5)
    flat = make_pipeline(step, EASERecommender()).fit(X)
    for model in (
        flat,
        make_pipeline("passthrough", make_pipeline(step, EASERecommender())).fit(X),
        FrozenEstimator(flat),
        skvae.BlendRecommender([("flat", make_pipeline(step, EASERecommender()))], weights=[1]).fit(X),
    ):
        with pytest.raises(ValueError, match="the steps before EASERecommender leave no interaction"):
            encoder.recommend(model, events[["user", "item"]], k=2)
        assert len(encoder.recommend(model, events, k=2))
    blend = skvae.BlendRecommender([("flat", make_pipeline(Binarizer(), EASERecommender()))], weights=[1])
    with pytest.raises(ValueError, match="the steps before BlendRecommender leave no interaction"):
        encoder.recommend(make_pipeline(step, blend).fit(X), events[["user", "item"]])


def _searched(model):
    return GridSearchCV(model, {"l2_regularization": [1.0]}, scoring=lambda *_: 0.0, cv=skvae.UserKFold(2))


@pytest.mark.parametrize("wrap", [clone, make_pipeline, _searched], ids=["alone", "pipeline", "search"])
def test_a_model_of_the_encoder_s_items_in_another_order_is_refused(wrap):
    of_strings = pd.DataFrame(columns_of())[["user", "item"]]
    of_floats = of_strings.assign(user=of_strings["user"].astype(float))
    for encoder, events in [
        (InteractionEncoder(), of_strings),
        (InteractionEncoder(item="user", user="item"), of_strings),
        (InteractionEncoder(item="user", user="item"), of_floats),
    ]:
        table = pd.DataFrame(encoder.fit_transform(events).toarray(), columns=encoder.item_ids_)
        permuted = table[table.columns[::-1]]
        with pytest.raises(ValueError, match=r"in column 0, which is the encoder's column \d+: fit it on the columns"):
            encoder.recommend(wrap(EASERecommender().fit(permuted)).fit(permuted), events)
        blend = skvae.BlendRecommender([("ease", wrap(EASERecommender()).fit(permuted))], prefit=True, weights=[1])
        with pytest.raises(ValueError, match=r"in column 0, which is the encoder's column \d+: fit it on the columns"):
            encoder.recommend(blend.fit(permuted.to_numpy()), events)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            model = wrap(EASERecommender().fit(table)).fit(table)
            assert len(encoder.recommend(model, events, k=1, exclude_seen=False)) == len(table)


@pytest.mark.parametrize(
    "as_weights",
    [
        lambda w: w,
        lambda w: w.astype(">f4"),
        lambda w: pa.array(w),
        lambda w: pd.Series(w, dtype="Float32"),
        lambda w: pl.Series(w),
        lambda w: [1, *w[1:].tolist()],
        lambda w: [1, *w[1:]],
        list,
        lambda w: pd.Series(list(w), dtype=object),
        lambda w: w.astype(np.float16),
        lambda w: [4.6 if x > 4 else 1 for x in w],
    ],
)
def test_the_threshold_is_the_threshold_in_every_storage(as_weights):
    weights = as_weights(np.array([1, 4.6, 5], np.float32))
    encoder = InteractionEncoder(weight="rating", threshold=4.6, binary=False)
    X = encoder.fit_transform((["a", "b", "c"], ["x", "x", "y"], weights))
    assert X.shape == (2, 2)
    assert X.nnz == 2


def test_an_integer_threshold_is_exact():
    encoder = InteractionEncoder(weight="w", threshold=2**24 + 1)
    X = encoder.fit_transform((["a", "b"], ["x", "y"], [2**24, 2**24 + 1]))
    assert encoder.item_ids_.tolist() == ["y"]
    assert X.shape == (1, 1)


@pytest.mark.parametrize("frame", [pd.DataFrame, lambda columns: pl.DataFrame(pd.DataFrame(columns))])
def test_times_with_a_zone_that_stand_where_none_belong_are_named(frame):
    times = pd.date_range("2024", periods=2, tz="UTC")
    for wrong in ("user", "item"):
        table = frame({"user": ["a", "b"], "item": ["x", "y"], wrong: times})
        with pytest.raises(TypeError, match=f"Ids in column '{wrong}' must be strings or numbers, got datetime64"):
            InteractionEncoder().fit(table)
    with pytest.raises(ValueError, match="Column 'w' must hold numbers, got times"):
        InteractionEncoder(weight="w", threshold=0).fit(frame({"user": ["a", "b"], "item": ["x", "y"], "w": times}))


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame, lambda columns: pa.table(pd.DataFrame(columns))])
@pytest.mark.parametrize("users", [[1.0, 3.0], np.array([3, 1], np.int32), np.array([2], np.uint8)])
def test_users_asked_for_have_the_type_of_the_events(frame, users):
    events = frame({"user": [1, 1, 2, 2, 3], "item": list("abbca")})
    encoder, model = fitted_on(events, EASERecommender())
    asked = encoder.recommend(model, events, k=1, users=users)
    plain = encoder.recommend(model, events, k=1)
    assert nw.from_native(asked).schema == nw.from_native(plain).schema
    assert nw.from_native(asked)["user"].to_list() == [int(user) for user in users]
    others = encoder.recommend(model, events, k=1, users=[1.0, 7.5])
    assert nw.from_native(others)["user"].to_list() == [1.0, 7.5]


def test_items_that_fit_left_out_as_rare_are_no_news_up_to_twice_their_share(tmp_path):
    events = ([*"abcabcabca"], ["x", "x", "x", "y", "y", "y", "z", "z", "z", "rare"])
    encoder = InteractionEncoder(min_item_interactions=2)
    X = encoder.fit_transform(events)
    assert (encoder.transform(events) != X).nnz == 0
    skvae.save(encoder, tmp_path / "encoder")
    sentence = "'rare'; items of fewer than min_item_interactions=2 users in fit are among"
    for same in (encoder, skvae.load(tmp_path / "encoder")):
        same.transform(([*"abcd"] * 5, [*["x"] * 17, *["rare"] * 3]))
        with pytest.warns(UserWarning, match=sentence):
            same.transform(([*"abcd"] * 5, [*["x"] * 15, *["rare"] * 5]))
    with pytest.raises(ValueError, match=sentence):
        encoder.set_params(handle_unknown="error").transform(events)
    del encoder._share_left_out  # as in older files
    with pytest.warns(UserWarning, match=sentence):
        encoder.set_params(handle_unknown="warn").transform(events)


@pytest.mark.parametrize("path", ["events.csv", Path("events")])
def test_a_path_is_read_first(path):
    kind = type(path).__name__
    with pytest.raises(TypeError, match=rf"got {kind}; read it first, as pd\.read_csv\(path\), or by pyarrow\.dataset"):
        InteractionEncoder().fit(path)


def test_sets_are_refused_where_there_is_an_order_and_taken_where_there_is_none():
    events = (["ann", "bob", "cy"], ["x", "y", "z"])
    encoder = InteractionEncoder().fit(events)
    for call in (
        lambda: encoder.transform(events, users={"ann", "bob"}),
        lambda: encoder.fit_transform(({"ann", "bob", "cy"}, ["x", "y", "z"])),
        lambda: encoder.item_indices(frozenset("xyz")),
    ):
        with pytest.raises(TypeError, match="must be an array or a list, got a set, which has no order"):
            call()
    model = PopularityRecommender().fit(encoder.transform(events))
    found = encoder.recommend(model, events, candidates={"x", "y"}, exclude={"y"})
    assert {*found["item"].tolist()} == {"x"}


def test_candidates_of_which_most_are_unknown_are_warned_of():
    events = (["ann", "bob", "cy"], ["x", "y", "z"])
    encoder, model = fitted_on(events)
    with pytest.warns(UserWarning, match="2 of 3 candidates are unknown to the encoder, and do not come"):
        found = encoder.recommend(model, events, candidates=["x", "no", "none"])
    assert {*found["item"].tolist()} == {"x"}
    encoder.recommend(model, events, candidates=["x", "no"])  # half of them may be new
    silent = InteractionEncoder(handle_unknown="ignore").fit(events)
    silent.recommend(model, events, candidates=["x", "no", "none"])


def test_candidates_may_repeat_an_id():
    events = (["ann", "bob", "cy"], ["x", "y", "z"])
    encoder, model = fitted_on(events)
    found = encoder.recommend(model, events, candidates=["x", "y", "x"])
    assert {*found["item"].tolist()} == {"x", "y"}


def test_a_pipeline_that_holds_an_encoder_is_told_what_to_fit_instead(tmp_path):
    events = pd.DataFrame({"user": [1, 1, 2, 2], "item": list("abac")})
    pipeline = make_pipeline(InteractionEncoder(), EASERecommender()).fit(events)
    encoder = InteractionEncoder().fit(events)
    for call in (encoder.recommend, lambda model, events: encoder.similar_items(model, ["a"])):
        with pytest.raises(TypeError, match="The Pipeline holds an InteractionEncoder"):
            call(pipeline, events)
    for holding in (pipeline, make_pipeline(FrozenEstimator(encoder), pipeline[-1])):
        with pytest.raises(ValueError, match="takes tables, and recommend, evaluate"):
            skvae.save(holding, tmp_path / "pipeline.skvae")


def test_ids_in_the_index_of_a_table_are_told_of_reset_index():
    events = pd.DataFrame(columns_of()).set_index(["user", "item"])
    for table in (events, events[[]]):
        with pytest.raises(
            ValueError, match=r"Its index has user, item: make columns of it, as events.reset_index\(\)"
        ):
            InteractionEncoder().fit(table)


def test_half_characters_in_a_column_of_objects_come_back():
    events = pd.DataFrame({"user": [1, 1, 2], "item": pd.Series(["x", "\ud800", "x"], dtype=object)})
    encoder, model = fitted_on(events)
    assert encoder.recommend(model, events, k=1)["item"].tolist() == ["\ud800"]


@pytest.mark.parametrize("threshold", [None, 0, 1e-9])
def test_an_event_of_weight_0_gives_no_interaction_its_time(threshold):
    events = (["u"] * 4, ["a", "b", "c", "a"], [1.0, 1, 1, 0], [1, 2, 3, 9])
    encoder = InteractionEncoder(weight="w", timestamp="t", threshold=threshold, binary=False)
    encoder.fit(events)
    assert encoder.timestamps(events).toarray().tolist() == [[1, 2, 3]]


def test_times_that_are_integers_stay_exact_beside_parts_with_floats():
    late, early = ((["a"], ["x"], [weight], np.array([time])) for weight, time in ((1.0, 10**18 + 100), (5.0, 10**18)))
    floats = (["b"], ["x"], [1.0], np.array([1e18]))
    for parts in ([late, floats, early], [late, early, floats], [floats, early, late]):
        encoder = InteractionEncoder(weight="w", binary=False, timestamp="t", duplicates="last")
        assert encoder.fit_transform(iter(parts)).toarray().tolist() == [[1], [1]]
    fractions = (["b"], ["x"], [1.0], np.array([0.5]))
    assert encoder.fit_transform([late, fractions]).toarray().tolist() == [[1], [1]]


def test_a_visitor_of_too_few_columns_is_said_to_be_one():
    events = (["ann", "ann", "bob"], ["tea", "jam", "tea"])
    encoder, model = fitted_on(events, EASERecommender(l2_regularization=1))
    for short in (events[:1], (), np.array([["ann"]]), np.empty((2, 0))):
        for call in (encoder.transform, encoder.user_ids_of, lambda events: encoder.recommend(model, events)):
            with pytest.raises(ValueError, match="must have the 2 columns user, item, all equally long"):
                call(short)
    with pytest.raises(TypeError, match="user must be"):
        encoder.set_params(user=3).user_ids_of(events)


@pytest.mark.parametrize("duplicates", ["sum", "max", "last"])
def test_events_below_the_threshold_are_of_no_unknown_items(duplicates):
    events = (["u", "u", "v"], ["a", "b", "a"], [5, 2, 4], [1, 2, 3])
    encoder = InteractionEncoder(weight="w", timestamp="t", threshold=4, duplicates=duplicates)
    X = encoder.fit_transform(events)  # nobody has b
    assert encoder.item_ids_.tolist() == ["a"]
    assert (encoder.transform(events) != X).nnz == 0
    assert encoder.timestamps(events).toarray().tolist() == [[1], [3]]
    with pytest.warns(UserWarning, match="1 of 2 events are of items that the encoder does not have, 1 .* such as 'c'"):
        encoder.transform((["u", "u"], ["c", "b"], [4, 3], [1, 2]))


def test_the_table_of_fit_holds_nothing_unknown_where_counts_are_compared_with_the_threshold():
    events = ["u", "u", "u", "v", "v"], ["a", "a", "b", "a", "a"]
    encoder = InteractionEncoder(threshold=2)
    X = encoder.fit_transform(events)  # nobody has b
    assert encoder.item_ids_.tolist() == ["a"]
    assert (encoder.transform(events) != X).nnz == 0
    with pytest.warns(UserWarning, match="3 of 5 events are of items that the encoder does not have"):
        encoder.transform((["u"] * 5, ["a", "a", "x", "y", "z"]))


def test_similar_items_of_a_pipeline_that_puts_columns_in_another_order_are_refused(fitted):
    encoder, columns, _ = fitted
    table = pd.DataFrame(encoder.transform(named(columns)).toarray(), columns=encoder.item_ids_)
    step = ColumnTransformer([("all", "passthrough", encoder.item_ids_[::-1].tolist())])
    with pytest.raises(ValueError, match="columns in another order"):
        encoder.similar_items(make_pipeline(step, EASERecommender()).fit(table), ["i1"])


@pytest.mark.parametrize("column", ["user", "item"])
def test_ids_that_spaces_alone_tell_from_others_are_warned_of(column):
    ids = ["tea", "jam ", " jam", "jam", "tea  ", "two words"]
    table = pd.DataFrame({"user": range(6), "item": range(6)} | {column: ids})
    with pytest.warns(
        UserWarning, match=rf"Column '{column}' has ids .* such as ' jam' and 'jam': .*str.strip"
    ) as told:
        encoder = InteractionEncoder().fit(table)
    assert told[0].filename == __file__
    encoder.transform(table)
    with pytest.warns(UserWarning, match="such as ' a' and 'a '"):
        InteractionEncoder().fit(pd.DataFrame({"user": range(2), "item": range(2)} | {column: ["a ", " a"]}))
    InteractionEncoder().fit(table.assign(**{column: [" jam", "tea ", " a b ", "a  b", "ab", "7"]}))


@pytest.mark.parametrize("written", ["Ann@x.org", "ANN@X.ORG", "Ann@X.Org"])
@pytest.mark.parametrize("column", ["user", "item"])
def test_ids_that_capital_letters_alone_tell_from_others_are_warned_of(column, written):
    table = pd.DataFrame({"user": range(3), "item": range(3)} | {column: ["ann@x.org", "bob@x.org", written]})
    sentence = rf"Column '{column}' has ids that only capital .* such as '{written}' and 'ann@x.org': .*str.lower\(\)"
    with pytest.warns(UserWarning, match=sentence) as told:
        InteractionEncoder().fit(table)
    assert told[0].filename == __file__
    for codes in (["aBc", "abC", "abc"], ["6Qu5", "6qu5", "x6qU"], ["B01", "B02", "C01"]):  # as of base64
        InteractionEncoder().fit(table.assign(**{column: codes}))


@pytest.mark.parametrize("pair", [("tea", "Tea "), ("C00002", "c00002 "), (" Ann@x.org", "ann@x.org\n")])
def test_ids_that_differ_in_spaces_and_in_capital_letters_are_warned_of_once(pair):
    with pytest.warns(UserWarning, match=r"only spaces and capital .*\.str\.strip\(\)\.str\.lower\(\)") as told:
        InteractionEncoder().fit((["x", "y", "z"], [*pair, "other"]))
    assert len(told) == 1


@pytest.mark.parametrize(
    "pair",
    [
        ("John.Smith@mail.com", "john.smith@mail.com"),
        ("TEA", "Tea"),
        ("USB cable", "usb cable"),
        ("The Lord of the Rings", "the lord of the rings"),
        ("McDonald", "mcdonald"),
    ],
)
def test_words_are_the_same_whichever_of_their_letters_are_capital(pair):
    with pytest.warns(UserWarning, match="only capital letters tell from each other"):
        InteractionEncoder().fit((["x", "y", "z"], [*pair, "other"]))


def test_missing_ids_of_exclude_are_said_to_be_there():
    events = ["ann", "ann", "bob"], ["tea", "jam", "tea"]
    encoder, model = fitted_on(events)
    shown = pd.DataFrame({"user": ["ann", None], "item": ["tea", "jam"]})
    with pytest.raises(ValueError, match=r"^1 of 2 rows of exclude have no value in column 'user': fill or drop"):
        encoder.recommend(model, events, exclude=shown)


def test_users_may_be_left_out_of_what_is_saved(tmp_path):
    table = pd.DataFrame({"user": ["ann", "ann", "bob", "cy"], "item": ["tea", "jam", "tea", "tea"]})
    encoder, model = fitted_on(table)
    expected = encoder.recommend(model, table, k=1)
    encoder.user_ids_ = encoder.user_ids_[:0]
    skvae.save((encoder, model), tmp_path / "both")
    assert b"ann" not in (tmp_path / "both").read_bytes()
    encoder, model = skvae.load(tmp_path / "both")
    pd.testing.assert_frame_equal(encoder.recommend(model, table, k=1), expected)
    assert encoder.partial_fit(pd.DataFrame({"user": ["di"], "item": ["oats"]})).transform(table).shape == (3, 3)
