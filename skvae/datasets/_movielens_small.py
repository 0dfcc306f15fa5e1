"""MovieLens small as tables, for examples: the copy of the repository, or a download."""

from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from ..core.user_warnings import warn_user
from ._movielens import fetch_movielens

FOLDER = Path("examples", "data", "movielens-small")
PACKAGE = Path(__file__).resolve().parents[2]  # the repository, where skvae is not installed from a wheel


def load_movielens_small():
    """Ratings of movies, as tables: what the examples and the figures of the site are made of.

    Reads ``examples/data/movielens-small`` of skvae's repository where the package, the current
    folder or a folder above it belongs to a copy of the repository. Elsewhere, with a warning,
    "latest-small" of `fetch_movielens` is downloaded once, 1 MB: a later release, of other users. The
    data are for research, under the terms in ``DESCR``.

    Returns
    -------
    Bunch
        With these attributes.

        ratings : pandas.DataFrame
            A row for each rating, with the columns user, item, rating (stars from 0.5 to 5) and
            timestamp (seconds since 1970).
        movies : pandas.DataFrame
            Indexed by item, with the columns title ("Toy Story (1995)"), year (NaN where it is
            unknown) and genres ("Adventure|Animation").
        DESCR : str
            Terms and citation.

    Raises
    ------
    ImportError
        Where pandas is not installed.
    OSError
        Where there is no copy and no network; says where to put the download.

    Examples
    --------
    >>> from skvae import InteractionEncoder
    >>> from skvae.datasets import load_movielens_small
    >>> ratings = load_movielens_small().ratings
    >>> encoder = InteractionEncoder(weight="rating", threshold=4, min_item_interactions=20)
    >>> encoder.fit_transform(ratings).shape
    (668, 656)
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError('load_movielens_small needs pandas: pip install "skvae[tables]".') from error
    folders = (folder / FOLDER for folder in (PACKAGE, Path.cwd(), *Path.cwd().parents))
    folder = next((folder for folder in folders if (folder / "ratings.csv.gz").is_file()), None)
    if folder is None:
        return _downloaded(pd)
    ratings = pd.read_csv(folder / "ratings.csv.gz").rename(columns={"userId": "user", "movieId": "item"})
    movies = pd.read_csv(folder / "movies.csv.gz", keep_default_na=False, na_values={"year": ""})
    movies = movies.rename(columns={"movieId": "item"}).set_index("item")
    years = movies["year"].map(" ({:.0f})".format, na_action="ignore").fillna("")
    return Bunch(
        ratings=ratings, movies=movies.assign(title=movies["title"] + years), DESCR=(folder / "TERMS.txt").read_text()
    )


def _downloaded(pd):
    warn_user(
        f"{FOLDER} is not in this folder or above it, so that MovieLens latest-small is used instead, a download of "
        "1 MB: results differ from those of skvae's site."
    )
    movielens = fetch_movielens()
    cells, titles = movielens.data.tocoo(), pd.Series(movielens.item_titles)
    genres = np.array(movielens.genre_names)
    ratings = {"user": movielens.user_ids[cells.row], "item": movielens.item_ids[cells.col], "rating": cells.data}
    movies = {
        "title": titles,
        "year": titles.str.extract(r"\((\d{4})\)\s*$", expand=False).astype(float),
        "genres": ["|".join(genres[own]) for own in movielens.item_genres],
    }
    return Bunch(
        ratings=pd.DataFrame(ratings | {"timestamp": movielens.timestamps.data}),
        movies=pd.DataFrame(movies).set_index(pd.Index(movielens.item_ids, name="item")),
        DESCR=movielens.DESCR,
    )
