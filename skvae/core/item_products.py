"""The products with the two item matrices: sums of the encoder's rows, and logits by the decoder's.

Both are taken a chunk of items at a time on a CPU. In training the gradient of an item matrix is
handed on a chunk at a time too, so that no memory, fresh or kept, is needed for it, and an optimizer
reads it from the cache: at 20 000 items x 600 such a gradient takes 48 MB. Where the logits of a batch
would pass `BYTES_OF_LOGITS` they are taken in tiles of items, and again for the gradient.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from .likelihoods import logit_of_unknown, takes_bfloat16
from .pieces import has_part


def accumulate(matrix, items, rows):
    """Add the gradient of a slice of a matrix's rows to ``matrix.grad``."""
    if matrix.grad is None:
        matrix.grad = torch.zeros_like(matrix)
    matrix.grad[items].add_(rows)


class ItemProducts:
    """How the products are taken: in which precision, into which memory, and where gradients go.

    Parameters
    ----------
    take_gradient : callable
        (item matrix, slice of its rows, gradient of these rows) for each chunk of items.
    half_weight : bfloat16 tensor, default=None
        A copy of the decoder's item matrix, to multiply by in its place. It may have more rows and columns, of zeros,
        as `_half` gives it.
    buffer : tensor of shape (n_users, n_items), default=None
        Memory for the logits of a training, in which one batch at most is under way. With fewer columns than items:
        for tiles of so many of them, in float32. With more, as many as the copy has rows: for logits of no item too.
    """

    def __init__(self, take_gradient=accumulate, half_weight=None, buffer=None):
        self.take_gradient, self.half_weight, self.buffer = take_gradient, half_weight, buffer

    @property
    def n_columns(self):
        """Items whose logits the buffer has place for; infinite where there is none."""
        return math.inf if self.buffer is None else self.buffer.shape[1]

    def takes_at_once(self, n_items):
        """Whether an update takes the logits of so many items, which are all of them, at once."""
        return self.n_columns >= n_items

    def of_batch(self, batch, generator):
        """The products that an update takes for its batch."""
        return self

    @classmethod
    def for_inference(cls, decoder, half_precision):
        """Products in float32, or by a copy in bfloat16 of what the decoder's item matrix is now."""
        return cls(half_weight=_half(decoder.item_weight.detach()) if half_precision else None)

    @classmethod
    def for_training(cls, network, half_precision, n_users, take_gradient):
        """With a buffer for batches of up to so many users, in the precision of the product, or for tiles of items."""
        decoder = network.decoder
        products = cls.for_inference(decoder, half_precision)
        factor, bias = products.factor(decoder.item_weight.detach()), decoder.item_bias.detach()
        if n_users * len(factor) * factor.element_size() > BYTES_OF_LOGITS and has_part(network.likelihood, "tile"):
            width = min(len(bias), tile_size(n_users, factor.dtype, factor.device))
            return cls(take_gradient, products.half_weight, bias.new_empty(n_users, width))
        n_columns = len(factor) if _takes_no_item(network.likelihood) else len(bias)
        return cls(take_gradient, products.half_weight, factor.new_empty(n_users, n_columns))

    @torch.no_grad()
    def refresh(self, weight, items=slice(None)):
        """Copy what the decoder's item matrix, or a slice of it, is now, where products are taken by a copy."""
        if self.half_weight is not None:
            self.half_weight[: len(weight), : weight.shape[1]][items].copy_(weight[items])

    def factor(self, weight):
        """The decoder's item matrix in the precision of its products."""
        return weight if self.half_weight is None else self.half_weight

    def sum_of_rows(self, weight, batch):
        """Sum of the weight rows of each user's items, weighted by the values: sparse X times W."""
        if torch.is_grad_enabled():
            return _SumOfRows.apply(weight, batch, self.take_gradient)
        return _sum_of_rows(batch.items, weight, batch.offsets, batch.values)

    def logits(self, hidden, weight, bias, out=None, items=slice(None)):
        """hidden W' + bias; without gradients in float32, of a slice of items and, if given, written into ``out``."""
        if torch.is_grad_enabled():
            return _Logits.apply(hidden, weight, bias, self)
        bias = bias[items]
        out = hidden.new_empty(len(hidden), len(bias)) if out is None else out
        return _write_logits(hidden, self.factor(weight)[items], bias, out)

    def log_prob(self, hidden, weight, bias, likelihood, batch):
        """What the likelihood's log_prob gives of hidden W' + bias, for a gradient."""
        if not self.takes_at_once(len(bias)):
            return _LogProbInTiles.apply(hidden, weight, bias, self, likelihood, batch)
        in_single = self.half_weight is not None and not takes_bfloat16(likelihood)
        if has_part(likelihood, "residuals") and not in_single:
            return _LogProb.apply(hidden, weight, bias, self, likelihood, batch)
        logits = self.logits(hidden, weight, bias)
        return likelihood.log_prob(logits.float() if in_single else logits, batch)

    def tiles(self, hidden, weight, bias):
        """Yield (slice of items, logits) for all items, each in the same memory."""
        width = self.buffer.shape[1]
        for first in range(0, len(bias), width):
            items = slice(first, min(first + width, len(bias)))
            out = self.buffer.flatten()[: len(hidden) * (items.stop - first)].view(len(hidden), -1)
            yield items, _write_logits(hidden, self.factor(weight)[items], bias[items], out)


