"""The quickstart example: what it writes and prints, and what it says of a file that it cannot use."""

import joblib
import numpy as np
import pytest
from conftest import load_script

from skvae.datasets import make_interactions

pd = pytest.importorskip("pandas")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def quickstart():
    return load_script("examples/quickstart.py")


def interactions_table(n_users=200):
    users, items = make_interactions(n_users, 60, random_state=0).nonzero()
    return pd.DataFrame({"user": users, "item": items, "rating": 1 + (users + items) % 5})


def write(table, path):
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return path


def run(quickstart, path, output, *options):
    arguments = ["--data", path, "--output", output, "--max-iter", 2, "--jobs", 1, *options]
    quickstart.main([str(argument) for argument in arguments])


def error_sentence(quickstart, capsys, path, *options):
    with pytest.raises(SystemExit) as exit_info:
        run(quickstart, path, path.parent / "output", *options)
    assert exit_info.value.code == 2
    return " ".join(capsys.readouterr().err.split("error: ")[1].split())


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.parquet"])
def test_own_interactions_give_a_figure_a_model_and_ten_items(quickstart, tmp_path, capsys, name):
    output = tmp_path / "output"
    run(quickstart, write(interactions_table(), tmp_path / name), output)
    printed = capsys.readouterr().out
    assert "160 training, 20 validation, 20 test users" in printed
    assert "the loaded model recommends the same items with the same scores" in printed
    assert "popularity" in printed
    assert printed.rstrip().splitlines()[-1].startswith("demo took ")
    recommended = printed.split("recommends:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split(".")[0].strip() for line in recommended] == [str(rank) for rank in range(1, 11)]
    assert sorted(path.name for path in output.iterdir()) == ["model.joblib", "quickstart.png"]
    assert (output / "quickstart.png").read_bytes().startswith(b"\x89PNG")
    assert joblib.load(output / "model.joblib").n_iter_ == 2


def test_a_missing_file_is_named(quickstart, tmp_path, capsys):
    assert "absent.csv not found" in error_sentence(quickstart, capsys, tmp_path / "absent.csv")


def test_an_unknown_extension_is_named_with_the_known_ones(quickstart, tmp_path, capsys):
    path = write(interactions_table(), tmp_path / "data.txt")
    sentence = error_sentence(quickstart, capsys, path)
    assert "unknown extension: use .csv, .csv.gz, .parquet" in sentence


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_missing_column_is_named_with_those_found(quickstart, tmp_path, capsys, column, name):
    path = write(interactions_table().rename(columns={column: "other"}), tmp_path / name)
    sentence = error_sentence(quickstart, capsys, path)
    assert f"has no column '{column}', its columns are: " in sentence
    assert "other" in sentence


def test_a_missing_column_is_named_where_there_are_no_rows_either(quickstart, tmp_path, capsys):
    path = tmp_path / "data.csv"
    path.write_text("user,thing\n")
    assert "has no column 'item', its columns are: user, thing" in error_sentence(quickstart, capsys, path)


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_an_empty_file_is_said_to_be_empty(quickstart, tmp_path, capsys, name):
    path = tmp_path / name
    path.touch()
    assert f"{name} is empty" in error_sentence(quickstart, capsys, path)


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_table_without_rows_is_said_to_have_none(quickstart, tmp_path, capsys, name):
    path = write(interactions_table()[:0], tmp_path / name)
    assert "has no rows" in error_sentence(quickstart, capsys, path)


@pytest.mark.parametrize("name", ["data.csv.gz", "data.parquet"])
def test_a_file_of_another_format_cannot_be_read(quickstart, tmp_path, capsys, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(b"neither gzip nor Parquet")
    assert f"{name} cannot be read: " in error_sentence(quickstart, capsys, path)


@pytest.mark.parametrize("wrong", ["good", None])
@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_rating_that_is_not_a_number_is_shown(quickstart, tmp_path, capsys, name, wrong):
    table = interactions_table().astype({"rating": str if name.endswith("parquet") else object})
    table.loc[3, "rating"] = wrong
    sentence = error_sentence(quickstart, capsys, write(table, tmp_path / name), "--min-rating", 3)
    assert "column 'rating'" in sentence.lower()


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_missing_ids_are_counted(quickstart, tmp_path, capsys, name, column):
    table = interactions_table().astype({column: float})
    table.loc[[3, 7], column] = np.nan
    sentence = error_sentence(quickstart, capsys, write(table, tmp_path / name))
    assert f"2 of {len(table)} events have no value in column '{column}'" in sentence


def test_too_few_users_are_counted(quickstart, tmp_path, capsys):
    path = write(interactions_table(n_users=12), tmp_path / "data.csv")
    assert "12 users have at least 5 items each: 50 are needed" in error_sentence(quickstart, capsys, path)


def test_users_who_share_no_item_cannot_be_split(quickstart, tmp_path, capsys):
    table = pd.DataFrame({"user": np.repeat(np.arange(60), 5), "item": np.arange(300)})
    path = write(table, tmp_path / "data.csv")
    assert "share too few items with the training users" in error_sentence(quickstart, capsys, path)


def test_min_rating_drops_the_rows_below_it(quickstart, tmp_path, capsys):
    path = write(interactions_table(), tmp_path / "data.csv")
    sentence = error_sentence(quickstart, capsys, path, "--min-rating", 6)
    assert "No user is left with min_user_interactions=5" in sentence


def test_min_rating_is_refused_for_movielens(quickstart, capsys):
    with pytest.raises(SystemExit, match="2"):
        quickstart.main(["--min-rating", "3"])
    assert "--min-rating goes with --data" in capsys.readouterr().err


def test_min_rating_needs_a_rating(quickstart, tmp_path, capsys):
    path = write(interactions_table().drop(columns="rating"), tmp_path / "data.csv")
    sentence = error_sentence(quickstart, capsys, path, "--min-rating", 3)
    assert "has no column 'rating'" in sentence


@pytest.mark.parametrize("option", ["--max-iter", "--jobs"])
def test_numbers_of_epochs_and_processes_are_at_least_one(quickstart, tmp_path, capsys, option):
    sentence = error_sentence(quickstart, capsys, tmp_path / "data.csv", option, 0)
    assert "--max-iter and --jobs must be at least 1" in sentence


def test_ids_of_a_csv_file_stay_the_text_that_they_are(quickstart, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("user,item\n007,NA\n7,x\n")
    table = quickstart.read_table(path)
    assert table.to_numpy().tolist() == [["007", "NA"], ["7", "x"]]


def test_a_user_counts_each_item_once(quickstart):
    table = pd.DataFrame({"user": ["a"] * 6 + ["b"] * 5, "item": list("vwxyzz") + list("vvvwx")})
    X, item_ids = quickstart.user_item_matrix(table)
    np.testing.assert_array_equal(X.toarray(), np.ones((1, 5)))
    assert item_ids.tolist() == list("vwxyz")
