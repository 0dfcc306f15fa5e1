"""Fetchers of public data sets, on small archives written here in the official formats."""

import hashlib
import random
import re
import sys
import traceback
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import clear_data_home
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import PopularityRecommender
from skvae.datasets import _million_song, _movielens, fetch_million_song_taste_profile, fetch_movielens

VARIANTS = list(_movielens.RELEASES)
every_variant = pytest.mark.parametrize("variant", VARIANTS)

# (user, movie, stars, time) in the order of no official file
RATINGS = [(9, 50, 4, 30), (2, 7, 5, 20), (2, 50, 3, 10), (9, 7, 1, 2_147_483_648), (4, 110, 2, 50), (2, 3, 4, 60)]
MOVIES = {
    3: ("Café, The (1995)", ["Comedy", "Drama"]),
    7: ('"Great" Escape (1963)', ["War"]),
    11: ("Nobody's Choice (2001)", ["Horror"]),
    50: ("Usual Suspects, The (1995)", ["Drama", "War"]),
    110: ("Untold (2000)", []),
}
GENRES = ["Comedy", "Drama", "Horror", "War"]


def csv_files(ratings, movies):
    titles = {number: title.replace('"', '""') for number, (title, _) in movies.items()}
    genres = {number: "|".join(own) or "(no genres listed)" for number, (_, own) in movies.items()}
    return {
        "README.txt": "terms of use",
        "ratings.csv": "userId,movieId,rating,timestamp\n"
        + "".join(f"{u},{i},{r:.1f},{t}\n" for u, i, r, t in ratings),
        "movies.csv": "movieId,title,genres\r\n" + "".join(f'{i},"{titles[i]}",{genres[i]}\r\n' for i in movies),
        "tags.csv": "userId,movieId,tag,timestamp\n",
    }


def dat_files(ratings, movies):
    return {
        "README": "terms of use",
        "ratings.dat": "".join(f"{u}::{i}::{r}::{t}\n" for u, i, r, t in ratings),
        "movies.dat": "".join(f"{i}::{title}::{'|'.join(genres)}\n" for i, (title, genres) in movies.items()),
    }


def tab_files(ratings, movies):
    names = ["unknown", *GENRES]
    flags = {i: "|".join(str(int(name in (own or ["unknown"]))) for name in names) for i, (_, own) in movies.items()}
    return {
        "README": "terms of use",
        "u.data": "".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in ratings),
        "u.item": "".join(f"{i}|{title}|01-Jan-1995||http://x|{flags[i]}\n" for i, (title, _) in movies.items()),
        "u.genre": "".join(f"{name}|{place}\n" for place, name in enumerate(names)) + "\n",
    }


WRITERS = {_movielens.CSV: csv_files, _movielens.DAT: dat_files, _movielens.TAB: tab_files}


def write_folder(folder, variant, ratings=RATINGS, movies=MOVIES):
    release = _movielens.RELEASES[variant]
    encoding = "utf-8" if release.layout is _movielens.CSV else "latin-1"
    inner = folder / release.name
    inner.mkdir(parents=True, exist_ok=True)
    for name, text in WRITERS[release.layout](ratings, movies).items():
        (inner / name).write_bytes(text.encode(encoding))
    return folder


