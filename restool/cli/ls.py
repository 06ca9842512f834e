"""`restool ls`: what there is to choose from, and what a results folder holds."""

import sys
from dataclasses import asdict

import typer

from restool.cli.command import Command
from restool.cli.output import in_percent, print_rows
from restool.cli.panels import DEFAULT_OUT, Json, OutArgument

ls = typer.Typer(help="List models, data sets or the runs of a results folder.", no_args_is_help=True)


@ls.command(cls=Command)
def models(as_json: Json = False) -> None:
    """Model names, sizes and the protocols that apply to each.

    Beside them, --model takes torchvision:NAME, timm:NAME (both with ?KEY=VALUE,... behind) and MODULE:FACTORY.
    """
    from restool.models import MODELS
    from restool.transfer import applicable

    rows = []
    for entry in MODELS.values():
        model = entry.build(10, entry.channels, entry.reference_size)
        rows.append(
            {
                "name": entry.name,
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "dims": entry.dims,
                "protocols": [*applicable(model), "finetune"],
                "source": entry.source,
            }
        )
    print_rows(rows, as_json=as_json)
    if not as_json:
        print("and torchvision:NAME[?KEY=VALUE,...], timm:NAME[?KEY=VALUE,...], MODULE:FACTORY", file=sys.stderr)


@ls.command(cls=Command)
def datasets(as_json: Json = False) -> None:
    """Data sets by name and what they need."""
    from restool.data import DATASETS

    print_rows([asdict(source) for source in DATASETS.values()], as_json=as_json)


@ls.command(cls=Command)
def runs(out: OutArgument = DEFAULT_OUT, as_json: Json = False) -> None:
    """Checkpoints of a results folder: what was trained, how far, and its validation accuracy."""
    from restool.errors import MissingDataError
    from restool.records import ResultsFolder
    from restool.training import load_checkpoint

    ResultsFolder(out)  # rejects a folder of another version
    rows = []
    for path in sorted((out / "checkpoints").glob("*.safetensors")):
        stored = load_checkpoint(path)
        facts, last = stored.facts, in_percent(stored.history[-1]) if stored.history else {}
        rows.append(
            {
                "checkpoint": str(path),
                "model": stored.spec.name,
                "dataset": facts.get("dataset"),
                "source": stored.spec.reference_size,
                "size": facts.get("size"),
                "seed": facts.get("seed"),
                "epochs": stored.epoch,
                "of": facts.get("trained_epochs"),
                "validation_accuracy_percent": last.get("validation_accuracy_percent"),
            }
        )
    if not rows:
        raise MissingDataError(f"no checkpoints in {out}; `restool train` or `restool sweep` makes them")
    print_rows(rows, as_json=as_json)
