"""What another part of the program has set in torch does not reach a fit or an answer."""

from contextlib import ContextDecorator, ExitStack

import torch


class isolated(ContextDecorator):
    """Gradients can be recorded, no tensor is for inference alone or on a default device, nothing is cast by itself.

    The default dtype, which is that of all threads, is left alone: every tensor here is made with its own.
    """

    def __enter__(self):
        self.stack = ExitStack()
        # only what is needed: a device alone takes 5 microseconds in each call of torch
        if torch.is_inference_mode_enabled():
            self.stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            self.stack.enter_context(torch.enable_grad())
        if torch.empty(0).device.type != "cpu":  # get_default_device of older versions knows no `with torch.device`
            self.stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                self.stack.enter_context(torch.autocast(kind, enabled=False))
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def _recreate_cm(self):
        return isolated()
