"""MovieLens: ratings of movies, collected by GroupLens."""

import csv
import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from ._archive import GIB, fetch_archive, line_error, numbered_lines, open_archive, open_table, read_text

URL = "https://files.grouplens.org/datasets/movielens/{}.zip"
RATING = np.dtype([("user", np.int32), ("item", np.int32), ("rating", np.float32), ("timestamp", np.int64)])
MAX_ID, MAX_TIME = (int(np.iinfo(RATING[field]).max) for field in ("user", "timestamp"))
MAX_STARS = 5
RATING_LINE = f"a user, a movie, a rating above 0 and at most {MAX_STARS}, and a time in seconds"
MAX_SIZE = 2 * GIB  # of an unpacked file: the ratings.csv of "32m" has 0.8
LONGEST_HEADER = 1000  # characters: where no line ends, the whole file would be one
MOVIES_HEADER = "movieId,title,genres"
MOVIE = "the number of a movie, its title and genres"
NO_GENRE = {"(no genres listed)", "unknown", ""}

DESCRIPTION = """\
MovieLens {variant}: {n_ratings} ratings of {n_items} movies by {n_users} users

Ratings in stars (up to 5) by users of https://movielens.org, collected by GroupLens, University of Minnesota:
https://grouplens.org/datasets/movielens/

Terms, in short (in full in the README of the archive, below): for research; to be acknowledged in publications; no
endorsement by the University of Minnesota or GroupLens may be stated or implied; redistribution only under the same
conditions, or not at all; no commercial use without permission; no warranty.

Cite: F. Maxwell Harper and Joseph A. Konstan, "The MovieLens Datasets: History and Context", ACM Transactions on
Interactive Intelligent Systems 5(4), 2015, https://doi.org/10.1145/2827872
"""


def _movies_of_csv(files):
    """Movie id -> title and genres, from movies.csv."""
    movies = {}
    with open_table(files, "movies.csv") as file:
        rows = csv.reader(file)
        try:
            _check_header(",".join(next(rows, [])), MOVIES_HEADER)
            number = rows.line_num + 1
            for row in rows:
                # a title of several lines begins with a quote that nothing closes
                if len(row) == 3 and _is_id(row[0]) and "\n" not in row[1]:
                    movies[int(row[0])] = row[1], row[2].split("|")
                elif len(row) > 1 or "".join(row).strip():  # not a blank line
                    raise line_error(number, ",".join(row), MOVIE)
                number = rows.line_num + 1
        except csv.Error as error:
            raise ValueError(f"line {rows.line_num}: {error}; mend it, or fetch the official file again.") from error
    return movies


def _movies_of_dat(files):
    """Movie id -> title and genres, from movies.dat."""
    movies = {}
    with open_table(files, "movies.dat", "latin-1") as file:
        for number, line in _numbered(file):
            row = line.split("::")
            if len(row) != 3 or not _is_id(row[0]):
                raise line_error(number, line, MOVIE)
            movies[int(row[0])] = row[1], row[2].split("|")
    return movies


def _movies_of_100k(files):
    """Movie id -> title and genres, from u.item, which has a flag for each line of u.genre."""
    numbered, movies = {}, {}
    with open_table(files, "u.genre", "latin-1") as file:
        for number, line in _numbered(file):
            if not re.fullmatch(r"[^|]+\|\d{1,3}", line):
                raise line_error(number, line, "a genre and its number")
            name, _, flag = line.partition("|")
            numbered[int(flag)] = name
    if sorted(numbered) != [*range(len(numbered))]:
        raise ValueError(f"u.genre must number its genres from 0 on, each once, got {sorted(numbered)}.")
    names = [numbered[flag] for flag in range(len(numbered))]
    with open_table(files, "u.item", "latin-1") as file:
        for number, line in _numbered(file):
            movie, *others = line.split("|")
            flags = others[4:]
            if not others or len(flags) != len(names) or not _is_id(movie) or not set(flags) <= {"0", "1"}:
                raise line_error(number, line, f"{MOVIE}, as a 0 or 1 for each of {len(names)}")
            movies[int(movie)] = others[0], [name for name, flag in zip(names, flags, strict=True) if flag == "1"]
    return movies


def _numbered(file):
    """Number, from 1, and text of each line that is not blank."""
    return ((number, line.rstrip()) for number, line in enumerate(file, 1) if not line.isspace())


def _is_id(text):
    return re.fullmatch("[0-9]{1,10}", text) is not None and int(text) <= MAX_ID


