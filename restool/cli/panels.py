"""Options that several commands share, a frozen dataclass for each panel of the help, and what makes a command of them.

A command takes panels and options of its own as parameters:

    @takes_panels
    def sweep(grid: Grid, recipe: Recipe, place: Place, as_json: Json = False) -> None: ...

On the command line every field of a panel is an option; the command is called with the panels built of them. Any
dataclass whose fields carry a `Knob` is a panel too, so a new field of `restool.recipe.Recipe` is a new option.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from restool.arguments import Knob, knobs
from restool.bench.harness.budget import Budget
from restool.cli.images import Shown
from restool.cli.option import option
from restool.cli.parsing import number, whole_number
from restool.cli.sizes import OneTestSize, TestSizes, TrainSizes
from restool.recipe import RECIPES, Recipe

PANELS: dict[type, str] = {Recipe: "How to train", Budget: "How to measure"}
"""The panels of the help whose fields are knobs of the library."""
DEFAULT_OUT = Path("results/local")


class MethodChoice(StrEnum):
    """How continuous layers convolve: the names of `restool.correlation.METHODS`."""

    auto = "auto"
    direct = "direct"
    fft = "fft"
    basis = "basis"
    dft = "dft"


def takes_panels(command: Callable[..., None]) -> Callable[..., None]:
    """A command with one flat parameter for every field of its panels."""
    panels: dict[str, Any] = {}
    flat: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if is_dataclass(parameter.annotation):
            panels[parameter.name] = parameter.annotation
            flat += _parameters(parameter.annotation)
        else:
            flat.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def typed(**values: Any) -> None:
        built = {name: panel(**{f.name: values.pop(f.name) for f in fields(panel)}) for name, panel in panels.items()}
        command(**built, **values)

    typed.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    typed.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return typed


def _parameters(panel: Any) -> list[inspect.Parameter]:
    """One for every field of a panel."""
    hints, tuned = get_type_hints(panel, include_extras=True), knobs(panel)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=_of_knob(panel, field, *tuned[field.name]) if field.name in tuned else hints[field.name],
        )
        for field in fields(panel)
    ]


def _of_knob(panel: type, field: "Field[Any]", kind: Any, knob: Knob) -> Any:
    """The option of a knob: its name is the field's, its words or its number are those of the field's type."""
    more: dict[str, Any] = {} if knob.default is None else {"show_default": knob.default}
    if get_origin(kind) is Literal:
        kind, metavar = str, "|".join(get_args(kind))
    else:
        more["parser"], metavar = (whole_number if int in (kind, *get_args(kind)) else number), knob.metavar
    name = f"--{field.name.replace('_', '-')}"
    return Annotated[kind, option(PANELS[panel], name, knob.help, metavar, **more)]


_measured = partial(option, "What to measure")
_trained = partial(option, "How to train")
_running = partial(option, "Where to run and write")
device_option = partial(
    option,
    name="--device",
    text="auto takes a GPU where there is one, cuda:1 the second.",
    metavar="auto|cpu|cuda|cuda:K",
)
"""The option for where to compute, of the panel that it is given."""

ModelName = Annotated[
    str, _measured("--model", "See `restool ls models`; or torchvision:NAME, timm:NAME, or MODULE:FACTORY.", "NAME")
]
_dataset = partial(
    _measured,
    "--dataset",
    "gabors or tones (built in), cifar10, parquet:DIR, smnist, ...; see `restool ls datasets`.",
    "NAME",
)
DatasetName = Annotated[str, _dataset()]
OwnDataset = Annotated[str | None, _dataset(show_default="that of its training")]
Protocols = Annotated[
    str | None,
    _measured(
        "--protocols",
        "Ways to use a trained model at a target, such as requery,resize; see `restool ls models`.",
        "NAMES",
        show_default="all that apply",
    ),
]
StartProtocols = Annotated[
    str | None,
    _measured(
        "--protocols",
        "What fine-tuning is compared with, such as requery,resize; see `restool ls models`.",
        "NAMES",
        show_default="what it starts from: requery, rescale, position or as-is",
    ),
]
Limit = Annotated[
    int | None,
    _measured(
        "--limit",
        "Use N training and N test images or sequences, for a quick look.",
        "N",
        parser=whole_number,
        show_default="all",
    ),
]
CheckpointFile = Annotated[
    Path, typer.Argument(help="A .safetensors file; `restool ls runs` lists them.", show_default=False, metavar="FILE")
]
Json = Annotated[bool, option(None, "--json", "Print JSON instead of text.")]
DryRun = Annotated[bool, _running("--dry-run", "List the cells, what is done and an estimate; write nothing.")]
KeepLogits = Annotated[
    bool,
    _running("--keep-logits", "Keep the logits of every cell: agreement, divergence and calibration are reported."),
]
OutArgument = Annotated[Path, typer.Argument(help="Results folder.", metavar="DIR")]
Device = Annotated[str, device_option("Where to run and write")]


def _take_recipe(context: typer.Context, name: str) -> str:
    """Let the options of training that are not typed come from a recipe."""
    if name not in RECIPES:
        raise typer.BadParameter(f"it takes one of {', '.join(RECIPES)}, but got {name!r}")
    context.default_map = {**(context.default_map or {}), **vars(RECIPES[name])}
    return name


def _source_epochs(name: str) -> Any:
    """The option for the epochs at the source size."""
    shown = "8 for gabors and tones, 100 for other data, 0 for a model that comes trained"
    return _trained(name, "Epochs of training at the source size.", "N", parser=whole_number, show_default=shown)


Tuned = Annotated[
    str,
    _trained(
        "--tune",
        "What training on at a target trains: all, head, head+bn, bn (batch norms), or several to compare.",
        "NAMES",
    ),
]
RecipeName = Annotated[
    str,
    _trained(
        "--recipe",
        "Where the options of training come from that are not typed.",
        "|".join(RECIPES),
        callback=_take_recipe,
        is_eager=True,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Sizes to train at, which the help shows first."""

    train: TrainSizes = None


@dataclass(frozen=True, kw_only=True)
class Tested(Trained):
    """Sizes to test at, which it shows next."""

    test: TestSizes = None


@dataclass(frozen=True, kw_only=True)
class Named(Trained):
    """What a study is about."""

    model: ModelName = "flexnet-3"
    dataset: DatasetName = "gabors"
    seeds: Annotated[str, _measured("--seeds", "One source model for each: 0, or 0..4, or 3,7.", "SEEDS")] = "0"
    limit: Limit = None


@dataclass(frozen=True, kw_only=True)
class Sources(Shown, Named):
    """The models that a study trains."""

    epochs: Annotated[int | None, _source_epochs("--epochs")] = None
    recipe: RecipeName = "official"


@dataclass(frozen=True, kw_only=True)
class Grid(Sources, Tested):
    """The grid of `restool sweep`."""

    protocols: Protocols = None
    finetune_epochs: Annotated[
        int, _trained("--finetune-epochs", "Also train on at every target; 0 for not.", "N", parser=whole_number)
    ] = 0
    tune: Tuned = "all"


@dataclass(frozen=True, kw_only=True)
class TuningGrid(Sources, Tested):
    """The grid of `restool finetune`, where --epochs are those at the target."""

    epochs: Annotated[int | None, _source_epochs("--source-epochs")] = None
    test: OneTestSize = None
    protocols: StartProtocols = None
    finetune_epochs: Annotated[
        int, _trained("--epochs", "Epochs of training on at every target size.", "N", parser=whole_number)
    ] = 10
    tune: Tuned = "all"
