"""Data to try things on: made up, or downloaded."""

from ._million_song import fetch_million_song_taste_profile
from ._movielens import fetch_movielens
from ._movielens_small import load_movielens_small
from ._synthetic import make_interactions

__all__ = ["fetch_million_song_taste_profile", "fetch_movielens", "load_movielens_small", "make_interactions"]
