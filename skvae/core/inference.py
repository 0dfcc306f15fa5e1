"""A trained network asked for codes, logits and likelihoods, a block of users at a time."""

import copy

import torch

from .batches import UserRows
from .devices import tensor_of
from .isolation import isolated
from .pieces import mean_of


class Inference:
    """What a trained network says of users and codes; NumPy and CSR in, NumPy out.

    Parameters
    ----------
    network : module with ``code``, ``decoder``, ``likelihood`` and ``log_likelihood``
    products : ItemProducts
        Those with the decoder's item matrix, in float32 or bfloat16.
    block_size : int
        Users taken at once, which bounds the memory beside the result.
    """

    def __init__(self, network, products, block_size):
        self.network, self.products, self.block_size = network, products, block_size

    @property
    def device(self):
        """Where the network is, torch.device."""
        return self.network.decoder.item_bias.device

    def codes(self, X):
        """float32 array of shape (n_users, n_components)."""
        return self._by_user(X, lambda batch, _: self.network.code(batch), self.network.decoder.n_components)

    def posterior(self, X):
        """Mean and standard deviation of the code, two float32 arrays of shape (n_users, n_components)."""

        def parameters(batch, _):
            mean, log_variance = self.network.posterior(batch)
            return torch.cat([mean, (0.5 * log_variance).exp()], -1)

        width = self.network.decoder.n_components
        both = self._by_user(X, parameters, 2 * width)
        return both[:, :width], both[:, width:]

    def decision_function(self, X):
        """Logits, float32 array of shape (n_users, n_items)."""
        return self._by_user(X, self._logits, X.shape[1])

    def scores(self, X):
        """Logits of one block of users, a float32 tensor of shape (n_users, n_items) of its own on the device."""
        return self.scores_of_items(X)(slice(None))

    @isolated()
    def scores_of_items(self, X):
        """Function from a slice of the items to the `scores` of these alone."""
        decoder, rows = self.network.decoder, UserRows(X, device=self.device)
        batch = rows.batch(rows.users, len(rows.items))
        with torch.no_grad():  # in inference mode they could not be written to outside it
            hidden = decoder.hidden(self.network.code(batch))

        @isolated()
        def scores(items):
            with torch.no_grad():
                return self.products.logits(hidden, decoder.item_weight, decoder.item_bias, items=items)

        return scores

    def block_scorer(self):
        """What `skvae.recommend` ranks by: itself, with ``scores``, ``scores_of_items`` and ``device``."""
        return self

    @isolated()
    def log_likelihood(self, X, noise):
        """float64 array of shape (n_users,); ``noise`` has shape (n_draws, n_components).

        Added items that were not trained yet are left out: the model says nothing of them.
        """
        # in double: sums over all items, which rounding must not make depend on who else is in the block
        network = copy.deepcopy(self.network).double()
        trained = network.decoder.item_bias.isfinite()
        if not trained.all():
            X = X[:, trained.cpu().numpy()]
            for part, name in (
                (network.encoder, "item_weight"),
                (network.decoder, "item_weight"),
                (network.decoder, "item_bias"),
            ):
                setattr(part, name, torch.nn.Parameter(getattr(part, name)[trained], requires_grad=False))
        noise = torch.from_numpy(noise).to(self.device, torch.float64)
        return self._by_user(
            X, lambda batch, _: network.log_likelihood(batch, noise)[:, None], 1, torch.float64
        ).ravel()

    @isolated()
    def item_means(self, codes):
        """The likelihood's mean of every item, float32 array of shape (n_users, n_items)."""
        decoder, likelihood = self.network.decoder, self.network.likelihood
        means = torch.empty(len(codes), len(decoder.item_bias), dtype=torch.float32)
        with torch.inference_mode():
            for first in range(0, len(codes), self.block_size):
                block = tensor_of(codes[first : first + self.block_size]).to(self.device)
                means[first : first + self.block_size] = mean_of(decoder(block, self.products), likelihood)
        means[:, ~decoder.item_bias.isfinite().cpu()] = 0  # of added items nothing is expected yet
        return means.numpy()

    def _logits(self, batch, out=None):
        return self.network.decoder(self.network.code(batch), self.products, out)

    @isolated()
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
