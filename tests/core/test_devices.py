import os

import numpy as np
import pytest
import torch

from skvae.core import devices
from skvae.core.devices import is_present, memory_of, tensor_of


def refuse(array):
    raise BufferError


@pytest.mark.parametrize("is_refused", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("shape", [(4,), (3, 2), (0,)])
@pytest.mark.parametrize("writeable", [False, True])
def test_tensor_shares_the_memory_of_an_array(monkeypatch, is_refused, dtype, shape, writeable):
    if is_refused:  # as older versions of torch do with read-only arrays
        monkeypatch.setattr(torch, "from_dlpack", refuse)
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    array.setflags(write=writeable)
    tensor = tensor_of(array)
    assert tensor.numpy().dtype == dtype
    assert tensor.shape == shape
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert np.shares_memory(tensor.numpy(), array) == (array.size > 0)


def test_tensor_keeps_a_map_open(monkeypatch, tmp_path):
    monkeypatch.setattr(torch, "from_dlpack", refuse)
    np.save(tmp_path / "array.npy", np.arange(100_000))
    tensor = tensor_of(np.load(tmp_path / "array.npy", mmap_mode="r"))
    assert tensor.sum() == 99_999 * 50_000  # the only name of the map is gone


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_an_array_in_reversed_order_gives_its_values(shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)[::-1]
    assert np.array_equal(tensor_of(array).numpy(), array)  # it ended the process


CPU = torch.device("cpu")
GROUPS = {
    "a container with its own root": ("0::/", {"memory.max": "1000"}),
    "a group": ("0::/jobs/one", {"jobs/one/memory.max": "1000", "jobs/memory.max": "max", "memory.max": "max"}),
    "the group around it": ("0::/jobs/one", {"jobs/one/memory.max": "5000", "jobs/memory.max": "1000"}),
    "a group that cannot be seen": ("0::/docker/1f", {"memory.max": "1000"}),
    "version 1": ("9:cpu:/a\n4:memory,hugetlb:/b", {"memory/b/memory.limit_in_bytes": "1000", "memory.max": "7"}),
    "a name in no encoding": (b"0::/a\xff\x85b\nnonsense\n", {"memory.max": "1000", "no": "-1"}),
    "version 1, root": ("4:memory:/docker/1f", {"memory/memory.limit_in_bytes": "1000"}),
}


@pytest.mark.skipif("SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()), reason="the system does not say")
@pytest.mark.parametrize("kind", GROUPS)
def test_memory_is_what_a_container_may_have(tmp_path, monkeypatch, kind):
    of_machine = memory_of(CPU)
    own, limits = GROUPS[kind]
    for name, text in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "own").write_bytes(own if isinstance(own, bytes) else f"{own}\n".encode())
    monkeypatch.setattr(devices, "CGROUPS", tmp_path)
    monkeypatch.setattr(devices, "OWN_CGROUPS", tmp_path / "own")
    assert memory_of(CPU) == 1000
    for name in limits:
        (tmp_path / name).write_text("9223372036854771712\n")
    assert memory_of(CPU) >= of_machine
    (tmp_path / name).write_text("-1\n")
    assert memory_of(CPU) >= of_machine
    (tmp_path / "own").unlink()
    assert memory_of(CPU) >= of_machine


def test_a_device_without_double_precision_or_values_is_not_present(monkeypatch):
    assert is_present("cpu")
    assert not is_present("meta")
    zeros = torch.zeros

    def of_mps(*size, dtype, device):
        if dtype == torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return zeros(*size, dtype=dtype, device=device)

    monkeypatch.setattr(torch, "zeros", of_mps)
    assert not is_present("mps")
