"""The network around the weights of a fitted autoencoder, made once for each device, and what asks it."""

import operator
from weakref import WeakKeyDictionary

from sklearn.utils.validation import check_is_fitted

from .core.devices import PRECISIONS, is_half_precision, is_present, resolve
from .core.inference import Inference
from .core.isolation import isolated
from .core.item_products import ItemProducts
from .core.user_warnings import warn_user
from .parameters import piece
from .ranking import users_per_block
from .recommender import as_it_is

# Fitted estimator -> (arrays of its weights_, device, precision, inference): inference writes nothing to the estimator
_inferences: WeakKeyDictionary = WeakKeyDictionary()


def inference_and_users(estimator, X):
    """The network around the weights of now, and the checked rows that it is asked of.

    Parameters
    ----------
    estimator : autoencoder
        Another thread may change it meanwhile.
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    inference : Inference
    X : csr_array of shape (n_users, n_items)

    Raises
    ------
    NotFittedError, ValueError
    """
    check_is_fitted(estimator)
    model = as_it_is(estimator)
    return inference_of(model), model._check_interactions(X, reset=False)


def inference_of(estimator):
    """The network around the weights of an estimator, on the device of inference, made once per device.

    Parameters
    ----------
    estimator : fitted autoencoder

    Returns
    -------
    Inference

    Raises
    ------
    ValueError
        Where its precision was set to what there is not.
    """
    weights, device, precision = estimator.weights_, _device_of(estimator), estimator.precision
    arrays = [*weights.values()]
    owners = estimator, vars(estimator).get("_read_from", estimator)
    for owner in owners:
        cached = _inferences.get(owner)
        if cached is not None and cached[1:3] == (device, precision) and _are_same(cached[0], arrays):
            return cached[3]
    piece(PRECISIONS)("precision", precision)  # which set_params may have changed after fit
    with isolated():
        network = estimator.architecture_.build_with(weights).requires_grad_(False).to(device)
        products = ItemProducts.for_inference(network.decoder, is_half_precision(precision, device))
    inference = Inference(network, products, users_per_block(len(weights["decoder.item_bias"]), device))
    for owner in owners:
        if vars(owner).get("weights_") is weights:  # not where it is trained meanwhile
            _inferences[owner] = arrays, device, precision, inference
    return inference


def _are_same(arrays, others):
    return len(arrays) == len(others) and all(map(operator.is_, arrays, others))


def forget_inference(estimator):
    """Free the network of an estimator that is fitted anew.

    Parameters
    ----------
    estimator : autoencoder
    """
    _inferences.pop(estimator, None)


def _device_of(estimator):
    if not is_present(estimator.device):
        warn_user(
            f'device="{estimator.device}" is not present on this machine: {type(estimator).__name__} answers on '
            'the CPU. set_params(device="cpu") silences this warning.'
        )
        return resolve("cpu")
    return resolve(estimator.device)


class NetworkScorer:
    """Scores of checked blocks of users, on the device of a fitted model.

    Parameters
    ----------
    estimator : fitted autoencoder
        As it is now, whatever another thread changes.
    """

    def __init__(self, estimator):
        self.estimator = as_it_is(estimator)
        self.inference = inference_of(self.estimator)
        self.device = self.inference.device

    def scores(self, X):
        """The scores of all items, left on the device.

        Parameters
        ----------
        X : csr_array of shape (n_users, n_items)

        Returns
        -------
        float32 tensor of shape (n_users, n_items)
        """
        return self.inference.scores(self.estimator._check_interactions(X, reset=False))

    def scores_of_items(self, X):
        """A function from a slice of the items to their part of the scores.

        Parameters
        ----------
        X : csr_array of shape (n_users, n_items)

        Returns
        -------
        callable
        """
        return self.inference.scores_of_items(self.estimator._check_interactions(X, reset=False))
