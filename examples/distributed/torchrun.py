"""One Mult-VAE that several processes train together, on one machine or on many.

    torchrun --nproc-per-node 2 examples/distributed/torchrun.py

On two machines call this on each, with the name of the first one:

    torchrun --nnodes 2 --nproc-per-node 8 \
        --rdzv-backend c10d --rdzv-endpoint FIRST:29500 examples/distributed/torchrun.py

Nothing in the model says so: a fit in a process group of torch.distributed is a fit of
all its processes.
"""

import argparse
import os

import numpy as np
import torch
import torch.distributed as dist

import skvae
from skvae.datasets import make_interactions


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--model", default="model.skvae", help="file to write")
    args = parser.parse_args()

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # the "cuda" of this process
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    rank, n_processes = dist.get_rank(), dist.get_world_size()

    # every process has all users; of a file, mapped into memory, those of a machine share
    # one copy
    X = make_interactions(n_users=args.users, n_items=1000, density=0.02, random_state=0)
    X_train, X_new = X[: -args.users // 10], X[-args.users // 10 :]

    # the first process prints
    model = skvae.MultVAERecommender(64, max_iter=10, random_state=0, verbose=1)
    model.fit(X_train)
    if rank == 0:
        skvae.save(model, args.model)

    # the model is the same everywhere: each process recommends to its own users
    own = np.array_split(np.arange(X_new.shape[0]), n_processes)[rank]
    items, _ = model.recommend(X_new[own], k=10)
    print(f"process {rank} of {n_processes}: 10 items for each of {len(items)} users")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
