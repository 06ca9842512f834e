"""Panels: every field is an option of a command that takes its dataclass, and the command is handed what was typed."""

import inspect
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
import typer
from typer.models import ArgumentInfo, OptionInfo

from restool.arguments import Knob, check_knobs
from restool.cli.app import app
from restool.cli.command import Command, Failure
from restool.cli.option import option
from restool.cli.panels import PANELS, MethodChoice, takes_panels
from restool.cli.parsing import number, whole_number
from restool.correlation import METHODS
from restool.recipe import RECIPES, Recipe
from restool.transfer.config import DEFAULT_EPOCHS, OFFICIAL_EPOCHS


@dataclass(frozen=True, kw_only=True)
class Oven:
    """A panel of knobs."""

    heat: Annotated[int, Knob("Degrees inside.", "DEGREES", least=20)] = 200
    open_after: Annotated[float | None, Knob("Open the door.", "HOURS", above=0, default="in the end")] = None
    mode: Annotated[Literal["fan", "grill"], Knob("What heats.")] = "fan"

    def __post_init__(self) -> None:
        check_knobs(self)


@dataclass(frozen=True, kw_only=True)
class Dough:
    """A panel of options, one of which must be given."""

    flour: Annotated[str, option("What to bake", "--meal", "Ground grain.", "NAME")]
    water: Annotated[int, option("What to bake", "--water", "Grams.", "N", parser=whole_number)] = 300


@dataclass(frozen=True, kw_only=True)
class Sourdough(Dough):
    """Takes the options of the other panel, calls one otherwise and has one more."""

    water: Annotated[int, option("What to bake", "--wet", "Grams.", "N", parser=whole_number)] = 400
    days: Annotated[float, option("What to bake", "--days", "Of rest.", "N", parser=number)] = 1.5


Loaves = Annotated[int, option(None, "--loaves", "How many.", "N")]


@pytest.fixture(autouse=True)
def panel_of_the_oven(monkeypatch):
    monkeypatch.setitem(PANELS, Oven, "How to bake")


def typed(command: Any, *arguments: str) -> None:
    """Run a command as it is typed."""
    program = typer.Typer()
    program.command("bake", cls=Command)(takes_panels(command))
    program(list(arguments), standalone_mode=False)


def bake(*arguments: str) -> dict[str, Any]:
    """What a command with two panels and an option of its own is handed."""

    def command(dough: Dough, oven: Oven, loaves: Loaves = 1) -> None:
        handed.update(dough=dough, oven=oven, loaves=loaves)

    handed: dict[str, Any] = {}
    typed(command, "--meal", "rye", *arguments)
    return handed


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ([], {}),
        (["--heat", "250"], {"oven": Oven(heat=250)}),
        (["--open-after", "0.5", "--mode", "grill"], {"oven": Oven(open_after=0.5, mode="grill")}),
        (["--water", "350", "--loaves", "3"], {"dough": Dough(flour="rye", water=350), "loaves": 3}),
    ],
)
def test_a_command_is_handed_what_was_typed_as_built_panels(arguments, changed):
    assert bake(*arguments) == {"dough": Dough(flour="rye"), "oven": Oven(), "loaves": 1} | changed


def test_a_field_without_a_default_must_be_typed():
    def command(dough: Dough) -> None:
        raise AssertionError(dough)

    with pytest.raises(typer.TyperException) as error:
        typed(command)
    assert error.value.format_message() == "Missing option '--meal'."


def test_a_panel_may_inherit_from_another_and_call_its_options_otherwise():
    def command(dough: Sourdough) -> None:
        handed.append(dough)

    handed: list[Sourdough] = []
    typed(command, "--meal", "rye", "--wet", "500", "--days", "2")
    assert handed == [Sourdough(flour="rye", water=500, days=2.0)]
    with pytest.raises(typer.TyperException):
        typed(command, "--meal", "rye", "--water", "500")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--heat", "19"], "--heat must be at least 20, but is 19"),
        (["--open-after", "0"], "--open-after must be above 0, but is 0.0"),
        (["--mode", "steam"], "--mode must be one of fan, grill, but is 'steam'"),
    ],
)
def test_a_value_that_a_knob_does_not_take_names_the_option(arguments, message):
    with pytest.raises(Failure) as error:
        bake(*arguments)
    assert (str(error.value), error.value.exit_status) == (message, 2)


@pytest.mark.parametrize(("knob", "takes"), [("--heat", "a whole number"), ("--open-after", "a number")])
def test_a_knob_for_numbers_parses_numbers(knob, takes):
    with pytest.raises(typer.TyperException) as error:
        bake(knob, "hot")
    assert f"it takes {takes}, but got 'hot'" in error.value.format_message()


