"""`restool bench data`: random 8-bit images on their way to a model in training."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Annotated, Any, ClassVar

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from restool.arguments import MOST_IMAGES, Knob, check_knobs
from restool.bench.harness.compare import Candidate, Case, Deviation
from restool.bench.harness.floor import Count
from restool.bench.work.counts import FLOAT
from restool.data import Batches, Dataset, Split
from restool.data.batches import PADDING
from restool.data.dataset import Part, stored

STORED = 32
"""Stored images have so many pixels a side, those of CIFAR-10."""
CHANNELS = 3
BASELINE = "torchvision"
Loader = DataLoader[tuple[Tensor, int]]
GREY_LEVEL = (1 + 1e-3) / 255
"""Pixels may differ from Pillow's by one grey level; the thousandth is for float32."""


@dataclass(frozen=True, kw_only=True)
class DataBench:
    """An epoch of flips, crops, antialiased bilinear resizes and normalisation, up to batches on the device.

    Attributes:
        sizes: pixels to resize to.
        images: an epoch.
        batch: images a batch.
        workers: processes that torchvision's pipeline runs in; 0 for this one.

    Raises:
        UsageError: a number out of range.
    """

    kind: ClassVar[str] = "data"

    sizes: tuple[int, ...] = (16, 32)
    images: Annotated[int, Knob("Images an epoch.", "N", least=1, most=MOST_IMAGES)] = 2000
    batch: Annotated[int, Knob("Images a batch.", "N", least=1, most=MOST_IMAGES)] = 64
    workers: Annotated[int, Knob("Processes of torchvision's.", "N", least=0, most=1024)] = 0

    def __post_init__(self) -> None:
        check_knobs(self)

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        return {"images": self.images, "batch": self.batch, "workers": self.workers, "stored": STORED}

    def __len__(self) -> int:
        """Cases."""
        return len(self.sizes)

    def cases(self, device: torch.device) -> Generator[Case]:
        """One per size."""
        dataset = noise(self.images)
        for size in self.sizes:
            batches = Batches(dataset, "train", size, batch_size=self.batch, device=device, augment=True)
            loader = DataLoader(
                Pictures(dataset, training_transform(dataset, size)),
                batch_size=self.batch,
                shuffle=True,
                num_workers=self.workers,
                persistent_workers=self.workers > 0,
            )
            yield Case(
                place={"size": size},
                candidates=candidates(batches, loader, device, partial(pixel_deviation, dataset, batches, size)),
                pieces=[{"read and write": epoch_count(self.images, size)}],
                images=self.images,
            )


def candidates(
    batches: Batches, loader: Loader, device: torch.device, check: Callable[[], dict[str, Deviation]]
) -> list[Candidate]:
    """An epoch of torchvision's pipeline and one of restool's, both up to batches on the device.

    Args:
        batches: restool's, on the device.
        loader: of torchvision's images and labels.
        device: to bring its batches to.
        check: deviations of restool's images.
    """
    seeds = count()

    def our_epoch() -> None:
        for _ in batches.epoch(shuffle_seed=next(seeds)):
            pass

    def their_epoch() -> None:
        for images, labels in loader:
            images.to(device), labels.to(device)

    return [
        Candidate(name=BASELINE, call=their_epoch, check=dict),
        Candidate(name="restool", call=our_epoch, check=check),
    ]


class Pictures(TorchDataset[tuple[Tensor, int]]):
    """Training images as Pillow pictures through a transform, as torchvision's own data sets give them."""

    def __init__(self, dataset: Dataset, transform: Callable[[Image.Image], Tensor]) -> None:
        split = dataset.split("train", STORED)
        self.pixels, self.labels = split.images.permute(0, 2, 3, 1).numpy(), split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def noise(images: int) -> Dataset:
    """Random colour images of ten classes in a training part; the other parts hold one."""
    random = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        pixels = torch.randint(0, 256, (count, CHANNELS, STORED, STORED), dtype=torch.uint8, generator=random)
        return Split(pixels, torch.arange(count) % 10)

    parts: dict[Part, Split] = {"train": split(images), "validation": split(1), "test": split(1)}
    return stored("noise", parts, tuple("0123456789"), augment=True)


def training_transform(dataset: Dataset, size: int) -> Callable[[Image.Image], Tensor]:
    """The same steps in the same order by torchvision."""
    return transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(STORED, padding=PADDING),
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize(dataset.mean, dataset.std),
        ]
    )


def pixel_deviation(dataset: Dataset, batches: Batches, size: int) -> dict[str, Deviation]:
    """Largest difference of a pixel in [0, 1] from Pillow's resize of the stored image, without flip and crop."""
    shift, scale = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    found = torch.cat([images.cpu() * scale + shift for images, _ in batches.epoch()])
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in dataset.split("train", STORED).images]
    resized = [picture.resize((size, size), Image.Resampling.BILINEAR) for picture in pictures]
    true = torch.stack([transforms.functional.to_tensor(picture) for picture in resized])
    return {"pixel": Deviation((found - true).abs().max().item(), GREY_LEVEL)}


def epoch_count(images: int, size: int) -> Count:
    """8-bit images read once and float32 images written once; the two products of a resize."""
    read, written = CHANNELS * STORED**2, CHANNELS * size**2
    products = 0 if size == STORED else 2 * CHANNELS * (STORED**2 * size + STORED * size**2)
    return Count(float(images * products), float(images * (read + FLOAT * written)))
