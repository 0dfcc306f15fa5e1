"""
Who gets good recommendations?
==============================

Test users in five groups of equal size, from few to many interactions shown to the model. What an autoencoder gains
over popularity it gains for every group. Bars are standard errors of the mean over the group's users.
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
# Three recommenders, evaluated on the same users and hidden items.
models = {
    "Mult-VAE": skvae.MultVAERecommender(50, hidden_layer_sizes=(), learning_rate=1e-2, max_iter=20, random_state=0),
    "EASE": skvae.EASERecommender(),
    "popularity": skvae.PopularityRecommender(),
}
fold_in, held_out = skvae.fold_in_split(split.test)
evaluations = {name: skvae.evaluate(model.fit(split.train), fold_in, y=held_out) for name, model in models.items()}

# %%
# The groups are those of the fold-in.
display = skvae.ActivityDisplay.from_evaluations(evaluations, fold_in, metric="ndcg@100", n_groups=5)
display.ax_.set_title("NDCG@100 by activity")
plt.show()
