"""Adam, which takes the gradient of an item matrix a chunk of its rows at a time, or of some of its rows alone."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch.optim.adam import adam

from .processes import ALONE

STEPS_OF_ROWS = "steps_of_rows"  # of a matrix whose rows may have missed updates: the last that each of them has
LEAST_SQUARE = 1e-36  # nothing beside eps squared: the root of 0 takes a CPU five times as long as that of others
ROWS_PER_CHUNK = 1024  # of a CPU: they stay in the cache of a core, with their moments


class Adam(torch.optim.Adam):
    """Adam whose weight decay is the gradient of lam * sum of squared weights, biases left out.

    The gradient of an item matrix need not be held as a whole: ``update_rows`` updates the rows that a
    chunk of it belongs to while the chunk is in the cache, and ``step`` whatever has its gradient in
    ``.grad``. Where few rows have a gradient, ``rows`` gives copies of them, whose ``update`` touches
    no other row. What the other rows missed meanwhile they are given when they are next asked for, or
    by ``catch_up``. Weight decay counts for them in the updates that they take part in.

    Every gradient is first added up over the processes that train the network.

    Parameters
    ----------
    network : module
    learning_rate, l2_regularization : float
    processes : Alone or ProcessGroup
    """

    def __init__(self, network, learning_rate, l2_regularization, processes=ALONE):
        matrices = [p for p in network.parameters() if p.ndim > 1]
        biases = [p for p in network.parameters() if p.ndim == 1]
        groups = [
            {"params": matrices, "weight_decay": 2 * l2_regularization},
            {"params": biases, "weight_decay": 0.0},
        ]
        # fused: 7 ms a step for 24 M weights on two cores, 90 ms otherwise
        super().__init__(groups, lr=learning_rate, fused=True, capturable=matrices[0].is_cuda)
        self._warned_capturable_if_run_uncaptured = True  # it is for some updates, and not for others
        self._decays = {p: group["weight_decay"] for group in groups for p in group["params"]}
        self.processes = processes

    def step(self, closure=None):
        """Update what has its gradient in ``.grad``."""
        self.processes.sum_(*(p.grad for p in self._decays if p.grad is not None))
        return super().step(closure)

    @torch.no_grad()
    def update_rows(self, matrix, rows, grad):
        """Update a slice of the rows of a matrix; an update of all begins with the first row and ends with the last."""
        state = self._state_of(matrix)
        step = state["step"] if rows.stop == len(matrix) else state["step"].clone()  # which adam counts up
        self._update(matrix, grad, step, matrix[rows], state["exp_avg"][rows], state["exp_avg_sq"][rows])

    @torch.no_grad()
    def rows(self, matrix, items):
        """Rows of a matrix as they are after all its updates, as `Rows`; no two of the items are the same."""
        state, steps = self._state_of(matrix), self._steps_of(matrix)
        copies = [torch.empty_like(matrix[: len(items)]) for _ in range(3)]
        for copy, whole in zip(copies, (matrix, state["exp_avg"], state["exp_avg_sq"]), strict=True):
            torch.index_select(_in_wide_elements(whole), 0, items, out=_in_wide_elements(copy))
        self._make_up(steps[items], state["step"], *copies)
        return Rows(self, matrix, items, *copies)

    @torch.no_grad()
    def put_back(self, rows, chunk, grad):
        """Update a slice of `Rows`, and put them back into their matrix; an update ends with the last of them."""
        state, steps = self._state_of(rows.matrix), self._steps_of(rows.matrix)
        step = state["step"] if chunk.stop == len(rows.items) else state["step"].clone()
        parts = [tensor[chunk] for tensor in (rows.weight.detach(), rows.exp_avg, rows.exp_avg_sq)]
        self._update(rows.matrix, grad, step, *parts)
        items = rows.items[chunk]
        for whole, part in zip((rows.matrix, state["exp_avg"], state["exp_avg_sq"]), parts, strict=True):
            _in_wide_elements(whole).index_copy_(0, items, _in_wide_elements(part))
        steps[items] = step.to(steps.device)

    @torch.no_grad()
    def catch_up(self):
        """Give all rows the updates that they missed."""
        for matrix, state in self.state.items():
            if STEPS_OF_ROWS not in state:
                continue
            steps = state.pop(STEPS_OF_ROWS)  # which an update of all rows would not keep
            self._make_up(steps, state["step"], matrix, state["exp_avg"], state["exp_avg_sq"])

    def _state_of(self, matrix):
        state = self.state[matrix]
        if not state:  # as step() begins it
            state["step"] = torch.zeros((), dtype=torch.float32, device=matrix.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(matrix), torch.zeros_like(matrix)
        return state

    def _steps_of(self, matrix):
        state = self._state_of(matrix)
        if STEPS_OF_ROWS not in state:
            state[STEPS_OF_ROWS] = state["step"].to(matrix.device).repeat(len(matrix))
        return state[STEPS_OF_ROWS]

    def _make_up(self, last, now, weight, exp_avg, exp_avg_sq):
        r"""Give rows, in place, what they missed between the update that each had last and that of now.

        By gradients of 0 the moments m and v decay by beta_1 and beta_2. With r = beta_1 / sqrt(beta_2) a weight moves,
        after update s, in the next k updates by

        .. math:: -\eta \frac{m}{\sqrt v} \sum_{j=1}^k r^j c_{s+j} = -\eta \frac{m}{\sqrt v} (T_s - r^k T_{s+k})

        with T of `_tail_sums`, but for eps, which is taken as in the first of them: later ones move it little.
        """
        now = int(now)
        first = int(last.min()) if len(last) else now
        if first == now:
            return
        (beta1, beta2), sums = self.defaults["betas"], _tail_sums(*self.defaults["betas"]).to(last.device)
        steps = torch.arange(first, now + 1, dtype=torch.float64, device=last.device)  # of which a row has one
        missed = now - steps
        after, until = sums[steps.long().clamp(max=len(sums) - 1)], sums[min(now, len(sums) - 1)]
        distance = self.defaults["lr"] * (after - (beta1 / math.sqrt(beta2)) ** missed * until)
        eps = self.defaults["eps"] * (1 - beta2 ** (steps + 1)).sqrt()
        factors = torch.stack([distance, eps, beta1**missed, beta2**missed]).to(weight.dtype)
        places = (last - first).long()
        for chunk in _chunks(last):
            of_rows = factors[:, places[chunk]].view(len(factors), -1, *[1] * (weight.ndim - 1))
            distance, eps, decay, decay_sq = of_rows
            m, v = exp_avg[chunk], exp_avg_sq[chunk]
            weight[chunk].addcdiv_(m * distance, (v + LEAST_SQUARE).sqrt_().add_(eps), value=-1)
            m.mul_(decay)
            v.mul_(decay_sq)

    def _update(self, matrix, grad, step, weight, exp_avg, exp_avg_sq):
        self.processes.sum_(grad)
        beta1, beta2 = self.defaults["betas"]
        adam(
            [weight],
            [grad],
            [exp_avg],
            [exp_avg_sq],
            [],
            [step],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=self.defaults["lr"],
            weight_decay=self._decays[matrix],
            eps=self.defaults["eps"],
            maximize=False,
        )


@dataclass
class Rows:
    """Copies of some rows of a matrix and of their moments, which an optimizer puts back when they are updated.

    ``weight`` can be asked for a gradient where the matrix can.
    """

    optimizer: Adam
    matrix: torch.nn.Parameter
    items: torch.Tensor
    weight: torch.Tensor
    exp_avg: torch.Tensor
    exp_avg_sq: torch.Tensor

    def __post_init__(self):
        self.weight.requires_grad_(self.matrix.requires_grad)

    def update(self, weight, chunk, grad):
        """Update a slice of the copies, whose own ``weight`` is passed as an item matrix would be."""
        self.optimizer.put_back(self, chunk, grad)


@lru_cache
def _tail_sums(beta1, beta2):
    r"""The sums T, of which the last one stands for all later ones; double tensor.

    .. math:: T_s = \sum_{j=1}^\infty r^j c_{s+j}, \quad c_t = \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t},
        \quad r = \frac{\beta_1}{\sqrt{\beta_2}}
    """
    ratio = beta1 / math.sqrt(beta2)
    n_steps = math.ceil(math.log(1e-17) / math.log(beta2))  # from there on c_t is 1
    factors = (math.sqrt(1 - beta2**t) / (1 - beta1**t) for t in range(n_steps, 0, -1))
    sums = accumulate(factors, lambda tail, factor: ratio * (factor + tail), initial=ratio / (1 - ratio))
    return torch.tensor([*sums][::-1], dtype=torch.float64)


def _in_wide_elements(matrix):
    """The same memory in elements of 16 bytes where rows have whole ones: a CPU copies rows element by element."""
    matrix = matrix.detach()
    is_wide = matrix.ndim == 2 and matrix.shape[1] * matrix.element_size() % 16 == 0
    return matrix.view(torch.complex128) if is_wide and matrix.device.type == "cpu" else matrix


def _chunks(items):
    """Slices of the rows of items; all of them at once where they are not on a CPU."""
    step = ROWS_PER_CHUNK if items.device.type == "cpu" else len(items)
    return [slice(first, min(first + step, len(items))) for first in range(0, len(items), step)]
