"""Each warning points at the line of the user's program, whatever lies between."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skvae import (
    BlendRecommender,
    EASERecommender,
    InteractionEncoder,
    LinearRecommender,
    MultDAERecommender,
    MultVAERecommender,
    PopularityRecommender,
    UserKFold,
    evaluate,
    metrics,
    ndcg_scorer,
)
from skvae.datasets import make_interactions

X = make_interactions(n_users=60, n_items=30, density=0.3, random_state=0)
SHORT = sp.csr_array(np.tile(np.eye(4, 30, dtype=np.float32), (10, 1)))
IDS = np.column_stack([np.arange(60) + 1, X.toarray()])
SMALL = {"max_iter": 1, "random_state": 0}
DAE, VAE = MultDAERecommender(2, **SMALL), MultVAERecommender(2, hidden_layer_sizes=(3,), **SMALL)
BLEND = BlendRecommender([("p", PopularityRecommender()), ("ease", EASERecommender())])
SEARCH = GridSearchCV(DAE, {"dropout": [0.5]}, scoring=ndcg_scorer, cv=UserKFold(2))
FIRST, OTHER = ([1, 1, 2], [2, 3, 3]), ([1, 1], [2, 5])

WARNED = {
    "ids of users": ("ids of the users", lambda: LinearRecommender().fit(IDS)),
    "in a pipeline": ("ids of the users", lambda: make_pipeline(FunctionTransformer(), EASERecommender()).fit(IDS)),
    "scale": ("largest value of X", lambda: DAE.fit(X * 1e-6)),
    "in a search": ("largest value of X", lambda: SEARCH.fit(X * 1e-6)),
    "in partial_fit": ("largest value of X", lambda: MultDAERecommender(2, **SMALL).partial_fit(X * 1e-6)),
    "no validation": ("No validation user can", lambda: DAE.fit(X, X_val=SHORT)),
    "none of a pair": ("No validation user has a held-out item", lambda: DAE.fit(X, X_val=(X, 0 * X))),
    "none where users are held out": (
        "No validation user can",
        lambda: MultDAERecommender(2, **SMALL, early_stopping=True).fit(SHORT),
    ),
    "validation of a blend": ("Most users of X_val are", lambda: BLEND.fit(X, X_val=X)),
    "beta": ("beta will end at", lambda: MultVAERecommender(2, **SMALL, total_anneal_steps=900).fit(X)),
    "share": ("still is a share", lambda: MultVAERecommender(2, **SMALL, total_anneal_steps=1.0).fit(X)),
    "score": ("the score is NaN", lambda: EASERecommender().fit(X).score(SHORT)),
    "evaluate": ("was fitted on most users", lambda: evaluate(EASERecommender().fit(X), X)),
    "metric": ("the metric is NaN", lambda: metrics.ndcg_at_k(sp.csr_array((1, 3)), [[1, 2]])),
    "unknown items": ("that the encoder does not have", lambda: InteractionEncoder().fit(FIRST).transform(OTHER)),
    "groups": ("groups parameter is ignored", lambda: list(UserKFold(2).split(X, groups=[1]))),
}


@pytest.mark.filterwarnings("ignore:beta will end at")
@pytest.mark.parametrize("name", WARNED)
def test_a_warning_points_at_the_call(name):
    message, call = WARNED[name]
    with pytest.warns(match=message) as caught:
        call()
    assert {warning.filename for warning in caught if message in str(warning.message)} == {__file__}
