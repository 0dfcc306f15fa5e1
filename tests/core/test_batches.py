"""Sparse batches against dense matrices."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from skvae.core.batches import UserRows


@pytest.fixture
def rows():
    dense = np.random.default_rng(0).random((40, 15)) * (np.random.default_rng(1).random((40, 15)) < 0.3)
    dense[7] = 0
    return UserRows(sp.csr_array(dense.astype(np.float32))), dense.astype(np.float32)


def test_a_batch_holds_the_rows_asked_for_in_that_order(rows):
    rows, dense = rows
    users = torch.tensor([3, 7, 39, 0, 3])
    assert np.array_equal(rows.batch(users).to_dense(), dense[users])
    assert np.array_equal(rows.batch(users[:0]).to_dense(), dense[:0])


def test_normalized_rows_have_length_one_and_empty_rows_stay_empty(rows):
    rows, dense = rows
    normalized = rows.batch(torch.arange(40)).normalized().to_dense().numpy()
    lengths = np.linalg.norm(normalized, axis=1)
    np.testing.assert_allclose(np.delete(lengths, 7), 1, rtol=1e-6)
    assert lengths[7] == 0
    np.testing.assert_allclose(normalized * np.linalg.norm(dense, axis=1)[:, None], dense, rtol=1e-5)


def test_parts_of_a_batch_have_its_users_and_their_random_numbers(rows):
    rows, _ = rows
    batch = rows.batch(torch.arange(40))
    codes = torch.zeros(40, 5)
    dropped = batch.dropped_out(0.5, torch.Generator().manual_seed(0)).to_dense()
    noise = batch.noise_like(codes, torch.Generator().manual_seed(0))
    for users in (slice(0, 13), slice(13, 14), slice(14, 40)):
        part = batch.part(users)
        assert part.n_users == users.stop - users.start
        assert torch.equal(part.dropped_out(0.5, torch.Generator().manual_seed(0)).to_dense(), dropped[users])
        assert torch.equal(part.noise_like(codes[users], torch.Generator().manual_seed(0)), noise[users])


def test_dropout_keeps_the_mean_and_zeroes_the_stated_share():
    rows = UserRows(sp.csr_array(np.ones((200, 500), np.float32)))
    batch = rows.batch(torch.arange(200))
    dropped = batch.dropped_out(0.3, torch.Generator().manual_seed(0)).values
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert batch.dropped_out(0, None) is batch


def test_an_epoch_visits_every_non_empty_user_once_and_keeps_the_last_partial_batch(rows):
    rows, dense = rows
    generator = torch.Generator().manual_seed(0)
    first, second = ([b.to_dense().numpy() for b in _batches(rows, 16, generator)] for _ in range(2))
    assert [len(b) for b in first] == [16, 16, 7]
    visited = np.concatenate(first)
    assert np.array_equal(np.unique(visited, axis=0), np.unique(np.delete(dense, 7, axis=0), axis=0))
    assert not np.array_equal(visited, np.concatenate(second))


def test_the_buffers_of_the_matrix_are_wrapped_not_copied(rows):
    X = sp.csr_array(rows[1])
    assert UserRows(X).values.data_ptr() == X.data.ctypes.data
    assert UserRows(X).items.data_ptr() == X.indices.ctypes.data


@pytest.mark.parametrize("users", [[0, 3, 7, 8, 20, 39], []], ids=["some", "none"])
def test_some_users_of_a_matrix_are_those_of_a_matrix_of_their_rows(rows, users):
    users, X = np.array(users, np.int64), sp.csr_array(rows[1])
    some, alone = UserRows(X, users=users), UserRows(X[users])
    assert (some.n_users, some.n_interactions) == (alone.n_users, alone.n_interactions)
    assert np.array_equal(some.non_empty(), users[alone.non_empty()])
    for batches in (
        lambda rows: _batches(rows, 4, torch.Generator().manual_seed(0)),
        lambda rows: (batch for *_, batch in rows.blocks(4)),
    ):
        for one, other in zip(batches(some), batches(alone), strict=True):
            assert np.array_equal(one.to_dense(), other.to_dense())
    assert some.values.data_ptr() == X.data.ctypes.data


def _batches(rows, batch_size, generator):
    return [rows.batch(users, n) for users, n in rows.shuffled(batch_size, generator)]


def test_a_padded_batch_is_that_of_its_users_and_others_with_the_first_items(rows):
    rows, dense = rows
    users = torch.tensor([3, 7, 0, 39])
    n_interactions = int((dense[users] != 0).sum())
    for n_more in (0, 5, 30):
        padded = rows.padded_batch(users, n_interactions + n_more)
        full = padded.to_dense().numpy()
        own, others = full[:4], full[4:]
        assert np.array_equal(own, dense[users])
        assert others.sum() == n_more
        assert np.array_equal(others, np.sort(others, axis=1)[:, ::-1])
        assert len(padded.items) == n_interactions + n_more
        assert float(padded.mean_of_users(torch.tensor([1.0, 2, 3, 6, *[1000] * len(others)]))) == 3


def test_a_batch_can_be_padded_to_more_than_there_are_items(rows):
    rows, dense = rows
    n_more = 12 * dense.shape[1] + 30
    n_interactions = int((dense[3] != 0).sum())
    padded = rows.padded_batch(torch.tensor([3]), n_interactions + n_more)
    assert len(padded.items) == n_interactions + n_more
    assert int(padded.items.max()) == dense.shape[1] - 1
    assert np.array_equal(padded.to_dense()[0], dense[3])
