"""examples/recommend_to_parquet.py: the whole population, in files, from where a run was cut short."""

import copy
import decimal
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, fitted_on, load_script

import skvae

pd, pq = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def run(X, tmp_path):
    skvae.save(skvae.PopularityRecommender().fit(X[:400]), tmp_path / "model")
    skvae.save_interactions(X, tmp_path / "X")
    script = load_script("examples/recommend_to_parquet.py")

    def run(*options):
        paths = [str(tmp_path / name) for name in ("model", "X", "recommendations")]
        script.main([*paths, "--users-per-file", "120", *options])
        return sorted((tmp_path / "recommendations").glob("*.parquet"))

    return run


def expected(X, k):
    items, scores = skvae.PopularityRecommender().fit(X[:400]).recommend(X, k)
    users, places = np.nonzero(items >= 0)
    return {"user": users, "rank": places + 1, "item": items[users, places], "score": scores[users, places]}


def test_the_files_hold_what_recommend_gives_and_no_place_without_an_item(run, X):
    table = pd.concat(map(pd.read_parquet, run("-k", "195")), ignore_index=True)
    assert len(table) < 500 * 195
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected(X, 195)))


def test_the_script_writes_the_same_in_two_processes(run, X, tmp_path):
    expected_tables = [path.read_bytes() for path in run()]
    shutil.rmtree(tmp_path / "recommendations")
    paths = [tmp_path / name for name in ("model", "X", "recommendations")]
    script = ROOT / "examples" / "recommend_to_parquet.py"
    subprocess.run([sys.executable, script, *paths, "--users-per-file", "120", "--jobs", "2"], check=True, timeout=240)
    tables = map(pd.read_parquet, sorted((tmp_path / "recommendations").glob("*.parquet")))
    wanted = [pd.read_parquet(io.BytesIO(content)) for content in expected_tables]
    for table, expected_table in zip(tables, wanted, strict=True):
        pd.testing.assert_frame_equal(table, expected_table)


@pytest.fixture
def saved_ids(tmp_path):
    def save(encoder):
        ids = encoder.user_ids_
        np.save(tmp_path / "ids.npy", ids.astype(str) if ids.dtype == object else ids)
        return str(tmp_path / "ids.npy")

    return save


def test_with_an_encoder_the_files_hold_its_ids(run, saved_ids, X, tmp_path):
    users, items = X.nonzero()
    events = pd.DataFrame({"user": [f"u{u:03d}" for u in users], "item": [f"i{i:03d}" for i in items]})
    events = events.set_axis(["person", "thing"], axis=1)
    encoder, model = fitted_on(events, user="person", item="thing")
    skvae.save((encoder, model), tmp_path / "model")
    skvae.save_interactions(encoder.transform(events), tmp_path / "X")
    with pytest.raises(SystemExit, match="Whose rows are these"):
        run("-k", "3")
    table = pd.concat(map(pd.read_parquet, run("-k", "3", "--users", saved_ids(encoder))), ignore_index=True)
    ids = dict.fromkeys(["person", "thing"], object)
    pd.testing.assert_frame_equal(table.astype(ids), encoder.recommend(model, events, k=3).astype(ids))


def test_what_another_matrix_has_is_left_out_as_encoder_recommend_does(run, saved_ids, X, tmp_path):
    users, items = X.nonzero()
    stars = np.random.default_rng(0).integers(1, 6, len(users))
    stars[users < 3] = 1  # users without a row in the matrix of fit_transform
    ratings = pd.DataFrame({"user": [f"u{u:03d}" for u in users], "item": [f"i{i:03d}" for i in items], "stars": stars})
    encoder = skvae.InteractionEncoder(weight="stars", threshold=3)
    X = encoder.fit_transform(ratings)
    model = skvae.PopularityRecommender().fit(X)
    skvae.save((encoder, model), tmp_path / "model")
    skvae.save_interactions(X, tmp_path / "X")
    everything = copy.copy(encoder).set_params(weight=None, threshold=None)
    seen = everything.transform(ratings, users=encoder.user_ids_)
    skvae.save_interactions(seen, tmp_path / "seen")
    options = ("-k", "3", "--users", saved_ids(encoder))
    without = pd.concat(map(pd.read_parquet, run(*options)), ignore_index=True)
    table = pd.concat(map(pd.read_parquet, run(*options, "--exclude", str(tmp_path / "seen"))), ignore_index=True)
    wanted = encoder.recommend(model, ratings, k=3, users=encoder.user_ids_)
    assert table.astype(str).equals(wanted[table.columns].astype(str))
    assert not without.equals(table)
    skvae.save_interactions(X[:10], tmp_path / "seen")
    with pytest.raises(SystemExit, match=r"seen has the shape \(10, \d+\), not \(497, \d+\)"):
        run(*options, "--exclude", str(tmp_path / "seen"))


@pytest.mark.parametrize(
    "option", [("-k", "0"), ("--users-per-file", "-20"), ("--users-per-file", "0"), ("--jobs", "0")]
)
def test_a_number_that_cannot_be_is_refused_before_any_file_is_removed(run, option):
    before = [path.read_bytes() for path in run("-k", "3")]
    with pytest.raises(SystemExit, match="2"):
        run("-k", "3", *option)
    assert [path.read_bytes() for path in run("-k", "3")] == before


def test_a_model_of_other_items_is_refused_before_any_file_is_removed(run, X, tmp_path):
    before = [path.read_bytes() for path in run()]
    skvae.save(skvae.PopularityRecommender().fit(X[:, :40]), tmp_path / "model")
    with pytest.raises(SystemExit, match="X has 200 features, but PopularityRecommender is expecting 40"):
        run()
    files = sorted((tmp_path / "recommendations").iterdir())
    assert [path.read_bytes() for path in files] == before


