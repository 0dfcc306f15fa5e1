"""core.gram: the sum of many users is exact, in whatever type it is asked for."""

import numpy as np
import pytest
import scipy.sparse as sp

from skvae.core.gram import Gram


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [0.0, 0.3])
def test_many_users_add_up_exactly(dtype, exponent):
    n_users, n_items = 60_000, 3
    value = np.float32(0.1)
    gram = Gram(sp.csr_array(np.full((n_users, n_items), value)), exponent).dense(dtype)
    np.testing.assert_allclose(gram, n_users * n_items**-exponent * float(value) ** 2, rtol=3e-7)
    assert gram.dtype == dtype
