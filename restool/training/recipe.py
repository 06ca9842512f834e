"""How a model is trained: the recipe of the official FlexConv code, with what a user may change."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from torch.optim import Adam

from restool.errors import UsageError
from restool.kernels import GaussianMask

AliasPenalty = Literal["none", "gabor", "gabor+mask"]
Precision = Literal["float32", "bfloat16"]

MASK_RATE_FACTOR = 0.1
"""Learning rate of mask parameters over that of all others."""

FINAL_LEARNING_RATE = 1e-6
HIGHEST_RATE = 1e30
"""Above it, float32 has no room for a step."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Adam, linear warm-up and cosine per step.

    Attributes:
        epochs: passes over the training images, 0 or more; 0 trains nothing.
        batch_size: images a step.
        learning_rate: peak rate of Adam.
        alias_penalty: what the aliasing penalty counts (see `restool.aliasing.penalty`), or none.
        precision: of the forward pass. In bfloat16, convolutions and matrix products are computed in it (autocast);
            weights, kernel coordinates, sines and masks, the loss and the penalty stay in float32.

    Raises:
        UsageError: a value out of range.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.01
    alias_penalty: AliasPenalty = "none"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise UsageError(f"--epochs must be 0 or more, but is {self.epochs}")
        if self.batch_size < 2:
            raise UsageError(f"--batch-size must be at least 2 (batch norm needs it), but is {self.batch_size}")
        if not 0 < self.learning_rate <= HIGHEST_RATE:
            raise UsageError(
                f"--learning-rate must lie above 0 and up to {HIGHEST_RATE:g}, but is {self.learning_rate}"
            )
        if self.alias_penalty not in get_args(AliasPenalty):
            raise UsageError(f"--alias-penalty must be none, gabor or gabor+mask, but is {self.alias_penalty!r}")
        if self.precision not in get_args(Precision):
            raise UsageError(f"--precision must be float32 or bfloat16, but is {self.precision!r}")

    def warmup_steps(self, steps_per_epoch: int) -> int:
        """Five epochs as in the official recipe, but no more than a tenth of a short run."""
        return round(min(5.0, self.epochs / 10) * steps_per_epoch)


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


def make_optimizer(model: nn.Module, rate: float) -> Adam:
    """Adam with two groups: masks at a tenth of the rate, all other parameters. Each keeps its peak as "base"."""
    masks = [p for module in model.modules() if isinstance(module, GaussianMask) for p in module.parameters()]
    others = [p for p in model.parameters() if all(p is not mask for mask in masks)]
    groups = [{"params": others, "base": rate}]
    if masks:
        groups.append({"params": masks, "base": rate * MASK_RATE_FACTOR})
    return Adam(groups, lr=rate, fused=True)  # one pass over all parameters instead of ten operations for each
