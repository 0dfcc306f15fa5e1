"""Likelihoods of a user's interactions given the decoder's output (Liang et al., 2018, section 2.1).

A likelihood has ``log_prob(logits, batch)``, one value per user, and ``mean(logits)``; it may have
``intercept(rows)``, the logits that a training begins with. One that ``takes_item_weights`` can be
given some of the items, which stand for all of them by ``batch.item_weights``. One that ``takes_unknown``
leaves an item of value 0 in the batch out, as neither had nor not had; the built-in ones do so by its
``logit_of_unknown``. One with ``tile`` can be given all of them a tile at a time (see `Multinomial`). The
built-in ones never build a dense target: what a user has not interacted with enters through the logits
alone. With ``residuals`` they write the gradient into the logits, but for a factor of each user that the
products with the item matrix take care of.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from .pieces import Shown, has_part

USERS_PER_BLOCK = 4096  # whose interactions are counted at once


class _LogProb(torch.autograd.Function):
    """log_prob of a likelihood that has `residuals`. Overwrites the logits."""

    @staticmethod
    def forward(ctx, logits, batch, likelihood):
        log_prob, ctx.residuals, ctx.scale = likelihood.residuals(logits, batch)
        return log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        scale = (grad * ctx.scale).to(ctx.residuals.dtype)
        return ctx.residuals.mul_(scale[:, None]), None, None


def logit_of_unknown(likelihood, dtype):
    """The logit of an item that adds nothing to log_prob, nor to its gradient; finite in its dtype."""
    return max(likelihood.logit_of_unknown, torch.finfo(dtype).min)


def _leave_unknown_out(likelihood, logits, batch):
    """Let what has the value 0 in the batch add nothing to log_prob, nor to its gradient."""
    known = batch.values > 0  # which no GPU is waited for
    logit = logit_of_unknown(likelihood, logits.dtype)
    logits[batch.users, batch.items] = logits[batch.users, batch.items].where(known, logit)


def _at_least_single(tensor):
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _sum_of_items(terms, batch):
    """Sum over thousands of items, in more than the 8 bits of bfloat16."""
    if batch.item_weights is None:
        return terms.sum(-1, dtype=torch.promote_types(terms.dtype, torch.float32))
    return _at_least_single(terms) @ batch.item_weights


def _weighted(buffer, batch):
    """Multiply the column of each item by what it stands for, in place."""
    return buffer if batch.item_weights is None else buffer.mul_(batch.item_weights)


def _with(buffer, batch, values):
    """With other values at the items of each user, of whom each pair is there once."""
    buffer[batch.users, batch.items] = values.to(buffer.dtype)
    return buffer


def _item_sums(rows):
    """Interactions of each item, and the sum of their values; double tensors of shape (n_items,), on the CPU."""
    counts, totals = torch.zeros(2, rows.n_items, dtype=torch.float64)
    for users in rows.non_empty().split(USERS_PER_BLOCK):
        batch = rows.batch(users)
        items, values = batch.items.cpu(), batch.values.cpu().double()
        counts.index_add_(0, items, torch.ones_like(values))
        totals.index_add_(0, items, values)
    return counts, totals


class _ByResiduals(Shown):
    """A likelihood whose log_prob and the gradient of that are those of its `residuals`.

    ``residuals(logits, batch)`` returns log_prob, of shape (n_users,), the logits overwritten by residuals, and a
    factor of each user, of shape (n_users,): the gradient of log_prob is their product.
    """

    residuals: Callable

    def log_prob(self, logits, batch):
        """Logarithm of the likelihood, shape (n_users,); constants in x are dropped. Overwrites the logits."""
        return _LogProb.apply(logits, batch, self)


class _SumOverItems(_ByResiduals):
    """A likelihood whose log_prob of all items is the sum of those of tiles of them."""

    def tile(self, logits, batch):
        """log_prob of some of the items, a tuple of one tensor."""
        return (self.log_prob(logits, batch),)

    def joined(self, one, other):
        """What `tile` would give of two tiles together."""
        return (one[0] + other[0],)

    def log_prob_of(self, tiles):
        """log_prob, of what `tile` gave of all items."""
        return tiles[0]

    def gradient_of_tile(self, logits, batch, tiles, grad):
        """Gradient of log_prob times ``grad`` in the logits of a tile, which it may overwrite."""
        _, residuals, scale = self.residuals(logits, batch)
        return residuals.mul_((grad * scale)[:, None])


class Multinomial(_ByResiduals):
    """x_u ~ Multinomial(N_u, softmax(f_u)); values are counts, a 5 weighs five 1s."""

    takes_bfloat16 = takes_item_weights = takes_unknown = True
    logit_of_unknown = -math.inf

    def residuals(self, logits, batch):
        """sum_i x_ui log softmax(f_u)_i; gradient: x_ui - N_u softmax(f_u)_i."""
        if batch.item_weights is not None:
            logits += batch.item_weights.log()
        _leave_unknown_out(self, logits, batch)
        probabilities = torch.softmax(logits, -1, out=logits)
        positives = _at_least_single(probabilities[batch.users, batch.items])
        # one that underflows counts as the least one: in float32 of a logit 87 below
        log_probabilities = positives.clamp_min(torch.finfo(positives.dtype).tiny).log()
        totals = batch.sum_per_user(batch.values)
        some = totals.clamp_min(torch.finfo(totals.dtype).tiny)  # 0 of unknown alone
        shares = batch.values / some[batch.users]
        log_prob = batch.sum_per_user(batch.values * log_probabilities)
        return log_prob, _with(probabilities, batch, positives - shares), -totals

    def mean(self, logits):
        """Item probabilities, rows summing to 1, shape (n_users, n_items)."""
        return torch.softmax(logits, -1)

    def tile(self, logits, batch):
        """Sums over some items: of x_ui f_ui, of x_ui, log of that of exp f_ui."""
        _leave_unknown_out(self, logits, batch)
        observed = batch.sum_per_user(batch.values * logits[batch.users, batch.items])
        return observed, batch.sum_per_user(batch.values), logits.logsumexp(-1)

    def joined(self, one, other):
        """What `tile` would give of two tiles together."""
        return one[0] + other[0], one[1] + other[1], torch.logaddexp(one[2], other[2])

    def log_prob_of(self, tiles):
        """log_prob, of what `tile` gave of all items."""
        observed, totals, log_normalizer = tiles
        return observed - totals * log_normalizer

    def gradient_of_tile(self, logits, batch, tiles, grad):
        """Gradient of log_prob times ``grad`` in the logits of a tile, overwritten."""
        _, totals, log_normalizer = tiles
        _leave_unknown_out(self, logits, batch)
        buffer = logits.sub_(log_normalizer[:, None]).exp_()
        buffer.mul_(-(grad * totals)[:, None])
        positives = buffer[batch.users, batch.items]
        return _with(buffer, batch, positives + grad[batch.users] * batch.values)

    def intercept(self, rows):
        """Most likely logits that all users share, with one count more per item."""
        counts, totals = _item_sums(rows)
        smoothed = totals + totals.sum() / counts.sum()
        return (smoothed / smoothed.mean()).log()


class Logistic(_SumOverItems):
    """1[x_ui > 0] ~ Bernoulli(sigmoid(f_ui)), independently."""

    takes_bfloat16 = takes_item_weights = takes_unknown = True
    logit_of_unknown = -math.inf

    def residuals(self, logits, batch):
        """sum_i t_ui f_ui - softplus(f_ui), t = 1[x > 0]; its gradient is -(s(f_ui) - t_ui)."""
        _leave_unknown_out(self, logits, batch)
        had, positives = batch.values > 0, _at_least_single(logits[batch.users, batch.items])
        log_prob = batch.sum_per_user(positives.where(had, 0)) - _sum_of_items(F.softplus(logits), batch)
        residuals = _with(_weighted(logits.sigmoid_(), batch), batch, positives.sigmoid() - had.to(positives.dtype))
        return log_prob, residuals, -torch.ones_like(log_prob)

    def mean(self, logits):
        """Probability of each interaction, shape (n_users, n_items)."""
        return torch.sigmoid(logits)

    def intercept(self, rows):
        """Most likely logits where all users get the same, each item had and not had once more, shape (n_items,)."""
        counts, _ = _item_sums(rows)
        return torch.logit((counts + 1) / (rows.n_non_empty + 2))


class Gaussian(_SumOverItems):
    """x_ui ~ Normal(f_ui, 1 / c_ui), the weight c_ui = alpha where x_ui > 0 and 1 elsewhere.

    alpha = 10 follows the weighted matrix factorisation that the paper compares with (Hu, Koren,
    Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, equation 3).
    """

    takes_bfloat16 = takes_item_weights = takes_unknown = True
    logit_of_unknown = 0.0

    def __init__(self, alpha=10.0):
        self.alpha = alpha

    def residuals(self, logits, batch):
        """-sum_i c_ui / 2 (x_ui - f_ui)^2; its gradient is -f_ui where x_ui = 0, and alpha (x_ui - f_ui) elsewhere."""
        _leave_unknown_out(self, logits, batch)
        positives = _at_least_single(logits[batch.users, batch.items])
        differences = batch.values - positives
        observed = batch.sum_per_user(self.alpha * differences.square() - positives.square())
        log_prob = -0.5 * (observed + _sum_of_items(logits.square(), batch))
        residuals = _with(_weighted(logits, batch), batch, -self.alpha * differences)
        return log_prob, residuals, -torch.ones_like(log_prob)

    def mean(self, logits):
        """The decoder's output itself, shape (n_users, n_items)."""
        return logits

    def intercept(self, rows):
        """Most likely output where all users get the same, shape (n_items,)."""
        counts, totals = _item_sums(rows)
        return self.alpha * totals / (rows.n_non_empty + (self.alpha - 1) * counts)


LIKELIHOODS: dict[str, Any] = {"multinomial": Multinomial, "logistic": Logistic, "gaussian": Gaussian}


def takes_bfloat16(likelihood):
    """Whether a likelihood says that it can be given logits in bfloat16."""
    return _says(likelihood, "takes_bfloat16")


def takes_item_weights(likelihood):
    """Whether a likelihood, or the class of one, says that some of the items may stand for all by their weights."""
    return _says(likelihood, "takes_item_weights")


def takes_unknown(likelihood):
    """Whether a likelihood says that it leaves items out that are in the batch with the value 0."""
    return _says(likelihood, "takes_unknown")


def _says(likelihood, name):
    of_its_own = all(has_part(likelihood, name, beside=method) for method in ("log_prob", "residuals"))
    return of_its_own and getattr(likelihood, name)
