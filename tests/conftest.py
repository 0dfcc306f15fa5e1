"""What test files share: small recommenders, containers of X, helpers."""

import contextlib
import importlib.util
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import settings
from packaging.version import Version
from sklearn.base import clone

import skvae
from skvae import (
    BlendRecommender,
    EASERecommender,
    InteractionEncoder,
    LinearRecommender,
    MultDAERecommender,
    MultVAERecommender,
    PopularityRecommender,
    RecVAERecommender,
)
from skvae.core.initialization import xavier
from skvae.core.updates import ReplayedUpdates
from skvae.datasets import make_interactions
from skvae.recommender import BaseRecommender

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).parents[1]
# with older versions of torch, models differ in their last digits, and a little in what a page prints of them
PRINTS_AS_DOCUMENTED = Version(torch.__version__) >= Version("2.13")

# few updates an epoch; RecVAE takes larger ones, or it would have learned nothing after five
QUICK = {"max_iter": 5, "batch_size": 100, "random_state": 0}
SMALL_VAE = MultVAERecommender(8, hidden_layer_sizes=(16,), **QUICK)
SMALL_DAE = MultDAERecommender(8, **QUICK)
SMALL_RECVAE = RecVAERecommender(8, hidden_layer_sizes=(16, 16), **QUICK, learning_rate=2e-3)
SMALL_BLEND = BlendRecommender([("popularity", PopularityRecommender()), ("dae", SMALL_DAE)])
AUTOENCODERS = {"vae": SMALL_VAE, "dae": SMALL_DAE, "recvae": SMALL_RECVAE}
LINEAR = {"ease": EASERecommender(), "linear": LinearRecommender(l2_regularization=20, keep_gram=True)}
RECOMMENDERS = {"popularity": PopularityRecommender(), **LINEAR, **AUTOENCODERS, "blend": SMALL_BLEND}


@pytest.fixture(params=[SMALL_VAE, SMALL_DAE], ids=["vae", "dae"])
def estimator(request):
    """Mult-VAE and Mult-DAE at small sizes, not fitted."""
    return clone(request.param)


@pytest.fixture
def one_by_one(monkeypatch):
    """No update is replayed by a GPU, which calls nothing that a test could count."""
    monkeypatch.setattr(ReplayedUpdates, "_record", lambda self: None)


@pytest.fixture
def python_s_own_handler():
    """A process started in the background ignores SIGINT, and then nothing would be interrupted."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def X():
    """500 users x 200 items, 5 % full."""
    return make_interactions(n_users=500, n_items=200, density=0.05, random_state=0)


def objective_of(model, n_items, dtype=None):
    """What an autoencoder minimises, over a network that begins with Xavier's weights."""
    parameters = model._checked_parameters()
    network = model._architecture(parameters).build(n_items).to_empty(device="cpu").to(dtype)
    xavier(network, None, torch.Generator().manual_seed(0))
    return model._objective(parameters, network)


def same_weights(one, other):
    """Whether two autoencoders have the same weights to the bit."""
    return all(np.array_equal(one.weights_[name], other.weights_[name]) for name in one.weights_)


def through_skvae(model, folder, **options):
    """A model after it was saved and loaded."""
    skvae.save(model, folder / "model.skvae")
    return skvae.load(folder / "model.skvae", **options)


class Scores(BaseRecommender):
    """A recommender that is nothing but a function of the users' interactions, dense, to scores."""

    def __init__(self, function):
        self.function = function

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def decision_function(self, X):
        return np.asarray(self.function(X.toarray()), np.float32)

    def __sklearn_is_fitted__(self):
        return True


class DenseMultinomial:
    """A likelihood of one's own, with what a user would write; says nothing of weights of items."""

    def log_prob(self, logits, batch):
        return (batch.to_dense() * torch.log_softmax(logits, 1)).sum(1)

    def mean(self, logits):
        return torch.softmax(logits, 1)


class WideNormal:
    """A prior of one's own: z ~ Normal(0, 9 I)."""

    def log_prob(self, code):
        return torch.distributions.Normal(0.0, 3.0).log_prob(code).sum(-1)


def fitted_on(events, model=RECOMMENDERS["popularity"], **parameters):
    """An encoder of these parameters and a model that is fitted on the matrix it makes."""
    encoder = InteractionEncoder(**parameters)
    return encoder, clone(model).fit(encoder.fit_transform(events))


def first_half(X):
    """The first half of the items."""
    return X[:, : X.shape[1] // 2]


def widened(X, n_items):
    """X with columns for so many items that nobody has."""
    return sp.csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], X.shape[1] + n_items))


