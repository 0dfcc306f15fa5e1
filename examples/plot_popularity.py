"""
Popularity bias and coverage
============================

Items in order of popularity, and the share of the recommendations that goes to the first so many of them. Every model
concentrates on popular items more than users do (dashed); coverage is the share of items that anyone is recommended.
"""

# %%
# Ratings of at least 4 count as interactions, movies with five of them are items; two fifths of the users test.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse as sp

import skvae

folder = Path(sys.argv[0]).resolve().parent / "data" / "movielens-small"
ratings = pd.read_csv(folder / "ratings.csv.gz").query("rating >= 4")
ratings = ratings[ratings.groupby("movieId")["userId"].transform("size") >= 5]
users, items = (pd.factorize(ratings[column])[0] for column in ("userId", "movieId"))
X = sp.csr_array((np.ones(len(ratings), np.float32), (users, items)))
split = skvae.strong_generalization_split(X, validation_size=0.1, test_size=0.4)

# %%
# Ten recommendations for each test user; popularity is counted in the training users.
models = {
    "Mult-VAE": skvae.MultVAERecommender(50, hidden_layer_sizes=(), learning_rate=1e-2, max_iter=20, random_state=0),
    "EASE": skvae.EASERecommender(),
    "popularity": skvae.PopularityRecommender(),
}
for model in models.values():
    model.fit(split.train)
counts = models["popularity"].item_counts_

# %%
# One curve for each model in the same axes.
figure, axes = plt.subplots(layout="constrained")
for name, model in models.items():
    skvae.PopularityDisplay.from_estimator(
        model, split.test, k=10, item_counts=counts, name=name, ax=axes, plot_interactions=name == "Mult-VAE"
    )
axes.set_title("Where ten recommendations a user go")
axes.spines[["top", "right"]].set_visible(False)
plt.show()