FLOAT32 = ItemProducts()  # of a network that is not in training, or whose gradients all go to .grad


class _SumOfRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, batch, take_gradient):
        ctx.weight, ctx.batch, ctx.take_gradient = weight, batch, take_gradient
        return _sum_of_rows(batch.items, weight, batch.offsets, batch.values)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, batch = ctx.weight, ctx.batch
        # X' times grad: the same sum with users and items exchanged
        sorted_items, order = torch.sort(batch.items.int(), stable=True)  # in half the time of int64
        users, values = batch.users[order], batch.values[order]
        chunks = _chunks(weight)
        offsets = torch.arange(len(weight) + 1, dtype=torch.int32, device=weight.device)
        offsets = torch.searchsorted(sorted_items, offsets)
        # where the chunks begin and end in it; nothing to ask a GPU for, which takes all items at once
        bounds = [0, *offsets[[items.stop for items in chunks[:-1]]].tolist(), len(users)]
        for items, start, end in zip(chunks, bounds[:-1], bounds[1:], strict=True):
            of_chunk = offsets[items.start : items.stop + 1] - start
            ctx.take_gradient(weight, items, _sum_of_rows(users[start:end], grad, of_chunk, values[start:end]))
        return None, None, None


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, bias, products):
        ctx.hidden, ctx.weight, ctx.bias, ctx.products = hidden, weight, bias, products
        return _logits_of_all(hidden, weight, bias, products)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return *_gradients(grad, grad.new_ones(len(grad), dtype=ctx.hidden.dtype), ctx), None


