"""`restool figure`: figures that need no study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restool.arguments import LARGEST_SEED
from restool.cli.checkpoint import OwnModel
from restool.cli.command import Command
from restool.cli.output import plain_rows, print_files, print_json
from restool.cli.panels import DEFAULT_OUT, CheckpointFile, Json
from restool.cli.parsing import whole_number
from restool.cli.sizes import DoubledSize, require_size
from restool.errors import ArgumentError, UsageError

if TYPE_CHECKING:
    import pandas as pd

figure = typer.Typer(help="Draw kernels: restool figure kernel, or restool figure kernels FILE", no_args_is_help=True)


@figure.command(cls=Command)
def kernel(
    seed: Annotated[
        int, typer.Option("--seed", help="Of the kernel's random weights.", parser=whole_number, metavar="N")
    ] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", metavar="DIR")] = DEFAULT_OUT,
    as_json: Json = False,
) -> None:
    """One kernel at three times its size, by dilation, deformation and re-query, with the frequency response of each.

    Writes kernel.png, kernel.pdf, kernel.csv and kernel-response.csv. Example:

    restool figure kernel --out results/local
    """
    from restool.analysis.enlargement import enlarge, example_layer
    from restool.report.enlargement import write_figure

    if not 0 <= seed <= LARGEST_SEED:
        raise ArgumentError("seed", f"must be from 0 to {LARGEST_SEED:,}", seed)
    files, table = write_figure(out, enlarge(example_layer(seed)))
    _print(files, table, as_json=as_json)


@figure.command(cls=Command)
def kernels(
    checkpoint: CheckpointFile,
    model: OwnModel = None,
    to: DoubledSize = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", metavar="DIR")] = DEFAULT_OUT,
    as_json: Json = False,
) -> None:
    """The learned kernels of a checkpoint from shallow to deep, their sizes, and what of them aliases.

    Writes kernels.png, kernels.pdf and kernels.csv. Example:

    restool figure kernels model.safetensors --to 32
    """
    import torch

    from restool.analysis.portraits import portraits
    from restool.report.portraits import write_portraits
    from restool.training import load_model

    if to is not None:
        require_size(to)
    network, stored = load_model(checkpoint, torch.device("cpu"), model=model)
    source = stored.spec.reference_size
    target = 2 * source if to is None else to
    found = portraits(network, source, target)
    if not found:
        raise UsageError(f"{checkpoint} must have continuous kernels, but {stored.spec.name} has none")
    files, table = write_portraits(out, found, source, target)
    _print(files, table, as_json=as_json)


@figure.command(cls=Command)
def training(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="One or more .safetensors files of restool.", show_default=False, metavar="FILE..."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", metavar="DIR")] = DEFAULT_OUT,
    as_json: Json = False,
) -> None:
    """Loss and accuracy of trainings by epoch, from the histories that checkpoints keep.

    Writes training.png, training.pdf and training.csv. Example:

    restool figure training results/local/checkpoints/*.safetensors
    """
    from restool.report.training import write_training
    from restool.training import load_checkpoint

    histories = {}
    for path in checkpoints:
        stored = load_checkpoint(path)
        if not stored.history:
            raise UsageError(f"{path} has no history: it was not trained by restool")
        size, seed = stored.facts.get("size", stored.spec.reference_size), stored.facts.get("seed", "?")
        unit = stored.facts.get("unit", "px")
        tuned = f", tune {stored.facts['tune']}" if "tune" in stored.facts else ""
        histories[f"{stored.spec.name} at {size} {unit}{tuned}, seed {seed} ({path.stem})"] = stored.history
    files, table = write_training(out, histories)
    _print(files, table, as_json=as_json)


def _print(files: list[Path], table: "pd.DataFrame", *, as_json: bool) -> None:
    """The numbers of a figure and where it was written."""
    if as_json:
        print_json({"files": [str(file) for file in files], "rows": plain_rows(table)})
        return
    print(table.to_string(index=False, float_format="{:.4f}".format))
    print_files(files)
