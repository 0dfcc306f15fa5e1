"""Hours of use in one process, and a server among hostile clients: does anything grow, is any answer wrong?

``OMP_NUM_THREADS=1 python benchmarks/soak.py [--minutes N] [--client-minutes N] [--results DIR]``, on Linux. Needs the
extra ``serve``. First a loop of partial_fit, add_items, recommend, save and load with `skvae.save` and with joblib;
then 24 clients ask examples/serve.py at once, a third of them slow, broken or hostile. Each minute it records the
resident memory, open file handles and files. DIR gets soak.json and soak.md. It fails where handles or files grow,
where a loaded model answers in another way than the saved one, or where a client gets a wrong answer.
"""

import argparse
import itertools
import json
import os
import random
import socket
import tempfile
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import harness
import joblib
import numpy as np
import scipy.sparse as sp
from serve import serving

import skvae

SMALL = {"random_state": 0, "max_iter": 2}
MODELS = {
    "linear": skvae.LinearRecommender(l2_regularization=20, keep_gram=True),
    "dae": skvae.MultDAERecommender(16, **SMALL),
    "vae": skvae.MultVAERecommender(16, hidden_layer_sizes=(32,), **SMALL),
    "recvae": skvae.RecVAERecommender(8, hidden_layer_sizes=(16, 16), **SMALL),
    "blend": skvae.BlendRecommender(
        [("ease", skvae.EASERecommender()), ("dae", skvae.MultDAERecommender(8, **SMALL))], weights=[1, 1]
    ),
}
N_USERS, N_ITEMS, N_ADDED, ROUNDS = 300, 200, 3, 10  # a model is the first one again after so many rounds
N_CLIENTS, SECONDS_OF_SILENCE, TIMEOUT = 24, 20, 120
ABOUT = """\
The loop: {loops} rounds of partial_fit, add_items, recommend, skvae.save, skvae.load, joblib.dump and joblib.load with
{models} on {users} users x {items} items, each model from its first state again after {rounds} rounds. Memory
grows by {slope:.2f} MB an hour in the second half, standard error {error:.2f} (least squares of resident memory by
time).
"""
ABOUT_CLIENTS = """\
The clients: {good} answers to clients that ask as they should, {wrong} failures, the slowest answer after {slowest:.1f}
s. {refused} requests of the others were refused (4xx); {other} were broken off, by either side. Handles of the server
before the clients came: {before}, and after they left: {after}. Its memory grows by {slope:.2f} MB an hour in the
second half, standard error {error:.2f}.
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, metavar="N", help="of the loop; 0: as it is on record")
    parser.add_argument("--client-minutes", type=float, default=10, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "soak", metavar="DIR")
    args = parser.parse_args(arguments)
    path = args.results / "soak.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    record["machine"] = harness.machine() | {"threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))}
    record["versions"] = {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")}
    record["versions"]["skvae"] = skvae.__version__
    for name, run, minutes in (("loop", soak, args.minutes), ("clients", ask, args.client_minutes)):
        if minutes:
            record[name] = run(60 * minutes)
            harness.write(json.dumps(record, indent=1), path)
    harness.show(described(record), args.results / "soak.md")
    failures = [failure for part in ("loop", "clients") if part in record for failure in record[part]["failures"]]
    if failures:
        raise SystemExit("\n".join(failures))


# -- what is measured


class Samples:
    """Memory, handles and files of a process, once a minute, or ten times in less than ten minutes.

    Parameters
    ----------
    process : int
    folder : Path
        Where the process keeps its files; those of its threads in /dev/shm are not looked at.
    seconds : float
        For how long.
    """

    def __init__(self, process, folder, seconds):
        self.process, self.folder, self.period = process, folder, min(60, seconds / 10)
        self.start, self.rows, self.count = time.perf_counter(), [], 0
        self.end = self.start + seconds

    @property
    def is_over(self):
        return time.perf_counter() > self.end

    def add(self, count):
        """Take a sample if it is due; ``count`` is what was done so far."""
        now = time.perf_counter() - self.start
        if now >= self.period * (len(self.rows) + 1) or self.is_over:
            self.rows.append(self.now(count))
            print(self.rows[-1], flush=True)

    def now(self, count):
        elapsed = time.perf_counter() - self.start
        before = self.rows[-1] if self.rows else {"minutes": 0, "count": 0}
        return {
            "minutes": elapsed / 60,
            "rss": _status(self.process, "VmRSS"),
            "handles": n_handles(self.process),
            "threads": int(_field(self.process, "Threads")),
            "files": sum(len(files) for *_, files in os.walk(self.folder)),
            "count": count,
            "per second": (count - before["count"]) / max(1e-9, elapsed - 60 * before["minutes"]),
        }


def n_handles(process):
    return len(os.listdir(f"/proc/{process}/fd"))


def _field(process, name):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name + ":"))


def _status(process, name):
    return int(_field(process, name)) * 1024


def slope(rows):
    """Least squares of the memory by time in the second half: MB an hour, and its standard error."""
    rows = rows[len(rows) // 2 :]
    if len(rows) < 3:
        return float("nan"), float("nan")
    hours, megabytes = (np.array([row[name] for row in rows]) / per for name, per in (("minutes", 60), ("rss", 1e6)))
    (rise, _), covariance = np.polyfit(hours, megabytes, 1, cov="unscaled")
    left = megabytes - np.polyval(np.polyfit(hours, megabytes, 1), hours)
    error = np.sqrt(covariance[0, 0] * (left @ left) / (len(rows) - 2))
    return float(round(rise, 2)) + 0.0, float(error)


def grown(rows, names, what):
    """A sentence for each name of which the second half has more than the first at the most."""
    halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    most = {name: [max((row[name] for row in half), default=0) for half in halves] for name in names}
    return [
        f"{name} of {what} grew from {first} to {second}."
        for name, (first, second) in most.items()
        if halves[0] and second > first
    ]


# -- the loop


def soak(seconds):
    """Use each model in turn until the time is over."""
    X, failures = harness.make_matrix(N_USERS, N_ITEMS, per_user=20), []
    with tempfile.TemporaryDirectory() as folder:
        folder, before = Path(folder), tempfile.tempdir
        tempfile.tempdir = str(folder)  # what is written beside is seen
        try:
            for name, model in MODELS.items():
                skvae.save(model.fit(X), folder / f"{name}.skvae")
            models = {name: skvae.load(folder / f"{name}.skvae") for name in MODELS}
            samples = Samples(os.getpid(), folder, seconds)
            for loop, name in enumerate(itertools.cycle(MODELS), start=1):
                if samples.is_over:
                    break
                if (loop - 1) // len(MODELS) % ROUNDS == 0:
                    models[name] = skvae.load(folder / f"{name}.skvae")
                models[name] = used(models[name], X, loop, folder, failures)
                samples.add(loop)
        finally:
            tempfile.tempdir = before
    names = ("handles", "threads", "files")
    return {"samples": samples.rows, "loops": loop - 1, "failures": failures + grown(samples.rows, names, "the loop")}


def used(model, X, loop, folder, failures):
    """A model after a round: changed, saved and loaded."""
    wider = sp.csr_array((X.data, X.indices, X.indptr), shape=(N_USERS, model.n_features_in_))
    some = wider[loop % 10 :: 10]
    model.add_items(N_ADDED)
    some = sp.csr_array((some.data, some.indices, some.indptr), shape=(some.shape[0], model.n_features_in_))
    if hasattr(model, "partial_fit"):
        model.partial_fit(some)
    expected = model.recommend(some, k=5)
    for write, read, path in (
        (skvae.save, skvae.load, folder / "now.skvae"),
        (skvae.save, _load_mapped, folder / "now.skvae"),
        (joblib.dump, joblib.load, folder / "now.joblib"),
    ):
        write(model, path)
        loaded = read(path)
        if not all(map(np.array_equal, loaded.recommend(some, k=5), expected)):
            failures.append(f"Round {loop}: {type(model).__name__} answers in another way from {path.name}.")
    return loaded


def _load_mapped(path):
    return skvae.load(path, mmap_mode="r")


# -- the clients


class Clients:
    """What threads that ask a server have seen: right and wrong answers, refusals, seconds of the slowest."""

    def __init__(self, url, asked, samples):
        self.place, self.asked, self.samples = urlsplit(url).netloc, asked, samples
        self.lock, self.counts, self.slowest = threading.Lock(), {}, 0.0
        self.wrong: list[str] = []

    def add(self, name, n=1):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + n

    def run(self, client, number):
        """Repeat a client until the time is over."""
        rng = random.Random(number)
        while not self.samples.is_over:
            try:
                client(self, rng)
            except (OSError, HTTPException) as error:
                if client in GOOD:
                    self.wrong.append(f"{client.__name__}: {error!r}")
                else:
                    self.add("other")  # a hostile client may be hung up on
            time.sleep(0.01)

    def connect(self):
        host, _, port = self.place.partition(":")
        return closing(socket.create_connection((host, int(port)), TIMEOUT))

    def check(self, answer, expected):
        items, scores = answer["items"], answer["scores"]
        if items != expected[0] or not np.allclose(scores, expected[1], rtol=1e-5):
            self.wrong.append(f"expected {expected}, got {answer}")
        self.add("good")


def well_behaved(clients, rng):
    """Some requests over one connection."""
    with closing(HTTPConnection(clients.place, timeout=TIMEOUT)) as connection:
        for visitor, expected in rng.sample(clients.asked, 20):
            start = time.perf_counter()
            connection.request("POST", "/recommend", json.dumps({"visitors": [visitor], "k": 10}))
            answer = connection.getresponse()
            body = json.loads(answer.read())
            clients.slowest = max(clients.slowest, time.perf_counter() - start)
            if answer.status != 200:
                clients.wrong.append(f"status {answer.status}: {body}")
                continue
            clients.check(body[0], expected)


def slow(clients, rng):
    """A request that comes a few bytes at a time."""
    visitor, expected = rng.choice(clients.asked)
    with clients.connect() as connection:
        request = _request(json.dumps({"visitors": [visitor]}).encode())
        for first in range(0, len(request), 40):
            connection.sendall(request[first : first + 40])
            time.sleep(0.05)
        head, _, body = _received(connection).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            clients.wrong.append(f"a slow client got {head[:50]!r}")
            return
        clients.check(json.loads(body)[0], expected)


def silent(clients, rng):
    """Half a request, and then nothing for a while."""
    request = _request(json.dumps({"visitors": [[1, 2, 3]]}).encode())
    with clients.connect() as connection:
        connection.sendall(request[: rng.randrange(1, len(request))])
        until = min(clients.samples.end, time.perf_counter() + SECONDS_OF_SILENCE)
        time.sleep(max(0, until - time.perf_counter()))
    clients.add("other")


def huge(clients, rng):
    """A body that is too long, in chunks without an end or with its length in the header."""
    with clients.connect() as connection:
        if rng.random() < 0.5:
            connection.sendall(_request(b" " * 3_000_000))
        else:
            connection.sendall(b"POST /recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(50):
                connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        _refused(clients, connection)


def garbage(clients, rng):
    """Text that is no JSON, JSON that is no request, and bytes that are no HTTP."""
    deep, text = b"[" * 50_000, rng.randbytes(300)
    bodies = (text, deep, b'{"visitors": [[1e400]]}', b'{"visitors": 7}', b'{"visitors": [["\\ud800"]]}', b"")
    with clients.connect() as connection:
        connection.sendall(text if rng.random() < 0.2 else _request(rng.choice(bodies)))
        _refused(clients, connection)


def leaving(clients, rng):
    """A request whose answer nobody waits for; now and then the connection is reset."""
    with clients.connect() as connection:
        if rng.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.sendall(_request(json.dumps({"visitors": [[1, 2, 3]] * 200, "k": 100}).encode()))
    clients.add("other")
    time.sleep(rng.random())


GOOD, BAD = (well_behaved, slow), (silent, silent, huge, garbage, garbage, leaving, leaving)


def _request(body):
    return b"POST /recommend HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _received(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def _refused(clients, connection):
    connection.shutdown(socket.SHUT_WR)
    answer = _received(connection)
    clients.add("refused" if answer.startswith(b"HTTP/1.1 4") else "other")
    if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")):
        clients.wrong.append(f"a hostile client got {answer[:200]!r}")


def ask(seconds):
    """Let all clients ask one server at once."""
    X = harness.make_matrix(1000, 2000, per_user=40)
    visitors = [X.indices[X.indptr[user] : X.indptr[user + 1]].tolist() for user in range(200)]
    with tempfile.TemporaryDirectory() as folder:
        path, model = Path(folder) / "model.skvae", skvae.MultVAERecommender(64, random_state=0, max_iter=2).fit(X)
        skvae.save(model, path)
        asked = []
        for user, visitor in enumerate(visitors):
            items, scores = model.recommend(X[user : user + 1], k=10)
            asked.append((visitor, (items[0].tolist(), scores[0])))
        with serving(path) as url:
            (process,) = _children()
            before, samples = n_handles(process), Samples(process, Path(folder), seconds)
            clients = Clients(url, asked, samples)
            kinds = [well_behaved] * (N_CLIENTS - len(BAD) - 2) + [slow] * 2 + list(BAD)
            threads = [threading.Thread(target=clients.run, args=client) for client in zip(kinds, itertools.count())]
            for thread in threads:
                thread.start()
            while not samples.is_over:
                time.sleep(min(1, samples.period / 10))
                samples.add(clients.counts.get("good", 0))
            for thread in threads:
                thread.join()
            after = _settled(process, before)
    failures = [f"A client: {wrong}" for wrong in clients.wrong[:5]]
    if after > before:
        failures.append(f"The server had {before} handles before its clients came, and {after} after they left.")
    counts = {"good": 0, "refused": 0, "other": 0} | clients.counts
    counts |= {"wrong": len(clients.wrong), "slowest": clients.slowest, "before": before, "after": after}
    return {"samples": samples.rows, "failures": failures, **counts}


def _children():
    """Processes that this one started."""
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(process) for task in tasks for process in task.read_text().split()]


def _settled(process, n_before):
    """Handles of the server once it has hung up on those that left."""
    for _ in range(100):
        if n_handles(process) <= n_before:
            break
        time.sleep(0.3)
    return n_handles(process)


# -- the record


def described(record):
    """The record as a page."""
    about = harness.describe(record["machine"], [{"versions": record["versions"]}])
    parts = ["# Soak\n", about]
    if "loop" in record:
        parts += _loop_described(record["loop"])
    if "clients" in record:
        rise, error = slope(record["clients"]["samples"])
        text = ABOUT_CLIENTS.format(**record["clients"], slope=rise, error=error)
        parts += [text, _table(record["clients"]["samples"], "right answers/s")]
    return "\n".join(parts)


def _loop_described(loop):
    rise, error = slope(loop["samples"])
    of_loop = ABOUT.format(
        loops=loop["loops"],
        models=", ".join(MODELS),
        users=N_USERS,
        items=N_ITEMS,
        rounds=ROUNDS,
        slope=rise,
        error=error,
    )
    return [of_loop, _table(loop["samples"], "rounds/s")]


def _table(rows, rate):
    """At most some 15 of the samples, the last one among them."""
    shown = rows[:: -(-len(rows) // 15)] if rows else []
    shown = shown if not rows or shown[-1] is rows[-1] else [*shown, rows[-1]]
    header = ["minutes", "resident, MB", "handles", "threads", "files", rate]
    return harness.markdown_table(
        header,
        [
            [
                f"{row['minutes']:.1f}",
                f"{row['rss'] / 1e6:.1f}",
                row["handles"],
                row["threads"],
                row["files"],
                f"{row['per second']:.1f}",
            ]
            for row in shown
        ],
    )


if __name__ == "__main__":
    main()
