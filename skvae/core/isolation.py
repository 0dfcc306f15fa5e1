"""What another part of the program has set in torch does not reach a fit or an answer."""

from contextlib import contextmanager

import torch


@contextmanager
def isolated(device="cpu"):
    """Gradients can be recorded, no tensor is made for inference alone, none on a default device, nothing is autocast.

    The default dtype, which is that of all threads, is left alone: every tensor here is made with its own.
    """
    with torch.device("cpu"), torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
        yield
