"""Protocols: how a trained model meets a new resolution.

A protocol is a table from kinds of layers to the rule for a layer of that kind. It applies to a model if some layer has
a rule, and it makes a new model by one walk over the layers; the trained one stays as it is. It also says at which
sizes the images pass: shown at the target, or shrunk to the source first.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from restool.arguments import unknown_name
from restool.data import Dataset
from restool.errors import UsageError
from restool.models.norms import keep_sets, put_nearest
from restool.modules import layers, with_layers
from restool.nn import ContinuousConv
from restool.transfer.cache import KernelCache
from restool.transfer.recalibration import recalibrate
from restool.transfer.rules import (
    BATCH_NORM,
    CONTINUOUS,
    EVERY,
    POSITIONS,
    RESCALABLE,
    SPATIAL,
    Kind,
    Move,
    Rule,
    as_is,
    at_scale,
    bandlimit,
    interpolated_by,
    keep,
    requery,
    sampled_by,
)
from restool.transfer.softening import Soften

RECALIBRATE = "bn-recalibrate"
RECALIBRATION_IMAGES = 1100
"""Batch-norm statistics are estimated from so many training images, or from all where there are fewer."""
COUNTED = re.compile(rf"{RECALIBRATE}@([1-9][0-9]{{0,8}})")
"""Recalibration from another number of images, such as bn-recalibrate@300."""
SOFTEN = "soften"

BY_ITSELF: Mapping[Kind, Rule] = {CONTINUOUS: sampled_by(requery)}
"""A layer without a rule of the protocol does what it does by itself; a continuous one re-queries its kernel."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way of using a model at another resolution.

    Attributes:
        name: as typed by a user.
        summary: what it does, in one line.
        rules: by kind of layer; of the kinds that hold a layer, the first whose rule changes it counts.
        refuses: models with such a layer are left to another protocol.
        shrinks: images are resized to the source resolution first.
        softens: images finer than the source's are made as soft as those first, see `Soften`.
        recalibrates: batch-norm statistics are estimated anew from so many unlabelled training images; 0 for not.
        trains: the model that the rules give is trained on at the target before it is evaluated.
    """

    name: str
    summary: str
    rules: Mapping[Kind, Rule]
    refuses: Kind | None = None
    shrinks: bool = False
    softens: bool = False
    recalibrates: int = 0
    trains: bool = False

    def applies(self, model: nn.Module) -> bool:
        """Whether some layer has a rule, and nothing stands against it."""
        modules = list(model.modules())

        def has(kind: Kind) -> bool:
            return any(kind.holds(module) for module in modules)

        refused = self.refuses is not None and has(self.refuses)
        return any(map(has, self.rules)) and not refused and (has(BATCH_NORM) or not self.recalibrates)

    def sizes(self, source: int, target: int) -> tuple[int, ...]:
        """Sizes that an image passes on its way to the model."""
        return (target, source) if self.shrinks and target != source else (target,)

    def start(self, model: nn.Module, source: int, target: int) -> nn.Module:
        """The model to train on at `target`, a copy, for a protocol that trains."""
        moved = _moved(model, self.rules, Move(target / source, KernelCache()), target)
        keep_sets(moved, ())
        return moved

    def apply(
        self,
        model: nn.Module,
        source: int,
        target: int,
        *,
        calibration: Iterable[Tensor] = (),
        kernels: KernelCache | None = None,
    ) -> nn.Module:
        """The model to evaluate at `target`, a copy without gradient in evaluation mode.

        Args:
            model: trained at `source`, or, for a protocol that trains, trained on at `target`; not changed.
            source: pixels of the image side (or steps) in training.
            target: the same, of the images to come.
            calibration: batches of training images that passed `sizes`; needed if `recalibrates`.
            kernels: where kernels are kept for other targets and protocols; None keeps them for this model alone.

        Raises:
            UsageError: the protocol does not apply to the model.
        """
        if not self.applies(model):
            raise UsageError(refusal(self.name, model))
        kernels = KernelCache() if kernels is None else kernels
        for layer in layers(model, ContinuousConv):
            kernels.adopt(layer)
        rules = (
            BY_ITSELF if self.trains else {**self.rules, **{k: v for k, v in BY_ITSELF.items() if k not in self.rules}}
        )
        shown = self.sizes(source, target)[-1]
        moved = _moved(model, rules, Move(shown / source, kernels), shown)
        if self.softens and shown > source:
            moved = nn.Sequential(Soften(shown / source), moved).eval()
        if self.recalibrates:
            recalibrate(moved, calibration)
        return moved


def _moved(model: nn.Module, rules: Mapping[Kind, Rule], move: Move, size: int) -> nn.Module:
    """A copy of a model in evaluation mode, with the layers that the rules give, for images of a size."""

    def take_place(layer: nn.Module) -> nn.Module:
        for kind, rule in rules.items():
            if kind.holds(layer) and (moved := rule(layer, move)) is not layer:
                return moved
        return layer

    moved = with_layers(model, take_place).eval()
    put_nearest(moved, size)
    return moved


SOURCE = Protocol(
    name="source",
    summary="the accuracy at the training resolution",
    rules={EVERY: keep},
)
FINETUNE = Protocol(
    name="finetune",
    summary="train on at the target resolution",
    rules={RESCALABLE: at_scale, EVERY: keep},
    trains=True,
)

_ZERO_SHOT = (
    Protocol(
        name="requery",
        summary="sample the continuous kernel on the target grid, scaled by pixel area",
        rules={CONTINUOUS: sampled_by(requery)},
    ),
    Protocol(
        name="bandlimit",
        summary="sample the kernel on the source grid, interpolate the samples by Lanczos-3, scaled by pixel area",
        rules={CONTINUOUS: sampled_by(bandlimit), SPATIAL: interpolated_by("lanczos3")},
    ),
    Protocol(
        name="rescale",
        summary="widen Gaussian-derivative and dilated kernels with the image, as `at_scale` of each layer says",
        rules={RESCALABLE: at_scale},
    ),
    Protocol(
        name="interpolate",
        summary="resize ordinary kernels bilinearly, scaled by pixel area",
        rules={SPATIAL: interpolated_by("bilinear")},
    ),
    Protocol(
        name="position",
        summary="resample the position embeddings of a vision transformer to the target's grid of patches",
        rules={POSITIONS: keep},
    ),
    Protocol(
        name="as-is",
        summary="the same taps on the larger image",
        rules={CONTINUOUS: sampled_by(as_is), EVERY: keep},
        refuses=POSITIONS,
    ),
    Protocol(
        name="resize",
        summary="resize the image to the training resolution first",
        rules={EVERY: keep},
        shrinks=True,
    ),
    Protocol(
        name=RECALIBRATE,
        summary="re-query (or as is, without continuous kernels); then batch-norm statistics from training images",
        rules={BATCH_NORM: keep},
        recalibrates=RECALIBRATION_IMAGES,
    ),
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ZERO_SHOT}
"""The zero-shot protocols, in the order tables show them."""
STARTS = ("requery", "rescale", "position", "as-is")
"""Fine-tuning starts from the first of these that applies: what the layers themselves define."""


ADDITIONS = {
    SOFTEN: "of images made as soft as those of the source",
    RECALIBRATE: "then batch-norm statistics from unlabelled training images",
}
"""What may follow the name of a protocol, each once and in this order."""


RESCALED_ANEW = f"rescale+{RECALIBRATE}"


def resolve_protocol(name: str) -> Protocol:
    """The protocol of a name: of `PROTOCOLS`, NAME+ADDITION, source or finetune; a miss names the nearest."""
    for protocol in (SOURCE, FINETUNE):
        if name == protocol.name:
            return protocol
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    counts = [int(count) for count in COUNTED.findall(name)]
    base, *additions = COUNTED.sub(RECALIBRATE, name).split("+")
    if base in PROTOCOLS and additions == [addition for addition in ADDITIONS if addition in additions]:
        found, softens, recalibrates = PROTOCOLS[base], SOFTEN in additions, RECALIBRATE in additions
        _require_counts(name, counts)
        # nothing is done twice: an image that was shrunk to the source is as soft as those by that
        if not (softens and found.shrinks) and not (recalibrates and found.recalibrates):
            return replace(
                found,
                name=name,
                summary="; ".join([found.summary, *map(ADDITIONS.__getitem__, additions)]),
                softens=softens,
                recalibrates=counts[0] if counts else found.recalibrates or RECALIBRATION_IMAGES * recalibrates,
            )
    more = f" and any zero-shot one followed by +{' or +'.join(ADDITIONS)}; {RECALIBRATE}@N takes N images"
    raise unknown_name("protocol", name, [*PROTOCOLS, FINETUNE.name], more=more)


def _require_counts(name: str, counts: list[int]) -> None:
    for count in counts:
        if count < 2 or count == RECALIBRATION_IMAGES:
            rule = "takes that many by itself" if count > 1 else f"needs at least 2 images, as in {RECALIBRATE}@300"
            raise UsageError(f"protocol {name!r}: {RECALIBRATE} {rule}")


def require_calibration(names: Iterable[str], dataset: Dataset) -> None:
    """Raise UsageError where a protocol names more images to recalibrate from than a data set has for training."""
    found = dataset.counts["train"]
    for name in names:
        wanted = resolve_protocol(name).recalibrates
        if wanted > found and COUNTED.search(name):
            raise UsageError(f"protocol {name!r} needs {wanted:,} training images, but {dataset.name} has {found:,}")


def applicable(model: nn.Module) -> list[str]:
    """Names of the zero-shot protocols that apply to a model, in the order tables show them.

    Where layers rescale themselves, new batch-norm statistics are also taken after that, for alone they are not those
    of the rescaled model.
    """
    names = [name for name, protocol in PROTOCOLS.items() if protocol.applies(model)]
    return [*names, RESCALED_ANEW] if {"rescale", RECALIBRATE} <= set(names) else names


def possible(names: Iterable[str], dataset: Dataset) -> list[str]:
    """Those of the protocols that a data set has images for: a test part alone recalibrates no batch norm."""
    return [name for name in names if dataset.counts["train"] or not resolve_protocol(name).recalibrates]


def refusal(protocol: str, model: nn.Module, called: str = "this model") -> str:
    """What is said where a protocol does not apply to a model."""
    return f"protocol {protocol!r} does not apply to {called}; {', '.join(applicable(model))} do"


def starting_protocol(model: nn.Module) -> Protocol:
    """What fine-tuning a model starts from."""
    return next(PROTOCOLS[name] for name in STARTS if PROTOCOLS[name].applies(model))
