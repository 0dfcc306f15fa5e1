"""The weights that a training begins with. Another beginning is one more function of (network, rows, generator)."""

from itertools import chain

import torch
from torch import nn

from .item_products import FLOAT32

# Each vector is chosen freely in a space of n_items dimensions: what fewer users than that say of it is noise.
USERS_PER_VECTOR = 20
N_ITERATIONS, N_EXTRA_VECTORS = 3, 10
USERS_PER_BLOCK, ITEMS_PER_USER_OF_BLOCK = 4096, 16  # a block takes a pass over all items, which users have to be worth


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
    encoder, decoder = network.encoder, network.decoder
    n_users = len(rows.non_empty())
    widths = decoder.n_components, encoder.item_weight.shape[1], decoder.item_weight.shape[1]
    vectors = singular_vectors(rows, min(*widths, n_users // USERS_PER_VECTOR, rows.n_items), generator).cpu()
    n_vectors = vectors.shape[1]
    logit_scale = (len(rows.items) / n_users) ** 0.5
    encoder.item_weight[:, :n_vectors] = (2 * logit_scale) ** 0.5 * vectors
    decoder.item_weight[:, :n_vectors] = (logit_scale / 2) ** 0.5 * vectors
    for layer in chain(encoder.layers, decoder.layers):
        units = range(min(*layer.weight.shape, decoder.n_components))
        layer.weight[units, units] += 1
    if hasattr(network.likelihood, "intercept"):
        decoder.item_bias.copy_(network.likelihood.intercept(rows))


def singular_vectors(rows, n_vectors, generator):
    """First right singular vectors of the L2-normalised rows, of shape (n_items, n_vectors).

    By the randomized subspace iteration of Halko, Martinsson and Tropp ("Finding structure with
    randomness", SIAM Review, 2011), in the memory of a few such matrices, however many the users.
    The largest entry of each is positive.
    """
    width = min(n_vectors + N_EXTRA_VECTORS, rows.n_items)
    basis = torch.randn(rows.n_items, width, generator=generator, dtype=rows.values.dtype).to(rows.values.device)
    for _ in range(N_ITERATIONS):
        basis, _ = torch.linalg.qr(_gram_product(rows, basis))
    _, rotation = torch.linalg.eigh(basis.T @ _gram_product(rows, basis))
    vectors = basis @ rotation.flip(1)[:, :n_vectors]  # eigenvalues ascend
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * largest.sign()


def _gram_product(rows, matrix):
    """X'X times a matrix M, of the L2-normalised rows X: the gradient of half the squared length of the codes X M."""
    matrix = matrix.detach().requires_grad_()
    with torch.enable_grad():
        for users in rows.non_empty().split(max(USERS_PER_BLOCK, rows.n_items // ITEMS_PER_USER_OF_BLOCK)):
            codes = FLOAT32.sum_of_rows(matrix, rows.batch(users).normalized())
            codes.backward(codes.detach())
    return matrix.grad


INITIALIZATIONS = {"svd": near_svd, "xavier": xavier}
