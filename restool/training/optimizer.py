"""The optimiser of a training, its groups of parameters and its schedule."""

import math

from torch import nn
from torch.optim import AdamW

from restool.kernels import GaussianMask
from restool.modules import layers

MASK_RATE_FACTOR = 0.1
"""The learning rate of masks is this part of that of all others."""
LONGEST_WARMUP = 5.0
"""The rate warms up over five epochs as in the official recipe, but over no more than a tenth of a short run."""
FINAL_LEARNING_RATE = 1e-6
"""The cosine ends at this rate."""


def warmup_steps(epochs: int, steps_per_epoch: int) -> int:
    """Steps over which the rate rises."""
    return round(min(LONGEST_WARMUP, epochs / 10) * steps_per_epoch)


def learning_rate(step: int, base: float, *, warmup: int, total: int) -> float:
    """Rate before a step (from 0): base i / W up to step W + 1, then a cosine down to 1e-6.

        lr_i = eta + (peak - eta) (1 + cos(pi j / T)) / 2,   j = i - W - 1,  T = total - W,  peak = base (W + 1) / W

    The official warm-up overshoots by one step, which is kept: it decides every later rate.

    Args:
        step: i.
        base: peak rate that was asked for.
        warmup: W, steps of the warm-up; 0 for none, then the cosine starts at `base` at once.
        total: steps of the whole run.
    """
    if warmup and step <= warmup + 1:
        return base * step / warmup
    start, peak = (warmup + 1, base * (warmup + 1) / warmup) if warmup else (0, base)
    cosine = math.cos(math.pi * (step - start) / (total - warmup))
    return FINAL_LEARNING_RATE + (peak - FINAL_LEARNING_RATE) * (1 + cosine) / 2


def make_optimizer(model: nn.Module, rate: float, weight_decay: float = 0.0) -> AdamW:
    """Adam with two groups: all parameters but those of masks, and masks at a tenth of the rate without decay.

    Each group keeps its peak rate as "base". Without decay AdamW is Adam, bit for bit. What is frozen
    (`requires_grad`) is in none.
    """
    masks = [p for mask in layers(model, GaussianMask) for p in mask.parameters() if p.requires_grad]
    others = [p for p in model.parameters() if p.requires_grad and all(p is not mask for mask in masks)]
    groups = [{"params": others, "base": rate, "weight_decay": weight_decay}]
    if masks:
        groups.append({"params": masks, "base": rate * MASK_RATE_FACTOR, "weight_decay": 0.0})
    return AdamW(groups, lr=rate, fused=True)  # one pass over all parameters instead of ten operations for each
