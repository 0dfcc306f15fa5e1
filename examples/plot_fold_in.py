"""
The protocol: users split, items hidden
=======================================

Models learn from the training users alone. Of a validation or test user they are shown
the fold-in, and are scored on how high they rank the held-out items, a fifth of the
user's, among all that the fold-in does not hold.
"""

# %%
# Forty users who like one of four groups of items.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from skvae import fold_in_split, strong_generalization_split
from skvae.datasets import make_interactions

X = make_interactions(n_users=40, n_items=60, density=0.2, random_state=0)
train, validation, test, items = strong_generalization_split(
    X, validation_size=0.2, test_size=0.2
)

# %%
# A cell is 0 without interaction, 1 in training, 2 in the fold-in and 3 where it is held
# out.
blocks = [train.toarray() > 0]
for part in (validation, test):
    fold_in, held_out = fold_in_split(part)
    blocks.append(2 * (fold_in.toarray() > 0) + 3 * (held_out.toarray() > 0))
cells = np.vstack(blocks)

# %%
# Users from top to bottom: training, validation, test.
figure, axes = plt.subplots(figsize=(7.5, 5.5), layout="constrained")
colors = {"training": "C0", "fold-in, shown": "0.6", "held out, to be found": "C1"}
axes.imshow(
    cells, cmap=ListedColormap(["white", *colors.values()]), vmin=0, vmax=3, aspect="auto"
)
borders = np.cumsum([0, *(len(block) for block in blocks)])
for border in borders[1:-1]:
    axes.axhline(border - 0.5, color="black", linewidth=1)
names = [
    f"{len(block)} {name}\nusers"
    for block, name in zip(blocks, ("training", "validation", "test"), strict=True)
]
axes.set_yticks((borders[:-1] + borders[1:] - 1) / 2, names)
axes.tick_params(axis="y", length=0)
axes.set(
    xlabel=f"the {len(items)} items that a training user has",
    title="Interactions and what they are for",
)
figure.legend(
    handles=[Patch(color=c, label=n) for n, c in colors.items()],
    loc="outside lower center",
    ncols=3,
    frameon=False,
)
plt.show()
