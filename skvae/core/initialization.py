"""The weights that a training begins with. Another beginning is one more function of (network, rows, generator)."""

from dataclasses import replace
from itertools import chain

import torch
from torch import nn

from .item_products import FLOAT32

# Each vector is chosen freely in a space of n_items dimensions: what fewer users than that say of it is noise.
USERS_PER_VECTOR = 20
N_ITERATIONS, N_EXTRA_VECTORS = 3, 10
# Of near_ease: the published L2 of EASE^R, in users of an item; vectors for each component, as far as they fit
L2, VECTORS_PER_COMPONENT, MOST_NUMBERS = 200.0, 2, 2**24
USERS_OF_DOUBT = 5  # what so many users of an added item say counts half
USERS_PER_BLOCK, ITEMS_PER_USER_OF_BLOCK = 2048, 16  # a block takes a pass over all items, which users have to be worth


@torch.no_grad()
def xavier(network, rows, generator):
    """Xavier uniform weights and truncated normal biases of std 0.001 (the authors' notebook)."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()  # to change nothing but the scale
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter, generator=generator)
            else:
                nn.init.trunc_normal_(parameter, std=0.001, a=-0.002, b=0.002, generator=generator)


def by_own(initialize):
    """A beginning of somebody's own, by which nothing may be left unset.

    Parameters
    ----------
    initialize : callable
        Of (network, rows, generator).

    Returns
    -------
    callable
    """

    def checked(network, rows, generator):
        before = _layout(network)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(torch.nan)
        initialize(network, rows, generator)
        if _layout(network) != before:
            raise ValueError(
                f"initialization must leave the network its parameters, {', '.join(before)}, and no others, each with "
                "its shape and dtype: write into them."
            )
        for name, parameter in network.named_parameters():
            if not all(end.isfinite() for end in parameter.detach().aminmax()):
                raise ValueError(
                    f"initialization left {name} unset, or not finite: begin with "
                    "skvae.core.initialization.xavier(network, rows, generator), and change what you want."
                )

    return checked


def _layout(network):
    return {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}


@torch.no_grad()
def near_svd(network, rows, generator):
    r"""Xavier's weights, from which the network is moved near the best linear autoencoder of its users.

    .. math:: f(x) \approx b + c\, V V' x / \|x\|

    with V the first right singular vectors of the L2-normalised rows, as many as the code has
    components, c the square root of the mean number of a user's interactions, which raises the
    logits of what a user has by about 1, and b the logits that are most likely where everyone gets
    the same, such as the logarithm of an item's popularity. Of c the encoder has sqrt(2 c), the
    decoder sqrt(c / 2). The first units of each layer between the item matrices pass on what the
    same units before them say; all else stays as it is.

    Parameters
    ----------
    network : module with ``encoder``, ``decoder`` and ``likelihood``
        On the CPU.
    rows : UserRows
    generator : torch.Generator
        On the CPU.
    """
    xavier(network, rows, generator)
    n_vectors = vectors_near_svd(width_of(network), rows.n_non_empty, rows.n_items)
    vectors, _ = singular_vectors(rows, n_vectors, generator)
    _begin_with(network, rows, vectors, vectors)


@torch.no_grad()
def near_ease(network, rows, generator):
    r"""Xavier's weights, from which the network is moved near weights between items that do not see the item itself.

    .. math:: f(x) \approx b + c\, R L' x / \|x\|

    as `near_svd`, with L R' the best approximation of its rank to EASE^R (Steck, WWW 2019) of the
    L2-normalised rows. Its weights are M_ij / (1 - M_jj), 0 on the diagonal, with M = V g(S) V' of the
    singular vectors V and values S, g(s) = s^2 / (s^2 + l2): of them two for each component are
    taken, as far as these fit into 64 MB. An SVD spends most of its components on handing each item
    its own score, which ranking has no use for, as it leaves out what a user has.

    Parameters
    ----------
    network : module with ``encoder``, ``decoder`` and ``likelihood``
        On the CPU.
    rows : UserRows
    generator : torch.Generator
        On the CPU.
    """
    xavier(network, rows, generator)
    n_users, width = rows.n_non_empty, width_of(network)
    vectors, squares = singular_vectors(rows, vectors_near_ease(width, n_users, rows.n_items), generator)
    squares = squares * rows.n_interactions / n_users  # of rows as long as the mean one
    _begin_with(network, rows, *item_factors(vectors, squares / (squares + L2), width, generator))


def width_of(network):
    """Units that all layers have."""
    widths = network.encoder.item_weight.shape[1], network.decoder.item_weight.shape[1]
    return min(network.decoder.n_components, *widths)


def vectors_near_svd(width, n_users, n_items):
    """How many vectors `near_svd` takes."""
    return min(width, n_users // USERS_PER_VECTOR, n_items)


def vectors_near_ease(width, n_users, n_items):
    """How many vectors `near_ease` takes."""
    return min(max(width, min(VECTORS_PER_COMPONENT * width, MOST_NUMBERS // n_items)), n_users, n_items)


def _begin_with(network, rows, left, right):
    """Move a network near ``b + c right left' x / |x|``."""
    encoder, decoder, n_vectors = network.encoder, network.decoder, left.shape[1]
    logit_scale = (rows.n_interactions / rows.n_non_empty) ** 0.5
    encoder.item_weight[:, :n_vectors] = (2 * logit_scale) ** 0.5 * left
    decoder.item_weight[:, :n_vectors] = (logit_scale / 2) ** 0.5 * right
    for layer in chain(encoder.layers, decoder.layers):
        units = range(min(*layer.weight.shape, decoder.n_components))
        layer.weight[units, units] += 1
    if hasattr(network.likelihood, "intercept"):
        decoder.item_bias.copy_(network.likelihood.intercept(rows))


