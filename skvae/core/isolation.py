"""What another part of the program has set in torch does not reach a fit or an answer."""

from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def isolated():
    """Gradients can be recorded, no tensor is for inference alone or on a default device, nothing is cast by itself.

    The default dtype, which is that of all threads, is left alone: every tensor here is made with its own.
    """
    with ExitStack() as stack:
        for context in (torch.inference_mode(False), torch.enable_grad()):
            stack.enter_context(context)
        if torch.get_default_device().type != "cpu":  # else no context: it takes 5 microseconds a call of torch
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
