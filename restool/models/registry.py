"""Models by name. A name decides the architecture completely, so a checkpoint needs to store no more than it.

Beside the listed names, `flexnet[STEM,WIDTH,...]` and `flextcn[WIDTH,...]`, each with an optional layer kind behind
(`flexnet[24,24,36]-siren`), build a shell of any width, `SYSTEM?hidden=64,step=0.1` a system for sequences with other
settings than the published ones, and a name with a colon builds a model from elsewhere (see `restool.models.external`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

from torch import nn

from restool.arguments import LARGEST_SIZE, LARGEST_WIDTH, SMALLEST_SIZE, Knob, check_knobs, unknown_name
from restool.errors import UsageError
from restool.models.dcn import DCN
from restool.models.external import find_external
from restool.models.flexnet import FlexNet
from restool.models.layers import LAYER_KINDS
from restool.models.names import blank_name, parse_options
from restool.models.njet import NJetAllCNN, njet_resnet
from restool.models.resnet import CIFARResNet
from restool.models.sequences import SYSTEMS
from restool.models.tcn import FlexTCN

FLEXNET_WIDTHS = {
    3: (24, 24, 36, 48),
    5: (22, 22, 33, 33, 44, 44),
    7: (24, 24, 24, 36, 36, 36, 48, 48),
}
"""The stem and the blocks of an official network have these widths, by its number of blocks."""

NJET_WIDTHS = (38, 38, 38, 57, 57, 57, 76, 76)
"""The stem and the blocks of the official FlexNet-7 with N-Jets have these widths."""


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A network of blocks around layers of a kind; the first FlexNet width is the stem's."""

    family: Literal["flexnet", "flextcn"]
    widths: tuple[int, ...]
    kind: str = "magnet"

    def __post_init__(self) -> None:
        if self.dims == 1 and not LAYER_KINDS[self.kind].takes_sequences:
            kinds = [name for name, kind in LAYER_KINDS.items() if kind.takes_sequences]
            raise UsageError(f"layer kind {self.kind!r} is for images; flextcn takes {', '.join(kinds)}")

    def __call__(self, classes: int, channels: int, reference_size: int) -> nn.Module:
        """An initialised network."""
        layer = LAYER_KINDS[self.kind].factory(self.dims, reference_size)
        if self.family == "flextcn":
            return FlexTCN(self.widths, layer, channels=channels, classes=classes)
        return FlexNet(self.widths[0], self.widths[1:], layer, channels=channels, classes=classes)

    @property
    def dims(self) -> int:
        """Axes of the input."""
        return 1 if self.family == "flextcn" else 2


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A known architecture: `build(classes, channels, reference_size)` makes it.

    Attributes:
        name: as typed by a user.
        source: where it is described.
        build: makes an initialised model.
        dims: axes of its input, 1 or 2; None for a factory of the user's, which may take either.
        channels: of the input that its published size is for.
        reference_size: pixels or steps, likewise.
    """

    name: str
    source: str
    build: Callable[[int, int, int], nn.Module]
    dims: int | None = 2
    channels: int = 3
    reference_size: int = 16


@dataclass(frozen=True)
class ModelSpec:
    """Everything that decides a model's shape, as a checkpoint stores it.

    Attributes:
        name: a name of `MODELS`, or another that this module's docstring describes.
        classes: logits, at least 2.
        channels: of the input, at least 1.
        reference_size: pixels of the image side (or steps) that it is trained at, at least 4.

    Raises:
        UsageError: a number out of range.
    """

    name: str
    classes: Annotated[int, Knob("Logits.", "N", least=2)] = 10
    channels: Annotated[int, Knob("Of the input.", "N", least=1)] = 3
    reference_size: Annotated[
        int, Knob("Pixels (or steps) in training.", "N", least=SMALLEST_SIZE, most=LARGEST_SIZE)
    ] = 16

    def __post_init__(self) -> None:
        check_knobs(self)

    def build(self) -> nn.Module:
        """A freshly initialised model; an unknown name raises UsageError with the nearest known one."""
        return find_model(self.name).build(self.classes, self.channels, self.reference_size)

    def blank(self) -> nn.Module:
        """The same without trained weights of a library, which are neither fetched nor loaded."""
        return replace(self, name=blank_name(self.name)).build()


def build_model(name: str, *, classes: int = 10, channels: int = 3, reference_size: int = 16) -> nn.Module:
    """A freshly initialised model; arguments and errors as in `ModelSpec`."""
    return ModelSpec(name, classes, channels, reference_size).build()


def find_model(name: str) -> ModelEntry:
    """The entry of a name; a miss raises UsageError with the nearest known name."""
    if name in MODELS:
        return MODELS[name]
    shell = _parse_shell(name)
    if shell is not None:
        return _shell_entry(name, shell, "by its widths")
    known, asked, options = name.partition("?")
    if asked and known in MODELS:
        return _changed(known, name, options)
    external = find_external(name)
    if external is not None:
        dims = 2 if external.source in ("torchvision", "timm") else None
        return ModelEntry(name=name, source=external.source, build=external, dims=dims)
    raise unknown_name("model", name, MODELS, more=", torchvision:NAME, timm:NAME and MODULE:FACTORY")


def _changed(known: str, name: str, options: str) -> ModelEntry:
    """The entry of a listed system for sequences whose settings are changed; UsageError for any other listed model."""
    if known not in SYSTEMS:
        raise UsageError(
            f"{known} has no settings to name behind ?; only the systems of other authors for sequences have"
        )
    changed = SYSTEMS[known].changed(name, parse_options(name, options))
    return replace(MODELS[known], name=name, build=changed)


def shell_name(family: Literal["flexnet", "flextcn"], widths: Sequence[int], kind: str) -> str:
    """The listed name of a shell, or its widths and kind spelled out where none is listed."""
    shell = Shell(family=family, widths=tuple(widths), kind=kind)
    listed = [entry.name for entry in MODELS.values() if entry.build == shell]
    return listed[0] if listed else f"{family}[{','.join(map(str, widths))}]-{kind}"


def _parse_shell(name: str) -> Shell | None:
    match = re.fullmatch(r"(flexnet|flextcn)\[(\d+(?:,\d+)*)\](?:-(.+))?", name, re.ASCII)
    if match is None:
        return None
    family, widths, kind = match[1], match[2].split(","), match[3] or "magnet"
    if kind not in LAYER_KINDS:
        raise unknown_name("layer kind", kind, LAYER_KINDS, place=f" in {name!r}")
    if len(widths) < (2 if family == "flexnet" else 1) or not all(1 <= float(n) <= LARGEST_WIDTH for n in widths):
        told = f"needs widths from 1 to {LARGEST_WIDTH:,}: flexnet[STEM,BLOCK,...] or flextcn[BLOCK,...]"
        raise UsageError(f"{name!r} {told}")
    return Shell(family="flexnet" if family == "flexnet" else "flextcn", widths=tuple(map(int, widths)), kind=kind)


def _shell_entry(name: str, shell: Shell, source: str) -> ModelEntry:
    # a FlexTCN's published size is that of pixel-by-pixel CIFAR-10
    reference_size = 16 if shell.dims == 2 else 1024
    return ModelEntry(name=name, source=source, build=shell, dims=shell.dims, reference_size=reference_size)


def _image_entry(name: str, source: str, build: Callable[..., nn.Module]) -> ModelEntry:
    """Of a network without reference size, made by `build(channels=..., classes=...)`."""
    return ModelEntry(
        name=name, source=source, build=lambda classes, channels, _: build(channels=channels, classes=classes)
    )


def _rivals() -> list[ModelEntry]:
    """The other two-dimensional systems that FlexConv is compared with."""
    njet, tomen = "Pintea et al. 2021 (N-Jet)", "Tomen et al. 2021 (DCN)"
    shells = {
        "fractional": "Saldanha 2021 (fractional Gaussian derivatives)",
        "dilated": "Shelhamer et al. 2019 (learned Gaussian dilation)",
        "deformable": "Dai et al. 2017 (deformable convolution)",
    }
    seven = {kind: Shell(family="flexnet", widths=FLEXNET_WIDTHS[7], kind=kind) for kind in shells}
    return [
        _shell_entry("flexnet-7-njet", Shell(family="flexnet", widths=NJET_WIDTHS, kind="njet"), njet),
        _image_entry("njet-allcnn", njet, NJetAllCNN),
        _image_entry("njet-resnet-32", njet, partial(njet_resnet, 5)),
        _image_entry("dcn-sigma-ji", tomen, DCN),
        *(_shell_entry(f"flexnet-7-{kind}", seven[kind], source) for kind, source in shells.items()),
    ]


def _sequence_systems() -> list[ModelEntry]:
    """The other one-dimensional systems; a sequence of MNIST has 784 steps of one channel."""
    magnet = Shell(family="flextcn", widths=(30, 30), kind="ckconv-magnet")
    entries = [
        ModelEntry(
            name=name,
            source=system.source,
            build=system,
            dims=1,
            channels=1,
            reference_size=784,
        )
        for name, system in SYSTEMS.items()
    ]
    return [_shell_entry("cktcn-magnet-2", magnet, "Romero et al. 2022a (FlexConv)"), *entries]


def _entries() -> list[ModelEntry]:
    flexconv, ckconv = "Romero et al. 2022a (FlexConv)", "Romero et al. 2022b (CKConv)"
    shells = {
        f"flexnet-{depth}": (Shell(family="flexnet", widths=widths), flexconv)
        for depth, widths in FLEXNET_WIDTHS.items()
    }
    for kind in ("conv3", "conv33", "siren", "gabor", "fourier"):
        shells[f"flexnet-7-{kind}"] = Shell(family="flexnet", widths=FLEXNET_WIDTHS[7], kind=kind), flexconv
    for kind in ("siren", "magnet"):
        shell = Shell(family="flexnet", widths=FLEXNET_WIDTHS[7], kind=f"ckconv-{kind}")
        shells[f"ckcnn-7-{kind}"] = shell, ckconv
    for blocks in (2, 4, 6):
        shells[f"flextcn-{blocks}"] = Shell(family="flextcn", widths=(30,) * blocks), flexconv
    listed = [_shell_entry(name, shell, source) for name, (shell, source) in shells.items()]
    resnets = [
        _image_entry(f"cifar-resnet-{depth}", "He et al. 2016", partial(CIFARResNet, (depth - 2) // 6))
        for depth in (32, 44)
    ]
    return [*listed, *resnets, *_rivals(), *_sequence_systems()]


MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _entries()}
"""Every named model, in the order `restool ls models` shows."""
