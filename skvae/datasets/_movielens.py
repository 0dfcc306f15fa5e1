"""MovieLens: ratings of movies, collected by GroupLens."""

import csv
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from ._archive import fetch_archive, open_archive, open_table

URL = "https://files.grouplens.org/datasets/movielens/{}.zip"
RATING = np.dtype([("user", np.int32), ("item", np.int32), ("rating", np.float32), ("timestamp", np.int64)])
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


def _movies_of_csv(root):
    """Movie id -> title and genres, from movies.csv."""
    with open_table(root, "movies.csv") as file:
        rows = csv.reader(file)
        next(rows, None)  # the header
        return {int(number): (title, genres.split("|")) for number, title, genres in rows}


def _movies_of_dat(root):
    """Movie id -> title and genres, from movies.dat."""
    with open_table(root, "movies.dat", "latin-1") as file:
        rows = (line.rstrip().split("::") for line in file)
        return {int(number): (title, genres.split("|")) for number, title, genres in rows}


def _movies_of_100k(root):
    """Movie id -> title and genres, from u.item, which has a flag for each line of u.genre."""
    with open_table(root, "u.genre", "latin-1") as file:
        names = [line.partition("|")[0] for line in file if line.strip()]
    movies = {}
    with open_table(root, "u.item", "latin-1") as file:
        for line in file:
            number, title, _, _, _, *flags = line.rstrip().split("|")
            movies[int(number)] = title, [name for name, flag in zip(names, flags, strict=True) if flag == "1"]
    return movies


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
        the paper's is "20m", 200 MB. The checksums of "100k", "1m", "20m" and "25m" are checked.
    path : str or path-like, default=None
        Where the zip file is, or the folder it unpacks to: nothing is downloaded then.
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
        Where variant is unknown, or a file is not written as the official one is.
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
    if variant not in RELEASES:
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
    with open_archive(path, release.name) as root:
        ratings, movies = _read_ratings(root, release.layout), release.layout.read_movies(root)
        readme = root / release.layout.readme
        readme = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    bunch = _matrices(ratings)
    n_users, n_items = bunch["data"].shape
    description = DESCRIPTION.format(variant=variant, n_ratings=bunch["data"].nnz, n_items=n_items, n_users=n_users)
    return Bunch(**bunch, **_item_tables(bunch["item_ids"].tolist(), movies), DESCR=f"{description}\n{readme}")


def _read_ratings(root, layout):
    """The lines of the ratings file, structured array of RATING."""
    with open_table(root, layout.ratings) as file:
        if layout.header:
            line = file.readline().strip()
            if line != layout.header:
                raise ValueError(f"it must begin with the line {layout.header}; it begins with {line[:80]!r}.")
        lines, delimiter = file, layout.delimiter
        if len(delimiter) > 1:  # loadtxt knows those of one character
            lines, delimiter = (line.replace(layout.delimiter, "\t") for line in file), "\t"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            ratings = np.loadtxt(lines, RATING, delimiter=delimiter, comments=None, ndmin=1)
        if not len(ratings):
            raise ValueError("it holds no rating.")
    return ratings


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


def _item_tables(item_ids, movies):
    """Titles and genres of the rated movies."""
    missing = [number for number in item_ids if number not in movies]
    if missing:
        raise ValueError(f"The ratings are of {len(missing)} movies without a title, such as movie {missing[0]}.")
    genres = [set(movies[number][1]) - NO_GENRE for number in item_ids]
    names = sorted(set().union(*genres))
    return {
        "item_titles": np.array([movies[number][0] for number in item_ids], dtype=object),
        "item_genres": np.array([[name in own for name in names] for own in genres], bool),
        "genre_names": names,
    }
