"""Data to try things on."""

from ._synthetic import make_interactions

__all__ = ["make_interactions"]
