"""The devices that the estimators name: their memory, their precision, and tensors on the memory of arrays."""

import math
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def check_device(name, device):
    """The parameter of this name, which must be the name of a device that is present."""
    if not isinstance(device, str):
        raise TypeError(f'{name} must be a str such as "auto", "cpu" or "cuda", got {device!r}.')
    if not is_present(device):
        raise ValueError(f'{name}={device!r} is not present on this machine: use "auto" or "cpu".')
    return device


def is_present(name):
    if name in ("auto", "cpu"):
        return True
    try:
        return torch.empty(0, dtype=torch.float64, device=name).device.type != "meta"
    except (RuntimeError, AssertionError, TypeError, ImportError):  # unknown, absent, and mps without float64
        return False


def resolve(name):
    """torch.device of a name; "auto" is a GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def free_bytes(device):
    """Memory that a GPU has to spare; of a CPU nothing is asked."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")


def memory_of(device):
    """Bytes of memory of a device, in use or not, that a process may have; infinite where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type != "cpu" or "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):  # Windows
        return math.inf
    return min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits_of_cgroups())


def _limits_of_cgroups():
    """Bytes that the groups of processes around this one may have, as of a container; by both versions of cgroups."""
    limits = [math.inf]
    with suppress(OSError):
        for line in os.fsdecode(OWN_CGROUPS.read_bytes()).split("\n"):
            _, controllers, group = [*line.split(":", 2), "none", ""][:3]
            if not controllers:
                root, file = CGROUPS, "memory.max"
            elif "memory" in controllers.split(","):
                root, file = CGROUPS / "memory", "memory.limit_in_bytes"
            else:
                continue
            folder = root / group.strip("/")  # inside a container the root may be the group itself
            for place in (folder, *folder.parents):
                with suppress(OSError, ValueError):  # "max"
                    limits.append(int((place / file).read_bytes()))
    return [limit for limit in limits if limit > 0]


PRECISIONS = ("auto", "bfloat16", "float32")


def is_half_precision(precision, device):
    """Whether products are taken in bfloat16 by a ``precision`` parameter; "auto" asks the hardware."""
    return precision == "bfloat16" or (precision == "auto" and _multiplies_bfloat16(device))


def product_dtype(half_precision):
    """torch.dtype of the products with the decoder's item matrix."""
    return torch.bfloat16 if half_precision else torch.float32


def _multiplies_bfloat16(device):
    """Whether a device is known to multiply bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # older versions of torch do not say
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(present for name, present in capabilities.items() if name.endswith("bf16"))  # avx512_bf16, amx_bf16


def tensor_of(array):
    """A tensor on the memory of an array, which may be read-only: nothing must write to it then."""
    if min(array.strides, default=0) < 0:
        array = array.copy()  # torch has no such strides: from_dlpack ends the process
    try:
        return torch.from_dlpack(array)
    except BufferError:  # older versions of torch take no read-only arrays, and from_numpy warns of them
        return torch.from_numpy(np.asarray(_DeclaredWritable(array)))


class _DeclaredWritable:
    """The memory of an array, said to be writable."""

    def __init__(self, array):
        self.array = array  # keeps the memory
        interface = array.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}
