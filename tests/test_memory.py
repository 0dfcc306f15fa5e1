"""Peak resident memory on 40 000 users x 20 000 items, in a process of its own; of EASE, peak of arrays."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import torch

from skvae import EASERecommender
from skvae.datasets import make_interactions

# The peak of getrusage begins at what the process that started this one had: a test process may hold a gibibyte. The
# calls that must hold less come first, so that the peak of one hides none of the next.
PROGRAM = """
import re, resource
from pathlib import Path
import numpy as np
import scipy.sparse as sp
from skvae import MultDAERecommender, MultVAERecommender

def peak():
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def interactions(n_users, n_items=20_000, per_user=20):
    items = np.random.default_rng(0).integers(0, n_items, (n_users, per_user), dtype=np.int32)
    items.sort(axis=1)
    indptr = np.arange(n_users + 1, dtype=np.int32) * per_user
    return sp.csr_array((np.ones(items.size, np.float32), items.ravel(), indptr), shape=(n_users, n_items))

X = interactions(40_000)
size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
models = (
    MultVAERecommender(8, hidden_layer_sizes=(16,), max_iter=1, batch_size=500, random_state=0),
    MultDAERecommender(8, max_iter=1, batch_size=500, random_state=0),
)
for model in models:
    model.fit(X[:1000])
    items, scores = model.recommend(X, k=10)
    assert items.shape == (40_000, 10)
    allowed = size + items.nbytes + scores.nbytes
    print((peak() - allowed) / 2**30, "GiB when", type(model).__name__, "recommends")
for model in models:
    model.fit(X, X_val=X[:2000])
    weights = sum(weight.nbytes for weight in model.weights_.values())
    allowed = 4 * weights + size  # weights, gradients and the two moments of Adam
    print((peak() - allowed) / 2**30, "GiB when", type(model).__name__, "is fitted")
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="the libraries of a GPU take more")
def test_memory_stays_within_three_quarters_of_a_gibibyte_of_what_must_be_held():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    held = [float(line.split()[0]) for line in result.stdout.splitlines()]
    assert len(held) == 4
    assert max(held) < 0.75, result.stdout


def test_a_fit_and_a_refit_of_ease_hold_one_matrix_between_items_and_blocks_of_it():
    X, model = make_interactions(n_users=1000, n_items=3000, density=0.01, random_state=0), EASERecommender()
    # arrays of NumPy, the copies that LAPACK's wrappers would make among them: the peak resident
    # memory of a process begins at that of the one that started it
    tracemalloc.start()
    try:
        model.fit(X).fit(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 1 <= peak / model.weights_.nbytes < 1.4


TABLE_PROGRAM = """
import re
from pathlib import Path
import numpy as np
import pandas as pd
from skvae import InteractionEncoder, PopularityRecommender

def memory(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

rng = np.random.default_rng(0)
users, items = np.repeat(np.arange(200_000), 10), rng.integers(0, 300, 2_000_000)
table = pd.DataFrame({"user": users, "item": items}).astype(str)
encoder = InteractionEncoder()
model = PopularityRecommender().fit(encoder.fit_transform(table[:20_000]))
encoder.recommend(model, table[:100])
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
answer = encoder.recommend(model, table)
held = memory("VmHWM") - before
print(held / (table.memory_usage(deep=True).sum() + answer.memory_usage(deep=True).sum()))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_recommending_to_200_000_users_of_a_table_holds_less_than_three_tables_beside_it():
    result = subprocess.run([sys.executable, "-c", TABLE_PROGRAM], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 3
