"""Where EASERecommender and PopularityRecommender once were: kept for imports and for saved models."""

from .linear import EASERecommender
from .popularity import PopularityRecommender

__all__ = ["EASERecommender", "PopularityRecommender"]
