"""Runs RecBole's MultiVAE and MultiDAE; see common.py."""

import tempfile
from pathlib import Path

import common
import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer


def fit(X, parameters, clock):
    # RecBole adds a user without items: one fewer here, or an epoch would end in a batch of that user alone
    X = X[:-1]
    with tempfile.TemporaryDirectory() as folder:
        config, dataset = read(X, parameters, Path(folder))
    train_data, *_ = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train_data.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    columns = train_data.dataset.field2id_token["item_id"][1:].astype(int)

    def score(X):
        model.eval()
        inputs = np.zeros((X.shape[0], len(columns) + 1), np.float32)
        inputs[:, 1:] = X[:, columns].toarray()
        with torch.no_grad():
            outputs = model.forward(torch.from_numpy(inputs))
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        scores = np.full(X.shape, -np.inf, np.float32)
        scores[:, columns] = outputs[:, 1:].float().numpy()
        return scores

    clock.start()
    epoch = 0
    while True:
        trainer._train_epoch(train_data, epoch)
        epoch += 1
        if clock.epoch_ended(score):
            return model


def read(X, parameters, folder):
    """RecBole's configuration and data set, from a file of interactions."""
    (folder / "matrix").mkdir()
    lines = (f"{user}\t{item}\n" for user, item in zip(*X.nonzero(), strict=True))
    (folder / "matrix" / "matrix.inter").write_text("user_id:token\titem_id:token\n" + "".join(lines))
    settings = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder),
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "group_by": "user", "order": "RO", "mode": "full"},
        "train_neg_sample_args": None,
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
        "seed": 0,
        **parameters,
    }
    model = settings.pop("model")
    config = Config(model=model, dataset="matrix", config_dict=settings)
    return config, create_dataset(config)


if __name__ == "__main__":
    common.main(fit)
