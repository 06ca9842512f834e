"""Models that answer every image at 8 px, each with one planted fault that shows at 16, and the images they answer."""

import math

import torch
from torch import Tensor, nn

from restool.data import Dataset
from restool.data.dataset import Split
from restool.kernels import GaussianMask
from restool.kernels.base import KernelNetwork
from restool.models import ModelSpec
from restool.nn import ContinuousConv

SOURCE, TARGET = 8, 16
COUNTS = {"train": 200, "validation": 20, "test": 120}
SPEC = ModelSpec("flexnet[3,4]", 2, 1, SOURCE)
"""The name means nothing here."""


def dataset(images, *, native_size: int | None = None) -> Dataset:
    """Two classes by turns; `images(labels, size)` in grey levels around 100, of which 20 are a deviation."""

    def read(part: str, size: int, _view: object) -> Split:
        labels = torch.arange(COUNTS[part]) % 2
        torch.manual_seed(len(labels))
        levels = 100 + 20 * images(labels[:, None, None, None], native_size or size)
        return Split(levels.round().clamp(0, 255).to(torch.uint8), labels)

    statistics = {"mean": (100 / 255,), "std": (20 / 255,)}
    return Dataset(
        name="planted", channels=1, class_names=("low", "high"), augment="none", native_size=native_size,
        fingerprint="0" * 16, counts=COUNTS, read=read, **statistics,
    )  # fmt: skip


def levels(labels: Tensor, size: int) -> Tensor:
    """Even images of about 1 or 2 deviations."""
    return (1 + labels + 0.03 * torch.randn(len(labels), 1, 1, 1)).expand(-1, 1, size, size)


def noise(labels: Tensor, size: int) -> Tensor:
    """White noise as a pixel of a size sees it: of deviation proportional to the size, 0.3 or 0.9 at 8 px."""
    return (0.3 + 0.6 * labels) * size / SOURCE * torch.randn(len(labels), 1, size, size)


class Cosine(KernelNetwork):
    """psi(p) = prod over the axes of cos(2 pi f p)."""

    def __init__(self, frequency: float) -> None:
        super().__init__(2, 1, 1)
        self.frequency = frequency
        nn.init.ones_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def hidden_functions(self, coordinates: Tensor) -> Tensor:
        return torch.cos(2 * math.pi * self.frequency * coordinates).prod(1, keepdim=True)


class Threshold(nn.Module):
    """High where the mean over the image is above a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, images: Tensor) -> Tensor:
        high = images.mean((1, 2, 3)) - self.level
        return torch.stack([torch.zeros_like(high), high], dim=1)


class Brighter(nn.Module):
    """Adds what the size is beyond the source's."""

    def forward(self, images: Tensor) -> Tensor:
        return images + 3 * (images.shape[-1] / SOURCE - 1)


class Power(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.square()


def layer(frequency: float, mask: GaussianMask | None) -> ContinuousConv:
    return ContinuousConv(1, 1, kernel=Cosine(frequency), mask=mask, reference_size=SOURCE)


def ended(model: nn.Sequential) -> nn.Module:
    """With a threshold between what both classes give at the source, nearer to the high one."""
    low, high = (model(torch.full((1, 1, SOURCE, SOURCE), level)).mean().item() for level in (1.0, 2.0))
    return nn.Sequential(*model, Threshold(0.2 * low + 0.8 * high)).eval()


@torch.no_grad()
def aliased() -> nn.Module:
    """A kernel of 4 cycles a unit: 1 at every tap of 8 px, and +-1 by turns at 16."""
    return ended(nn.Sequential(layer(4.0, None)))


@torch.no_grad()
def cut() -> nn.Module:
    """An even kernel up to 0.26 units: 3 taps of 0.25 units at 8 px, and 5 of 0.125 at 16, on 0.69 of the area."""
    return ended(nn.Sequential(layer(0.0, GaussianMask(2, sigma=0.26 / math.sqrt(-2 * math.log(0.8)), threshold=0.8))))


@torch.no_grad()
def shifted() -> nn.Module:
    """A batch norm behind a layer that shifts what it gets with the size."""
    norm = nn.BatchNorm2d(1)
    norm.running_mean.fill_(1.5)
    norm.running_var.fill_(0.25)
    return nn.Sequential(Brighter(), norm, Threshold(0.0)).eval()


def sharp() -> nn.Module:
    """The power of an image, which grows with its sharpness."""
    return nn.Sequential(Power(), Threshold(0.3)).eval()
