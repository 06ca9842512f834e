"""What the benchmarks of a layer and of a step share: a case for every mask width and image size."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any

import torch

from restool.bench.harness.compare import Case
from restool.bench.work.candidates import MaskWidth
from restool.correlation import RATES


def place_of(dims: int, size: int) -> dict[str, Any]:
    """Where a case stands by the size of its input: pixels of the image side, or steps, which are said to be some."""
    return {"size": size} if dims == 2 else {"size": size, "unit": "steps"}


class Growing(ABC):
    """Cases that grow in size, mask width by mask width.

    Attributes:
        sizes: pixels of the image side, or steps.
        widths: of the mask.
        candidates: methods.
    """

    sizes: tuple[int, ...]
    widths: tuple[MaskWidth, ...]
    candidates: tuple[str, ...]

    def __len__(self) -> int:
        """Cases."""
        return len(self.sizes) * len(self.widths)

    def cases(self, device: torch.device) -> Generator[Case]:
        """One per width and size; a device that "auto" does not know is measured first."""
        if "auto" in self.candidates:
            RATES.calibrate(device, torch.float32)
        for width in self.widths:
            for size in self.sizes:
                yield self.case(size, width, device)

    @abstractmethod
    def case(self, size: int, width: MaskWidth, device: torch.device) -> Case:
        """The case of one size and width."""
