"""Why a model may lose at a target, and for each reason the repair of it alone.

A repair leaves everything else as the model does it by itself (`starting_protocol`), so that what it gives back is what
its cause took. None of them is made for use: `bandlimit` repairs both faults of a kernel at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from restool.correlation import FactoredKernel
from restool.nn import ContinuousConv, Rescalable, resample_causal, resample_kernel
from restool.transfer.protocols import RECALIBRATION_IMAGES, Protocol, starting_protocol
from restool.transfer.rules import (
    BATCH_NORM,
    CONTINUOUS,
    EVERY,
    SPATIAL,
    Kind,
    Rule,
    interpolated_by,
    keep,
    sampled_by,
    source_size,
)


def without_aliasing(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The taps of re-query, but the values that Lanczos-3 finds between those at the source's taps."""
    taps = layer.factored(size).basis.shape[1:]
    kernel = layer.uncropped().factored(source_size(size, scale))
    if layer.causal:
        basis = resample_causal(kernel.basis, scale, "lanczos3")
    else:
        basis = resample_kernel(kernel.basis[None], scale, "lanczos3")[0]
    return FactoredKernel(kernel.coefficients, _nearest(basis, taps, causal=layer.causal))


def over_source_area(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The values of re-query, but over the area that the source's taps cover; a tap on its border counts in part.

    A tap of a causal kernel covers the step that it weights, so n of them cover n steps of the source.
    """
    covered = layer.factored(source_size(size, scale)).basis.shape[1:]
    kernel = layer.uncropped().factored(size)
    basis = kernel.basis
    for axis, taps in enumerate(covered):
        part = _inside(basis.shape[axis + 1], taps * scale, causal=layer.causal).to(basis)
        basis = (basis.transpose(axis + 1, -1) * part).transpose(axis + 1, -1)
    if layer.causal:
        reached = [math.ceil(taps * scale) for taps in covered]
    else:
        reached = [2 * math.ceil(taps * scale / 2 - 0.5) + 1 for taps in covered]
    needed = [min(pair) for pair in zip(basis.shape[1:], reached, strict=True)]
    return FactoredKernel(kernel.coefficients, _nearest(basis, needed, causal=layer.causal))


def _inside(taps: int, length: float, *, causal: bool) -> Tensor:
    """What part of each tap lies within a length in pixels around the middle one, or behind the present: [taps]."""
    if causal:
        return (length - torch.arange(taps).flip(0)).clamp(0, 1)
    distance = (torch.arange(taps) - taps // 2).abs()
    return (length / 2 - distance + 0.5).clamp(0, 1)


def _nearest(basis: Tensor, taps: "torch.Size | list[int]", *, causal: bool) -> Tensor:
    """So many taps of a basis [H, *K], the innermost or, causal, the newest; where it has fewer, zeros beyond."""
    for axis, wanted in enumerate(taps, start=1):
        missing = max(wanted - basis.shape[axis], 0)
        before, after = (missing, 0) if causal else (missing // 2, missing // 2)
        edges = [basis.new_zeros(*basis.shape[:axis], n, *basis.shape[axis + 1 :]) for n in (before, after)]
        basis = torch.cat([edges[0], basis, edges[1]], dim=axis)
        beyond = basis.shape[axis] - wanted
        basis = basis.narrow(axis, beyond if causal else beyond // 2, wanted)
    return basis


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A reason for a loss.

    Attributes:
        name: of the cause.
        repair: what is done against it, in words; `{noun}` stands for what is tested.
        rules: of the layers that the repair changes.
        kind: of layers, without one of which the model cannot suffer from it.
        softens, recalibrates: as in `Protocol`.
    """

    name: str
    repair: str
    kind: Kind
    rules: Mapping[Kind, Rule] = field(default_factory=dict)
    softens: bool = False
    recalibrates: int = 0

    def told(self, noun: str) -> str:
        """The repair in words, of images or sequences."""
        return self.repair.format(noun=noun)

    def applies(self, model: nn.Module, scale: float) -> bool:
        """Whether the model has such a layer; images of a target below the source are as soft as they are."""
        return any(map(self.kind.holds, model.modules())) and (scale > 1 or not self.softens)

    def repaired(self, model: nn.Module) -> Protocol:
        """What the model does by itself, with this repair."""
        start = starting_protocol(model)
        return replace(
            start,
            name=f"{start.name}, {self.name} repaired",
            rules={**self.rules, **start.rules, **self.rules},  # its own come first, whatever the start has
            softens=self.softens,
            recalibrates=self.recalibrates,
        )


def _is_cut(layer: nn.Module) -> bool:
    return isinstance(layer, ContinuousConv) and layer.mask is not None and layer.mask.threshold > 0


CUT = Kind("continuous kernels that their mask crops", _is_cut)

CAUSES = (
    Cause(
        name="aliasing",
        repair="kernels take the values between the source's taps from those at them",
        kind=CONTINUOUS,
        rules={CONTINUOUS: sampled_by(without_aliasing)},
    ),
    Cause(
        name="crop",
        repair="kernels cover the area that the source's taps cover",
        kind=CUT,
        rules={CUT: sampled_by(over_source_area)},
    ),
    Cause(
        name="kernel size",
        repair="ordinary kernels are enlarged with the image",
        kind=SPATIAL,
        rules={SPATIAL: interpolated_by("bilinear")},
    ),
    Cause(
        name="batch norm",
        repair="statistics are estimated at the target, from unlabelled training {noun}s",
        kind=BATCH_NORM,
        rules={BATCH_NORM: keep},
        recalibrates=RECALIBRATION_IMAGES,
    ),
    Cause(
        name="sharpness",
        repair="{noun}s are made as soft as those of the source",
        kind=EVERY,
        softens=True,
    ),
)
"""In the order in which they are tested."""


def left_out(model: nn.Module) -> list[str]:
    """What a diagnosis of a model of sequences does not ask, and why, in sentences."""
    modules = list(model.modules())
    told = []
    if not any(map(CONTINUOUS.holds, modules)):
        told.append("It has no continuous kernel, so there is no aliasing or crop to repair.")
    rescaled = {part for layer in modules if isinstance(layer, Rescalable) for part in layer.modules()}
    if any(isinstance(layer, nn.Conv1d) and max(layer.kernel_size) > 1 and layer not in rescaled for layer in modules):
        told.append("Kernel size is left out: ordinary kernels of sequences have no rule for another rate.")
    return told
