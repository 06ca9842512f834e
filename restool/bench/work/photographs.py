"""`restool bench data` of photographs: JPEG files of one shape on their way to a model in training."""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from restool.bench.harness.compare import Case, Deviation
from restool.bench.work.data import GREY_LEVEL, DataBench, candidates
from restool.data import Batches, Dataset
from restool.data.dataset import PARTS, photographs
from restool.data.pictures import Encoded
from restool.data.views import View

WIDTH, HEIGHT = 500, 375
"""Pixels of a file, as ImageNet has most."""
DRAWN = 20
"""So many pictures are drawn; files repeat them."""


@dataclass(frozen=True, kw_only=True)
class PhotographBench(DataBench):
    """An epoch of decoding, random resized crops, flips and normalisation, up to batches on the device.

    Attributes:
        workers: processes of both candidates; 0 for this one. The others are as in `DataBench`.

    Raises:
        UsageError: a number out of range.
    """

    sizes: tuple[int, ...] = (224,)

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        return super().settings | {"stored": f"{WIDTH}x{HEIGHT}", "encoding": "JPEG"}

    def cases(self, device: torch.device) -> Generator[Case]:
        """One per size."""
        files = drawn_files(self.images)
        labels = torch.arange(self.images) % 10
        parts = dict.fromkeys(PARTS, (files, labels))
        dataset = photographs("drawn", parts, tuple("0123456789")).reading(self.workers, None)
        for size in self.sizes:
            batches = Batches(dataset, "train", size, batch_size=self.batch, device=device, augment=True)
            theirs = Files(files, labels.tolist(), training(dataset, size))
            loader = DataLoader(theirs, batch_size=self.batch, shuffle=True, num_workers=self.workers)
            yield Case(
                place={"size": size},
                candidates=candidates(batches, loader, device, partial(pixel_deviation, dataset, theirs, size)),
                pieces=[],
                images=self.images,
            )


class Files(TorchDataset[tuple[Tensor, int]]):
    """Files through a transform, as torchvision's `ImageFolder` gives them."""

    def __init__(self, files: list[Encoded], labels: list[int], transform: transforms.Compose) -> None:
        self.files, self.labels, self.transform = files, labels, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.picture(index)), self.labels[index]

    def picture(self, index: int) -> Image.Image:
        """A file decoded."""
        return Image.open(BytesIO(self.files[index].read())).convert("RGB")


def drawn_files(images: int) -> list[Encoded]:
    """Smooth random pictures with some noise, which compress about as photographs do."""
    random, files = np.random.default_rng(0), []
    for place in range(min(images, DRAWN)):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.float64)
        noisy = smooth + random.normal(0, 8, smooth.shape)
        held = BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(held, "jpeg", quality=90)
        files.append(Encoded(f"{place}.jpg", held.getvalue()))
    return [files[place % DRAWN] for place in range(images)]


def training(dataset: Dataset, size: int) -> transforms.Compose:
    """The same steps in the same order by torchvision."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(dataset.mean, dataset.std),
        ]
    )


def pixel_deviation(dataset: Dataset, files: Files, size: int) -> dict[str, Deviation]:
    """Largest difference of a pixel in [0, 1] from torchvision's evaluation of the same files."""
    evaluation = transforms.Compose(
        [transforms.Resize(int(size / View().crop_ratio)), transforms.CenterCrop(size), transforms.ToTensor()]
    )
    batches = Batches(dataset, "test", size, batch_size=DRAWN, device="cpu")
    images, _ = next(iter(batches.epoch()))
    shift, scale = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    true = torch.stack([evaluation(files.picture(index)) for index in range(len(images))])
    return {"pixel": Deviation((images * scale + shift - true).abs().max().item(), GREY_LEVEL)}