def write_zip(path, folder):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that the fetchers take for the web, without checksums; returns how often a name was fetched."""
    folder = tmp_path / "server"
    folder.mkdir()
    for variant, release in _movielens.RELEASES.items():
        monkeypatch.setitem(_movielens.RELEASES, variant, release._replace(sha256=None))
        write_zip(folder / f"{release.name}.zip", write_folder(tmp_path / f"unpacked-{variant}", variant))
    monkeypatch.setattr(_movielens, "URL", f"file://localhost{folder}/{{}}.zip")
    monkeypatch.setattr(_million_song, "URL", f"file://localhost{folder}/train_triplets.txt.zip")
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "train_triplets.txt").write_text(PLAYS)
    write_zip(folder / "train_triplets.txt.zip", tmp_path / "songs")
    return folder


@every_variant
def test_every_format_gives_the_same_matrix(server, tmp_path, variant):
    movielens = fetch_movielens(variant, data_home=tmp_path / "home")
    assert movielens.user_ids.tolist() == [2, 4, 9]
    assert movielens.item_ids.tolist() == [3, 7, 50, 110]
    for matrix, dtype in ((movielens.data, np.float32), (movielens.timestamps, np.int64)):
        assert isinstance(matrix, sp.csr_array)
        assert matrix.has_canonical_format
        assert matrix.dtype == dtype
    np.testing.assert_array_equal(movielens.data.toarray(), [[4, 5, 3, 0], [0, 0, 0, 2], [0, 1, 4, 0]])
    times = [[60, 20, 10, 0], [0, 0, 0, 50], [0, 2_147_483_648, 30, 0]]
    np.testing.assert_array_equal(movielens.timestamps.toarray(), times)
    assert movielens.item_titles.tolist() == [MOVIES[number][0] for number in (3, 7, 50, 110)]
    assert movielens.genre_names == ["Comedy", "Drama", "War"]
    genres = [["Comedy", "Drama"], ["War"], ["Drama", "War"], []]
    assert [
        [name for name, has in zip(movielens.genre_names, row, strict=True) if has] for row in movielens.item_genres
    ] == genres
    assert movielens.item_genres.dtype == bool
    assert "6 ratings of 4 movies by 3 users" in movielens.DESCR
    assert "Harper" in movielens.DESCR
    assert movielens.DESCR.endswith("terms of use")


def test_latest_small_is_the_default(server, tmp_path):
    assert fetch_movielens(data_home=tmp_path / "home").DESCR.startswith("MovieLens latest-small:")
    assert (tmp_path / "home" / "skvae" / "ml-latest-small.zip").is_file()


def test_half_stars_are_kept(tmp_path):
    folder = write_folder(tmp_path, "20m", [(1, 3, 0.5, 1), (1, 7, 3.5, 1)])
    assert fetch_movielens("20m", path=folder).data.toarray().tolist() == [[0.5, 3.5]]


@pytest.mark.parametrize("ratings", [[(1, 3, 2, 9), (1, 3, 5, 8)], [(1, 3, 5, 8), (1, 3, 2, 9)]])
def test_the_later_of_two_ratings_counts(tmp_path, ratings):
    movielens = fetch_movielens("1m", path=write_folder(tmp_path, "1m", ratings))
    assert movielens.data.toarray().tolist() == [[2]]
    assert movielens.timestamps.toarray().tolist() == [[9]]


def test_it_is_downloaded_once(server, tmp_path):
    first = fetch_movielens("1m", data_home=tmp_path / "home")
    (server / "ml-1m.zip").unlink()
    second = fetch_movielens("1m", data_home=tmp_path / "home")
    third = fetch_movielens("1m", data_home=tmp_path / "home", download_if_missing=False)
    for again in (second, third):
        np.testing.assert_array_equal(again.data.toarray(), first.data.toarray())
    assert [path.name for path in (tmp_path / "home" / "skvae").iterdir()] == ["ml-1m.zip"]
    clear_data_home(tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_the_data_home_of_scikit_learn_is_the_default(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "sklearn"))
    fetch_movielens("100k")
    fetch_million_song_taste_profile()
    names = sorted(path.name for path in (tmp_path / "sklearn" / "skvae").iterdir())
    assert names == ["ml-100k.zip", "train_triplets.txt.zip"]


@every_variant
@pytest.mark.parametrize("form", ["zip", "folder", "inner folder", "str"])
def test_a_local_copy_is_read_instead(tmp_path, monkeypatch, variant, form):
    monkeypatch.setattr(_movielens, "fetch_archive", lambda *_, **__: pytest.fail("it is downloaded"))
    folder = write_folder(tmp_path / "unpacked", variant)
    name = _movielens.RELEASES[variant].name
    paths = {"zip": lambda: write_zip(tmp_path / "mine.zip", folder), "folder": lambda: folder}
    paths |= {"inner folder": lambda: folder / name, "str": lambda: str(folder / name)}
    assert fetch_movielens(variant, path=paths[form]()).data.nnz == 6


def test_a_zip_file_without_a_folder_inside_is_read_too(tmp_path):
    folder = write_folder(tmp_path / "unpacked", "20m") / "ml-20m"
    assert fetch_movielens("20m", path=write_zip(tmp_path / "flat.zip", folder)).data.nnz == 6


def test_a_byte_order_mark_and_carriage_returns_do_not_matter(tmp_path):
    folder = write_folder(tmp_path, "20m") / "ml-20m"
    for name in ("ratings.csv", "movies.csv"):
        text = (folder / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text)
    assert fetch_movielens("20m", path=folder).data.nnz == 6


def test_a_pipeline_with_a_threshold_fits_the_ratings(tmp_path):
    movielens = fetch_movielens("1m", path=write_folder(tmp_path, "1m"))
    pipeline = make_pipeline(Binarizer(threshold=3.5), PopularityRecommender()).fit(movielens.data)
    assert pipeline[-1].item_counts_.tolist() == [1, 1, 1, 0]


def test_a_known_checksum_is_checked(server, tmp_path, monkeypatch):
    release = _movielens.RELEASES["1m"]
    right = hashlib.sha256((server / "ml-1m.zip").read_bytes()).hexdigest()
    monkeypatch.setitem(_movielens.RELEASES, "1m", release._replace(sha256=right))
    assert fetch_movielens("1m", data_home=tmp_path / "home").data.nnz == 6
    monkeypatch.setitem(_movielens.RELEASES, "1m", release._replace(sha256=right[::-1]))
    with pytest.raises(OSError, match=r"could not be downloaded \(The SHA256 checksum of ml-1m.zip"):
        fetch_movielens("1m", data_home=tmp_path / "other")
    assert not list((tmp_path / "other" / "skvae").iterdir())


def test_checksums_look_like_checksums():
    sums = [release.sha256 for release in _movielens.RELEASES.values() if release.sha256]
    assert len(set(sums)) == len(sums) == 4
    assert all(len(bytes.fromhex(value)) == 32 for value in sums)


@pytest.mark.parametrize("fetch", [fetch_movielens, fetch_million_song_taste_profile])
def test_without_a_network_the_error_says_what_to_do(server, tmp_path, fetch):
    for path in server.iterdir():
        path.unlink()
    home = tmp_path / "home"
    with pytest.raises(OSError, match="could not be downloaded") as raised:
        fetch(data_home=home, n_retries=0)
    name = "ml-latest-small.zip" if fetch is fetch_movielens else "train_triplets.txt.zip"
    assert f"file://localhost{server / name}" in str(raised.value)
    assert f"put it at {home / 'skvae' / name}, or say where it is with path." in str(raised.value)
    with pytest.raises(FileNotFoundError, match=f"{name} not found: set download_if_missing=True, or put file://"):
        fetch(data_home=home, download_if_missing=False)
    assert not list((home / "skvae").iterdir())


def test_a_download_is_tried_again(server, tmp_path):
    (server / "ml-1m.zip").unlink()
    with (
        pytest.warns(UserWarning, match="Retry downloading") as caught,
        pytest.raises(OSError, match="could not be downloaded"),
    ):
        fetch_movielens("1m", data_home=tmp_path, n_retries=2, delay=0)
    assert len(caught) == 2


def movielens_error(tmp_path, variant, name, text):
    folder = write_folder(tmp_path, variant) / _movielens.RELEASES[variant].name
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name} cannot be read: ") as raised:
        fetch_movielens(variant, path=folder)
    return str(raised.value)


RATINGS_HEADER, MOVIES_HEADER = "userId,movieId,rating,timestamp\n", "movieId,title,genres\n"


@pytest.mark.parametrize(
    ("variant", "name", "text", "sentence"),
    [
        ("20m", "ratings.csv", RATINGS_HEADER + "1,2,good,3\n", "line 2 is '1,2,good,3'; it must be a user, a movie"),
        ("20m", "ratings.csv", RATINGS_HEADER + "1,2,3,4\n\n1,2,3,4,\n", "line 4 is '1,2,3,4,'; it must be a user"),
        ("20m", "ratings.csv", RATINGS_HEADER, "it holds no rating"),
        (
            "20m",
            "ratings.csv",
            "user;item\n1;2\n",
            f"it must begin with the line {RATINGS_HEADER[:-1]}; .* 'user;item'",
        ),
        ("20m", "ratings.csv", "", "it must begin with the line userId,.*; it begins with ''"),
        ("1m", "ratings.dat", "", "it holds no rating"),
        ("1m", "ratings.dat", "1::2::3\n", "line 1 is '1::2::3'; it must be a user"),
        ("100k", "u.data", "1,2,3,4\n", "line 1 is '1,2,3,4'; it must be a user"),
        ("20m", "movies.csv", MOVIES_HEADER + "3,Heat\n", "line 2 is '3,Heat'; it must be the number of a movie"),
        ("20m", "movies.csv", MOVIES_HEADER + "3,Heat,Action,\n", "line 2 is '3,Heat,Action,'; it must be"),
        ("20m", "movies.csv", MOVIES_HEADER + '3,A,B\n7,"Heat,C\n9,A,B\n', "line 3 is '7,Heat,C.n9,A,B'; it must"),
        ("20m", "movies.csv", MOVIES_HEADER + '7,"' + "x" * 200_000, "line 2: field larger than field limit"),
        (
            "20m",
            "movies.csv",
            "3,Heat,Action\n",
            "it must begin with the line movieId,title,genres; it begins with '3,H",
        ),
        ("1m", "movies.dat", "x::Heat (1995)::Action\n", "line 1 is 'x::Heat .1995.::Action'; it must be the number"),
        ("100k", "u.item", "1\n", "line 1 is '1'"),
        ("100k", "u.item", "3|Heat (1995)|||http://x|1|0\n", "line 1 is '3.*'; it must be .* a 0 or 1 for each of 5"),
        ("100k", "u.item", "3|Heat (1995)|||http://x|1|0|0|0|2\n", "line 1 is '3.*'; it must be .* a 0 or 1 for each"),
        ("100k", "u.genre", "unknown|0\nWar\n", "line 2 is 'War'; it must be a genre and its number"),
    ],
)
def test_a_line_that_cannot_be_read_is_said_with_its_file(tmp_path, variant, name, text, sentence):
    assert re.search(sentence, movielens_error(tmp_path, variant, name, text))


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("wrong", ["nan", "inf", "-3", "x", "", "1_0", "1e60", "99999999999999999999", "\u0663"])
@pytest.mark.parametrize("variant", ["100k", "1m", "latest-small"])
def test_values_that_no_rating_has_are_refused_with_their_line(tmp_path, variant, wrong, place):
    right = ["1", "3", "4", "5"]
    line = [wrong if field == place else value for field, value in enumerate(right)]
    layout = _movielens.RELEASES[variant].layout
    lines = [layout.header] * bool(layout.header) + [layout.delimiter.join(values) for values in (right, line, right)]
    number = 3 if layout.header else 2
    sentence = movielens_error(tmp_path, variant, layout.ratings, "\n".join(lines) + "\n")
    assert f"line {number} is {layout.delimiter.join(line)!r}; it must be a user, a movie, a rating above" in sentence


@pytest.mark.parametrize("rating", ["0", "0.0", "-0.0", "1e-60", "5.5", "50"])
def test_stars_are_above_zero_and_at_most_five(tmp_path, rating):
    sentence = movielens_error(tmp_path, "20m", "ratings.csv", f"{RATINGS_HEADER}1,3,{rating},5\n")
    assert f"line 2 is '1,3,{rating},5'; it must be a user, a movie, a rating above 0 and at most 5" in sentence


@pytest.mark.parametrize("ending", ["\n", "\n\n\n", "\r\n", "\r\n\r\n", "\n  \n", ""], ids=repr)
@every_variant
def test_blank_lines_and_line_endings_do_not_matter_in_any_file(tmp_path, variant, ending):
    folder = write_folder(tmp_path, variant) / _movielens.RELEASES[variant].name
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().rstrip() + ending.encode())
    movielens = fetch_movielens(variant, path=folder)
    assert movielens.data.nnz == 6
    assert movielens.genre_names == ["Comedy", "Drama", "War"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "official"])
@every_variant
def test_titles_are_as_they_are_also_where_a_file_was_saved_again(tmp_path, variant, encoding):
    folder = write_folder(tmp_path, variant) / _movielens.RELEASES[variant].name
    layout = _movielens.RELEASES[variant].layout
    official = "utf-8" if layout is _movielens.CSV else "latin-1"
    for path in folder.iterdir():
        text = path.read_bytes().decode(official)
        path.write_bytes(text.encode(official if encoding == "official" else encoding))
    assert fetch_movielens(variant, path=folder).item_titles[0] == "Café, The (1995)"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_what_is_no_utf8_is_said_with_its_line(tmp_path, encoding):
    folder = write_folder(tmp_path, "20m") / "ml-20m"
    (folder / "movies.csv").write_bytes((MOVIES_HEADER + "11,Heat,War\n3,Café,Drama\n").encode(encoding))
    number = 3 if encoding == "latin-1" else 1
    with pytest.raises(
        ValueError, match=f"movies.csv cannot be read: line {number} is no UTF-8 text; save it as UTF-8"
    ):
        fetch_movielens("20m", path=folder)


# -- damaged archives


def rewrite(path, name, content, method=zipfile.ZIP_DEFLATED):
    """The archive with one file more, or with other bytes in a file."""
    with zipfile.ZipFile(path) as archive:
        files = {other: archive.read(other) for other in archive.namelist()} | {name: content}
    with zipfile.ZipFile(path, "w", method) as archive:
        for other, content in files.items():
            archive.writestr(other, content)


def set_bytes(path, place, value):
    content = bytearray(path.read_bytes())
    content[place : place + len(value)] = value
    path.write_bytes(bytes(content))


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "mine.zip", write_folder(tmp_path / "unpacked", "1m"))


def refusal(path, fetch=lambda path: fetch_movielens("1m", path=path)):
    """The sentence of the one ValueError, raised in skvae, that names the archive."""
    with pytest.raises(ValueError, match=re.escape(str(path))) as raised:
        fetch(path)
    assert raised.type is ValueError
    assert "/skvae/" in raised.traceback[-1].path.as_posix()
    return str(raised.value)


def test_a_changed_byte_is_told_as_damage(archive):
    content = archive.read_bytes()
    for changed in (content.index(b"ratings.dat") + 20, content.index(b"README") + 8, content.rindex(b"ml-1m/movies")):
        archive.write_bytes(content)
        set_bytes(archive, changed, bytes([content[changed] ^ 1]))
        assert re.search(r"is damaged \(.+\): delete it and fetch it again\.", refusal(archive))


def test_a_line_of_damaged_bytes_is_told_as_damage(archive):
    with zipfile.ZipFile(archive) as opened:
        ratings = opened.read("ml-1m/ratings.dat")
    rewrite(archive, "ml-1m/ratings.dat", ratings, zipfile.ZIP_STORED)
    place = archive.read_bytes().index(ratings)
    for wrong in (b"x", b"\xff"):
        set_bytes(archive, place, wrong)
        assert "is damaged" in refusal(archive)


def test_a_download_that_was_cut_short_is_no_zip_file(archive):
    archive.write_bytes(archive.read_bytes()[:-40])
    assert "is no zip file, or one that was cut short: delete it and fetch it again" in refusal(archive)
    archive.write_bytes(b"")
    assert "is no zip file, or one that was cut short: delete it and fetch it again" in refusal(archive)


def test_an_empty_archive_is_said_to_be_empty(tmp_path):
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    assert "is an empty zip file: delete it and fetch it again" in refusal(tmp_path / "empty.zip")


@pytest.mark.parametrize("name", ["../ml-1m/ratings.dat", "/etc/ratings.dat", "ml-1m/../../x", "..\\x", "//", "\\x"])
def test_names_outside_of_the_archive_are_refused(archive, name):
    rewrite(archive, name, b"1::3::4::5")
    assert re.search("holds the file .*, which lies outside of its own folder", refusal(archive))


def test_an_encrypted_file_is_refused(archive):
    content = archive.read_bytes()
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"ml-1m/ratings.dat"))
    set_bytes(archive, entry + 8, b"\x01")
    assert "ml-1m/ratings.dat is encrypted, or packed by a method that" in refusal(archive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_no_official_archive_has_is_refused(archive, method):
    rewrite(archive, "ml-1m/ratings.dat", b"1::3::4::5", method)
    assert "packed by a method that the official archive does not use" in refusal(archive)


def test_a_stored_archive_is_read(archive):
    rewrite(archive, "ml-1m/ratings.dat", b"1::3::4::5\n", zipfile.ZIP_STORED)
    assert fetch_movielens("1m", path=archive).data.nnz == 1


@pytest.mark.parametrize("fetch", [partial(fetch_movielens, "1m"), fetch_million_song_taste_profile])
def test_a_file_that_would_be_larger_than_any_official_one_is_not_unpacked(server, archive, monkeypatch, fetch):
    path, name = archive, "ml-1m/ratings.dat"
    if fetch is fetch_million_song_taste_profile:
        path, name = server / "train_triplets.txt.zip", "train_triplets.txt"
    rewrite(path, name, bytes(2**20 + 1))
    monkeypatch.setattr(_movielens, "MAX_SIZE", 2**20)
    monkeypatch.setattr(_million_song, "MAX_SIZE", 2**20)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *_: pytest.fail("it is unpacked"))
    sentence = refusal(path, lambda path: fetch(path=path))
    assert f"{name} would unpack to 0.0 GiB, and no official file has more than 0.000976562: delete it" in sentence


def test_the_limits_are_those_of_the_docstrings():
    assert _movielens.MAX_SIZE == 2 * 2**30
    assert _million_song.MAX_SIZE == 4 * 2**30
    assert "more than 2 GiB" in fetch_movielens.__doc__
    assert "more than 4 GiB" in fetch_million_song_taste_profile.__doc__


def test_zeros_without_a_line_end_are_refused_at_the_first_line(archive):
    rewrite(archive, "ml-1m/ratings.dat", bytes(10**6))
    assert len(refusal(archive)) < 600


def test_a_missing_file_of_a_damaged_archive_is_damage(archive):
    content = archive.read_bytes()
    for name in (b"ml-1m/ratings.dat", b"ml-1m/README"):  # in the directory at the end, not before the file
        archive.write_bytes(content)
        set_bytes(archive, content.rindex(name) + 6, b"x")
        assert "is damaged" in refusal(archive)


def test_a_kept_file_with_another_checksum_is_refused_also_without_a_download(server, tmp_path, monkeypatch):
    home = tmp_path / "home"
    fetch_movielens("1m", data_home=home)
    release = _movielens.RELEASES["1m"]
    right = hashlib.sha256((server / "ml-1m.zip").read_bytes()).hexdigest()
    monkeypatch.setitem(_movielens.RELEASES, "1m", release._replace(sha256=right))
    assert fetch_movielens("1m", data_home=home, download_if_missing=False).data.nnz == 6
    set_bytes(home / "skvae" / "ml-1m.zip", 100, b"xyz")
    sentence = "ml-1m.zip has another checksum .SHA-256. than the official file: delete it and fetch it again"
    with pytest.raises(ValueError, match=sentence):
        fetch_movielens("1m", data_home=home, download_if_missing=False)


def corrupted(content, choice):
    """The bytes with some of them changed, cut off, taken out or put in."""
    content, place = bytearray(content), choice.randrange(len(content))
    way = choice.choice(["flip", "flips", "cut", "overwrite", "take out", "put in"])
    if way in ("flip", "flips"):
        for _ in range(1 if way == "flip" else choice.randint(2, 9)):
            content[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
    elif way == "cut":
        del content[place:]
    elif way == "overwrite":
        length = min(choice.randint(1, 30), len(content) - place)
        content[place : place + length] = choice.choice([b"\0", b"\xff"]) * length
    elif way == "take out":
        del content[place : place + choice.randint(1, 40)]
    else:
        content[place:place] = choice.randbytes(choice.randint(1, 20))
    return bytes(content)


def as_lists(bunch):
    arrays = {name: value.toarray() if sp.issparse(value) else value for name, value in bunch.items()}
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in arrays.items()}


@pytest.mark.parametrize("source", ["latest-small", "1m", "100k", "songs"])
def test_any_damage_ends_in_the_right_answer_or_in_one_sentence(tmp_path, source):
    if source == "songs":
        (tmp_path / "unpacked").mkdir()
        (tmp_path / "unpacked" / "train_triplets.txt").write_text(PLAYS)
        fetch = fetch_million_song_taste_profile
    else:
        write_folder(tmp_path / "unpacked", source)
        fetch = partial(fetch_movielens, source)
    path = write_zip(tmp_path / "mine.zip", tmp_path / "unpacked")
    content, choice, right = path.read_bytes(), random.Random(0), as_lists(fetch(path=path))
    refusals = []
    for _ in range(100):
        path.write_bytes(corrupted(content, choice))
        try:
            answer = as_lists(fetch(path=path))
        except Exception as error:
            refusals.append((type(error), traceback.extract_tb(error.__traceback__)[-1].filename, str(error)))
        else:
            assert answer == right
    assert 50 <= len(refusals) < 100
    for kind, file, sentence in refusals:
        assert kind is ValueError
        assert "/skvae/" in file
        assert str(path) in sentence


# -- titles and files that are not there


def test_a_rated_movie_without_a_title_is_named(tmp_path):
    folder = write_folder(tmp_path, "1m", movies={3: MOVIES[3], 7: MOVIES[7], 110: MOVIES[110]})
    with pytest.raises(
        ValueError, match=r"1 movies without a title, such as movie 50: the files in .* the same release"
    ):
        fetch_movielens("1m", path=folder)


@pytest.mark.parametrize("name", ["ratings.dat", "movies.dat"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = write_folder(tmp_path, "1m")
    (folder / "ml-1m" / name).unlink()
    for path in (folder, write_zip(tmp_path / "part.zip", folder)):
        with pytest.raises(FileNotFoundError, match=f"{name} not found: the official files are needed"):
            fetch_movielens("1m", path=path)


@pytest.mark.parametrize("fetch", [fetch_movielens, fetch_million_song_taste_profile])
def test_a_path_that_is_nothing_is_said(tmp_path, fetch):
    with pytest.raises(FileNotFoundError, match=r"path='.*absent' not found: it must be the zip file, or the folder"):
        fetch(path=tmp_path / "absent")
    (tmp_path / "text.zip").write_text("<html>")
    with pytest.raises(ValueError, match=r"path='.*text.zip' is no zip file"):
        fetch(path=tmp_path / "text.zip")


@pytest.mark.parametrize("variant", ["ml-1m", "10m", None, "", ["1m"]])
def test_an_unknown_variant_is_named(variant):
    with pytest.raises(
        ValueError, match=f"variant must be one of 100k, 1m, .*, latest-small, got {re.escape(repr(variant))}"
    ):
        fetch_movielens(variant)


PLAYS = "b80\tSOB\t1\nb80\tSOA\t7\n0c3\tSOB\t2\nb80\tSOA\t1\nNA\tNA\t3\n"


@pytest.mark.parametrize("form", ["download", "zip", "folder"])
def test_plays_are_summed_in_the_order_of_the_ids(server, tmp_path, form):
    paths = {"download": None, "zip": server / "train_triplets.txt.zip", "folder": tmp_path / "songs"}
    songs = fetch_million_song_taste_profile(path=paths[form], data_home=tmp_path / "home")
    assert songs.user_ids.tolist() == ["0c3", "NA", "b80"]
    assert songs.item_ids.tolist() == ["NA", "SOA", "SOB"]
    assert isinstance(songs.data, sp.csr_array)
    assert songs.data.dtype == np.float32
    assert songs.data.has_canonical_format
    assert songs.data.toarray().tolist() == [[0, 0, 2], [3, 0, 0], [0, 8, 1]]
    assert "4 pairs of 3 users and 3 songs" in songs.DESCR
    assert "Bertin-Mahieux" in songs.DESCR


def test_ids_are_in_order_where_pandas_reads_in_chunks(tmp_path):
    n_lines = 600_000  # a chunk has 2 ** 19
    (tmp_path / "train_triplets.txt").write_text("b\tS\t1\n" * n_lines + "a\tR\t1\na\tS\t1\n")
    songs = fetch_million_song_taste_profile(path=tmp_path)
    assert songs.user_ids.tolist() == ["a", "b"]
    assert songs.item_ids.tolist() == ["R", "S"]
    assert songs.data.toarray().tolist() == [[1, 1], [0, n_lines]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "user,song,plays\n",
            "it must begin with a user, a song and a play count with tabs between; it begins with 'user",
        ),
        ("", "it must begin with a user, a song and a play count"),
        ("a\tS\t1\na\n", "line 2 is 'a'; it must be a user, a song and a play count"),
        *(
            (
                f"a\tS\t1\n\n{line}\na\tS\t1\n",
                f"line 3 is {line!r}; it must be .* the count from 1 to 16777215".replace("\\", "."),
            )
            for line in (
                *(
                    f"a\tS\t{count}"
                    for count in ("0", "many", "nan", "inf", "-3", "1.5", "1e39", "", "16777216", "16777217")
                ),
                "\tS\t1",
                "a\t\t1",
                "a\tS\t1\tx",
                "a\tS\t1\t",
            )
        ),
    ],
)
def test_plays_that_cannot_be_read_are_said(tmp_path, text, sentence):
    (tmp_path / "train_triplets.txt").write_text(text)
    with pytest.raises(ValueError, match=f"train_triplets.txt cannot be read: {sentence}"):
        fetch_million_song_taste_profile(path=tmp_path)


def test_plays_that_are_no_utf8_are_said_with_their_line(tmp_path):
    (tmp_path / "train_triplets.txt").write_bytes("a\tS\t1\na\tcafé\t1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"train_triplets.txt cannot be read: line 2 is no UTF-8 text"):
        fetch_million_song_taste_profile(path=tmp_path)


def test_a_byte_order_mark_and_line_endings_of_plays_do_not_matter(tmp_path):
    (tmp_path / "train_triplets.txt").write_bytes(b"\xef\xbb\xbf" + PLAYS.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    assert fetch_million_song_taste_profile(path=tmp_path).user_ids.tolist() == ["0c3", "NA", "b80"]


def test_without_pandas_the_taste_profile_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r'pip install "skvae\[tables\]"'):
        fetch_million_song_taste_profile(path=tmp_path)


def test_movielens_needs_no_pandas(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert fetch_movielens("20m", path=write_folder(tmp_path, "20m")).data.nnz == 6


def test_the_small_movielens_of_this_repository_can_be_read_in_the_official_format(tmp_path):
    source = Path(__file__).parents[1] / "examples" / "data" / "movielens-small"
    ratings, movies = pd.read_csv(source / "ratings.csv.gz"), pd.read_csv(source / "movies.csv.gz", dtype=str)
    titles = zip(movies["movieId"], movies["title"] + " (" + movies["year"] + ")", movies["genres"], strict=True)
    movies = {int(number): (str(title), str(genres).split("|")) for number, title, genres in titles}
    folder = write_folder(tmp_path, "latest-small", ratings.itertuples(index=False), movies)
    movielens = fetch_movielens(path=folder)
    assert movielens.data.shape == (671, 9066)
    assert movielens.data.nnz == len(ratings) == 100_004
    assert movielens.data.sum() == pytest.approx(ratings["rating"].sum())
    toy_story = movielens.item_titles.tolist().index("Toy Story (1995)")
    assert movielens.item_ids[toy_story] == 1
    assert movielens.data[:, [toy_story]].nnz == (ratings["movieId"] == 1).sum()
    assert [movielens.genre_names[place] for place in np.flatnonzero(movielens.item_genres[toy_story])] == [
        "Adventure", "Animation", "Children", "Comedy", "Fantasy",
    ]  # fmt: skip


def test_genres_of_100k_are_told_by_their_numbers(tmp_path):
    folder = write_folder(tmp_path, "100k")
    expected = fetch_movielens("100k", path=folder)
    genres = next(folder.rglob("u.genre"))
    genres.write_bytes(b"\n".join(reversed(genres.read_bytes().split())))
    np.testing.assert_array_equal(fetch_movielens("100k", path=folder).item_genres, expected.item_genres)
    genres.write_text("unknown|0\nWar|2\n")
    with pytest.raises(ValueError, match=r"u.genre must number its genres from 0 on, each once, got \[0, 2\]"):
        fetch_movielens("100k", path=folder)
