"""Options that several commands share: one place for their names and help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

STUDY, TRAINING, RUNNING = "What to measure", "How to train", "Where to run and write"
"""Panels of a command's help."""

FLAG = ""  # what stands behind an option that takes no value


class DeviceChoice(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Model = Annotated[
    str, typer.Option("--model", help="See `restool ls models`.", metavar="NAME", rich_help_panel=STUDY)
]
DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset",
        help="gabors (built in), cifar10, mnist, parquet:DIR or folder:DIR; see `restool ls datasets`.",
        metavar="NAME",
        rich_help_panel=STUDY,
    ),
]
TrainSizes = Annotated[
    str,
    typer.Option(
        "--train", help="Source sizes in pixels: 16, or 16,20, or 16..24:4.", metavar="SIZES", rich_help_panel=STUDY
    ),
]
TestSizes = Annotated[
    str,
    typer.Option(
        "--test",
        help="Target sizes in pixels: 28..36 (every size), 28..36:2 (every second), or 28,32.",
        metavar="SIZES",
        rich_help_panel=STUDY,
    ),
]
Seeds = Annotated[
    str,
    typer.Option(
        "--seeds", help="One source model for each: 0, or 0..4, or 3,7.", metavar="SEEDS", rich_help_panel=STUDY
    ),
]
Protocols = Annotated[
    str | None,
    typer.Option(
        "--protocols",
        help="Ways to use the model at a target without training, such as requery,resize; see `restool ls models`.",
        show_default="all that apply to the model",
        metavar="NAMES",
        rich_help_panel=STUDY,
    ),
]
NativeProtocols = Annotated[
    str | None,
    typer.Option(
        "--protocols",
        help="What fine-tuning is compared with, such as requery,resize; see `restool ls models`.",
        show_default="requery, or as-is without continuous kernels",
        metavar="NAMES",
        rich_help_panel=STUDY,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        help="Use N training and N test images: for a quick look.",
        metavar="N",
        show_default="all",
        rich_help_panel=STUDY,
    ),
]
AliasPenalty = Annotated[
    str,
    typer.Option(
        "--alias-penalty",
        help="Penalise kernel frequencies above the Nyquist frequency of the source.",
        metavar="none|gabor|gabor+mask",
        rich_help_panel=TRAINING,
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", help="Images in a training step.", metavar="N", rich_help_panel=TRAINING)
]
LearningRate = Annotated[
    float, typer.Option("--learning-rate", help="Peak rate of Adam.", metavar="RATE", rich_help_panel=TRAINING)
]
FinetuneEpochs = Annotated[
    int,
    typer.Option(
        "--finetune-epochs", help="Also train on at every target; 0 for not.", metavar="N", rich_help_panel=TRAINING
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder that holds torchvision's files of cifar10 and mnist.",
        metavar="DIR",
        show_default="./data",
        rich_help_panel=RUNNING,
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download", help="Fetch cifar10 or mnist if it is missing.", metavar=FLAG, rich_help_panel=RUNNING
    ),
]
Device = Annotated[
    DeviceChoice, typer.Option("--device", help="auto takes a GPU where there is one.", rich_help_panel=RUNNING)
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        help="Results folder: records, checkpoints, tables, heat maps. What it holds already is not done again.",
        metavar="DIR",
        rich_help_panel=RUNNING,
    ),
]
OutArgument = Annotated[Path, typer.Argument(help="Results folder.", metavar="DIR")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="List the cells, what is done and an estimate of the rest; write nothing.",
        metavar=FLAG,
        rich_help_panel=RUNNING,
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        help="Stop cleanly after so many minutes, such as 90 or 0.5; the same command goes on later.",
        metavar="MINUTES",
        rich_help_panel=RUNNING,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON instead of text.", metavar=FLAG, rich_help_panel=RUNNING),
]

DEFAULT_OUT = Path("results/local")


def epochs_option(name: str) -> typer.models.OptionInfo:
    """The option that sets the epochs at the source size."""
    return typer.Option(
        name,
        help="Epochs of training at the source size.",
        show_default="8 for gabors, 100 for other data",
        metavar="N",
        rich_help_panel=TRAINING,
    )
