"""What a second process saves: time of an update by one process and by two that train together, a thread each.

``python benchmarks/processes.py [--updates N] [--results DIR]``, on a machine of its own with two cores or more. For
comparison one process with two threads, which needs no sums over processes. DIR gets processes.json and processes.md.
Times are medians of all updates but the first; the processes are on one machine, and sum by gloo.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import harness
import numpy as np
import torch
import torch.distributed as dist

import skvae
from skvae.core.batches import UserRows
from skvae.core.initialization import xavier
from skvae.core.interrupts import Interrupts
from skvae.core.processes import process_group
from skvae.core.training import Settings, Training

# name -> model, users of a batch, items
TASKS = {
    "Mult-VAE": (skvae.MultVAERecommender(n_sampled_items=None), 500, 20_108),
    "Mult-VAE, large batches": (skvae.MultVAERecommender(n_sampled_items=None), 2000, 20_108),
    "Mult-DAE": (skvae.MultDAERecommender(n_sampled_items=None), 500, 20_108),
    "Mult-DAE, 10 000 items drawn": (skvae.MultDAERecommender(n_sampled_items=10_000), 500, 200_000),
}
WAYS = {"one process": (1, 1), "two processes": (2, 1), "one process, two threads": (1, 2)}


class Stopwatch:
    """A schedule of beta, which is asked for it before each update."""

    final = 0.0

    def __init__(self):
        self.times = []

    def weight(self, update):
        self.times.append(time.perf_counter())
        return 0.0


def updates(model, batch_size, X):
    """Seconds of each update of a pass over X but the first."""
    processes, watch = process_group(), Stopwatch()
    parameters = model._checked_parameters()
    network = model._architecture(parameters).build(X.shape[1]).to_empty(device="cpu")
    xavier(network, None, torch.Generator().manual_seed(0))
    settings = Settings(watch, 1, batch_size, 2e-3, n_sampled_items=parameters.n_sampled_items)
    training = Training(model._objective(parameters, network), UserRows(X), settings, 0, processes=processes)
    training.run(Interrupts(processes))
    return np.diff(watch.times)[1:].tolist()


def take_part(rank, size, n_threads, folder, task, n_updates):
    """Train as one of so many processes, and write down what the updates took."""
    torch.set_num_threads(n_threads)
    if size > 1:
        dist.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=size)
    model, batch_size, n_items = TASKS[task]
    X = harness.make_matrix(batch_size * n_updates, n_items)
    seconds = updates(model, batch_size, X)
    if rank == 0:
        harness.write(str(float(np.median(seconds))), Path(folder) / "seconds")
    if size > 1:
        dist.destroy_process_group()


def measure(task, size, n_threads, n_updates):
    """Median seconds of an update."""
    context = multiprocessing.get_context("spawn")
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(target=take_part, args=(rank, size, n_threads, folder, task, n_updates))
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return float((Path(folder) / "seconds").read_text())


def table(record):
    rows = []
    for task in TASKS:
        seconds = [record.runs[f"{task}, {way}"]["seconds"] for way in WAYS if f"{task}, {way}" in record.runs]
        if seconds:
            rows.append([task, *(f"{1000 * s:.0f}" for s in seconds), f"{seconds[0] / seconds[1]:.2f}"])
    header = ["", *(f"{way}, ms" for way in WAYS), "two processes are faster by"]
    about = record.about["machine"]
    return f"{about['date']}, {about['processor']}, {about['cores']} cores.\n\n{harness.markdown_table(header, rows)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument("--updates", type=int, default=12, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "processes", metavar="DIR")
    args = parser.parse_args()
    record = harness.Record(args.results / "processes")
    for task in args.tasks:
        for way, (size, n_threads) in WAYS.items():
            record.add(f"{task}, {way}", {"seconds": measure(task, size, n_threads, args.updates)})
            print(task, way, record.runs[f"{task}, {way}"], flush=True)
    harness.show(table(record), args.results / "processes.md")


if __name__ == "__main__":
    main()
