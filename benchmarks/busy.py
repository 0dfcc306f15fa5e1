"""Fits and answers beside other programs, with the threads of torch as they are by themselves, and as they may be told.

``python benchmarks/busy.py [--rounds N] [--results DIR]``, on a machine of its own with two cores: alone, and beside
two programs that compute all the time. Each way is a process of its own; ways take turns. DIR gets busy.json and
busy.md.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import harness
import numpy as np

WAYS = {
    "as they are": {},
    "`OMP_WAIT_POLICY=PASSIVE`": {"OMP_WAIT_POLICY": "PASSIVE"},
    "`OMP_NUM_THREADS=1`": {"OMP_NUM_THREADS": "1"},
}
N_BUSY = (0, 2)
N_ANSWERS = 300


def measured():
    """Seconds of a linear fit and of ten epochs, and milliseconds of an answer for a single user."""
    import skvae

    X = harness.make_matrix(700, 2000)
    model = skvae.MultVAERecommender(max_iter=10, early_stopping=False, random_state=0)
    seconds = [harness.seconds_of(fit, X) for fit in (skvae.LinearRecommender().fit, model.fit)]
    answers = [harness.seconds_of(model.recommend, X[[user % X.shape[0]]]) for user in range(N_ANSWERS)]
    return [*seconds, 1000 * np.median(answers)]


@contextlib.contextmanager
def busy(n):
    """So many programs that compute all the time."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield programs
    finally:
        for program in programs:
            program.kill()
            program.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "busy", metavar="DIR")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measured()))
        return
    runs, untold = [], {name: value for name, value in os.environ.items() if name[:4] not in ("OMP_", "MKL_", "OPEN")}
    for _ in range(args.rounds):
        for n_busy in N_BUSY:
            for way, variables in WAYS.items():
                with busy(n_busy):
                    run = subprocess.run(
                        [sys.executable, __file__, "--measure"],
                        env=untold | variables,
                        check=True,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                runs.append({"busy": n_busy, "way": way, "measured": json.loads(run.stdout)})
                print(runs[-1], flush=True)
    record = {"machine": harness.machine(), "runs": runs}
    harness.write(json.dumps(record, indent=1), args.results / "busy.json")
    harness.show(table(record), args.results / "busy.md")


def table(record):
    rows = []
    for n_busy in N_BUSY:
        for way in WAYS:
            runs = [run["measured"] for run in record["runs"] if (run["busy"], run["way"]) == (n_busy, way)]
            linear, epochs, answer = np.median(runs, axis=0)
            beside = f"{n_busy} busy programs" if n_busy else "alone"
            rows.append([beside, way, f"{linear:.1f} s", f"{epochs:.1f} s", f"{answer:.1f} ms"])
    return harness.markdown_table(["", "threads of torch", "linear", "ten epochs", "an answer"], rows)


if __name__ == "__main__":
    main()
