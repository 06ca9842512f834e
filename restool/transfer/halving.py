"""Testing on: a batch that does not fit the memory of the device is passed in parts."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from restool.errors import UsageError, is_out_of_memory


class InParts:
    """A model that is given a batch in halves, quarters and so on, once the whole one did not fit.

    Later batches go in parts as small at once. Answers are per image, so they are those of the whole batch, but for
    rounding: a library may sum in another order in a batch of another size.

    Args:
        model: in evaluation mode.
        noted: told once, by the first batch that fits in parts.
    """

    def __init__(self, model: nn.Module, noted: Callable[[str], None]) -> None:
        self.model, self.noted = model, noted
        self.images: int | None = None  # that fit, where a batch did not
        self.told = False

    def __call__(self, batch: Tensor) -> Tensor:
        """The model's answers to a batch; UsageError where a single image does not fit."""
        while (answers := self._tried(batch)) is None:
            images = min(self.images or len(batch), len(batch))
            if images < 2:
                raise UsageError(f"not enough memory to test one image of {_shown(batch)}; choose smaller sizes")
            self.images = images // 2
            if batch.is_cuda:
                torch.cuda.empty_cache()  # the pieces of what did not fit
        if self.images is not None and not self.told:
            self.told = True
            self.noted(
                f"not enough memory to test {len(batch)} images of {_shown(batch)} at a time; "
                f"going on with {self.images} at a time"
            )
        return answers

    def _tried(self, batch: Tensor) -> Tensor | None:
        """None where the memory does not suffice; what was computed until then is free again."""
        try:
            return torch.cat([self.model(part) for part in batch.split(self.images or len(batch))])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None


def _shown(batch: Tensor) -> str:
    return "x".join(map(str, batch.shape[2:]))
