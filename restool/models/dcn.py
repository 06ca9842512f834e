"""Deep Continuous Network: ODE blocks around N-Jet layers with a scale per pair of channels (Tomen et al. 2021)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.arguments import Knob, check_knobs
from restool.correlation import correlate
from restool.errors import RestoolError, UsageError
from restool.nn import PairwiseGaussianDerivativeConv

Scheme = Literal["euler", "midpoint", "rk4", "dopri5"]
Field = Callable[[Tensor, Tensor], Tensor]
"""(time, state) -> its derivative in time."""

END = 2.0
"""Every ODE block runs from time 0 to this one."""
MOST_STEPS = 1000
"""An adaptive solver gives up after so many steps, forward and backward together; a fixed-step one takes no more."""


class ConvergenceError(RestoolError):
    """An adaptive solver needs steps too small or too many; the message says how to go on."""


@dataclass(frozen=True, kw_only=True)
class Solver:
    """How an ODE block is solved, by torchdiffeq.

    Attributes:
        scheme: "euler", "midpoint" or "rk4" with a fixed number of steps; "dopri5" (the original's, with adjoint) with
            steps that keep the error of the whole batch within the tolerance, so that an image's result depends a
            little on its neighbours.
        steps: of a fixed-step scheme.
        tolerance: relative and absolute, of dopri5.
        adjoint: solve a second equation backwards for the gradient, which takes constant memory, instead of
            differentiating the steps, which is exact.

    Raises:
        UsageError: a value out of range.
    """

    scheme: Annotated[Scheme, Knob("How steps are taken.")] = "rk4"
    steps: Annotated[int, Knob("Steps of a fixed-step scheme.", "N", least=1, most=MOST_STEPS)] = 4
    tolerance: Annotated[float, Knob("Relative and absolute, of dopri5.", above=0, most=1)] = 1e-3
    adjoint: bool = False

    def __post_init__(self) -> None:
        check_knobs(self)

    def solve(self, field: Field, state: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """h(END) of dh/dt = field(t, h), h(0) = state.

        Args:
            field: right-hand side.
            state: of any shape.
            parameters: tensors that `field` reads and that a gradient is wanted for, besides the state.

        Raises:
            ConvergenceError: dopri5 cannot go on; with adjoint also from the backward pass.
        """
        from torchdiffeq import odeint, odeint_adjoint

        times = END * torch.arange(2, dtype=state.dtype, device=state.device)
        options: dict[str, Any] = {"method": self.scheme, "rtol": self.tolerance, "atol": self.tolerance}
        if self.scheme != "dopri5":
            options["options"] = {"grid_constructor": self._grid}
        watched = _Watched(field) if self.scheme == "dopri5" else field
        if self.adjoint:
            return odeint_adjoint(watched, state, times, adjoint_params=tuple(parameters), **options)[1]
        return odeint(watched, state, times, **options)[1]

    def _grid(self, field: Field, state: Tensor, times: Tensor) -> Tensor:
        parts = torch.linspace(0, 1, self.steps + 1, dtype=times.dtype, device=times.device)
        return torch.lerp(times[0], times[-1], parts)


class _Watched:
    """A field that fails in words where the library would fail in an assertion."""

    def __init__(self, field: Field) -> None:
        self.field, self.steps = field, 0

    def __call__(self, time: Tensor, state: Tensor) -> Tensor:
        return self.field(time, state)

    def callback_step(self, time: Tensor, state: Tensor, step: Tensor) -> None:
        """Called by torchdiffeq before every step."""
        self.steps += 1
        problem = "underflow in dt" if time + step == time else f"more than {MOST_STEPS} steps"
        if time + step == time or self.steps > MOST_STEPS:
            raise ConvergenceError(
                f"dopri5 does not converge at time {float(time):.3g} of {END:g} ({problem}); lower the learning rate, "
                f"raise tolerance, or choose a scheme with fixed steps such as rk4"
            )

    callback_step_adjoint = callback_step


class ODEBlock(nn.Module):
    """h(2) of dh/dt = norm(N(a(norm(N(a(norm(h)), t))), t)), h(0) the input, a = CELU.

    N is an N-Jet layer that sees the time as a constant first channel. Its kernels are built once a pass.
    """

    def __init__(self, channels: int, solver: Solver) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(channels), PairwiseGaussianDerivativeConv(channels + 1, channels)
        self.norm2, self.conv2 = _norm(channels), PairwiseGaussianDerivativeConv(channels + 1, channels)
        self.norm3 = _norm(channels)
        self.solver = solver

    def forward(self, state: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        kernels = self.conv1.discrete_kernel(), self.conv2.discrete_kernel()

        def field(time: Tensor, state: Tensor) -> Tensor:
            clock = time.expand(len(state), 1, *state.shape[2:])
            for norm, kernel in zip((self.norm1, self.norm2), kernels, strict=True):
                state = correlate(torch.cat([clock, F.celu(norm(state))], dim=1), kernel)
            return self.norm3(state)

        norms = [p for norm in (self.norm1, self.norm2, self.norm3) for p in norm.parameters()]
        return self.solver.solve(field, state, [*kernels, *norms])


class DCN(nn.Module):
    """3x3 stem without padding, then per width an ODE block, norm and CELU, with 4x4 layers of stride 2 in between.

    Args:
        widths: channels of every block.
        channels: of the image.
        classes: logits.
        solver: of every block. By default rk4 in 4 steps, which `dcn-sigma-ji` uses: a third of the time of the
            original's dopri5, which takes its 16 evaluations or more and also depends on the batch.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        *,
        channels: int = 3,
        classes: int = 10,
        solver: Solver | None = None,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, widths[0], 3)
        self.blocks = nn.ModuleList(ODEBlock(width, solver or Solver()) for width in widths)
        self.norms = nn.ModuleList(_norm(width) for width in widths)
        pairs = zip(widths, widths[1:], strict=False)
        self.downsamplings = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in pairs)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes] logits.

        Raises:
            UsageError: images so small that a stage would have no pixel.
        """
        smallest = 2 + 2 ** len(self.downsamplings)
        if min(images.shape[2:]) < smallest:
            raise UsageError(f"this DCN takes images of at least {smallest} pixels, but got {tuple(images.shape[2:])}")
        hidden = self.stem(images)
        for block, norm, downsampling in zip(
            self.blocks, self.norms, [*self.downsamplings, nn.Identity()], strict=True
        ):
            hidden = downsampling(F.celu(norm(block(hidden))))
        return self.head(hidden.mean(dim=(2, 3)))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(32, channels), channels)
