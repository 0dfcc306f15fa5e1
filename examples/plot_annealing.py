"""
How much KL? The paper's annealing recipe
=========================================

Anneal the KL weight beta slowly up to 1, see at which beta the validation NDCG peaks, and train again with beta
annealed up to that cap (Liang et al., WWW 2018, section 2.2.2). The dashed line is the peak: to its right more
regularization makes recommendations worse, and the second training stays at it.
"""

# %%
# Ratings of at least 4 count as interactions; a quarter of the users validates.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse as sp

from skvae import MultVAERecommender, strong_generalization_split

folder = Path(sys.argv[0]).resolve().parent / "data" / "movielens-small"
ratings = pd.read_csv(folder / "ratings.csv.gz").query("rating >= 4")
users, items = (pd.factorize(ratings[column])[0] for column in ("userId", "movieId"))
X = sp.csr_array((np.ones(len(ratings), np.float32), (users, items)))
split = strong_generalization_split(X, validation_size=0.25)

# %%
# First beta rises to 1 over all epochs, each epoch scored on the validation users.
n_epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
parameters = {"n_components": 100, "hidden_layer_sizes": (200,), "learning_rate": 3e-3, "random_state": 0}
parameters |= {"max_iter": n_epochs, "early_stopping": False, "dropout": 0.5}
search = MultVAERecommender(anneal_cap=1.0, total_anneal_steps=0.95, **parameters)
search.fit(split.train, X_val=split.validation)
cap = search.beta_curve_[search.best_iter_ - 1]
print(f"validation NDCG@100 peaks at {search.best_validation_score_:.3f}, where beta is {cap:.2f}")

# %%
# Then again, with the cap at the peak and reached at the same pace.
final = MultVAERecommender(anneal_cap=cap, total_anneal_steps=0.95, **parameters)
final.fit(split.train, X_val=split.validation)
print(f"with that cap it reaches {final.best_validation_score_:.3f}")

# %%
# Validation score and beta by epoch, of both trainings.
figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(7, 5), layout="constrained")
epochs = np.arange(1, n_epochs + 1)
for model, label in ((search, "annealed to 1"), (final, f"annealed to {cap:.2f}")):
    top.plot(epochs, model.validation_scores_, label=label)
    bottom.plot(epochs, model.beta_curve_)
for axes in (top, bottom):
    axes.axvline(search.best_iter_, color="0.4", linestyle="--")
    axes.spines[["top", "right"]].set_visible(False)
top.set(ylabel="validation NDCG@100", title="Where the KL weight is best")
top.legend(frameon=False)
bottom.set(ylabel="beta", xlabel="epoch")
plt.show()
