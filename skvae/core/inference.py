"""A trained objective asked for codes, logits and likelihoods, a block of users at a time."""

import copy

import torch

from .batches import UserRows


class Inference:
    """What a trained objective says of users and codes; NumPy and CSR in, NumPy out.

    Parameters
    ----------
    objective : module with ``code``, ``decoder``, ``likelihood`` and ``log_likelihood``
    block_size : int
        Users taken at once, which bounds the memory beside the result.
    half_precision : bool
        The products with the decoder's item matrix in bfloat16, of a copy made here.
    """

    def __init__(self, objective, block_size, half_precision=False):
        self.objective, self.block_size = objective, block_size
        if half_precision:
            objective.decoder.use_half_precision()

    @property
    def device(self):
        return self.objective.decoder.item_bias.device

    def codes(self, X):
        """float32 array of shape (n_users, n_components)."""
        return self._by_user(X, lambda batch, _: self.objective.code(batch), self.objective.decoder.n_components)

    def posterior(self, X):
        """Mean and standard deviation of the code, two float32 arrays of shape (n_users, n_components)."""
        width = self.objective.decoder.n_components
        both = self._by_user(X, lambda batch, _: self.objective.posterior_parameters(batch), 2 * width)
        return both[:, :width], both[:, width:]

    def decision_function(self, X):
        """Logits, float32 array of shape (n_users, n_items)."""
        return self._by_user(X, lambda batch, out: self.objective.decoder(self.objective.code(batch), out), X.shape[1])

    def scores(self, X):
        """Logits of one block of users, a float32 tensor of shape (n_users, n_items) of its own on the device."""
        rows = UserRows(X, device=self.device)
        batch = rows.batch(torch.arange(rows.n_users, device=self.device), len(rows.items))
        with torch.no_grad():  # in inference mode they could not be written to outside it
            return self.objective.decoder(self.objective.code(batch))

    def _scorer_on_device(self):
        return self.scores, self.device

    def log_likelihood(self, X, noise):
        """float64 array of shape (n_users,); ``noise`` has shape (n_draws, n_components)."""
        # in double: sums over all items, which rounding must not make depend on who else is in the block
        objective = copy.deepcopy(self.objective).double()
        objective.decoder.half_weight = None
        noise = torch.from_numpy(noise).to(self.device, torch.float64)
        return self._by_user(
            X, lambda batch, _: objective.log_likelihood(batch, noise)[:, None], 1, torch.float64
        ).ravel()

    def item_means(self, codes):
        """The likelihood's mean of every item, float32 array of shape (n_users, n_items)."""
        decoder, likelihood = self.objective.decoder, self.objective.likelihood
        means = torch.empty(len(codes), len(decoder.item_bias))
        with torch.inference_mode():
            for first in range(0, len(codes), self.block_size):
                block = torch.from_dlpack(codes[first : first + self.block_size]).to(self.device)
                means[first : first + self.block_size] = likelihood.mean(decoder(block))
        return means.numpy()

    def _by_user(self, X, function, width, dtype=torch.float32):
        """What function(batch, out) gives for each block of users; it may write into ``out`` and return that."""
        rows = UserRows(X, dtype, device=self.device)
        result = torch.empty(X.shape[0], width, dtype=dtype)
        with torch.inference_mode():
            for first, last, batch in rows.blocks(self.block_size):
                out = result[first:last]
                values = function(batch, out if self.device == out.device else None)
                if values is not out:
                    out.copy_(values)
        return result.numpy()