def _check_header(line, header):
    if line.strip() != header:
        raise ValueError(f"it must begin with the line {header}; it begins with {line.strip()[:80]!r}.")


class _Layout(NamedTuple):
    """Files of an archive and how they are written."""

    ratings: str
    delimiter: str
    header: str | None
    read_movies: Callable
    readme: str


CSV = _Layout("ratings.csv", ",", "userId,movieId,rating,timestamp", _movies_of_csv, "README.txt")
DAT = _Layout("ratings.dat", "::", None, _movies_of_dat, "README")
TAB = _Layout("u.data", "\t", None, _movies_of_100k, "README")


class _Release(NamedTuple):
    """An archive: the name of its zip file and of the folder in it, its checksum, its layout."""

    name: str
    sha256: str | None
    layout: _Layout


# Checksums as in TensorFlow Datasets. None of "latest-small", which GroupLens may replace.
RELEASES = {
    "100k": _Release("ml-100k", "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229", TAB),
    "1m": _Release("ml-1m", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20", DAT),
    "20m": _Release("ml-20m", "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3", CSV),
    "25m": _Release("ml-25m", "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa", CSV),
    "32m": _Release("ml-32m", None, CSV),
    "latest-small": _Release("ml-latest-small", None, CSV),
}


def fetch_movielens(
    variant="latest-small", *, path=None, data_home=None, download_if_missing=True, n_retries=3, delay=1.0
):
    """Ratings of movies: MovieLens, as a users x items matrix (download).

    Downloaded by `sklearn.datasets.fetch_file` on the first call and kept in data_home. The data
    are for research, under the terms in ``DESCR``.

    Parameters
    ----------
    variant : {"100k", "1m", "20m", "25m", "32m", "latest-small"}, default="latest-small"
        "latest-small" has some 100 000 ratings of 9 700 movies by 610 users in a download of 1 MB;
        the paper's is "20m", 200 MB. The checksums of "100k", "1m", "20m" and "25m" are checked,
        but where path names a copy.
    path : str or path-like, default=None
        Where the zip file is, or the folder it unpacks to: nothing is downloaded then. Of a zip
        file, a file that would unpack to more than 2 GiB is refused: the largest official one has
        0.8.
    data_home : str or path-like, default=None
        Where the download is kept, in a folder ``skvae``; None for scikit-learn's
        ``~/scikit_learn_data`` (`sklearn.datasets.get_data_home`).
    download_if_missing : bool, default=True
        False raises where the file is not in data_home.
    n_retries : int, default=3
        Attempts after a first that failed.
    delay : float, default=1
        Seconds between two attempts.

    Returns
    -------
    Bunch
        With these attributes.

        data : float32 csr_array of shape (n_users, n_items)
            Stars, from 0.5 or 1 to 5. Users and movies without a rating are left out; of a movie
            that a user rated twice the later rating counts.
        timestamps : int64 csr_array of shape (n_users, n_items)
            Seconds since 1970, UTC, in the same entries.
        user_ids : int32 array of shape (n_users,)
            Ascending, of the rows.
        item_ids : int32 array of shape (n_items,)
            Ascending, of the columns.
        item_titles : object array of shape (n_items,)
            str, with the year in brackets.
        item_genres : bool array of shape (n_items, n_genres)
            True where the item has the genre.
        genre_names : list of str
            Of the columns of item_genres.
        DESCR : str
            Terms, citation, and the README of the archive.

    Raises
    ------
    ValueError
        Where variant is unknown, the archive is damaged, encrypted, empty or too large, or a file
        is not written as the official one is: a rating that is not above 0 and at most 5, an id
        that is no number. Names the file, and the line where it is one.
    OSError
        Where the file cannot be downloaded or found; says where to put it.

    Notes
    -----
    The model of the paper is of what users liked, ratings of at least 4:
    ``X = (movielens.data >= 4).astype(np.float32)``, or `sklearn.preprocessing.Binarizer(3.5)` as
    the first step of a pipeline.

    References
    ----------
    Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.

    Examples
    --------
    >>> from skvae.datasets import fetch_movielens
    >>> movielens = fetch_movielens("1m")  # doctest: +SKIP
    >>> movielens.data.shape  # doctest: +SKIP
    (6040, 3706)
    """
    if not isinstance(variant, str) or variant not in RELEASES:
        raise ValueError(f"variant must be one of {', '.join(RELEASES)}, got {variant!r}.")
    release = RELEASES[variant]
    if path is None:
        path = fetch_archive(
            URL.format(release.name),
            sha256=release.sha256,
            data_home=data_home,
            download_if_missing=download_if_missing,
            n_retries=n_retries,
            delay=delay,
        )
    with open_archive(path, release.name, MAX_SIZE) as files:
        ratings, movies = _read_ratings(files, release.layout), release.layout.read_movies(files)
        readme = read_text(files, release.layout.readme)
    bunch = _matrices(ratings)
    n_users, n_items = bunch["data"].shape
    description = DESCRIPTION.format(variant=variant, n_ratings=bunch["data"].nnz, n_items=n_items, n_users=n_users)
    return Bunch(**bunch, **_item_tables(bunch["item_ids"].tolist(), movies, path), DESCR=f"{description}\n{readme}")


def _read_ratings(files, layout):
    """The lines of the ratings file, structured array of RATING."""
    with open_table(files, layout.ratings) as file:
        if layout.header:
            _check_header(file.readline(LONGEST_HEADER), layout.header)
        lines, delimiter = (line for line in file if not line.isspace()), layout.delimiter
        if len(delimiter) > 1:  # loadtxt knows those of one character
            lines, delimiter = (line.replace(layout.delimiter, "\t") for line in lines), "\t"
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "loadtxt: input contained no data")
                ratings = np.loadtxt(lines, RATING, delimiter=delimiter, comments=None, ndmin=1)
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise _error_of_lines(files, layout) from error
        # as nothing is above NaN, its comparison is False too
        are_right = (ratings["rating"] > 0) & (ratings["rating"] <= MAX_STARS)
        for field in ("user", "item", "timestamp"):
            are_right &= ratings[field] >= 0
        if not are_right.all():
            raise _error_of_lines(files, layout)
        if not len(ratings):
            raise ValueError("it holds no rating: fetch the official file again.")
    return ratings


