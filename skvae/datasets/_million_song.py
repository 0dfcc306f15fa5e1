"""The Echo Nest taste profile: who played which song how often, of the Million Song Dataset."""

import csv
import re

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from ._archive import GIB, fetch_archive, line_error, numbered_lines, open_archive, open_table

URL = "http://labrosa.ee.columbia.edu/~dpwe/tmp/train_triplets.txt.zip"
FILE = "train_triplets.txt"
MAX_SIZE = 4 * GIB  # of the unpacked file: the official one has 2.8
MAX_COUNT = 2**24 - 1  # beyond it float32 skips whole numbers
LONGEST_LINE = 1000  # characters: where no line ends, the whole file would be one
PLAYS = "a user, a song and a play count with tabs between"

DESCRIPTION = """\
Echo Nest taste profile subset of the Million Song Dataset: {n_plays} pairs of {n_users} users and {n_items} songs

Play counts by undisclosed users, donated by The Echo Nest for research. Terms, titles of the songs and what is known of
songs matched to wrong tracks: https://millionsongdataset.com/tasteprofile/

Cite: Thierry Bertin-Mahieux, Daniel P. W. Ellis, Brian Whitman and Paul Lamere, "The Million Song Dataset", ISMIR 2011.
"""


def fetch_million_song_taste_profile(*, path=None, data_home=None, download_if_missing=True, n_retries=3, delay=1.0):
    """Play counts of songs: the Echo Nest taste profile, as a users x items matrix (download).

    A million users and 380 000 songs in 48 million pairs: a download of 500 MB, and some 4 GB of
    memory while it is read. Needs pandas. Downloaded by `sklearn.datasets.fetch_file` on the first
    call and kept in data_home; no checksum is published, and none is checked.

    Parameters
    ----------
    path : str or path-like, default=None
        Where the zip file is, or the folder that holds ``train_triplets.txt``: nothing is
        downloaded then. A zip file of a file that would unpack to more than 4 GiB is refused: the
        official one has 2.8.
    data_home, download_if_missing, n_retries, delay :
        As in `fetch_movielens`.

    Returns
    -------
    Bunch
        With these attributes.

        data : float32 csr_array of shape (n_users, n_items)
            Play counts, from 1.
        user_ids : object array of shape (n_users,)
            str, ascending, of the rows.
        item_ids : object array of shape (n_items,)
            str, ascending, of the columns: Echo Nest song ids.
        DESCR : str
            Source and citation.

    Raises
    ------
    ImportError
        Without pandas.
    ValueError
        Where the archive is damaged, encrypted, empty or too large, or the file is not written as
        the official one is. Names the file, and the line where it is one.
    OSError
        Where the file cannot be downloaded or found; says where to put it.

    Notes
    -----
    The paper keeps songs of at least 200 users and users of at least 20 songs, and counts a song
    that was played as one.

    References
    ----------
    Bertin-Mahieux, Ellis, Whitman, Lamere, "The Million Song Dataset", ISMIR 2011.

    Examples
    --------
    >>> from skvae.datasets import fetch_million_song_taste_profile
    >>> songs = fetch_million_song_taste_profile()  # doctest: +SKIP
    """
    pandas = _import_pandas()
    if path is None:
        path = fetch_archive(
            URL, data_home=data_home, download_if_missing=download_if_missing, n_retries=n_retries, delay=delay
        )
    with open_archive(path, "", MAX_SIZE) as files:
        table = _read_plays(pandas, files)
    (users, user_ids), (items, item_ids) = _sorted_codes(table["user"]), _sorted_codes(table["song"])
    data = sp.csr_array((table["count"].to_numpy(), (users, items)), shape=(len(user_ids), len(item_ids)))
    description = DESCRIPTION.format(n_plays=data.nnz, n_users=len(user_ids), n_items=len(item_ids))
    return Bunch(data=data, user_ids=user_ids, item_ids=item_ids, DESCR=description)


def _import_pandas():
    try:
        import pandas
    except ImportError as error:
        raise ImportError('The taste profile is read with pandas: pip install "skvae[tables]".') from error
    return pandas


def _read_plays(pandas, files):
    with open_table(files, FILE) as file:
        line = file.readline(LONGEST_LINE).rstrip()
        if not _is_play(line):
            raise ValueError(f"it must begin with {PLAYS}; it begins with {line[:80]!r}.")
    with open_table(files, FILE) as file:
        try:
            with np.errstate(over="ignore"):  # infinity is refused below
                table = pandas.read_csv(
                    file,
                    sep="\t",
                    names=["user", "song", "count"],
                    dtype={"user": "category", "song": "category", "count": np.float32},
                    keep_default_na=False,
                    quoting=csv.QUOTE_NONE,
                )
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise _error_of_lines(files) from error
        counts = table["count"].to_numpy()
        are_right = (counts > 0) & (counts <= MAX_COUNT) & (counts == np.floor(counts))
        if not are_right.all() or any("" in table[name].cat.categories for name in ("user", "song")):
            raise _error_of_lines(files)
    return table


def _error_of_lines(files):
    """The error of the first line that is not a user, a song and a play count."""
    for number, line in numbered_lines(files, FILE):
        text = line.rstrip("\r\n")
        if text and not _is_play(text):
            return line_error(number, text, f"{PLAYS}, the count from 1 to {MAX_COUNT}")
    return ValueError(f"it has a line that is not {PLAYS}: fetch the official file again.")


def _is_play(line):
    match = re.fullmatch(r"[^\t]+\t[^\t]+\t([0-9]{1,8})", line)
    return match is not None and 1 <= int(match[1]) <= MAX_COUNT


def _sorted_codes(column):
    """Position of each value among the distinct ones in ascending order, and those."""
    # pandas 2 collects the categories in chunks, which leaves them out of order
    ids = column.cat.categories.to_numpy(dtype=object)
    order = np.argsort(ids)
    ranks = np.empty(len(ids), np.int32)
    ranks[order] = np.arange(len(ids), dtype=np.int32)
    return ranks[column.cat.codes.to_numpy()], ids[order]
