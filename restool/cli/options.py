"""Options that several commands share: one place for their names and help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceChoice(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Model = Annotated[str, typer.Option("--model", help="Model name; see `restool ls models`.")]
DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset", help="gabors (built in), cifar10, mnist, parquet:DIR or folder:DIR; see `restool ls datasets`."
    ),
]
TrainSizes = Annotated[str, typer.Option("--train", help="Source sizes in pixels: 16, or 16,20, or 16..24:4.")]
TestSizes = Annotated[
    str, typer.Option("--test", help="Target sizes in pixels: 28..36 (every size), 28..36:2, or a list.")
]
Seeds = Annotated[str, typer.Option("--seeds", help="One source model for each: 0, or 0..4.")]
Protocols = Annotated[
    str | None, typer.Option("--protocols", help="Zero-shot protocols, comma separated.", show_default="all that apply")
]
NativeProtocols = Annotated[
    str | None,
    typer.Option("--protocols", help="Zero-shot protocols to compare with.", show_default="requery, or as-is"),
]
AliasPenalty = Annotated[
    str, typer.Option("--alias-penalty", help="Penalise kernel frequencies above Nyquist: none, gabor or gabor+mask.")
]
Limit = Annotated[
    int | None, typer.Option("--limit", help="Use N training and N test images.", metavar="N", show_default="all")
]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Images in a training step.")]
LearningRate = Annotated[float, typer.Option("--learning-rate", help="Peak rate of Adam.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of cifar10 and mnist.", show_default="./data")]
Download = Annotated[bool, typer.Option("--download", help="Fetch cifar10 or mnist if it is missing.")]
Device = Annotated[DeviceChoice, typer.Option("--device", help="auto takes a GPU where there is one.")]
Out = Annotated[Path, typer.Option("--out", help="Results folder: records, checkpoints, tables, heat maps.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List the cells, what is done and an estimate; write nothing.")]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", help="Stop cleanly after so many minutes.", metavar="MINUTES")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
FinetuneEpochs = Annotated[int, typer.Option("--finetune-epochs", help="Also train on at every target; 0 for not.")]

DEFAULT_OUT = Path("results/local")
EPOCHS_DEFAULT = "8 for gabors, 100 for other data"
EPOCHS_HELP = "Epochs of training at the source size."
EPOCHS = typer.Option("--epochs", help=EPOCHS_HELP, show_default=EPOCHS_DEFAULT)
FINETUNE_EPOCHS = typer.Option("--epochs", help="Epochs of training on at every target size.")
SOURCE_EPOCHS = typer.Option("--source-epochs", help=EPOCHS_HELP, show_default=EPOCHS_DEFAULT)
