"""The Echo Nest taste profile: who played which song how often, of the Million Song Dataset."""

import csv
import re

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from ._archive import fetch_archive, open_archive, open_table

URL = "http://labrosa.ee.columbia.edu/~dpwe/tmp/train_triplets.txt.zip"
FILE = "train_triplets.txt"

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
        downloaded then.
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
        Where the file is not written as the official one is.
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
    with open_archive(path, ".") as root, open_table(root, FILE) as file:
        table = _read_plays(pandas, file)
    (users, user_ids), (items, item_ids) = _sorted_codes(table["user"]), _sorted_codes(table["song"])
    data = sp.csr_array((table["count"].to_numpy(), (users, items)), shape=(len(user_ids), len(item_ids)))
    description = DESCRIPTION.format(n_plays=data.nnz, n_users=len(user_ids), n_items=len(item_ids))
    return Bunch(data=data, user_ids=user_ids, item_ids=item_ids, DESCR=description)


def _import_pandas():
    try:
        import pandas
    except ImportError as error:
        raise ImportError("The taste profile is read with pandas: pip install 'skvae[tables]'.") from error
    return pandas


def _read_plays(pandas, file):
    line = file.readline().rstrip()
    if not re.fullmatch(r"[^\t]+\t[^\t]+\t\d+", line):
        raise ValueError(
            f"it must begin with a user, a song and a play count with tabs between; it begins with {line[:80]!r}."
        )
    file.seek(0)
    table = pandas.read_csv(
        file,
        sep="\t",
        names=["user", "song", "count"],
        dtype={"user": "category", "song": "category", "count": np.float32},
        keep_default_na=False,
        quoting=csv.QUOTE_NONE,
    )
    if not (table["count"] > 0).all() or "" in table["song"].cat.categories:
        raise ValueError("it has lines without a song or a play count.")
    return table


def _sorted_codes(column):
    """Position of each value among the distinct ones in ascending order, and those."""
    # pandas 2 collects the categories in chunks, which leaves them out of order
    ids = column.cat.categories.to_numpy(dtype=object)
    order = np.argsort(ids)
    ranks = np.empty(len(ids), np.int32)
    ranks[order] = np.arange(len(ids), dtype=np.int32)
    return ranks[column.cat.codes.to_numpy()], ids[order]