class _LogProb(torch.autograd.Function):
    """log_prob by the `residuals` of a likelihood, which are multiplied by the scale of their user nowhere."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, products, likelihood, batch):
        ctx.hidden, ctx.weight, ctx.bias, ctx.products = hidden, weight, bias, products
        logits = _logits_of_all(hidden, weight, bias, products, likelihood)
        log_prob, ctx.residuals, ctx.scale = likelihood.residuals(logits, batch)
        return log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return *_gradients(ctx.residuals, grad * ctx.scale, ctx), None, None, None


class _LogProbInTiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, bias, products, likelihood, batch):
        ctx.hidden, ctx.weight, ctx.bias, ctx.products = hidden, weight, bias, products
        ctx.likelihood, ctx.batch, ctx.parts = likelihood, batch, None
        for items, logits in products.tiles(hidden, weight, bias):
            part = likelihood.tile(logits, batch.of_items(items))
            ctx.parts = part if ctx.parts is None else likelihood.joined(ctx.parts, part)
        return likelihood.log_prob_of(ctx.parts)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        gradients, ones = _Gradients(ctx), grad.new_ones(len(grad))
        for items, logits in ctx.products.tiles(ctx.hidden, ctx.weight, ctx.bias):
            part = ctx.likelihood.gradient_of_tile(logits, ctx.batch.of_items(items), ctx.parts, grad)
            gradients.add(part.to(gradients.factor.dtype), ones, items)
        return gradients.hidden, None, gradients.bias, None, None, None


def _logits_of_all(hidden, weight, bias, products, likelihood=None):
    """Logits, in the buffer of the products if they have one; in columns of no item what adds nothing to the loss."""
    buffer = products.buffer
    logits = bias.new_empty(len(hidden), len(bias)) if buffer is None else buffer[: len(hidden)]
    n_columns = logits.shape[1]
    if n_columns > len(bias):
        bias = F.pad(bias, (0, n_columns - len(bias)), value=logit_of_unknown(likelihood, logits.dtype))
    return _write_logits(hidden, products.factor(weight)[:n_columns], bias, logits)


def _gradients(residuals, scale, ctx):
    """The gradients of hidden, weight and bias, given that of the logits of all items."""
    gradients = _Gradients(ctx)
    gradients.add(residuals, scale, slice(0, residuals.shape[1]))
    return gradients.hidden, None, gradients.bias


class _Gradients:
    """Gradients of hidden and bias, added up over slices of items; that of the weights is handed on a chunk at a time.

    Of what is frozen there is none, which takes no product.
    """

    def __init__(self, ctx):
        encoder_trained, decoder_trained, *_ = ctx.needs_input_grad
        self.ctx, self.factor = ctx, ctx.products.factor(ctx.weight)
        self.hidden = torch.zeros_like(ctx.hidden) if encoder_trained else None
        self.bias = torch.empty_like(ctx.bias) if decoder_trained else None

    def add(self, residuals, scale, items):
        """Given that the gradient of the logits of a slice of items is residuals times the scale of each user."""
        ctx, factor, chunks = self.ctx, self.factor, _chunks(self.factor, items)
        (n_items, width), scale = ctx.weight.shape, scale[:, None]
        if self.bias is not None:
            hidden, weights_of_users = _as_factor(ctx.hidden * scale, factor), scale.to(factor.dtype)
            # the memory of one chunk of it, in both precisions where they differ
            product = torch.empty_like(factor[chunks[0]])
            rows = None if factor.dtype == ctx.weight.dtype else ctx.weight.new_empty(len(product), width)
        for chunk in chunks:
            part, n_rows = residuals[:, chunk.start - items.start : chunk.stop - items.start], chunk.stop - chunk.start
            if self.hidden is not None:
                self.hidden.addcmul_((part @ factor[chunk])[:, :width], scale)
            if self.bias is not None:
                own = slice(chunk.start, min(chunk.stop, n_items))  # without rows of no item
                n = own.stop - own.start
                self.bias[own] = (part.T @ weights_of_users)[:n, 0]
                torch.mm(part.T, hidden, out=product[:n_rows])
                of_chunk = product[:n] if rows is None else rows[:n].copy_(product[:n, :width])
                ctx.products.take_gradient(ctx.weight, own, of_chunk)
                ctx.products.refresh(ctx.weight, own)


def _write_logits(hidden, factor, bias, logits):
    """Write hidden W' + bias into logits of shape (n_users, n_items), and return them."""
    hidden, bias = _as_factor(hidden, factor), bias.to(logits.dtype)
    if len(hidden) <= FEW_USERS and factor.device.type == "cpu" and factor.dtype == torch.float32:
        return _write_few_rows(hidden, factor, bias, logits)
    for items in _chunks(factor):
        if logits.dtype == factor.dtype:
            torch.addmm(bias[items], hidden, factor[items].T, out=logits[:, items])
        else:
            n_own = len(bias[items])  # the factor may have rows of no item
            torch.add((hidden @ factor[items].T)[:, :n_own], bias[items], out=logits[:, items])
    return logits


# A GPU multiplies in bfloat16 twice to three times as fast where rows begin at a multiple of 16 bytes: with the 20 108
# items and 600 units of 500 users .10 instead of .23 ms for the three products, of 8192 users .92 instead of 2.98 ms
# (H100). Rows of no item, and columns, make it so.
MULTIPLE_OF_ITEMS, MULTIPLE_OF_WIDTH = 64, 8


