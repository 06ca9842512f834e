"""Options that several commands share: one place for their names and help."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer


class DeviceChoice(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class MethodChoice(StrEnum):
    """How continuous layers convolve: the names of `restool.nn.correlate.Method`."""

    auto = "auto"
    direct = "direct"
    fft = "fft"
    basis = "basis"
    dft = "dft"


def whole_number(text: str) -> int:
    """The number that was typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"it takes a whole number, but got {text!r}") from None


def number(text: str) -> float:
    """The number that was typed."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"it takes a number, but got {text!r}") from None


def _option(panel: str | None, name: str, text: str, metavar: str = "", **more: Any) -> Any:
    """An option in a panel of the help; one without a value has no metavar."""
    return typer.Option(name, help=text, metavar=metavar, rich_help_panel=panel, **more)


_study = partial(_option, "What to measure")
_training = partial(_option, "How to train")
_running = partial(_option, "Where to run and write")

TrainSizes = Annotated[str, _study("--train", "Source sizes in pixels: 16, or 16,20, or 16..24:4.", "SIZES")]
TestSizes = Annotated[
    str, _study("--test", "Target sizes in pixels: 28..36 (every size), 28..36:2 (every second), or 28,32.", "SIZES")
]
Model = Annotated[
    str, _study("--model", "See `restool ls models`; or torchvision:NAME, timm:NAME, or MODULE:FACTORY.", "NAME")
]
DatasetName = Annotated[
    str,
    _study(
        "--dataset", "gabors (built in), cifar10, mnist, parquet:DIR or folder:DIR; see `restool ls datasets`.", "NAME"
    ),
]
Seeds = Annotated[str, _study("--seeds", "One source model for each: 0, or 0..4, or 3,7.", "SEEDS")]
Protocols = Annotated[
    str | None,
    _study(
        "--protocols",
        "Ways to use a trained model at a target, such as requery,resize; see `restool ls models`.",
        "NAMES",
        show_default="all that apply",
    ),
]
NativeProtocols = Annotated[
    str | None,
    _study(
        "--protocols",
        "What fine-tuning is compared with, such as requery,resize; see `restool ls models`.",
        "NAMES",
        show_default="what it starts from: requery, rescale, position or as-is",
    ),
]
Limit = Annotated[
    int | None,
    _study(
        "--limit",
        "Use N training and N test images, for a quick look.",
        "N",
        parser=whole_number,
        show_default="all",
    ),
]


def source_epochs(name: str) -> Any:
    """The option for the epochs at the source size."""
    shown = "8 for gabors, 100 for other data"
    return _training(name, "Epochs of training at the source size.", "N", parser=whole_number, show_default=shown)


FinetuneEpochs = Annotated[
    int, _training("--finetune-epochs", "Also train on at every target; 0 for not.", "N", parser=whole_number)
]
TargetEpochs = Annotated[
    int, _training("--epochs", "Epochs of training on at every target size.", "N", parser=whole_number)
]
AliasPenalty = Annotated[
    str,
    _training(
        "--alias-penalty",
        "Penalise kernel frequencies above the Nyquist frequency of the source.",
        "none|gabor|gabor+mask",
    ),
]
BatchSize = Annotated[int, _training("--batch-size", "Images in a training step.", "N", parser=whole_number)]
LearningRate = Annotated[float, _training("--learning-rate", "Peak rate of Adam.", "RATE", parser=number)]
Precision = Annotated[
    str,
    _training(
        "--precision", "Of convolutions in training; bfloat16 is faster on GPUs and some CPUs.", "float32|bfloat16"
    ),
]

DataDir = Annotated[
    Path | None,
    _running("--data-dir", "Folder with torchvision's files of cifar10 or mnist.", "DIR", show_default="./data"),
]
Download = Annotated[bool, _running("--download", "Fetch cifar10 or mnist if it is missing.")]
Device = Annotated[DeviceChoice, _running("--device", "auto takes a GPU where there is one.", "auto|cpu|cuda")]
Method = Annotated[
    MethodChoice,
    _running(
        "--method",
        "How continuous layers convolve; auto takes the fastest. Results agree to rounding.",
        "auto|direct|fft|basis|dft",
    ),
]
Out = Annotated[
    Path,
    _running("--out", "Results folder: records, checkpoints, tables, heat maps. What it has is not done again.", "DIR"),
]
DryRun = Annotated[bool, _running("--dry-run", "List the cells, what is done and an estimate; write nothing.")]
TimeLimit = Annotated[
    float | None,
    _running(
        "--time-limit",
        "Stop cleanly after so many minutes, such as 90 or 0.5; the same command goes on later.",
        "MINUTES",
        parser=number,
    ),
]
Json = Annotated[bool, _option(None, "--json", "Print JSON instead of text.")]

OutArgument = Annotated[Path, typer.Argument(help="Results folder.", metavar="DIR")]
DEFAULT_OUT = Path("results/local")
