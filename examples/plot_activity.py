"""
Who gets good recommendations?
==============================

Test users in five groups of equal size, from few to many interactions shown to the model.
What an autoencoder gains over popularity it gains for every group. Bars are standard
errors of the mean over the group's users.
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
# Three recommenders, evaluated on the same users and hidden items.
models = {
    "Mult-VAE": skvae.MultVAERecommender(
        50, hidden_layer_sizes=(), learning_rate=1e-2, max_iter=20, random_state=0
    ),
    "EASE": skvae.EASERecommender(),
    "popularity": skvae.PopularityRecommender(),
}
fold_in, held_out = skvae.fold_in_split(split.test)
evaluations = {
    name: skvae.evaluate(model.fit(split.train), fold_in, y=held_out)
    for name, model in models.items()
}

# %%
# The groups are those of the fold-in.
display = skvae.ActivityDisplay.from_evaluations(
    evaluations, fold_in, metric="ndcg@100", n_groups=5
)
display.ax_.set_title("NDCG@100 by activity")
plt.show()
