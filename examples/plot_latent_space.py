"""
What an autoencoder learns about movies
=======================================

Trained on nothing but who liked what, the decoder's vectors of movies are arranged by
what they are: the two principal components tell action from drama, and above all old
movies from new ones.
"""

# %%
# Ratings of at least 4 count as interactions; movies with ten of them are items.
import matplotlib.pyplot as plt
import numpy as np

from skvae import InteractionEncoder, LatentSpaceDisplay, MultVAERecommender
from skvae.datasets import load_movielens_small

movielens = load_movielens_small()
encoder = InteractionEncoder(weight="rating", threshold=4, min_item_interactions=10)
X = encoder.fit_transform(movielens.ratings)
movies = movielens.movies.loc[encoder.item_ids_]

# %%
# Two genres, movies of both or neither being "other", and the year of release.
model = MultVAERecommender(
    50, hidden_layer_sizes=(), learning_rate=1e-2, max_iter=20, random_state=0
).fit(X)
is_action, is_drama = (
    movies["genres"].str.contains(genre, na=False) for genre in ("Action", "Drama")
)
genre = np.select(
    [is_action & ~is_drama, is_drama & ~is_action], ["action", "drama"], "other"
)

# %%
# The same points, coloured by genre and by year.
figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4.8), sharex=True, sharey=True, layout="constrained"
)
LatentSpaceDisplay.from_item_vectors(model, labels=genre, ax=left)
by_year = LatentSpaceDisplay.from_item_vectors(
    model, labels=movies["year"].astype(float), ax=right
)
by_year.colorbar_.set_label("year of release")
left.legend(frameon=False, loc="lower left")
right.set_ylabel("")
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.suptitle("Movies in the decoder of a Mult-VAE")
plt.show()