@torch.no_grad()
def begin_items(network, rows, added):
    r"""Give items that a trained network has no weights of those that their users speak for.

    The bias of an added item is as far above `intercept` of the likelihood as the biases of the others are in the
    median, so that it is recommended as often as its number of users makes likely; without an intercept, the lowest of
    the others. With m_u the mean of the vectors that a matrix has of the other items of user u,

    .. math:: v_i = \frac{1}{n_i} \sum_{u \text{ has } i} m_u, \quad
        w_i = \frac{n_i}{n_i + 5} \, \ell \, \frac{v_i - \bar m}{\|v_i - \bar m\|}

    are the vectors of its n_i users in the encoder and in the decoder, m of the decoder's matrix there, with the mean
    over all users and the median length of the others' vectors. An item that no user has keeps vectors of 0.

    Parameters
    ----------
    network : module with ``encoder``, ``decoder`` and ``likelihood``
    rows : UserRows
    added : bool tensor of shape (n_items,)
        Some, not all.
    """
    bias, known = network.decoder.item_bias, ~added
    if hasattr(network.likelihood, "intercept"):
        intercept = network.likelihood.intercept(rows).to(bias)
        bias[added] = intercept[added] + (bias - intercept)[known].median()
    else:
        bias[added] = bias[known].min()
    vectors, _, _ = _means_over_users(network.encoder.item_weight, rows, added)
    network.encoder.item_weight[added] = vectors
    matrix = network.decoder.item_weight
    vectors, n_users, mean = _means_over_users(matrix, rows, added)
    lengths = matrix[known].norm(dim=1).median() * n_users / (n_users + USERS_OF_DOUBT)
    matrix[added] = lengths[:, None] * torch.nn.functional.normalize(vectors - mean).where(n_users[:, None] > 0, 0)


def _means_over_users(matrix, rows, added):
    """The mean of m_u over the users of each added item, how many they are, and the mean of m_u over all users."""
    own_device, device = matrix.device, rows.offsets.device
    matrix, added = matrix.to(device), added.to(device)
    places = added.cumsum(0) - 1
    sums, n_users = matrix.new_zeros(int(added.sum()), matrix.shape[1]), matrix.new_zeros(int(added.sum()))
    total, n_total = matrix.new_zeros(matrix.shape[1]), 0
    for users in rows.non_empty().split(users_per_pass(rows.n_items)):
        batch = rows.batch(users)
        known = (~added[batch.items]).to(batch.values.dtype)
        n_known = batch.sum_per_user(known)
        means = FLOAT32.sum_of_rows(matrix, replace(batch, values=known / n_known.clamp_min(1)[batch.users]))
        new = (known == 0) & (n_known > 0)[batch.users]  # interactions of users who speak for what they have
        items = places[batch.items[new]]
        sums.index_add_(0, items, means[batch.users[new]])
        n_users.index_add_(0, items, torch.ones_like(items, dtype=n_users.dtype))
        total, n_total = total + means.sum(0), n_total + int((n_known > 0).sum())
    means = sums / n_users.clamp_min(1)[:, None], n_users, total / max(1, n_total)
    return [tensor.to(own_device) for tensor in means]


