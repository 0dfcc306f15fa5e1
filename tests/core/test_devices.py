import numpy as np
import pytest
import torch

from skvae.core.devices import tensor_of


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
