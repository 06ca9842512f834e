"""Small models to move between sizes, and the images they move on."""

from collections.abc import Iterator

import torch
from torch import nn

from restool.kernels import MAGNet
from restool.models import DCN, CIFARResNet, Solver, build_model, njet_resnet
from restool.nn import ContinuousConv
from restool.transfer import resolve_protocol

SHELLS = ["flexnet[3,4]", "flexnet[3,4]-siren", "flexnet[3,4]-ckconv-magnet", "flexnet[3,4]-conv3"]
UNLISTED = {
    "cifar-resnet-8": lambda: CIFARResNet(1),
    "njet-resnet-8": lambda: njet_resnet(1),
    "dcn": lambda: DCN((4, 8), solver=Solver(steps=1)),
}
RIVALS = [f"flexnet[3,4]-{kind}" for kind in ("njet", "fractional", "dilated", "deformable")] + ["njet-resnet-8", "dcn"]
IMAGE_MODELS = [*SHELLS, "flexnet[3,4]-conv33", "cifar-resnet-8", *RIVALS]
SIZES = [8, 10, 11, 16, 6]


def images(size: int, *, count: int = 5, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def build(name: str, reference_size: int = 8) -> nn.Module:
    """A named model, or a small one of those that have strides and no name."""
    return UNLISTED[name]() if name in UNLISTED else build_model(name, reference_size=reference_size)


def bare(kind: str) -> nn.Module:
    """A layer alone, ordinary or continuous, with the same weights at every call."""
    torch.manual_seed(0)
    if kind == "conv":
        return nn.Conv2d(3, 3, 3, padding=1)
    return ContinuousConv(3, 3, kernel=MAGNet(2, 9, hidden=4), reference_size=8)


def trained(name: str, *, reference_size: int = 8) -> nn.Module:
    """A model in evaluation mode with running statistics of its own."""
    torch.manual_seed(0)
    model = build(name, reference_size)
    with torch.no_grad():
        for seed in range(3):
            model(images(reference_size, seed=seed) * 2 + 1)
    return model.eval()


def used(protocol: str, model: nn.Module, source: int, target: int) -> nn.Module:
    """The moved model, calibrated if it needs to be, after a first forward pass."""
    size = resolve_protocol(protocol).sizes(source, target)[-1]
    calibration = [images(size, seed=seed) for seed in (7, 8)]
    moved = resolve_protocol(protocol).apply(model, source, target, calibration=calibration)
    with torch.no_grad():
        moved(images(size))
    return moved


def layer_pairs(model: nn.Module, moved: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """(layer of the trained model, what stands in its place)."""
    places = dict(moved.named_modules())
    for name, layer in model.named_modules():
        if isinstance(layer, ContinuousConv | nn.Conv2d):
            yield layer, places[name]
