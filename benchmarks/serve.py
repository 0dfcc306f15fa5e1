"""Requests a second and latency of examples/serve.py.

``python benchmarks/serve.py [--requests N] [--workers N ...] [--results DIR]``; DIR gets serving.md. Needs the extra
``serve``.
"""

import argparse
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import harness
import numpy as np

import skvae

N_USERS, N_ITEMS = 4000, 20_108
CONCURRENCIES = (1, 8, 32)
N_THREADS = 1  # of the server's OpenMP: requests run beside each other, in a thread each
ABOUT = """\
`examples/serve.py` over the loopback interface; MultVAERecommender with its default layers, I-600-200-600-I, and
20 108 items, of one file that all workers have mapped; visitors with 72 items in the mean ask for 10, one visitor per
request. The client is a process of its own with a connection for each request under way, and shares the cores with the
server.
"""
HEADER = ["workers", "requests under way", "requests/s", "latency, ms: median", "95 %", "99 %"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000, metavar="N", help="at each concurrency, default 2000")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], metavar="N", help="of the server, default 1 2"
    )
    parser.add_argument("--results", type=Path, default=harness.RESULTS, metavar="DIR")
    args = parser.parse_args()
    X = harness.make_matrix(N_USERS, N_ITEMS)
    visitors = [X.indices[X.indptr[u] : X.indptr[u + 1]].tolist() for u in range(N_USERS)]
    visitors = (visitors * -(-args.requests // N_USERS))[: args.requests]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skvae"
        skvae.save(skvae.MultVAERecommender(max_iter=1, early_stopping=False, random_state=0).fit(X), path)
        rows = [row for n_workers in args.workers for row in measure(path, n_workers, visitors)]
    about = harness.machine() | {"threads": N_THREADS}
    versions = {name: version(name) for name in ("fastapi", "uvicorn", "torch", "numpy")}
    described = harness.describe(about, [{"versions": versions | {"skvae": skvae.__version__}}])
    text = "\n".join(["# Serving\n", described, ABOUT, harness.markdown_table(HEADER, rows)])
    harness.show(text, args.results / "serving.md")


def measure(model_path, n_workers, visitors):
    """Rows of the table for so many workers."""
    with serving(model_path, n_workers) as url:
        ask(url, visitors[:50], max(CONCURRENCIES))
        return [summary(n_workers, n, *ask(url, visitors, n)) for n in CONCURRENCIES]


@contextmanager
def serving(model_path, n_workers=1):
    """URL of a server of its own for a saved model, up for as long as the block lasts."""
    environment = {"SKVAE_MODEL": str(model_path), "PYTHONPATH": str(harness.ROOT), "OMP_NUM_THREADS": str(N_THREADS)}
    options = ["--port", "0", "--workers", str(n_workers), "--no-access-log"]
    with subprocess.Popen(
        [sys.executable, harness.ROOT / "examples/serve.py", *options],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        # what it says later is read too: a pipe that is full would stop it
        reader = threading.Thread(target=deque, args=(server.stderr, 0), daemon=True)
        try:
            url = _url(server, n_workers)
            reader.start()
            yield url
        finally:
            server.terminate()
            if reader.ident is not None:
                reader.join()


def _url(server, n_workers):
    """Once all workers are ready."""
    log = ""
    for line in server.stderr:
        log += line
        running = re.search(r"running on (http://\S+)", log)
        if running and log.count("startup complete") == n_workers:
            return running[1]
    raise RuntimeError(f"The server did not start:\n{log}")


def ask(url, visitors, concurrency):
    """Seconds that it takes to answer all visitors, and those that each of them waits."""
    waiting = queue.SimpleQueue()
    for items in visitors:
        waiting.put(json.dumps({"visitors": [items], "k": 10}))
    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        latencies = pool.map(_ask_in_turn, [url] * concurrency, [waiting] * concurrency)
        latencies = [seconds for own in latencies for seconds in own]
    return time.perf_counter() - start, latencies


def _ask_in_turn(url, waiting):
    """Seconds of each answer over one connection, until nobody is waiting."""
    latencies = []
    with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
        while True:
            try:
                visitor = waiting.get_nowait()
            except queue.Empty:
                return latencies
            start = time.perf_counter()
            connection.request("POST", "/recommend", visitor, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            latencies.append(time.perf_counter() - start)
            if answer.status != 200:
                raise RuntimeError(f"The server answered {answer.status}: {text.decode()}")


def summary(n_workers, concurrency, seconds, latencies):
    """A row of the table."""
    quantiles = 1000 * np.quantile(latencies, [0.5, 0.95, 0.99])
    return [n_workers, concurrency, f"{len(latencies) / seconds:,.0f}", *(f"{q:.1f}" for q in quantiles)]


if __name__ == "__main__":
    main()
