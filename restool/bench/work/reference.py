"""The truth that candidates are checked against: the same work in float64."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from restool.bench.harness.compare import Deviation
from restool.errors import UsageError
from restool.testing import TOLERANCE, relative_error

CHECKED_IMAGES = 2
"""The truth of a batch is computed for so many of its images: they do not depend on each other."""
MOST_COLUMNS = 2**27
"""The matrix that PyTorch's float64 convolution unfolds images into has no more entries, which take 1 GiB."""
KINK_LIMIT = 5e-2
"""Gradients through activations with a kink may err by this, for rounding across it was seen to change them by 2e-2."""
CARRIED_LIMIT = 1e-4
"""A recurrence may err by this: it carries rounding over all steps, UnICORNN at 256 steps up to 3e-5."""

Errors = Callable[[Sequence[Tensor], Sequence[Tensor]], float]
"""(gradients, true gradients) -> error."""


def largest_error(gradients: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """The largest relative error of any gradient."""
    return float(np.max([relative_error(found, true) for found, true in zip(gradients, truth, strict=True)]))


def joint_error(gradients: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """|g - truth| / |truth| of all gradients as one vector, since some alone may be 0."""
    found, true = (torch.cat([gradient.double().flatten() for gradient in each]) for each in (gradients, truth))
    return float((found - true).norm() / true.norm())


class Smooth(TorchFunctionMode):
    """Inside, every ReLU is a SiLU, x sigmoid(x): a gradient without jumps."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch, or SiLU in its place."""
        if func in (torch.relu, F.relu, Tensor.relu):
            return F.silu(args[0])
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True, eq=False)
class Truth:
    """Outputs of a module and, if asked for, its gradients, in evaluation mode.

    The upstream gradient is random on the checked images and 0 on all others, so that the truth's gradients are the
    same though it never sees the others.

    Attributes:
        module: in float64.
        images: [B, C, *size], float32.
        shape: of the output of one image.
        gradient_error: how gradients are compared; None for outputs alone.
        own: of the user's: taken as it is, its gradients may differ by `KINK_LIMIT`. In restool's models the check puts
            smooth activations in the place of ReLU, so that gradients agree to the tolerance of their dtype.
        limit: of errors; None for the tolerance of the output's dtype.
    """

    module: nn.Module
    images: Tensor
    shape: tuple[int, ...]
    gradient_error: Errors | None = None
    own: bool = False
    limit: float | None = None

    def check(self, module: nn.Module) -> dict[str, Deviation]:
        """Deviations of a module's outputs and gradients.

        Raises:
            UsageError: its output has another shape, or a dtype that there is no tolerance for;
                or the truth is beyond that dtype.
        """
        output, gradients = self._results(module, self.images)
        if output.dtype not in TOLERANCE:
            raise UsageError(f"a candidate must give float32 or float64, but gives {output.dtype}; convert its output")
        true_output, true_gradients = self._true
        if not true_output.to(output.dtype).isfinite().all():
            raise UsageError("the true output is no number of the candidate's dtype: the model diverges at this size")
        limit = TOLERANCE[output.dtype] if self.limit is None else self.limit
        deviations = {"output": Deviation(relative_error(output, true_output), limit)}
        if self.gradient_error is not None:
            error = self.gradient_error(gradients, true_gradients)
            deviations["gradient"] = Deviation(error, KINK_LIMIT if self.own else limit)
        return deviations

    @cached_property
    def _true(self) -> tuple[Tensor, Sequence[Tensor]]:
        images = self.images[:CHECKED_IMAGES].double()
        if not self.own:
            return self._results(self.module, images)
        try:
            return self._results(self.module, images)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"a `candidate` is checked against its float64 copy, which fails: {reason}") from error

    def _results(self, module: nn.Module, images: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Outputs of the checked images, and gradients with respect to these and to every parameter."""
        training, leaf = module.training, images.detach().clone().requires_grad_(self.gradient_error is not None)
        try:
            with torch.set_grad_enabled(leaf.requires_grad), nullcontext() if self.own else Smooth():
                output = module.eval()(leaf)
        finally:
            module.train(training)
        expected = (len(images), *self.shape)
        if output.shape != expected:
            raise UsageError(
                f"a candidate must map {tuple(images.shape)} to {expected}, but gives {tuple(output.shape)}"
            )
        output = output[:CHECKED_IMAGES]
        if not leaf.requires_grad:
            return output, []
        random = torch.Generator().manual_seed(1)
        upstream = torch.randn(output.shape, generator=random).to(output)
        leaves = [leaf, *(parameter for parameter in module.parameters() if parameter.requires_grad)]
        images_gradient, *others = torch.autograd.grad(
            output, leaves, upstream, allow_unused=True, materialize_grads=True
        )
        return output.detach(), [images_gradient[:CHECKED_IMAGES], *others]


def correlate_double(signal: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`conv2d` with `same` padding, or `conv1d` with all of it in front.

    By FFT of the full length n + K - 1 where these would unfold into too much memory.
    """
    size, taps = signal.shape[2:], kernel.shape[2:]
    axes = tuple(range(2, signal.dim()))
    before = [taps[0] - 1] if len(size) == 1 else [k // 2 for k in taps]
    if signal.shape[:2].numel() * taps.numel() * size.numel() <= MOST_COLUMNS:
        if len(size) == 1:
            return F.conv1d(F.pad(signal, (before[0], 0)), kernel, bias)
        return F.conv2d(signal, kernel, bias, padding=tuple(before))
    period = [n + k - 1 for n, k in zip(size, taps, strict=True)]
    spectrum, response = (torch.fft.rfftn(part, s=period, dim=axes) for part in (signal, kernel))
    full = torch.fft.irfftn(torch.einsum("bi...,oi...->bo...", spectrum, response.conj()), s=period, dim=axes)
    cut = (slice(None), slice(None), *(slice(n) for n in size))
    return full.roll(before, axes)[cut] + bias.view(-1, *(1 for _ in size))
