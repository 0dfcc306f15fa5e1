"""What a search costs beside its fits: six candidates of Mult-VAE by hand, in GridSearchCV, and in two processes.

``python benchmarks/searches.py [--rounds N] [--results DIR]``, on a machine of its own with two cores. By hand a
candidate is a fit on the training users of one split and the NDCG@100 of the others, with nothing checked that these
calls do not check. In two processes each has one thread, as docs/tuning.md says, and then as many as it takes by
itself; the threads that a fit finds are noted. Ways take turns. DIR gets searches.json and searches.md.
"""

import argparse
import json
import time
from pathlib import Path

import harness
import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid

import skvae

GRID = {"anneal_cap": [0.1, 0.3, 1.0], "dropout": [0.3, 0.5]}
MODEL = skvae.MultVAERecommender(max_iter=5, batch_size=500, random_state=0)


class NotingScorer:
    """NDCG@100, and how many threads torch has where it is computed."""

    def __call__(self, estimator, X, y=None):
        return {"ndcg": skvae.ndcg_scorer(estimator, X), "threads": torch.get_num_threads()}


def by_hand(X, split):
    train, test = split
    scores = []
    for parameters in ParameterGrid(GRID):
        model = clone(MODEL).set_params(**parameters).fit(X[train])
        scores.append(skvae.ndcg_scorer(model, X[test]))
    return scores, torch.get_num_threads()


def search(X, split, n_jobs=None):
    found = GridSearchCV(MODEL, GRID, cv=[split], scoring=NotingScorer(), refit=False, n_jobs=n_jobs).fit(X)
    return found.cv_results_["mean_test_ndcg"].tolist(), int(found.cv_results_["mean_test_threads"].max())


def search_with_one_thread_each(X, split):
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        return search(X, split, n_jobs=2)


WAYS = {
    "six fits by hand": by_hand,
    "GridSearchCV": search,
    "GridSearchCV, n_jobs=2, one thread each": search_with_one_thread_each,
    "GridSearchCV, n_jobs=2": lambda X, split: search(X, split, n_jobs=2),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "searches", metavar="DIR")
    args = parser.parse_args()
    X = harness.make_matrix(3000, 5000)
    split = next(skvae.UserKFold(3).split(X))
    runs = {way: [] for way in WAYS}
    for number in range(args.rounds + 1):
        for way, measured in WAYS.items():
            start = time.perf_counter()
            scores, n_threads = measured(X, split)
            seconds = time.perf_counter() - start
            print(number, way, round(seconds, 2), n_threads, flush=True)
            if number:  # the first starts the processes
                runs[way].append({"seconds": seconds, "threads": n_threads, "scores": scores})
    record = {"machine": harness.machine(), "versions": {"skvae": skvae.__version__}, "runs": runs}
    harness.write(json.dumps(record, indent=1), args.results / "searches.json")
    harness.show(table(record), args.results / "searches.md")


def table(record):
    reference = record["runs"]["six fits by hand"]
    rows = []
    for way, runs in record["runs"].items():
        seconds = np.median([run["seconds"] for run in runs])
        ratio = np.median([run["seconds"] / other["seconds"] for run, other in zip(runs, reference, strict=True)])
        same = np.allclose(runs[0]["scores"], reference[0]["scores"], atol=1e-3)
        rows.append([way, f"{seconds:.1f}", f"{ratio:.2f}", runs[0]["threads"], "yes" if same else "no"])
    header = ["", "seconds, median", "of the fits by hand", "threads of a fit", "same scores"]
    described = harness.describe(record["machine"], [record])
    return f"# Searches\n\n{described}\n{harness.markdown_table(header, rows)}"


if __name__ == "__main__":
    main()
