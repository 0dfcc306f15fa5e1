"""Adam, which takes the gradient of an item matrix a chunk of its rows at a time."""

import torch
from torch.optim.adam import adam


class Adam(torch.optim.Adam):
    """Adam whose weight decay is the gradient of lam * sum of squared weights, biases left out.

    The gradient of an item matrix need not be held as a whole: ``update_rows`` updates the rows that a
    chunk of it belongs to while the chunk is in the cache, and ``step`` whatever has its gradient in
    ``.grad``.

    Parameters
    ----------
    network : module
    learning_rate, l2_regularization : float
    """

    def __init__(self, network, learning_rate, l2_regularization):
        matrices = [p for p in network.parameters() if p.ndim > 1]
        biases = [p for p in network.parameters() if p.ndim == 1]
        groups = [
            {"params": matrices, "weight_decay": 2 * l2_regularization},
            {"params": biases, "weight_decay": 0.0},
        ]
        # fused: 7 ms a step for 24 M weights on two cores, 90 ms otherwise
        super().__init__(groups, lr=learning_rate, fused=True)

    @torch.no_grad()
    def update_rows(self, matrix, rows, grad):
        """Update a slice of the rows of a matrix; an update of all begins with the first row and ends with the last."""
        group, state = self.param_groups[0], self.state[matrix]
        if not state:  # as step() begins it
            state["step"] = torch.zeros((), dtype=torch.float32, device=matrix.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(matrix), torch.zeros_like(matrix)
        step = state["step"] if rows.stop == len(matrix) else state["step"].clone()  # which adam counts up
        beta1, beta2 = group["betas"]
        adam(
            [matrix[rows]],
            [grad],
            [state["exp_avg"][rows]],
            [state["exp_avg_sq"][rows]],
            [],
            [step],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
