"""From a table of ratings to recommendations for everyone, as a new user goes: docs/quickstart.md in small."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skvae import (
    EASERecommender,
    InteractionEncoder,
    MultDAERecommender,
    PopularityRecommender,
    evaluate,
    strong_generalization_split,
)
from skvae.datasets import make_interactions

MODELS = {
    "popularity": PopularityRecommender(),
    "ease": EASERecommender(l2_regularization=20),
    "dae": MultDAERecommender(8, max_iter=10, random_state=0),
}


@pytest.fixture(scope="module")
def ratings():
    """300 users and 80 items, 20 of which have one user, and two bad ratings, all that a user called grump gave."""
    users, items = make_interactions(n_users=300, n_items=60, density=0.15, random_state=0).nonzero()
    rare = np.arange(20)  # each had by one user
    users, items = np.append(users, rare * 15), np.append(items, 60 + rare)
    stars = 4 + (users * 7 + items) % 2
    ratings = pd.DataFrame({"userId": [f"u{u}" for u in users], "movieId": 1000 + items, "rating": stars})
    return pd.concat([ratings, pd.DataFrame({"userId": ["u1", "grump"], "movieId": [1005, 1005], "rating": 1})])


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("name", MODELS)
def test_a_new_user_comes_from_ratings_to_recommendations_for_everyone(ratings, name, library):
    ratings = library(ratings.to_dict("list"))
    encoder = InteractionEncoder(
        user="userId", item="movieId", weight="rating", threshold=4, min_user_interactions=2, handle_unknown="ignore"
    )
    split = strong_generalization_split(encoder.fit_transform(ratings))
    assert split.train.shape[1] < len(encoder.item_ids_)
    model = MODELS[name].fit(split.train)
    with pytest.raises(ValueError, match=r"fitted on \d+ items, the encoder has 80: where a split dropped columns, "):
        encoder.recommend(model, ratings)
    encoder.keep_items(split.items)
    assert evaluate(model, split.test).n_users == split.test.shape[0]
    # known users, all of them and some
    known = encoder.recommend(model, ratings, k=5)
    assert set(known["userId"]) == set(ratings["userId"])
    assert not set(rows(known)) & set(rows(ratings))
    some = encoder.recommend(model, ratings, k=5, users=["u7", "u3"])
    assert some["userId"].to_list() == ["u7"] * 5 + ["u3"] * 5
    assert [item for user, item in rows(known) if user == "u3"] == some["movieId"].to_list()[5:]
    assert {item for _, item in rows(known)} <= set(encoder.item_ids_)
    # a visitor says what is liked, without stars
    visitor = library({"userId": ["visitor"] * 2, "movieId": [1003, 1004]})
    stars = library({"userId": ["visitor"] * 2, "movieId": [1003, 1004], "rating": [4, 5]})
    assert rows(encoder.recommend(model, visitor, k=5)) == rows(encoder.recommend(model, stars, k=5))
    # nobody knows anything of the third, and only bad things of the grump
    popular = encoder.inverse_items(model.recommend(np.zeros((1, len(encoder.item_ids_))), k=4)[0][0]).tolist()
    nobody = encoder.recommend(model, visitor, k=4, users=["visitor", "nobody"])
    assert [item for user, item in rows(nobody) if user == "nobody"] == popular
    assert [item for user, item in rows(encoder.recommend(model, visitor[:0], k=4, users=["nobody"]))] == popular
    grump = encoder.recommend(model, ratings, k=4, users=["grump"])["movieId"].to_list()
    assert grump == encoder.recommend(model, visitor, users=["x"], k=4, exclude=[1005])["movieId"].to_list()


def rows(table):
    """Users and items of a table."""
    return list(zip(table["userId"].to_list(), table["movieId"].to_list(), strict=True))
