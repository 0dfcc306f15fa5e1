"""One Mult-VAE that the executors of a Spark cluster train together.

    pip install pyspark
    python examples/distributed/spark.py

Spark's TorchDistributor starts torchrun in its tasks. On a cluster it takes
local_mode=False, and paths that all machines can read.
"""

import tempfile
from pathlib import Path

import scipy.sparse as sp
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from skvae.datasets import make_interactions


def train(folder):
    """What each process does; it imports what it needs, as it is sent to the others."""
    import scipy.sparse as sp
    import torch.distributed as dist

    import skvae

    dist.init_process_group("gloo")
    X = sp.csr_array(sp.load_npz(f"{folder}/X.npz"))
    model = skvae.MultVAERecommender(64, max_iter=5, random_state=0, verbose=1).fit(X)
    if dist.get_rank() == 0:
        skvae.save(model, f"{folder}/model.skvae")
    dist.destroy_process_group()
    return model.best_validation_score_


def main(n_processes=2):
    builder = SparkSession.builder.master(f"local[{n_processes}]").appName("skvae")
    spark = builder.getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        X = make_interactions(n_users=2000, n_items=500, density=0.03, random_state=0)
        sp.save_npz(Path(folder) / "X.npz", X)
        distributor = TorchDistributor(
            num_processes=n_processes, local_mode=True, use_gpu=False
        )
        print(f"NDCG@100 {distributor.run(train, folder):.3f}")
    spark.stop()


if __name__ == "__main__":
    main()