def item_factors(vectors, gains, n_factors, generator):
    """Factors of the weights M_ij / (1 - M_jj), i != j, with M = V diag(gains) V', as an SVD of low rank gives them.

    Parameters
    ----------
    vectors : tensor of shape (n_items, n_vectors)
        V, orthonormal.
    gains : tensor of shape (n_vectors,)
        Between 0 and 1.
    n_factors : int
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    left, right : tensor of shape (n_items, at most n_factors)
        ``left @ right.T`` has the weights from the items of its rows.
    """
    own = vectors.square() @ gains
    scale = 1 / (1 - own).clamp_min(torch.finfo(own.dtype).eps)

    def weighted(columns):
        columns = scale[:, None] * columns
        return vectors @ (gains[:, None] * (vectors.T @ columns)) - own[:, None] * columns

    def transposed(columns):
        return scale[:, None] * (vectors @ (gains[:, None] * (vectors.T @ columns)) - own[:, None] * columns)

    basis = _random_basis(vectors, n_factors, generator)
    for _ in range(N_ITERATIONS):
        basis, _ = torch.linalg.qr(transposed(weighted(basis)))
    columns, triangle = torch.linalg.qr(weighted(basis))
    left, values, right = torch.linalg.svd(triangle)
    roots, left, right = values[:n_factors].sqrt(), columns @ left[:, :n_factors], basis @ right[:n_factors].T
    signs = _signs(left)
    return signs * roots * left, signs * roots * right


def singular_vectors(rows, n_vectors, generator):
    """First right singular vectors of the L2-normalised rows, of shape (n_items, n_vectors), and squared values.

    By the randomized subspace iteration of Halko, Martinsson and Tropp ("Finding structure with
    randomness", SIAM Review, 2011), in the memory of a few such matrices, however many the users.
    The largest entry of each is positive.
    """
    basis = _random_basis(rows.values.new_empty(rows.n_items, 0), n_vectors, generator)
    for _ in range(N_ITERATIONS):
        basis, _ = torch.linalg.qr(_gram_product(rows, basis))
    squares, rotation = torch.linalg.eigh(basis.T @ _gram_product(rows, basis))
    vectors = basis @ rotation.flip(1)[:, :n_vectors]  # eigenvalues ascend
    return vectors * _signs(vectors), squares.flip(0)[:n_vectors].clamp_min(0)


def _random_basis(like, n_columns, generator):
    """Normal draws of so many columns and a few more, with the rows, device and dtype of another matrix."""
    width = min(n_columns + N_EXTRA_VECTORS, len(like))
    draws = torch.randn(len(like), width, generator=generator, dtype=like.dtype, device=generator.device)
    return draws.to(like.device)


def _signs(vectors):
    """The sign of the largest entry of each column."""
    return vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()


def users_per_pass(n_items):
    """Users whose codes are held at once."""
    return max(USERS_PER_BLOCK, n_items // ITEMS_PER_USER_OF_BLOCK)


def _gram_product(rows, matrix):
    """X'X times a matrix M, of the L2-normalised rows X: the gradient of half the squared length of the codes X M."""
    matrix = matrix.detach().requires_grad_()
    with torch.enable_grad():
        for users in rows.non_empty().split(users_per_pass(rows.n_items)):
            codes = FLOAT32.sum_of_rows(matrix, rows.batch(users).normalized())
            codes.backward(codes.detach())
            del codes  # or this block would be held until the next is there
    return matrix.grad


INITIALIZATIONS = {"ease": near_ease, "svd": near_svd, "xavier": xavier}
