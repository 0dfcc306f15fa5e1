"""
Popularity bias and coverage
============================

Items in order of popularity, and the share of the recommendations that goes to the first
so many of them. Every model concentrates on popular items more than users do (dashed);
coverage is the share of items that anyone is recommended.
"""

# %%
# Ratings of at least 4 count as interactions, movies with five of them are items; two
# fifths of the users test.
import matplotlib.pyplot as plt

import skvae
from skvae.datasets import load_movielens_small

ratings = load_movielens_small().ratings
encoder = skvae.InteractionEncoder(weight="rating", threshold=4, min_item_interactions=5)
X = encoder.fit_transform(ratings)
split = skvae.strong_generalization_split(X, validation_size=0.1, test_size=0.4)

# %%
# Ten recommendations for each test user; popularity is counted in the training users.
models = {
    "Mult-VAE": skvae.MultVAERecommender(
        50, hidden_layer_sizes=(), learning_rate=1e-2, max_iter=20, random_state=0
    ),
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
        model,
        split.test,
        k=10,
        item_counts=counts,
        name=name,
        ax=axes,
        plot_interactions=name == "Mult-VAE",
    )
axes.set_title("Where ten recommendations a user go")
axes.spines[["top", "right"]].set_visible(False)
plt.show()
