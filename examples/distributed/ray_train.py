"""One Mult-VAE that the workers of a Ray cluster train together.

    pip install "ray[train]"
    python examples/distributed/ray_train.py

Ray Train starts a process group of torch.distributed, which is all that skvae looks for.
"""

import tempfile
from pathlib import Path

import ray
from ray.train import Checkpoint, RunConfig, ScalingConfig, get_context, report
from ray.train.torch import TorchConfig, TorchTrainer

import skvae
from skvae.datasets import make_interactions


def train(settings):
    """What each worker does."""
    # every worker has all users: a file that all machines can read, or ray.get of an
    # object in the store
    X = ray.get(settings["X"])
    model = skvae.MultVAERecommender(
        64, max_iter=settings["epochs"], random_state=0, verbose=1
    ).fit(X)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if get_context().get_world_rank() == 0:
            skvae.save(model, Path(folder) / "model.skvae")
            checkpoint = Checkpoint.from_directory(folder)
        report({"ndcg@100": model.best_validation_score_}, checkpoint=checkpoint)


def main(n_workers=2, epochs=5):
    X = make_interactions(n_users=2000, n_items=500, density=0.03, random_state=0)
    trainer = TorchTrainer(
        train,
        train_loop_config={"X": ray.put(X), "epochs": epochs},
        torch_config=TorchConfig(backend="gloo"),  # on processors
        scaling_config=ScalingConfig(num_workers=n_workers),
        run_config=RunConfig(storage_path=tempfile.mkdtemp()),
    )
    result = trainer.fit()
    with result.checkpoint.as_directory() as folder:
        model = skvae.load(Path(folder) / "model.skvae")
    print(f"NDCG@100 {model.best_validation_score_:.3f} after {model.n_iter_} epochs")
    return model


if __name__ == "__main__":
    main()
