"""A grid search on a dask cluster; the same numbers as by joblib's own processes.

pip install "dask[distributed]"
python examples/distributed/dask_search.py
python examples/distributed/dask_search.py --scheduler tcp://HOST:8786
"""

import argparse

import joblib
import numpy as np
from dask.distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV

from skvae import MultDAERecommender, UserKFold, ndcg_scorer
from skvae.datasets import make_interactions


def main(scheduler=None):
    X = make_interactions(n_users=1000, n_items=300, density=0.05, random_state=0)
    model = MultDAERecommender(16, max_iter=5, early_stopping=False, random_state=0)
    grid = {"dropout": [0.3, 0.5, 0.7]}
    search = GridSearchCV(model, grid, cv=UserKFold(3), scoring=ndcg_scorer, n_jobs=-1)

    with Client(scheduler or LocalCluster(n_workers=2, threads_per_worker=1)) as client:
        print(f"{len(client.ncores())} workers")
        with joblib.parallel_config(backend="dask"):  # all that is new
            search.fit(X)
    print(search.best_params_, f"NDCG@100 {search.best_score_:.3f}")

    here = GridSearchCV(model, grid, cv=UserKFold(3), scoring=ndcg_scorer, n_jobs=2)
    here.fit(X)
    assert here.best_params_ == search.best_params_
    np.testing.assert_allclose(
        here.cv_results_["mean_test_score"],
        search.cv_results_["mean_test_score"],
        rtol=1e-6,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--scheduler", help="of a running cluster; without, two workers on this machine"
    )
    main(parser.parse_args().scheduler)
