"""
Three likelihoods for clicks
============================

The same variational autoencoder with the three likelihoods of Liang et al. (WWW 2018,
section 2.1), on users that it never saw. On a set as small as this all are far above
recommending what is popular, and close to each other: whether they differ is said by the
paired differences, printed on the way, rather than by the bars (standard errors).
"""

# %%
# Ratings of at least 4 count as interactions, movies with twenty of them are items; a
# fifth of the users tests.
import matplotlib.pyplot as plt
import numpy as np

import skvae
from skvae import MultVAERecommender, PopularityRecommender, evaluate
from skvae.datasets import load_movielens_small

ratings = load_movielens_small().ratings
encoder = skvae.InteractionEncoder(weight="rating", threshold=4, min_item_interactions=20)
X = encoder.fit_transform(ratings)
split = skvae.strong_generalization_split(X, validation_size=0.1, test_size=0.2)

# %%
# The best epoch of each is chosen on validation users; the logistic needs about three
# times as many as the others.
metrics = ["ndcg@100", "recall@20", "recall@50"]
popularity = evaluate(PopularityRecommender().fit(split.train), split.test, metrics)
parameters = {"learning_rate": 1e-2, "max_iter": 60, "random_state": 0}
evaluations = {}
for likelihood in ("multinomial", "logistic", "gaussian"):
    model = MultVAERecommender(
        50, hidden_layer_sizes=(), likelihood=likelihood, **parameters
    ).fit(split.train, X_val=split.validation)
    evaluations[likelihood] = evaluate(model, split.test, metrics)
for other in ("logistic", "gaussian"):
    print(f"multinomial minus {other}:")
    print(evaluations["multinomial"] - evaluations[other])

# %%
# One group for each metric, the likelihoods side by side.
figure, axes = plt.subplots(layout="constrained")
places = np.arange(len(metrics))
for offset, (likelihood, evaluation) in zip(
    (-0.15, 0, 0.15), evaluations.items(), strict=True
):
    means, errors = evaluation.mean.values(), evaluation.standard_error.values()
    axes.errorbar(
        places + offset, list(means), list(errors), fmt="o", capsize=3, label=likelihood
    )
axes.hlines(
    popularity.mean.values(),
    places - 0.3,
    places + 0.3,
    color="0.4",
    linestyle="--",
    label="popularity",
)
axes.set_xticks(places, ["NDCG@100", "Recall@20", "Recall@50"])
axes.set(
    ylim=(0, None),
    xlabel="metric",
    ylabel=f"mean and standard error of {popularity.n_users} test users",
)
axes.set_title("Likelihoods of the same autoencoder")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="lower left")
plt.show()
