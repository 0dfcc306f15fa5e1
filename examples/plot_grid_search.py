"""
A grid search over anneal_cap
=============================

How high may the KL weight rise? On this small set a little of it costs nothing, and much
makes recommendations worse. Points are the NDCG@100 of each fold's users, the line is
their mean; dashed is the floor that every model must beat, recommending what is popular,
in the same folds.
"""

# %%
# Ratings of at least 4 count as interactions, movies with twenty of them are items.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, cross_val_score

from skvae import (
    InteractionEncoder,
    MultVAERecommender,
    PopularityRecommender,
    UserKFold,
    ndcg_scorer,
)
from skvae.datasets import load_movielens_small

ratings = load_movielens_small().ratings
encoder = InteractionEncoder(weight="rating", threshold=4, min_item_interactions=20)
X = encoder.fit_transform(ratings)

# %%
# UserKFold chooses the users of each fold, ndcg_scorer which of their items are hidden:
# the same for every candidate.
cv = UserKFold(3)
model = MultVAERecommender(
    50,
    batch_size=64,
    hidden_layer_sizes=(),
    learning_rate=1e-2,
    max_iter=15,
    random_state=0,
)
caps = [0, 0.2, 1, 2, 4]
search = GridSearchCV(
    model, {"anneal_cap": caps}, scoring=ndcg_scorer, cv=cv, refit=False
).fit(X)
floor = cross_val_score(PopularityRecommender(), X, scoring=ndcg_scorer, cv=cv).mean()
print(
    f"best: {search.best_params_} with {search.best_score_:.3f}, popularity {floor:.3f}"
)

# %%
# Scores by candidate.
figure, axes = plt.subplots(layout="constrained")
places = np.arange(len(caps))
for fold in range(3):
    scores = search.cv_results_[f"split{fold}_test_score"]
    axes.plot(
        places, scores, "o", color="C0", alpha=0.4, label="a fold" if fold == 0 else None
    )
axes.plot(
    places, search.cv_results_["mean_test_score"], color="C0", label="mean of the folds"
)
axes.plot(
    search.best_index_, search.best_score_, "o", color="C1", markersize=9, label="chosen"
)
axes.axhline(floor, color="0.4", linestyle="--", label="popularity")
axes.set_xticks(places, [f"{cap:g}" for cap in caps])
axes.set(
    ylim=(0, None),
    xlabel="anneal_cap (ceiling of beta)",
    ylabel="NDCG@100 of the fold's users",
)
axes.set_title("Mult-VAE, three folds of users")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="lower right")
plt.show()