def test_the_help_tells_what_a_knob_says(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "140")
    bake("--help")
    lines = capsys.readouterr().out.splitlines()
    (title,) = [index for index, line in enumerate(lines) if "How to bake" in line]
    for line, parts in zip(
        lines[title + 1 : title + 4],
        [
            ("--heat", "DEGREES", "Degrees inside.", "[default: 200]"),
            ("--open-after", "HOURS", "Open the door.", "[default: (in the end)]"),
            ("--mode", "fan|grill", "What heats.", "[default: fan]"),
        ],
        strict=True,
    ):
        assert [part for part in parts if part not in line] == []


def test_a_new_field_of_the_recipe_is_an_option_of_a_command_that_trains(monkeypatch):
    knob = Annotated[int, Knob("Images to mix.", "N", least=1)]
    longer = make_dataclass("Longer", [("mixed_images", knob, 1)], bases=(Recipe,), frozen=True, kw_only=True)
    monkeypatch.setitem(PANELS, longer, "How to train")
    handed: list[Recipe] = []

    def command(recipe: longer) -> None:  # type: ignore[valid-type]
        handed.append(recipe)

    typed(command, "--mixed-images", "2", "--batch-size", "32")
    assert handed == [longer(mixed_images=2, batch_size=32)]
    with pytest.raises(Failure, match="^--mixed-images must be at least 1, but is 0$"):
        typed(command, "--mixed-images", "0")


def commands(tree: typer.Typer = app) -> list[Any]:
    """The functions of all commands that take panels."""
    found = [info.callback for info in tree.registered_commands if hasattr(info.callback, "__wrapped__")]
    for group in tree.registered_groups:
        found += commands(group.typer_instance)
    return found


def test_the_commands_with_panels_are_those_that_share_options():
    names = {command.__name__ for command in commands()}
    single = {"evaluate", "diagnose"}
    assert names == {"sweep", "finetune", "train", "layer", "step", "evaluation", "data", "scale", "run"} | single


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.__name__)
def test_every_field_of_a_panel_is_an_option_of_a_command_that_takes_it(command):
    taken = inspect.signature(command.__wrapped__, eval_str=True).parameters
    panels = [parameter.annotation for parameter in taken.values() if is_dataclass(parameter.annotation)]
    own = {name for name, parameter in taken.items() if not is_dataclass(parameter.annotation)}
    flat = inspect.signature(command).parameters
    assert panels
    assert set(flat) == own | {field.name for panel in panels for field in fields(panel)}
    notes = [note for parameter in flat.values() for note in get_args(parameter.annotation)[1:]]
    assert all(isinstance(note, OptionInfo | ArgumentInfo) for note in notes)
    assert len({note.default for note in notes}) == len(notes) == len(flat)
    for panel in panels:
        for field in fields(panel):
            assert flat[field.name].default == field.default


TYPED = {
    "--alias-penalty": ("gabor", "recipe", "alias_penalty", "gabor"),
    "--alias-after": ("0.5", "recipe", "alias_after", 0.5),
    "--alias-strength": ("2", "recipe", "alias_strength", 2.0),
    "--clip": ("1", "recipe", "clip", 1.0),
    "--enlarge": ("2", "recipe", "enlarge", 2.0),
    "--enlarge-share": ("0.25", "recipe", "enlarge_share", 0.25),
    "--batch-size": ("7", "recipe", "batch_size", 7),
    "--learning-rate": ("0.5", "recipe", "learning_rate", 0.5),
    "--precision": ("bfloat16", "recipe", "precision", "bfloat16"),
    "--weight-decay": ("1", "recipe", "weight_decay", 1.0),
    "--train": ("8", "grid", "train", "8"),
    "--model": ("flexnet-5", "grid", "model", "flexnet-5"),
    "--dataset": ("mnist", "grid", "dataset", "mnist"),
    "--seeds": ("1,2", "grid", "seeds", "1,2"),
    "--limit": ("9", "grid", "limit", 9),
    "--resample": ("every", "grid", "resample", "every"),
    "--antialias": ("on,off", "grid", "antialias", "on,off"),
    "--crop-ratio": ("0.875,1", "grid", "crop_ratio", "0.875,1"),
    "--low-pass": ("none,0.5", "grid", "low_pass", "none,0.5"),
    "--fit": ("pad", "grid", "fit", "pad"),
    "--augment": ("flip", "grid", "augment", "flip"),
    "--test": ("12", "grid", "test", "12"),
    "--tune": ("all,bn", "grid", "tune", "all,bn"),
    "--protocols": ("resize", "grid", "protocols", "resize"),
    "--data-dir": ("here", "place", "data_dir", Path("here")),
    "--download": (None, "place", "download", True),
    "--classes": ("names.txt", "place", "classes", "names.txt"),
    "--skip-damaged": (None, "place", "skip_damaged", True),
    "--decoders": ("3", "place", "decoders", 3),
    "--cache": ("0.5", "place", "cache", 0.5),
    "--device": ("cpu", "place", "device", "cpu"),
    "--method": ("fft", "place", "method", MethodChoice.fft),
    "--deterministic": (None, "place", "deterministic", True),
    "--workers": ("2", "place", "workers", 2),
    "--ray": ("auto", "place", "ray", "auto"),
    "--cpus-per-cell": ("2", "place", "cpus_per_cell", 2),
    "--gpus-per-cell": ("0.5", "place", "gpus_per_cell", 0.5),
    "--shard": ("1/2", "place", "shard", "1/2"),
    "--out": ("there", "place", "out", Path("there")),
    "--time-limit": ("1.5", "place", "time_limit", 1.5),
    "--weights": ("best.pth", "start", "weights", Path("best.pth")),
    "--new-head": (None, "start", "new_head", True),
    "--mean": ("0.5", "start", "mean", "0.5"),
    "--std": ("0.1,0.2", "start", "std", "0.1,0.2"),
}
EPOCHS = {
    "sweep": {"--epochs": ("3", "grid", "epochs", 3), "--finetune-epochs": ("5", "grid", "finetune_epochs", 5)},
    "finetune": {"--source-epochs": ("3", "grid", "epochs", 3), "--epochs": ("5", "grid", "finetune_epochs", 5)},
}