# -- containers of X


def dense(X):
    """An array of its own."""
    return X.toarray() if sp.issparse(X) else np.array(X)


def frame(X):
    """A DataFrame with named items, and users in an order that is not that of their index."""
    return pd.DataFrame(dense(X), columns=[f"item {i}" for i in range(X.shape[1])], index=range(X.shape[0], 0, -1))


def read_only(values):
    """A copy of an array or a csr that nobody can write to."""
    values = values.copy()
    for buffer in (values.data, values.indices, values.indptr) if sp.issparse(values) else (values,):
        buffer.flags.writeable = False
    return values


def int64_csr(X):
    X = sp.csr_array(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def unsorted_csr(X, n_parts=1):
    """Each user's items in reverse, each entry in so many parts that add up to it, zeros at every third item."""
    X = dense(X)
    rows, columns = np.nonzero((X != 0) | (np.arange(X.shape[1]) % 3 == 0))
    order = np.repeat(np.lexsort((-columns, rows)), n_parts)
    indptr = np.append(0, n_parts * np.cumsum(np.bincount(rows)))
    return sp.csr_array(((X[rows, columns] / n_parts)[order], columns[order], indptr), shape=X.shape)


FORMATS = (sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.csc_array, sp.coo_matrix, sp.coo_array)
SPARSE = {
    **{kind.__name__: partial(kind, copy=True) for kind in FORMATS},
    "csr with int64 indices": int64_csr,
    "read-only csr": lambda X: read_only(sp.csr_array(X)),
    "csr unsorted with zeros": unsorted_csr,
    "csr unsorted with zeros and duplicates": partial(unsorted_csr, n_parts=2),
    "csr unsorted with zeros and duplicates, read-only": lambda X: read_only(unsorted_csr(X, n_parts=2)),
}
# of values that int8 can hold
CONTAINERS = {
    **SPARSE,
    "array": dense,
    "list": lambda X: dense(X).tolist(),
    "int8": lambda X: dense(X).astype(np.int8),
    "Fortran": lambda X: np.asfortranarray(dense(X)),
    "read-only array": lambda X: read_only(dense(X)),
    "DataFrame": lambda X: pd.DataFrame(dense(X)),
    "DataFrame with names": frame,
    "DataFrame of several dtypes": lambda X: pd.DataFrame(dense(X)).astype({0: np.int8, 1: np.float64}),
}
# where every value is 1
CONTAINERS_OF_ONES = {
    **CONTAINERS,
    "bool": lambda X: dense(X).astype(bool),
    "bool csr": lambda X: sp.csr_array(X).astype(bool),
    "DataFrame of bool and numbers": lambda X: pd.DataFrame(dense(X)).astype({0: bool, 1: np.int8}),
}


def buffers(values):
    """Copies of what an in-place change would change."""
    if sp.issparse(values):
        parts = {"coo": ("data", "row", "col"), "lil": ("data", "rows")}
        return [getattr(values, part).copy() for part in parts.get(values.format, ("data", "indices", "indptr"))]
    return [np.array(values)]


@contextlib.contextmanager
def left_alone(*matrices):
    """Hold it against the code in the block that it changes none of the matrices."""
    before = [buffers(matrix) for matrix in matrices]
    yield
    for matrix, parts in zip(matrices, before, strict=True):
        for now, then in zip(buffers(matrix), parts, strict=True):
            np.testing.assert_array_equal(now, then, strict=True)


# -- files


class Killed(BaseException):
    """Of a process, at once: nothing catches it, and nothing is done after it."""


def error_sentence(capsys, call, *arguments):
    """What argparse says of a script that ends with an error of its own."""
    with pytest.raises(SystemExit) as exit_info:
        call(*arguments)
    assert exit_info.value.code == 2
    return " ".join(capsys.readouterr().err.split("error: ")[1].split())


def load_script(path):
    """A script of benchmarks/ or examples/ as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_real_data(name):
    """Users with at least 5 interactions of a real data set; skipped where it is not at hand."""
    real_data = load_script("benchmarks/real_data.py")
    path = real_data.DATA / f"{name}.npz"
    if name != "movielens-small" and not path.exists():
        if os.environ.get("SKVAE_DATA"):
            pytest.fail(f"SKVAE_DATA is set, but {path} is not there")
        pytest.skip(f"no {path}; set SKVAE_DATA to the folder that holds it")
    return real_data.load(name)