def _half(weight):
    """A copy of an item matrix in bfloat16, on a GPU with rows and columns of zeros besides."""
    half = weight.bfloat16()
    if not half.is_cuda:
        return half
    n_items, width = half.shape
    return F.pad(half, (0, -width % MULTIPLE_OF_WIDTH, 0, -n_items % MULTIPLE_OF_ITEMS))


def _as_factor(hidden, factor):
    """A matrix in the precision and with the columns of what it is multiplied by."""
    hidden, n_more = hidden.to(factor.dtype), factor.shape[1] - hidden.shape[1]
    return F.pad(hidden, (0, n_more)) if n_more else hidden


def _takes_no_item(likelihood):
    """Whether its residuals can be given columns of no item, in the precision of the copy."""
    knows = has_part(likelihood, "residuals") and has_part(likelihood, "logit_of_unknown", beside="residuals")
    return knows and takes_bfloat16(likelihood)


# A product of a few rows is no matrix product to a CPU's library: for one user and 20 108 x 600 weights it takes 4 ms,
# and 0.9 ms as 16 products side by side; for 16 users 5.7 and 4.8 ms (two threads, AMD EPYC, float32 alone).
FEW_USERS = N_GROUPS = 16


def _write_few_rows(hidden, weight, bias, logits):
    """Write hidden W' + bias into logits, groups of items side by side."""
    n_items = len(weight) // N_GROUPS
    grouped, rest = slice(0, N_GROUPS * n_items), slice(N_GROUPS * n_items, None)
    groups = weight[grouped].view(N_GROUPS, n_items, weight.shape[1])
    products = torch.bmm(groups, hidden.T.expand(N_GROUPS, -1, -1))  # (N_GROUPS, n_items, n_users)
    torch.add(products.flatten(0, 1).T, bias[grouped], out=logits[:, grouped])
    torch.addmm(bias[rest], hidden, weight[rest].T, out=logits[:, rest])
    return logits


# What the products of a chunk of items read and write stays in the cache of a core: the logits of 500 users and 20 108
# items take 126 ms a chunk at a time and 178 ms at once (600 wide, one thread of an AMD EPYC, float32).
BYTES_PER_COLUMN = 4096  # 1024 items in float32, 2048 in bfloat16, with the matrix unit of a Xeon (amx_bf16) too


# Of a batch in training, held at once: 500 users and 536 870 items in float32.
BYTES_OF_LOGITS = 2**30
BYTES_OF_TILE = 2**24
BYTES_OF_TILE_OF_GPU = 2**28


def _chunks(weight, items=None):
    """Slices of the rows of an item matrix, or of a slice of them; all at once where it is not on a CPU."""
    first, last = (0, len(weight)) if items is None else (items.start, items.stop)
    step = items_per_chunk(weight.dtype) if weight.device.type == "cpu" else last - first
    return [slice(start, min(start + step, last)) for start in range(first, last, step)]


def items_per_chunk(dtype):
    """Whose products a CPU takes at once, in one precision or the other."""
    return BYTES_PER_COLUMN // dtype.itemsize


def tile_size(n_users, dtype, device):
    """Items whose logits are taken at once where not all are: whole chunks of them."""
    n_bytes = BYTES_OF_TILE if device.type == "cpu" else BYTES_OF_TILE_OF_GPU
    chunk = items_per_chunk(dtype)
    return max(1, n_bytes // (4 * n_users * chunk)) * chunk


def _sum_of_rows(indices, rows, offsets, weights):
    """Row r of the result sums rows[indices[offsets[r]:offsets[r + 1]]] times their weights."""
    if rows.is_cuda and rows.dtype == torch.float32:
        return _kernel(rows.device)(indices, rows, offsets, weights)
    return _sum_by_torch(indices, rows, offsets, weights)


def _sum_by_torch(indices, rows, offsets, weights):
    return F.embedding_bag(indices, rows, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True)


@cache
def _kernel(device):
    """The sum of rows on a GPU: that of `skvae.core.gpu_sums` where it can be had."""
    from .gpu_sums import can_sum, sum_of_rows  # Triton, which takes a while

    return sum_of_rows if can_sum(device) else _sum_by_torch
