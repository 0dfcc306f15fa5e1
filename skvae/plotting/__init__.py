"""Displays, in the manner of scikit-learn's: what a fit and its recommendations look like.

Each ``Display.from_estimator`` computes and draws; the numbers are attributes, and ``plot`` draws
them again. Without ``ax`` a new figure is made with matplotlib, which is imported only then.
"""

from .activity import ActivityDisplay
from .comparison import ComparisonDisplay
from .latent_space import LatentSpaceDisplay
from .popularity import PopularityDisplay
from .training_curve import TrainingCurveDisplay

__all__ = ["ActivityDisplay", "ComparisonDisplay", "LatentSpaceDisplay", "PopularityDisplay", "TrainingCurveDisplay"]