def _error_of_lines(files, layout):
    """The error of the first line that is no rating."""
    for number, line in numbered_lines(files, layout.ratings):
        if not (line.isspace() or (layout.header and number == 1) or _is_rating(line.split(layout.delimiter))):
            return line_error(number, line, RATING_LINE)
    return ValueError(f"it has a line that is not {RATING_LINE}: fetch the official file again.")


def _is_rating(values):
    user, movie, stars, time = [value.strip() for value in values] if len(values) == 4 else [""] * 4
    is_time = re.fullmatch("[0-9]{1,19}", time) is not None and int(time) <= MAX_TIME
    is_number = re.fullmatch(r"[0-9]+([.][0-9]*)?", stars) is not None
    # a number so small that float32 has none above 0 is none
    return (
        _is_id(user) and _is_id(movie) and is_time and is_number and float(stars) <= MAX_STARS and np.float32(stars) > 0
    )


def _matrices(ratings):
    """data and timestamps, with the ids of their rows and columns."""
    user_ids, users = np.unique(ratings["user"], return_inverse=True)
    item_ids, items = np.unique(ratings["item"], return_inverse=True)
    pairs = users * len(item_ids) + items
    if (np.diff(pairs) <= 0).any():  # not in order, as the larger files are, or a pair twice
        order = np.lexsort((ratings["timestamp"], pairs))
        last = order[np.append(np.diff(pairs[order]) > 0, True)]
        users, items, ratings = users[last], items[last], ratings[last]
    offsets = np.searchsorted(users, np.arange(len(user_ids) + 1))
    data, timestamps = (
        sp.csr_array((ratings[field].copy(), items.copy(), offsets.copy()), shape=(len(user_ids), len(item_ids)))
        for field in ("rating", "timestamp")
    )
    return {"data": data, "timestamps": timestamps, "user_ids": user_ids, "item_ids": item_ids}


def _item_tables(item_ids, movies, path):
    """Titles and genres of the rated movies."""
    missing = [number for number in item_ids if number not in movies]
    if missing:
        raise ValueError(
            f"The ratings are of {len(missing)} movies without a title, such as movie {missing[0]}: the files in "
            f"{path} are not of the same release; fetch the official ones again."
        )
    genres = [set(movies[number][1]) - NO_GENRE for number in item_ids]
    names = sorted(set().union(*genres))
    return {
        "item_titles": np.array([movies[number][0] for number in item_ids], dtype=object),
        "item_genres": np.array([[name in own for name in names] for own in genres], bool),
        "genre_names": names,
    }
