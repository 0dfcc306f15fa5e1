"""What the benchmarks share: data, environments of the peers, runners in processes of their own, tables and files.

Processor, memory and cores are read as Linux tells them.
"""

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
RUNNERS = ROOT / "benchmarks" / "runners"
ENVIRONMENTS = ROOT / "benchmarks" / ".envs"
N_THREADS = 2
THREAD_LIMITS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(N_THREADS))
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def make_matrix(n_users, n_items, per_user=72, seed=0):
    """Interactions with long tails: lognormal activity of users, popularity 1 / (10 + rank) of items.

    Every user and every item has at least one, and a user ``per_user`` in the mean: of ML-20M as the paper has it,
    20 108 items, 72 is the mean.
    """
    rng = np.random.default_rng(seed)
    activity, popularity = rng.lognormal(size=n_users), 1 / (10 + rng.permutation(n_items))
    everyone = np.arange(max(n_users, n_items))
    pairs = everyone % n_users * n_items + everyone % n_items
    while (missing := n_users * per_user - len(pairs)) > 0:
        users = rng.choice(n_users, missing, p=activity / activity.sum())
        items = rng.choice(n_items, missing, p=popularity / popularity.sum())
        pairs = np.unique(np.concatenate([pairs, users * n_items + items]))
    return sp.csr_array((np.ones(len(pairs), np.float32), np.divmod(pairs, n_items)), shape=(n_users, n_items))


@contextmanager
def saved(**matrices):
    """A folder that holds each matrix as NAME.npz, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        for name, X in matrices.items():
            sp.save_npz(Path(folder) / f"{name}.npz", X)
        yield Path(folder)


def environment(name, folder=ENVIRONMENTS):
    """Python of a peer's environment, made where it is missing or its requirements changed; else this Python."""
    requirements = RUNNERS / "requirements" / f"{name}.txt"
    if not requirements.exists():
        return sys.executable
    home = Path(folder).absolute() / name
    python, made_from = home / "bin" / "python", home / "requirements.txt"
    if not made_from.exists() or made_from.read_text() != requirements.read_text():
        print(f"making {home}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", requirements], check=True)
        shutil.copy(requirements, made_from)
    return python


def run(runner, python, task, folder, **request):
    """What runners/run_RUNNER.py says of the matrices in a folder, from a process of its own on N_THREADS cores."""
    command = [python, "-W", "ignore", RUNNERS / f"run_{runner}.py", task, folder, json.dumps(request)]
    cores = sorted(os.sched_getaffinity(0))[:N_THREADS]  # XLA has no other limit on its threads
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.run(
            command,
            cwd=scratch,
            env={**os.environ, **THREAD_LIMITS, "PYTHONPATH": str(ROOT)},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            capture_output=True,
            text=True,
        )
    if process.returncode:
        raise RuntimeError(f"run_{runner}.py failed with {request}:\n{process.stderr[-3000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def machine():
    """What the numbers were measured on, and when."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    values = {key.strip(): value for key, _, value in (line.partition(": ") for line in cpuinfo.splitlines())}
    flags = values.get("flags", "").split()
    return {
        "date": str(datetime.date.today()),
        "processor": values.get("model name", platform.processor()),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "cores": os.cpu_count(),
        "threads": N_THREADS,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def describe(about, results):
    """A machine and the versions that results were measured with, as a paragraph."""
    versions = {}
    for result in results:
        versions |= result["versions"]
    return (
        f"{about['date']}, {about['processor']} ({', '.join(about['instructions'])}), {about['cores']} cores, "
        f"{about['threads']} threads for everyone. Python {about['python']}, "
        f"{', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.\n"
    )


def markdown_table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


class Record:
    """What a script has measured so far: PATH.json and, of runs to be compared user by user, their values in PATH.npz.

    A run that both have need not be made again.
    """

    def __init__(self, path):
        self.path, self.arrays_path = path.with_suffix(".json"), path.with_suffix(".npz")
        self.about = json.loads(self.path.read_text()) if self.path.exists() else {"machine": machine(), "runs": {}}
        self.per_user = dict(np.load(self.arrays_path)) if self.arrays_path.exists() else {}

    @property
    def runs(self):
        return self.about["runs"]

    def __contains__(self, key):
        return key in self.runs and key in self.per_user

    def add(self, key, result, per_user=None):
        """Keep a run, the files written."""
        self.runs[key] = result
        write(json.dumps(self.about, indent=1), self.path)
        if per_user is None:
            return
        self.per_user[key] = np.asarray(per_user, np.float32)
        with replacing(self.arrays_path) as part, part.open("wb") as file:
            np.savez_compressed(file, **self.per_user)


def fit_all(tasks, records, n_jobs):
    """Run joblib tasks side by side, a thread each if several; each gives ((name, key), result[, per_user])."""
    with joblib.parallel_config("loky", inner_max_num_threads=1 if n_jobs > 1 else None):
        for (name, key), result, *per_user in joblib.Parallel(n_jobs, return_as="generator_unordered")(tasks):
            records[name].add(key, result, *per_user)
            print(name, key, result, flush=True)


@contextmanager
def replacing(path):
    """A path beside ``path`` to write to, which takes its place at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    yield part
    os.replace(part, path)


def seconds_of(function, *args):
    """What a call takes."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def write(text, path):
    with replacing(path) as part:
        part.write_text(text)


def show(text, path):
    """Print a text, and write it to a file."""
    print(text)
    write(text, path)
