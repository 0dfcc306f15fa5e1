"""Pieces of a model, as likelihoods and priors: how they show themselves, and what is asked of anybody's."""

import torch


class Shown:
    """What is shown by its class and its attributes, which have the names of its parameters."""

    def __repr__(self):
        parameters = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({parameters})"


def has_part(piece, name, beside="log_prob"):
    """Whether a piece has a method or an attribute that still says something about another one, such as log_prob.

    A subclass that replaces the other one alone inherits parts that belong to the method of before: these do not count.

    Parameters
    ----------
    piece : object, or its class
    name : str
    beside : str, default="log_prob"
        The other one.

    Returns
    -------
    bool
    """
    is_class = isinstance(piece, type)
    places = [*([] if is_class else [piece]), *(piece if is_class else type(piece)).__mro__]

    def place(of_name, otherwise):
        return next((i for i, one in enumerate(places) if of_name in getattr(one, "__dict__", ())), otherwise)

    # what is found nowhere is handed on, as by a __getattr__
    return hasattr(piece, name) and place(name, -1) <= place(beside, len(places))


def piece_of(name_or_piece, table):
    """A piece by its name in a table of classes, or the piece itself.

    Parameters
    ----------
    name_or_piece : str or object
    table : dict of str to class

    Returns
    -------
    object
    """
    return table[name_or_piece]() if isinstance(name_or_piece, str) else name_or_piece


def is_ours(piece):
    """Whether a piece is of skvae, or there is none.

    Parameters
    ----------
    piece : object or None

    Returns
    -------
    bool
    """
    return piece is None or type(piece).__module__.partition(".")[0] == "skvae"


def one_for_each_user(values, n_users, piece, method):
    """What a likelihood or a prior gave, checked: values of another shape would be broadcast to a wrong loss.

    Parameters
    ----------
    values : tensor
    n_users : int
    piece : object
        That gave them.
    method : str
        By which.

    Returns
    -------
    tensor of shape (n_users,)

    Raises
    ------
    ValueError, TypeError
        Of another shape, or no tensor.
    """
    shape = _shape(values, piece, method)
    if shape != (n_users,):
        raise ValueError(
            f"{type(piece).__name__}.{method} gave values of shape {shape} for {n_users} users: it must give one for "
            "each, a tensor of shape (n_users,), such as a sum over the last dimension."
        )
    return values


def mean_of(logits, likelihood):
    """The mean of every item by a likelihood, checked as `one_for_each_user` does.

    Parameters
    ----------
    logits : tensor of shape (n_users, n_items)
    likelihood : object

    Returns
    -------
    tensor of shape (n_users, n_items)

    Raises
    ------
    ValueError, TypeError
        Of another shape, or no tensor.
    """
    means = likelihood.mean(logits)
    shape = _shape(means, likelihood, "mean")
    if shape != tuple(logits.shape):
        raise ValueError(
            f"{type(likelihood).__name__}.mean gave values of shape {shape} for logits of shape "
            f"{tuple(logits.shape)}: it must give one for each."
        )
    return means


def _shape(values, piece, method):
    if not isinstance(values, torch.Tensor):
        raise TypeError(
            f"{type(piece).__name__}.{method} gave {type(values).__name__}: it must give a tensor, computed by "
            "functions of torch, without NumPy."
        )
    return tuple(values.shape)
