"""Models by name. A name decides the architecture completely, so a checkpoint needs to store no more than it.

Beside the listed names, `flexnet[STEM,WIDTH,...]` and `flextcn[WIDTH,...]`, each with an optional layer kind behind
(`flexnet[24,24,36]-siren`), build a shell of any width.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from restool.errors import UsageError
from restool.models.flexnet import FlexNet
from restool.models.layers import LAYER_KINDS
from restool.models.resnet import CIFARResNet
from restool.models.tcn import FlexTCN

FLEXNET_WIDTHS = {
    "flexnet-3": (24, 24, 36, 48),
    "flexnet-5": (22, 22, 33, 33, 44, 44),
    "flexnet-7": (24, 24, 24, 36, 36, 36, 48, 48),
}
"""Stem and block widths of the official networks."""

ROMERO = "Romero et al. 2022a (FlexConv)"

Builder = Callable[[int, int, int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A known architecture: `build(classes, channels, reference_size)` makes it.

    Attributes:
        name: as typed by a user.
        dims: axes of its input, 1 or 2.
        source: where it is described.
        build: makes an initialised model.
        channels: of the input that its published size is for.
        reference_size: pixels or steps, likewise.
    """

    name: str
    dims: int
    source: str
    build: Builder
    channels: int = 3
    reference_size: int = 16


def build_model(
    name: str, *, classes: int = 10, channels: int = 3, reference_size: int = 16
) -> nn.Module:
    """A freshly initialised model.

    Args:
        name: a name of `MODELS`, or a shell with widths of its own (see the module's docstring).
        classes: logits, at least 2.
        channels: of the input, at least 1.
        reference_size: pixels of the image side (or steps) that it will be trained at, at least 4.

    Raises:
        UsageError: an unknown name, with the nearest known one, or a number out of range.
    """
    for argument, value, least in (
        ("classes", classes, 2),
        ("channels", channels, 1),
        ("reference_size", reference_size, 4),
    ):
        if value < least:
            raise UsageError(f"{argument} must be at least {least}, but is {value}")
    return find_model(name).build(classes, channels, reference_size)


def find_model(name: str) -> ModelEntry:
    """The entry of a name; a miss raises UsageError with the nearest known name."""
    if name in MODELS:
        return MODELS[name]
    shell = _custom_shell(name)
    if shell is not None:
        return shell
    nearest = difflib.get_close_matches(name, MODELS, n=1, cutoff=0.0)[0]
    raise UsageError(f"unknown model {name!r}; the nearest is {nearest!r}, the known ones are {', '.join(MODELS)}")


def flexnet_entry(name: str, widths: Sequence[int], kind: str = "magnet", source: str = ROMERO) -> ModelEntry:
    """A FlexNet with stem and block widths, its layers of a kind."""

    def build(classes: int, channels: int, reference_size: int) -> nn.Module:
        layer = LAYER_KINDS[kind].factory(2, reference_size)
        return FlexNet(widths[0], widths[1:], layer, channels=channels, classes=classes)

    return ModelEntry(name=name, dims=2, source=source, build=build)


def flextcn_entry(name: str, widths: Sequence[int], kind: str = "magnet", source: str = ROMERO) -> ModelEntry:
    """A FlexTCN with block widths, its layers of a kind."""

    def build(classes: int, channels: int, reference_size: int) -> nn.Module:
        layer = LAYER_KINDS[kind].factory(1, reference_size)
        return FlexTCN(widths, layer, channels=channels, classes=classes)

    return ModelEntry(name=name, dims=1, source=source, build=build, channels=1, reference_size=784)


def _resnet_entry(depth: int) -> ModelEntry:
    def build(classes: int, channels: int, reference_size: int) -> nn.Module:
        return CIFARResNet((depth - 2) // 6, channels=channels, classes=classes)

    return ModelEntry(name=f"cifar-resnet-{depth}", dims=2, source="He et al. 2016", build=build)


def _custom_shell(name: str) -> ModelEntry | None:
    match = re.fullmatch(r"(flexnet|flextcn)\[(\d+(?:,\d+)*)\](?:-(.+))?", name)
    if match is None:
        return None
    shell, numbers, kind = match[1], [int(n) for n in match[2].split(",")], match[3] or "magnet"
    if kind not in LAYER_KINDS:
        raise UsageError(f"unknown layer kind {kind!r} in {name!r}; the known ones are {', '.join(LAYER_KINDS)}")
    if min(numbers) < 1 or len(numbers) < (2 if shell == "flexnet" else 1):
        raise UsageError(f"{name!r} needs positive widths: flexnet[STEM,BLOCK,...] or flextcn[BLOCK,...]")
    return (flexnet_entry if shell == "flexnet" else flextcn_entry)(name, numbers, kind)


def _entries() -> list[ModelEntry]:
    seven = FLEXNET_WIDTHS["flexnet-7"]
    return [
        *(flexnet_entry(name, widths) for name, widths in FLEXNET_WIDTHS.items()),
        *(flexnet_entry(f"flexnet-7-{kind}", seven, kind) for kind in ("conv3", "conv33", "siren", "gabor", "fourier")),
        *(
            flexnet_entry(f"ckcnn-7-{kind}", seven, f"ckconv-{kind}", "Romero et al. 2022b (CKConv)")
            for kind in ("siren", "magnet")
        ),
        *(_resnet_entry(depth) for depth in (32, 44)),
        *(flextcn_entry(f"flextcn-{blocks}", [30] * blocks) for blocks in (2, 4, 6)),
    ]


MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _entries()}
"""Every named model, in the order `restool ls models` shows."""
