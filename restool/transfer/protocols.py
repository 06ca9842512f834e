"""Protocols: how a trained model meets a new resolution.

A protocol makes a new model for the target and leaves the trained one alone. It also says at which sizes the images
pass: shown at the target, or shrunk to the source first.
"""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restool.errors import UsageError
from restool.nn import ContinuousConv, Rescalable
from restool.transfer.layers import (
    as_is,
    bandlimit,
    is_spatial,
    requery,
    resample_convolutions,
    rescale_layers,
    sample_layers,
)

RECALIBRATE = "bn-recalibrate"
FINETUNE = "finetune"
SOURCE = "source"
"""Protocol name of the records that hold a model's accuracy at its own resolution."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way of using a model at another resolution.

    Attributes:
        name: as typed by a user.
        summary: what it does, in one line.
        applies: whether it can be used on a model.
        transfer: (trained model, target pixels per source pixel) -> model for the target, a copy without gradient.
        shrinks: images are resized to the source resolution first.
        recalibrates: batch-norm statistics are estimated anew on unlabelled training images.
        trains: the model is first trained on at the target resolution, by the grid.
    """

    name: str
    summary: str
    applies: Callable[[nn.Module], bool]
    transfer: Callable[[nn.Module, float], nn.Module]
    shrinks: bool = False
    recalibrates: bool = False
    trains: bool = False

    def sizes(self, source: int, target: int) -> tuple[int, ...]:
        """Sizes that an image passes on its way to the model."""
        return (target, source) if self.shrinks and target != source else (target,)

    def apply(self, model: nn.Module, source: int, target: int, *, calibration: Iterable[Tensor] = ()) -> nn.Module:
        """The model to evaluate at `target`, in evaluation mode.

        Args:
            model: trained at `source`; not changed.
            source: pixels of the image side (or steps) in training.
            target: the same, of the images to come.
            calibration: batches of training images that passed `sizes`; needed if `recalibrates`.

        Raises:
            UsageError: the protocol does not apply to the model.
        """
        if not self.applies(model):
            raise UsageError(refusal(self.name, model))
        moved = self.transfer(model, target / source)
        if self.recalibrates:
            recalibrate(moved, calibration)
        return moved


def resolve_protocol(name: str) -> Protocol:
    """The protocol of a name: one of `PROTOCOLS`, `NAME+bn-recalibrate`, or finetune; a miss names the nearest."""
    if name == FINETUNE:
        return _FINETUNE
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    base, _, addition = name.rpartition("+")
    if addition == RECALIBRATE and base in PROTOCOLS and not PROTOCOLS[base].recalibrates:
        return _with_recalibration(PROTOCOLS[base], name)
    known = [*PROTOCOLS, FINETUNE]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise UsageError(
        f"unknown protocol {name!r}; the nearest is {nearest!r}, the known ones are {', '.join(known)} "
        f"and any zero-shot one followed by +{RECALIBRATE}"
    )


def applicable(model: nn.Module) -> list[str]:
    """Names of the zero-shot protocols that apply to a model, in the order tables show them."""
    return [name for name, protocol in PROTOCOLS.items() if protocol.applies(model)]


def refusal(protocol: str, model: nn.Module, called: str = "this model") -> str:
    """What is said where a protocol does not apply to a model."""
    return f"protocol {protocol!r} does not apply to {called}; {', '.join(applicable(model))} do"


def native_protocol(model: nn.Module) -> str:
    """Name of the protocol that fine-tuning starts from: the first that applies of those that the layers define."""
    return next(name for name in ("requery", "rescale", "position", "as-is") if PROTOCOLS[name].applies(model))


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace running statistics of batch norms by the averages over batches of images; weights stay as they are."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over all batches
        norm.train()
    seen = 0
    for images in batches:
        model(images)
        seen += 1
    if not seen:
        raise ValueError("calibration must hold at least one batch of images")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _is_continuous(model: nn.Module) -> bool:
    return any(isinstance(module, ContinuousConv) for module in model.modules())


def _is_continuous_2d(model: nn.Module) -> bool:
    return any(isinstance(module, ContinuousConv) and not module.causal for module in model.modules())


def _has_kernels(model: nn.Module) -> bool:
    return any(is_spatial(module) for module in model.modules())


def _has_batch_norm(model: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def _resamples_positions(model: nn.Module) -> bool:
    # timm's attribute of models that do so in `forward`; those of `restool.models.positions` have it as well
    return any(getattr(module, "dynamic_img_size", False) for module in model.modules())


def _is_rescalable(model: nn.Module) -> bool:
    return any(isinstance(module, Rescalable) for module in model.modules())


def _bandlimit(model: nn.Module, scale: float) -> nn.Module:
    return sample_layers(resample_convolutions(model, scale, "lanczos3"), bandlimit, scale)


def _as_is(model: nn.Module, scale: float) -> nn.Module:
    return sample_layers(model, as_is, scale)


def native_transfer(model: nn.Module, scale: float) -> nn.Module:
    """What the model does by itself on a larger image: re-query where kernels are continuous, as is elsewhere."""
    return sample_layers(model, requery, scale)


def _with_recalibration(base: Protocol, name: str) -> Protocol:
    return Protocol(
        name=name,
        summary=f"{base.summary}; then batch-norm statistics from unlabelled training images",
        applies=lambda model: base.applies(model) and _has_batch_norm(model),
        transfer=base.transfer,
        shrinks=base.shrinks,
        recalibrates=True,
    )


_ZERO_SHOT = (
    Protocol(
        name="requery",
        summary="sample the continuous kernel on the target grid, scaled by pixel area",
        applies=_is_continuous,
        transfer=native_transfer,
    ),
    Protocol(
        name="bandlimit",
        summary="sample the kernel on the source grid, interpolate the samples by Lanczos-3, scaled by pixel area",
        applies=lambda model: _is_continuous_2d(model) or _has_kernels(model),
        transfer=_bandlimit,
    ),
    Protocol(
        name="rescale",
        summary="widen Gaussian-derivative and dilated kernels with the image, as `at_scale` of each layer says",
        applies=_is_rescalable,
        transfer=rescale_layers,
    ),
    Protocol(
        name="interpolate",
        summary="resize ordinary kernels bilinearly, scaled by pixel area",
        applies=_has_kernels,
        transfer=lambda model, scale: resample_convolutions(model, scale, "bilinear"),
    ),
    Protocol(
        name="position",
        summary="resample the position embeddings of a vision transformer to the target's grid of patches",
        applies=_resamples_positions,
        transfer=native_transfer,
    ),
    Protocol(
        name="as-is",
        summary="the same taps on the larger image",
        applies=lambda model: not _resamples_positions(model),
        transfer=_as_is,
    ),
    Protocol(
        name="resize",
        summary="resize the image to the training resolution first",
        applies=lambda model: True,
        transfer=lambda model, scale: native_transfer(model, 1.0),
        shrinks=True,
    ),
    Protocol(
        name=RECALIBRATE,
        summary="re-query (or as is, without continuous kernels); then batch-norm statistics from training images",
        applies=_has_batch_norm,
        transfer=native_transfer,
        recalibrates=True,
    ),
)

_FINETUNE = Protocol(
    name=FINETUNE,
    summary="train on at the target resolution",
    applies=lambda model: True,
    transfer=native_transfer,
    trains=True,
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ZERO_SHOT}
"""Zero-shot protocols, in the order tables show them."""
