"""Names of torch devices, as the estimators take them."""

import torch


def check_device(name):
    """Raise where a ``device`` parameter is not the name of a device that is present."""
    if not isinstance(name, str):
        raise TypeError(f'device must be a str such as "auto", "cpu" or "cuda", got {name!r}.')
    if not is_present(name):
        raise ValueError(f'device={name!r} is not present on this machine: use "auto" or "cpu".')


def is_present(name):
    if name in ("auto", "cpu"):
        return True
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):  # what torch raises for an unknown and an absent device
        return False
    return True


def resolve(name):
    """torch.device of a name; "auto" is a GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
