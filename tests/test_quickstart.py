"""The quickstart example: what it writes and prints, and what it says of a file that it cannot use."""

import gzip
import random

import numpy as np
import pytest
from conftest import error_sentence, load_script

import skvae
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


def run(quickstart, path, *options):
    arguments = ["--data", path, "--output", path.parent / "output", "--max-iter", 2, "--jobs", 1, *options]
    quickstart.main([str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.parquet"])
def test_own_interactions_give_a_figure_a_model_and_ten_items(quickstart, tmp_path, capsys, name):
    output = tmp_path / "output"
    run(quickstart, write(interactions_table(), tmp_path / name))
    printed = capsys.readouterr().out
    assert "160 training, 20 validation, 20 test users" in printed
    assert "the loaded model recommends the same items with the same scores" in printed
    assert "popularity" in printed
    assert printed.rstrip().splitlines()[-1].startswith("demo took ")
    recommended = printed.split("recommends:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split(".")[0].strip() for line in recommended] == [str(rank) for rank in range(1, 11)]
    assert sorted(path.name for path in output.iterdir()) == ["model.skvae", "quickstart.png"]
    assert (output / "quickstart.png").read_bytes().startswith(b"\x89PNG")
    assert skvae.load(output / "model.skvae").n_iter_ == 2


def test_a_missing_file_is_named(quickstart, tmp_path, capsys):
    assert "absent.csv not found" in error_sentence(capsys, run, quickstart, tmp_path / "absent.csv")


def test_an_unknown_extension_is_named_with_the_known_ones(quickstart, tmp_path, capsys):
    path = write(interactions_table(), tmp_path / "data.txt")
    sentence = error_sentence(capsys, run, quickstart, path)
    assert "unknown extension: use .csv, .csv.gz, .parquet" in sentence


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_missing_column_is_named_with_those_found(quickstart, tmp_path, capsys, column, name):
    path = write(interactions_table().rename(columns={column: "other"}), tmp_path / name)
    sentence = error_sentence(capsys, run, quickstart, path)
    assert f"has no column '{column}', its columns are: " in sentence
    assert "other" in sentence


def test_a_missing_column_is_named_where_there_are_no_rows_either(quickstart, tmp_path, capsys):
    path = tmp_path / "data.csv"
    path.write_text("user,thing\n")
    assert "has no column 'item', its columns are: user, thing" in error_sentence(capsys, run, quickstart, path)


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_an_empty_file_is_said_to_be_empty(quickstart, tmp_path, capsys, name):
    path = tmp_path / name
    path.touch()
    assert f"{name} is empty" in error_sentence(capsys, run, quickstart, path)


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_table_without_rows_is_said_to_have_none(quickstart, tmp_path, capsys, name):
    path = write(interactions_table()[:0], tmp_path / name)
    assert "has no rows" in error_sentence(capsys, run, quickstart, path)


@pytest.mark.parametrize("name", ["data.csv.gz", "data.parquet"])
def test_a_file_of_another_format_cannot_be_read(quickstart, tmp_path, capsys, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(b"neither gzip nor Parquet")
    assert f"{name} cannot be read: " in error_sentence(capsys, run, quickstart, path)


@pytest.mark.parametrize("wrong", ["good", None])
@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_rating_that_is_not_a_number_is_shown(quickstart, tmp_path, capsys, name, wrong):
    table = interactions_table().astype({"rating": str if name.endswith("parquet") else object})
    table.loc[3, "rating"] = wrong
    sentence = error_sentence(capsys, run, quickstart, write(table, tmp_path / name), "--min-rating", 3)
    assert "column 'rating'" in sentence.lower()


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_missing_ids_are_counted(quickstart, tmp_path, capsys, name, column):
    table = interactions_table().astype({column: float})
    table.loc[[3, 7], column] = np.nan
    sentence = error_sentence(capsys, run, quickstart, write(table, tmp_path / name))
    assert f"2 of {len(table)} events have no value in column '{column}'" in sentence


def test_too_few_users_are_counted(quickstart, tmp_path, capsys):
    path = write(interactions_table(n_users=12), tmp_path / "data.csv")
    assert "12 users have at least 5 items each: 50 are needed" in error_sentence(capsys, run, quickstart, path)


def test_users_who_share_no_item_cannot_be_split(quickstart, tmp_path, capsys):
    table = pd.DataFrame({"user": np.repeat(np.arange(60), 5), "item": np.arange(300)})
    path = write(table, tmp_path / "data.csv")
    assert "share too few items with the training users" in error_sentence(capsys, run, quickstart, path)


def test_min_rating_drops_the_rows_below_it(quickstart, tmp_path, capsys):
    path = write(interactions_table(), tmp_path / "data.csv")
    sentence = error_sentence(capsys, run, quickstart, path, "--min-rating", 6)
    assert (
        "data.csv cannot be used: no user has 5 different items with a rating of at least 6: lower --min-ra" in sentence
    )


def test_min_rating_is_refused_for_movielens(quickstart, capsys):
    with pytest.raises(SystemExit, match="2"):
        quickstart.main(["--min-rating", "3"])
    assert "--min-rating goes with --data" in capsys.readouterr().err


def test_min_rating_needs_a_rating(quickstart, tmp_path, capsys):
    path = write(interactions_table().drop(columns="rating"), tmp_path / "data.csv")
    sentence = error_sentence(capsys, run, quickstart, path, "--min-rating", 3)
    assert "has no column 'rating'" in sentence


@pytest.mark.parametrize("option", ["--max-iter", "--jobs"])
def test_numbers_of_epochs_and_processes_are_at_least_one(quickstart, tmp_path, capsys, option):
    sentence = error_sentence(capsys, run, quickstart, tmp_path / "data.csv", option, 0)
    assert "--max-iter and --jobs must be at least 1" in sentence


def test_ids_of_a_csv_file_stay_the_text_that_they_are(quickstart, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("user,item\n007,NA\n7,x\n")
    table = quickstart.read_table(path)
    assert table.to_numpy().tolist() == [["007", "NA"], ["7", "x"]]


def test_a_visitor_who_has_nearly_all_items_is_shown_those_that_are_left(quickstart, capsys):
    model = skvae.PopularityRecommender().fit(np.ones((3, 8)))
    quickstart.print_recommendations("popularity", model, [0, 1, 3, 4, 6, 7], [f"title {item}" for item in range(8)])
    printed = capsys.readouterr().out
    assert printed.split("recommends:\n")[1].split() == ["1.", "title", "2", "2.", "title", "5"]


# -- CSV files of people


ROWS = [("007", "NA", "4"), ("7", "x, y", "2.5"), ("u\u00e9", '5" disk', ""), ("1.0", "1e3", "5")]
NAMES = ["user", "item", "rating"]


def quoted(row, delimiter):
    return delimiter.join(
        '"' + value.replace('"', '""') + '"' if delimiter in value or '"' in value else value for value in row
    )


def csv_text(rows=ROWS, header=("user", "item", "rating"), delimiter=",", end="\n"):
    return "".join(quoted(row, delimiter) + end for row in [header, *rows])


SAME_TABLES = {
    "as it is": csv_text(),
    "byte order mark": "\ufeff" + csv_text(),
    "carriage returns": csv_text(end="\r\n"),
    "carriage returns alone": csv_text(end="\r"),
    "byte order mark and carriage returns": "\ufeff" + csv_text(end="\r\n"),
    "lines end with a comma": csv_text(end=",\n"),
    "lines end with commas": csv_text(end=",,,\r\n"),
    "all but the header end with a comma": csv_text(end=",\n").replace("rating,", "rating"),
    "the header ends with a comma": csv_text().replace("rating", "rating,"),
    "semicolons": csv_text(delimiter=";"),
    "semicolons at the end": csv_text(delimiter=";", end=";\n"),
    "tabs": csv_text(delimiter="\t"),
    "bars": csv_text(delimiter="|"),
    "everything quoted": "".join(
        ",".join('"' + value.replace('"', '""') + '"' for value in row) + "\n" for row in [NAMES, *ROWS]
    ),
    "spaces after the commas": csv_text().replace("user,item,rating", "user, item, rating").replace("NA,", "NA, "),
    "upper case": csv_text(header=("USER", "Item", "Rating")),
    "spaces in the header": csv_text(header=(" user", "item ", "rating")),
    "blank last lines": csv_text() + "\n\r\n  \n",
    "lines of commas alone": csv_text() + ",,\n,,,\n",
    "blank first lines": "\n\n" + csv_text(),
    "blank lines between": csv_text().replace("\n", "\n\n"),
    "no last line end": csv_text().rstrip("\n"),
    "other columns": "".join(f"x;{line};y;z\n" for line in csv_text(delimiter=";").splitlines()),
    "another order": csv_text([row[::-1] for row in ROWS], ("rating", "item", "user")),
}


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
@pytest.mark.parametrize("form", SAME_TABLES)
def test_the_same_table_is_read_however_it_was_written(quickstart, tmp_path, form, name):
    content = SAME_TABLES[form].encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    table = quickstart.read_table(tmp_path / name)
    assert table.columns.tolist() == ["user", "item", "rating"]
    assert [tuple(row) for row in table.fillna("").to_numpy()] == ROWS


def test_a_value_of_several_lines_in_quotes_is_one(quickstart, tmp_path):
    (tmp_path / "data.csv").write_text('user,item\na,"two\nlines"\nb,c\n')
    assert quickstart.read_table(tmp_path / "data.csv").to_numpy().tolist() == [["a", "two\nlines"], ["b", "c"]]


def test_bytes_of_columns_that_nobody_reads_do_not_matter(quickstart, tmp_path):
    (tmp_path / "data.csv").write_bytes("user,item,title\na,b,Café\n".encode("latin-1"))
    assert quickstart.read_table(tmp_path / "data.csv").to_numpy().tolist() == [["a", "b"]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "user,item\na,b\nb,caf\u00e9\n".encode("latin-1"),
            r"line 3 is no UTF-8 text (b'caf\xe9'). Save it as CSV in UTF-8",
        ),
        ("user,item\na,b\n".encode("utf-16"), "line 1 is no UTF-8 text"),
        (gzip.compress(b"user,item\na,b\n"), "line 1 is no UTF-8 text"),
        (b"\n \n", "data.csv is empty: it needs the columns user and item"),
        (b"1,31,2.5\n1,32,4\n", "has no column 'user', its columns are: 1, 31, 2.5. Name them user and item"),
        (b"userId;movieId\n1;2\n", "has no column 'user', its columns are: userId, movieId. Name them"),
        (b"user item\n1 2\n", "has no column 'user', its columns are: user item. Name them"),
        (b"user,item,User\na,b,c\n", "has 2 columns 'user': rename all but one"),
        (b"user,item,rating\na,b,1\n\nc,d\n", "line 4 has 2 values, and the first line names 3 columns. Mend the line"),
        (b"user,item,rating\na,b,1\nc,d,e,1\n", "line 3 has 4 values, and the first line names 3 columns. Mend"),
        (b'user,item\na,b\n"c,d\ne,f\n', "line 3: unexpected end of data. Is a quote not closed there?"),
        (b'user,item\na,b\nc,"d"e\n', "line 3: ',' expected after '\"'. Is a quote not closed there?"),
        (b'user,item\na,"' + b"x" * 200_000 + b'"\n', "line 2: field larger than field limit"),
        (b"user,item\n", "has no rows"),
        (bytes(10**6), "has no column 'user', its columns are: "),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "bytes",
)
def test_a_file_that_cannot_be_used_is_told_by_its_line_or_column(quickstart, tmp_path, capsys, content, sentence):
    (tmp_path / "data.csv").write_bytes(content)
    printed = error_sentence(capsys, run, quickstart, tmp_path / "data.csv")
    assert printed.startswith(str(tmp_path / "data.csv"))
    assert sentence in printed


@pytest.mark.parametrize("wrong", ["good", "3,5", "nan", "inf", ""])
def test_a_rating_that_is_no_number_is_told_with_what_to_do(quickstart, tmp_path, capsys, wrong):
    (tmp_path / "data.csv").write_text(csv_text([("a", "b", "4"), ("a", "c", wrong)], delimiter=";"))
    sentence = error_sentence(capsys, run, quickstart, tmp_path / "data.csv", "--min-rating", 3)
    shown = repr(wrong) if wrong else "nothing"
    assert f"column 'rating' holds {shown}, and 1 of 2 values are no number. --min-rating needs" in sentence


def test_ratings_below_the_least_one_may_be_negative(quickstart):
    table = pd.DataFrame({"user": ["a"] * 7, "item": list("pqrstuv"), "rating": [-3, 3, 4, 0, 5, 3, 4]})
    assert quickstart.user_item_matrix(table, 3)[1].tolist() == list("qrtuv")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_the_least_rating_is_a_number(quickstart, tmp_path, capsys, value):
    sentence = error_sentence(capsys, run, quickstart, tmp_path / "data.csv", "--min-rating", value)
    assert f"--min-rating must be a number, got {value}" in sentence


@pytest.mark.parametrize("cut", [0, 5, 60, -4])
def test_a_gzip_file_that_was_cut_short_is_told(quickstart, tmp_path, capsys, cut):
    path = write(interactions_table(), tmp_path / "data.csv.gz")
    path.write_bytes(path.read_bytes()[:cut])
    sentence = error_sentence(capsys, run, quickstart, path)
    assert "data.csv.gz cannot be read: " in sentence or "data.csv.gz is empty" in sentence
    assert "Fetch or compress it again" in sentence or not cut


def changed(content, choice):
    """The bytes with some of them flipped, cut off or overwritten."""
    content, place = bytearray(content), choice.randrange(len(content))
    way = choice.choice(["flip", "cut", "overwrite", "put in"])
    if way == "flip":
        for _ in range(choice.randint(1, 5)):
            content[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
    elif way == "cut":
        del content[place:]
    elif way == "overwrite":
        content[place : place + 9] = bytes(len(content[place : place + 9]))
    else:
        content[place:place] = choice.randbytes(choice.randint(1, 20))
    return bytes(content)


@pytest.mark.parametrize("name", ["data.csv.gz", "data.parquet"])
def test_any_damage_of_a_file_ends_in_the_right_table_or_in_one_sentence(quickstart, tmp_path, name):
    path = write(interactions_table(50), tmp_path / name)
    content, right, choice, refusals = path.read_bytes(), quickstart.read_table(path), random.Random(0), []
    for _ in range(200 if name == "data.csv.gz" else 50):
        path.write_bytes(changed(content, choice))
        try:
            table = quickstart.read_table(path)
        except quickstart.DataError as error:
            refusals.append(str(error))
        else:
            # Parquet pages have no checksum where the writer was not asked for one
            assert name == "data.parquet" or table.equals(right)
    assert len(refusals) > 20
    assert all(str(path) in sentence and "\n" not in sentence for sentence in refusals)


def test_columns_of_a_parquet_file_are_found_in_any_case(quickstart, tmp_path):
    path = write(interactions_table().rename(columns={"user": "User", "item": " ITEM"}), tmp_path / "data.parquet")
    assert quickstart.read_table(path).columns.tolist() == ["user", "item", "rating"]


def test_a_user_counts_each_item_once(quickstart):
    table = pd.DataFrame({"user": ["a"] * 6 + ["b"] * 5, "item": list("vwxyzz") + list("vvvwx")})
    X, item_ids = quickstart.user_item_matrix(table)
    np.testing.assert_array_equal(X.toarray(), np.ones((1, 5)))
    assert item_ids.tolist() == list("vwxyz")
