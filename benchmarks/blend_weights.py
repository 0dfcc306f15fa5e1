"""How a blend learns its weights from validation users: four rules, and what each gives for test users.

``python benchmarks/blend_weights.py [NAME ...] [--splits N] [--results DIR]``. The members of ``BlendRecommender()``
are fitted on training users, and all weights of a grid are scored on validation users and on test users. Each rule
chooses from the first; "mean by nearness" is that of ``weights="auto"``. +- is the standard error over the test users
of all splits, of a difference user by user. DIR gets blend_weights.json, blend_weights.npz and blend_weights.md; what
they hold is not run again.
"""

import argparse
import itertools
from pathlib import Path

import accuracy
import harness
import numpy as np
from real_data import NAMES, load

import skvae

MEMBERS = ("Linear", "MultDAE", "MultVAE")
BLENDS = [MEMBERS, *itertools.combinations(MEMBERS, 2)]
N_STEPS = {2: 20, 3: 12}


def equal(grid, scores):
    return np.full(grid.shape[1], 1 / grid.shape[1])


def best(grid, scores):
    return grid[scores.mean(axis=1).argmax()]


def one_error_from_best(grid, scores):
    """The first weights on the way from equal ones to the best that are within a standard error of them."""
    behind = scores[scores.mean(axis=1).argmax()] - scores
    near = grid[behind.mean(axis=1) <= behind.std(axis=1) / np.sqrt(scores.shape[1] - 1)]
    return near[((near - equal(grid, scores)) ** 2).sum(axis=1).argmin()]


def mean_by_nearness(grid, scores):
    behind = scores[scores.mean(axis=1).argmax()] - scores
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = behind.mean(axis=1) / behind.std(axis=1) * np.sqrt(scores.shape[1] - 1)
    weights = np.average(grid, axis=0, weights=np.nan_to_num(np.exp(-(distances**2)), nan=1))
    weights[weights < weights.max() / 40] = 0
    return weights / weights.sum()


RULES = {
    "equal": equal,
    "the best": best,
    "one error from the best": one_error_from_best,
    "mean by nearness": mean_by_nearness,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--splits", type=int, default=2, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "blend_weights", metavar="DIR")
    args = parser.parse_args()
    record = harness.Record(args.results / "blend_weights")
    for name, seed in itertools.product(args.names, range(args.splits)):
        if f"{name}, {' '.join(MEMBERS)}, split {seed}" not in record.runs:
            measure(name, seed, record)
    harness.show(f"# Weights of a blend\n\n{tables(args.results)}", args.results / "blend_weights.md")


def measure(name, seed, record):
    split = skvae.strong_generalization_split(load(name), random_state=seed)
    models = accuracy.Models(split, seed)
    for names in BLENDS[::-1]:  # all three at the end: they are what is looked for
        members = [(member, models[member][0]) for member in names]
        n = N_STEPS[len(names)]
        grid = [w for w in itertools.product(range(n + 1), repeat=len(names)) if sum(w) == n]
        validation, test = (np.array([scores_of(members, w, X) for w in grid]) for X in (split.validation, split.test))
        grid = np.array(grid) / n
        of_members = [test[np.flatnonzero(grid[:, column] == 1)[0]] for column in range(len(names))]
        best_member = max(of_members, key=np.mean)
        for rule, choose in RULES.items():
            weights = choose(grid, validation)
            scores = scores_of(members, weights, split.test)
            result = {
                "weights": weights.round(3).tolist(),
                "ndcg@100": scores.mean(),
                "below the best weights": test.mean(axis=1).max() - scores.mean(),
            }
            record.add(f"{name}, {' '.join(names)}, split {seed}, {rule}", result, scores - best_member)
        print(name, names, seed, flush=True)
    record.add(f"{name}, {' '.join(MEMBERS)}, split {seed}", {})


def scores_of(members, weights, X):
    """NDCG@100 of each user who can be scored."""
    blend = skvae.BlendRecommender(members, weights=weights, prefit=True).fit(X)
    scores = skvae.evaluate(blend, X, "ndcg@100").per_user["ndcg@100"]
    return scores[~np.isnan(scores)]


def tables(results):
    """NDCG@100 above the best member, a column for each rule."""
    record = harness.Record(results / "blend_weights")
    about, rows = record.about["machine"], []
    above = {tuple(key.split(", ")): scores for key, scores in record.per_user.items()}
    kinds = dict.fromkeys((len(names.split()), name) for name, names, *_ in above)
    for n_members, name in sorted(kinds, key=lambda kind: -kind[0]):
        keys = [key for key in above if key[0] == name and len(key[1].split()) == n_members]
        of_rules = [[accuracy.mean_and_error(above[key]) for key in keys if key[3] == rule] for rule in RULES]
        rows.append([name, n_members, *map(accuracy.pooled, of_rules), len({split for _, _, split, _ in keys})])
    header = ["data", "members", *RULES, "splits"]
    return f"{about['date']}, {about['processor']}, {about['cores']} cores.\n\n{harness.markdown_table(header, rows)}"


if __name__ == "__main__":
    main()
