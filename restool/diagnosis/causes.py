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
from restool.nn import ContinuousConv, resample_kernel
from restool.transfer.protocols import Protocol, starting_protocol
from restool.transfer.rules import (
    BATCH_NORM,
    CENTRED,
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
    basis = resample_kernel(kernel.basis[None], scale, "lanczos3")[0]
    return FactoredKernel(kernel.coefficients, _middle(basis, taps))


def over_source_area(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The values of re-query, but over the area that the source's taps cover; a tap on its border counts in part."""
    covered = layer.factored(source_size(size, scale)).basis.shape[1:]
    kernel = layer.uncropped().factored(size)
    basis = kernel.basis
    for axis, taps in enumerate(covered):
        part = _inside(basis.shape[axis + 1], taps * scale / 2).to(basis)
        basis = (basis.transpose(axis + 1, -1) * part).transpose(axis + 1, -1)
    reached = [2 * math.ceil(taps * scale / 2 - 0.5) + 1 for taps in covered]
    needed = [min(pair) for pair in zip(basis.shape[1:], reached, strict=True)]
    return FactoredKernel(kernel.coefficients, _middle(basis, needed))


def _inside(taps: int, reach: float) -> Tensor:
    """What part of each pixel of an odd number around 0 lies within so many pixels of 0: [taps]."""
    distance = (torch.arange(taps) - taps // 2).abs()
    return (reach - distance + 0.5).clamp(0, 1)


def _middle(basis: Tensor, taps: "torch.Size | list[int]") -> Tensor:
    """The innermost taps of a basis [H, *K], odd along every axis; where it has fewer, zeros around it."""
    for axis, wanted in enumerate(taps, start=1):
        margin = (wanted - basis.shape[axis]) // 2
        if margin > 0:
            edge = basis.new_zeros(*basis.shape[:axis], margin, *basis.shape[axis + 1 :])
            basis = torch.cat([edge, basis, edge], dim=axis)
        basis = basis.narrow(axis, (basis.shape[axis] - wanted) // 2, wanted)
    return basis


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A reason for a loss.

    Attributes:
        name: of the cause.
        repair: what is done against it, in words.
        rules: of the layers that the repair changes.
        kind: of layers, without one of which the model cannot suffer from it.
        softens, recalibrates: as in `Protocol`.
    """

    name: str
    repair: str
    kind: Kind
    rules: Mapping[Kind, Rule] = field(default_factory=dict)
    softens: bool = False
    recalibrates: bool = False

    def applies(self, model: nn.Module, scale: float) -> bool:
        """Whether the model has such a layer; images of a target below the source are as soft as they are."""
        return any(map(self.kind.holds, model.modules())) and (scale > 1 or not self.softens)

    def repaired(self, model: nn.Module) -> Protocol:
        """What the model does by itself, with this repair."""
        start = starting_protocol(model)
        return replace(
            start,
            name=f"{start.name}, {self.name} repaired",
            rules={**self.rules, **start.rules},
            softens=self.softens,
            recalibrates=self.recalibrates,
        )


def _is_cut(layer: nn.Module) -> bool:
    return (
        isinstance(layer, ContinuousConv) and not layer.causal and layer.mask is not None and layer.mask.threshold > 0
    )


CUT = Kind("continuous kernels of images that their mask crops", _is_cut)

CAUSES = (
    Cause(
        name="aliasing",
        repair="kernels take the values between the source's taps from those at them",
        kind=CENTRED,
        rules={CENTRED: sampled_by(without_aliasing)},
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
        repair="statistics are estimated at the target, from unlabelled training images",
        kind=BATCH_NORM,
        rules={BATCH_NORM: keep},
        recalibrates=True,
    ),
    Cause(
        name="sharpness",
        repair="images are made as soft as those of the source",
        kind=EVERY,
        softens=True,
    ),
)
"""In the order in which they are tested."""