@pytest.mark.parametrize("command", ["sweep", "finetune"])
def test_every_option_of_a_study_lands_in_its_field_and_in_no_other(restool, monkeypatch, command):
    handed = []
    monkeypatch.setattr(f"restool.cli.{command}.run_grid", lambda *panels, **_: handed.append(panels))
    restool(command)
    (usual,) = handed
    table = TYPED | EPOCHS[command]
    assert len(table) + 1 == sum(len(fields(panel)) for panel in usual)  # and --recipe, see below
    for typed_option, (text, panel, name, value) in table.items():
        handed.clear()
        answer = restool(command, typed_option, *([] if text is None else [text]))
        assert answer.status == 0, answer.err
        assert changes(usual, handed[0]) == {(panel, name): value}


@pytest.mark.parametrize("command", ["sweep", "finetune"])
def test_a_recipe_fills_in_the_options_of_training_that_are_not_typed(restool, monkeypatch, command):
    handed = []
    monkeypatch.setattr(f"restool.cli.{command}.run_grid", lambda *panels, **_: handed.append(panels))
    for arguments in ([], ["--recipe", "official"]):
        restool(command, *arguments)
        assert handed.pop()[1] == Recipe() == RECIPES["official"]
    for name, recipe in RECIPES.items():
        for arguments in (["--recipe", name, "--enlarge", "3"], ["--enlarge", "3", "--recipe", name]):
            answer = restool(command, *arguments)
            assert answer.status == 0, answer.err
            grid, found, _, _ = handed.pop()
            assert (grid.recipe, found) == (name, replace(recipe, enlarge=3.0))
    answer = restool(command, "--recipe", "robus")
    assert (answer.status, handed) == (2, [])
    assert "'--recipe': it takes one of official, robust, but got 'robus'" in answer.message


def changes(usual: tuple[Any, ...], found: tuple[Any, ...]) -> dict[tuple[str, str], Any]:
    """Values that are not the usual ones, by panel and field."""
    return {
        (panel, field.name): getattr(new, field.name)
        for panel, old, new in zip(("grid", "recipe", "place", "start"), usual, found, strict=True)
        for field in fields(old)
        if getattr(old, field.name) != getattr(new, field.name)
    }


def test_the_words_of_the_command_line_are_those_of_the_library(restool, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    shown = restool("sweep", "--help").out
    assert [choice.value for choice in MethodChoice] == list(METHODS)
    assert f" {'|'.join(METHODS)} " in shown


@pytest.mark.parametrize(("command", "name"), [("sweep", "--epochs"), ("finetune", "--source-epochs")])
def test_the_help_tells_the_epochs_of_a_source_that_are_usual(restool, monkeypatch, command, name):
    monkeypatch.setenv("COLUMNS", "200")
    (line,) = [line for line in restool(command, "--help").out.splitlines() if f" {name} " in line and "│" in line]
    (epochs,) = set(DEFAULT_EPOCHS.values())
    assert f"{epochs} for {' and '.join(DEFAULT_EPOCHS)}, {OFFICIAL_EPOCHS} for other data" in line
