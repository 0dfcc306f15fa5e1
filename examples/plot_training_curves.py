"""
Training curves
===============

The loss falls until the end, the ranking of items that validation users hide does not
improve as long: the dashed lines are the epochs whose weights each model keeps. Early
stopping waits ten epochs from there, for Mult-VAE also until beta has reached its cap.
"""

# %%
# Ratings of at least 4 count as interactions, movies with ten of them are items; a
# quarter of the users validates.
import matplotlib.pyplot as plt

from skvae import (
    InteractionEncoder,
    MultDAERecommender,
    MultVAERecommender,
    TrainingCurveDisplay,
    strong_generalization_split,
)
from skvae.datasets import load_movielens_small

ratings = load_movielens_small().ratings
encoder = InteractionEncoder(weight="rating", threshold=4, min_item_interactions=10)
X = encoder.fit_transform(ratings)
split = strong_generalization_split(X, validation_size=0.25)

# %%
# Two autoencoders of the same size.
parameters = {
    "n_components": 50,
    "learning_rate": 1e-2,
    "max_iter": 30,
    "random_state": 0,
}
vae = MultVAERecommender(hidden_layer_sizes=(), **parameters).fit(
    split.train, X_val=split.validation
)
dae = MultDAERecommender(**parameters).fit(split.train, X_val=split.validation)

# %%
# The second display is drawn into the axes of the first.
curves = ["loss", "validation"]
display = TrainingCurveDisplay.from_estimator(vae, curves=curves, name="Mult-VAE")
TrainingCurveDisplay.from_estimator(dae, curves=curves, name="Mult-DAE", ax=display.axes_)
display.figure_.suptitle("Loss and validation score by epoch")
plt.show()
