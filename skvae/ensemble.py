"""Where BlendRecommender once was: kept for imports and for saved models."""

from .blend import BlendRecommender

__all__ = ["BlendRecommender"]
