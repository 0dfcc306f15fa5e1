"""Variational autoencoders for recommendation, in the manner of scikit-learn."""

__version__ = "0.1.0"

from . import datasets, export, metrics, model_selection
from .blend import BlendRecommender
from .comparison import Comparison, compare
from .cost import Cost, estimate_cost
from .evaluation import Evaluation, evaluate
from .interactions import append_interactions, open_interactions, save_interactions
from .linear import EASERecommender, LinearRecommender
from .model_selection import UserKFold, UserShuffleSplit, fold_in_split, strong_generalization_split
from .multdae import MultDAERecommender
from .multvae import MultVAERecommender
from .plotting import ActivityDisplay, ComparisonDisplay, LatentSpaceDisplay, PopularityDisplay, TrainingCurveDisplay
from .popularity import PopularityRecommender
from .preprocessing import InteractionEncoder
from .ranking import recommend, top_k
from .recvae import RecVAERecommender
from .reranking import rerank
from .saving import load, save
from .scoring import RankingScorer, ndcg_scorer

__all__ = [
    "ActivityDisplay",
    "BlendRecommender",
    "Comparison",
    "ComparisonDisplay",
    "Cost",
    "EASERecommender",
    "Evaluation",
    "InteractionEncoder",
    "LatentSpaceDisplay",
    "LinearRecommender",
    "MultDAERecommender",
    "MultVAERecommender",
    "PopularityDisplay",
    "PopularityRecommender",
    "RankingScorer",
    "RecVAERecommender",
    "TrainingCurveDisplay",
    "UserKFold",
    "UserShuffleSplit",
    "append_interactions",
    "compare",
    "datasets",
    "estimate_cost",
    "evaluate",
    "export",
    "fold_in_split",
    "load",
    "metrics",
    "model_selection",
    "ndcg_scorer",
    "open_interactions",
    "recommend",
    "rerank",
    "save",
    "save_interactions",
    "strong_generalization_split",
    "top_k",
]