def test_a_matrix_made_in_parts_has_the_users_that_are_named(run, X, tmp_path):
    users, items = X.nonzero()
    events = pd.DataFrame({"user": [f"u{u:03d}" for u in users], "item": [f"i{i:03d}" for i in items]})
    tables = [events[users % 4 == part] for part in range(4)]
    encoder = skvae.InteractionEncoder().fit(tables)
    skvae.save_interactions(map(encoder.transform, tables), tmp_path / "X")
    model = skvae.EASERecommender().fit(skvae.open_interactions(tmp_path / "X"))
    skvae.save((encoder, model), tmp_path / "model")
    ids = np.concatenate([encoder.user_ids_of(table) for table in tables])
    np.save(tmp_path / "users.npy", ids.astype(str))
    table = pd.concat(map(pd.read_parquet, run("-k", "3", "--users", str(tmp_path / "users.npy"))), ignore_index=True)
    both = table.merge(encoder.recommend(model, events, k=3), on=["user", "rank"])
    assert len(both) == len(table) == 1500
    assert (both["item_x"] == both["item_y"]).all()


def test_a_file_without_a_recommendation_has_the_columns_of_the_others(run, saved_ids, tmp_path):
    owned = [(f"u{u:03d}", item) for u in range(240) for item in ("tea", "jam", "bun") if u < 120 or item == "tea"]
    encoder = skvae.InteractionEncoder()
    X = encoder.fit_transform(pd.DataFrame(owned, columns=["user", "item"]))
    skvae.save((encoder, skvae.PopularityRecommender().fit(X)), tmp_path / "model")
    skvae.save_interactions(X, tmp_path / "X")
    empty, other = run("-k", "2", "--users", saved_ids(encoder))
    assert len(pq.read_table(empty)) == 0 < len(pq.read_table(other))
    assert pq.read_schema(empty).equals(pq.read_schema(other))


def test_a_file_of_something_else_ends_in_one_sentence(run, saved_ids, X, tmp_path):
    encoder = skvae.InteractionEncoder().fit((["ann", "bob"], ["tea", "jam"]))
    model = skvae.PopularityRecommender().fit(X)
    skvae.save((model, encoder), tmp_path / "model")
    with pytest.raises(SystemExit, match=r"holds PopularityRecommender, InteractionEncoder: save .* in this order\.$"):
        run()
    skvae.save(encoder, tmp_path / "model")
    with pytest.raises(SystemExit, match="holds InteractionEncoder: save a model"):
        run()
    skvae.save((encoder, model), tmp_path / "model")
    with pytest.raises(SystemExit, match=r"The matrix has 500 users, .*ids.npy ids of shape \(2,\)"):
        run("--users", saved_ids(encoder))
    np.savez(tmp_path / "several.npz", encoder.item_ids_.astype(str))
    with pytest.raises(SystemExit, match=r"several.npz ids of shape several arrays"):
        run("--users", str(tmp_path / "several.npz"))
    np.save(tmp_path / "twice.npy", np.repeat(np.arange(250), 2))
    with pytest.raises(SystemExit, match=r"twice.npy has an id twice"):
        run("--users", str(tmp_path / "twice.npy"))
    np.save(tmp_path / "objects.npy", encoder.user_ids_)
    with pytest.raises(SystemExit, match=r"objects.npy is no array of ids; save texts as ids.astype\(str\)"):
        run("--users", str(tmp_path / "objects.npy"))


def test_what_is_not_there_is_said_before_a_folder_is_made(run, tmp_path):
    (tmp_path / "model").unlink()
    with pytest.raises(SystemExit, match="No such file or directory"):
        run()
    assert not (tmp_path / "recommendations").exists()


def test_a_run_goes_on_where_the_last_one_ended_and_begins_anew_with_another_model(run, X, tmp_path, monkeypatch):
    files = run()
    assert [file.name for file in files] == [f"{first:012d}.parquet" for first in range(0, 500, 120)]
    files[2].unlink()
    written, write_table = [], pq.write_table

    def record(table, file, **options):
        written.append(Path(file.name).stem)
        write_table(table, file, **options)

    monkeypatch.setattr(pq, "write_table", record)
    assert run() == files
    assert written == [files[2].stem]
    for content in (b"", files[2].read_bytes()[:-100]):  # as a power cut may leave a file
        files[2].write_bytes(content)
        assert run() == files
        assert written.pop() == files[2].stem
        assert pq.read_table(files[2]).num_rows
    skvae.save(skvae.PopularityRecommender().fit(X[:300]), tmp_path / "model")
    run()
    assert len(written) == 1 + len(files)
    skvae.append_interactions(X[:1], tmp_path / "X")
    assert len(run("--users-per-file", "300", "-k", "3")) == 2
    assert len(written) == 1 + len(files) + 2


def test_ids_have_the_type_of_all_of_them(run, saved_ids, tmp_path):
    def saved(items):
        encoder = skvae.InteractionEncoder()
        X = encoder.fit_transform((list("aab"), items))
        skvae.save((encoder, skvae.PopularityRecommender().fit(X)), tmp_path / "model")
        skvae.save_interactions(X, tmp_path / "X")
        return saved_ids(encoder)

    users = saved([decimal.Decimal("1.5"), decimal.Decimal("10.25"), decimal.Decimal("1.5")])
    (path,) = run("-k", "2", "--users", users)
    assert pq.read_table(path).column("item").to_pylist() == [decimal.Decimal("10.25")]
    users = saved([1, 2**70, 1])
    with pytest.raises(SystemExit, match="Item ids have no type in Parquet"):
        run("-k", "2", "--users", users)
