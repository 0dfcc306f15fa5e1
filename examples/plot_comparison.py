"""
Which models are really apart?
==============================

Differences to the best of four models, each with its 95 % confidence interval over users.
Intervals of differences are narrower than those of the scores themselves: users who are
hard to please are so for every model.
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
# All are evaluated on the same users and hidden items.
models = {
    "Mult-VAE": skvae.MultVAERecommender(
        50, hidden_layer_sizes=(), learning_rate=1e-2, max_iter=20, random_state=0
    ),
    "EASE": skvae.EASERecommender(),
    "EASE, stiff": skvae.EASERecommender(l2_regularization=1000),
    "popularity": skvae.PopularityRecommender(),
}
fitted = {name: model.fit(split.train) for name, model in models.items()}
comparison = skvae.compare(fitted, split.test, "ndcg@100")
print(comparison)

# %%
# The best stands on top. The p-values of the table are adjusted for the number of models,
# the intervals are not.
display = skvae.ComparisonDisplay.from_comparison(comparison)
display.ax_.set_title("NDCG@100 beside the best model")
plt.show()
