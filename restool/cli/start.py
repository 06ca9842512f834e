"""Options of the commands that train or move models: what a model comes with from elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from restool.cli.panels import option
from restool.cli.parsing import real_numbers

PANEL = "How a model starts"


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a source model starts from, and how images are normalised for it."""

    weights: Annotated[
        Path | None,
        option(
            PANEL,
            "--weights",
            "Start from this file: .safetensors, .pt, .pth or .bin; nothing is trained at the source unless asked for.",
            "FILE",
            show_default="a draw",
        ),
    ] = None
    new_head: Annotated[bool, option(PANEL, "--new-head", "Without the head of the file, for other classes.")] = False
    mean: Annotated[
        str | None,
        option(
            PANEL,
            "--mean",
            "Of grey levels from 0 to 1, for all channels or each: 0.5, or 0.485,0.456,0.406.",
            "NUMBERS",
            show_default="the trained model's own, else the data set's",
        ),
    ] = None
    std: Annotated[
        str | None, option(PANEL, "--std", "Likewise their standard deviation.", "NUMBERS", show_default="likewise")
    ] = None

    @property
    def choices(self) -> dict[str, Any]:
        """Fields of `restool.transfer.StudyConfig`."""
        return {
            "weights": self.weights,
            "new_head": self.new_head,
            "mean": None if self.mean is None else real_numbers(self.mean, "mean"),
            "std": None if self.std is None else real_numbers(self.std, "std"),
        }
