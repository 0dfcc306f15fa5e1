"""One fit by two hosts of their own addresses, and that it gives the model of one process.

``python benchmarks/two_hosts.py [--processes N] [--users N] [--results DIR]``, as root on Linux: the hosts are network
namespaces (``ip netns``) joined by a cable of their own, 10.77.0.1 and 10.77.0.2, which share nothing but the disk and
the name of the machine, so that each is told which of them is the first. Each calls torchrun as docs/distributed.md
says, with N processes. DIR gets two_hosts.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import harness
import numpy as np

import skvae

EXAMPLE = harness.ROOT / "examples" / "distributed" / "torchrun.py"
ADDRESSES = {"skvae-first": "10.77.0.1", "skvae-second": "10.77.0.2"}
PORT = 29_500


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="of each host")
    parser.add_argument("--users", type=int, default=5000, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "two_hosts", metavar="DIR")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, hosts():
        alone, together = (str(Path(folder) / f"{name}.skvae") for name in ("alone", "together"))
        example = [EXAMPLE, "--users", str(args.users), "--model"]
        subprocess.run([sys.executable, *example, alone], check=True, env=environment() | one_process())
        start = time.perf_counter()
        outputs = run_on_all(args.processes, [*example, together])
        seconds = time.perf_counter() - start
        one, two = (skvae.load(path) for path in (alone, together))
    X = skvae.datasets.make_interactions(n_users=500, n_items=1000, density=0.02, random_state=1)
    difference = float(np.abs(one.decision_function(X) - two.decision_function(X)).max())
    record = {"machine": harness.machine(), "processes_per_host": args.processes, "users": args.users}
    record |= {"seconds": round(seconds, 1), "output": [line for text in outputs for line in told(text)]}
    record |= {"largest_difference_of_scores": difference, "of_losses": differences_of_losses(one, two)}
    print(json.dumps(record, indent=1))
    harness.write(json.dumps(record, indent=1), args.results / "two_hosts.json")


@contextmanager
def hosts():
    """The two network namespaces, as long as the block lasts."""
    first, second = ADDRESSES
    ends = {first: "skvae0", second: "skvae1"}
    try:
        for name in ADDRESSES:
            ip("netns", "add", name)
        ip("link", "add", "skvae0", "type", "veth", "peer", "name", "skvae1")
        for name, address in ADDRESSES.items():
            ip("link", "set", ends[name], "netns", name)
            within = ("netns", "exec", name, "ip")
            ip(*within, "addr", "add", f"{address}/24", "dev", ends[name])
            ip(*within, "link", "set", ends[name], "up")
            ip(*within, "link", "set", "lo", "up")
        yield
    finally:
        for name in ADDRESSES:
            subprocess.run(["ip", "netns", "del", name], check=False)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def run_on_all(n_processes, program):
    """What each host's torchrun prints, all of them at once."""
    first = next(iter(ADDRESSES.values()))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", str(n_processes)]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first}:{PORT}"]
    processes = []
    for number, (name, address) in enumerate(ADDRESSES.items()):
        which = ("--rdzv-conf", f"is_host={number == 0}", "--local-addr", address)
        processes.append(
            subprocess.Popen(
                ["ip", "netns", "exec", name, *torchrun, *which, *program],
                env=environment() | {"GLOO_SOCKET_IFNAME": f"skvae{number}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("\n".join(outputs))
    return outputs


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(harness.ROOT)}


def one_process():
    """What torchrun would tell a process that is alone."""
    return {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(PORT)}


def told(text):
    return [line for line in text.splitlines() if line.startswith("process ")]


def differences_of_losses(one, two):
    return float(np.abs(np.subtract(one.loss_curve_, two.loss_curve_)).max())


if __name__ == "__main__":
    main()
