"""Both estimators beat popularity on real data, on users they never saw."""

import numpy as np
import pytest
from conftest import load_real_data

from skvae import MultDAERecommender, MultVAERecommender, PopularityRecommender, evaluate
from skvae.model_selection import strong_generalization_split

# fewer epochs at a higher rate than the defaults, which benchmarks/accuracy.py runs; beta rises over half of them
SHORT = {"max_iter": 15, "learning_rate": 3e-3, "anneal_cap": 0.2, "total_anneal_steps": 0.9, "random_state": 0}
N_INTERACTIONS = 100_000  # of more the first users are taken
MODELS = {
    "vae": MultVAERecommender(64, hidden_layer_sizes=(128,), initialization="xavier", **SHORT),
    "vae without a hidden layer": MultVAERecommender(64, hidden_layer_sizes=(), **SHORT),
    "dae": MultDAERecommender(64, max_iter=12, learning_rate=3e-3, random_state=0),
}


@pytest.fixture(scope="module", params=["movielens-small", "anime", "movietweetings-100k", "msweb"])
def split(request):
    X = load_real_data(request.param)
    return strong_generalization_split(X[: np.searchsorted(X.indptr, N_INTERACTIONS)])


@pytest.mark.parametrize("name", MODELS)
def test_the_estimator_beats_popularity_by_more_than_two_standard_errors(split, name):
    model = MODELS[name].fit(split.train, X_val=split.validation)
    difference = evaluate(model, split.test) - evaluate(PopularityRecommender().fit(split.train), split.test)
    print(f"NDCG@100 above popularity by {difference}")
    for metric, mean in difference.mean.items():
        assert mean > 2 * difference.standard_error[metric], metric
