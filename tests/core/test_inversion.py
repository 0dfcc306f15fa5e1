"""The inverse by halves, beside NumPy's in double precision."""

import numpy as np
import pytest
import torch

from skvae.core import inversion
from skvae.core.inversion import invert


def _matrix(n, dtype):
    random = np.random.default_rng(n)
    factor = random.standard_normal((n, n)) / n**0.5
    return torch.from_numpy(factor @ factor.T + np.eye(n)).to(dtype)


@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 101])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize(("at_once", "per_product"), [(1, 1), (5, 3), (16, 64), (1000, 1000)])
@pytest.mark.parametrize("by_torch", [0, 1000])
def test_the_inverse_is_that_of_numpy_whole_and_symmetric(
    n, dtype, tolerance, at_once, per_product, by_torch, monkeypatch
):
    monkeypatch.setattr(inversion, "ROWS_OF_TORCH", by_torch)
    monkeypatch.setattr(inversion, "ROWS_OF_LAPACK", at_once)
    monkeypatch.setattr(inversion, "ROWS_PER_PRODUCT", per_product)
    matrix = _matrix(n, dtype)
    expected = np.linalg.inv(matrix.double().numpy())
    matrix[np.triu_indices(n, 1)] = torch.nan  # only the lower triangle is read
    assert invert(matrix)
    np.testing.assert_allclose(matrix, expected, atol=tolerance)
    assert torch.equal(matrix, matrix.T)


@pytest.mark.parametrize("at_once", [2, 1000])
@pytest.mark.parametrize("where", [0, 13, 29])
@pytest.mark.parametrize("by_torch", [0, 1000])
def test_a_matrix_that_is_not_positive_definite_has_none(at_once, where, by_torch, monkeypatch):
    monkeypatch.setattr(inversion, "ROWS_OF_TORCH", by_torch)
    monkeypatch.setattr(inversion, "ROWS_OF_LAPACK", at_once)
    matrix = _matrix(30, torch.float64)
    matrix[where, where] = -1.0
    assert not invert(matrix)


def test_it_is_made_in_the_memory_of_the_matrix(monkeypatch):
    monkeypatch.setattr(inversion, "ROWS_OF_LAPACK", 7)
    matrix = _matrix(40, torch.float32)
    address, before = matrix.data_ptr(), matrix.clone()
    assert invert(matrix)
    assert matrix.data_ptr() == address
    np.testing.assert_allclose(before @ matrix, np.eye(40), atol=1e-5)
