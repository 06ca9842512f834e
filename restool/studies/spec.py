"""A study's file: the question, the sweeps that answer it, and what others have published.

    question = "What does the aliasing penalty give?"
    dataset = "cifar10"                   # a run may take another

    [grid]                                # of every sweep: fields of `StudyConfig` and of `Recipe`
    model = "flexnet-3"
    train = [16]
    test = [28, 32, 36]
    seeds = [0, 1, 2]
    epochs = 100

    [small]                               # what the small variant changes, for a machine without a GPU
    epochs = 8

    [[sweeps]]
    label = "no penalty"

    [[sweeps]]
    label = "spectral"
    alias_penalty = "spectral"            # or recipe = "robust", with what else is changed

    [[published]]
    source = "the poster, Figure 6a"
    where = { protocol = "requery", source = 16 }
    difference = { 28 = -6.5, 32 = -3.4 }

Further keys are `cut_down` and `reading`, prose for the page: what was left out, and what the numbers mean.
"""

import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from restool.arguments import unknown_name
from restool.errors import MissingDataError, UsageError
from restool.recipe import DEFAULTS, RECIPES
from restool.transfer import StudyConfig

TEXTS = ("question", "dataset", "cut_down", "reading")
GRID = [entry.name for entry in fields(StudyConfig) if entry.init and entry.name not in ("dataset", "recipe", "views")]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One sweep of a study.

    Attributes:
        label: what tells it from the others.
        config: what it measures.
    """

    label: str
    config: StudyConfig


@dataclass(frozen=True, kw_only=True)
class Published:
    """Numbers of others for cells of a study.

    Attributes:
        source: who published them.
        where: columns of the summary and the value that a cell has in each, such as protocol and source.
        accuracy: in percent, by target.
        difference: from the accuracy at the source in points, by target.
    """

    source: str
    where: dict[str, Any] = field(default_factory=dict)
    accuracy: dict[int, float] = field(default_factory=dict)
    difference: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """A study as its file says it; the docstring of this module shows one.

    Attributes:
        name: of the file, and of the results folder.
        question: that it answers.
        sweeps: in the order of the page.
        published: to set beside.
        cut_down: what was left out.
        reading: what the numbers mean.
    """

    name: str
    question: str
    sweeps: list[Sweep]
    published: list[Published] = field(default_factory=list)
    cut_down: str = ""
    reading: str = ""


def read_study(path: Path, *, dataset: str | None = None, small: bool = False) -> StudyFile:
    """Read and check a study's file.

    Args:
        path: of a .toml file.
        dataset: instead of the one that the file names.
        small: with what the file's table `small` changes.

    Raises:
        MissingDataError: no such file.
        UsageError: it is no TOML, or a key or value of it is not allowed.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MissingDataError(f"no study at {path}; `restool study ls` lists those there are") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"study {path} cannot be read: {error}") from error
    try:
        _require_known(content, [*TEXTS, "grid", "small", "sweeps", "published"], "key")
        shared = _table(content, "grid") | (_table(content, "small") if small else {})
        chosen = dataset or _text(content, "dataset")
        sweeps = [_sweep(entry, shared, chosen) for entry in _tables(content, "sweeps")]
        if not sweeps or len({sweep.label for sweep in sweeps}) < len(sweeps):
            raise UsageError("[[sweeps]] must be there, each with a label of its own")
        return StudyFile(
            name=path.stem,
            question=_text(content, "question"),
            sweeps=sweeps,
            published=[_published(entry) for entry in _tables(content, "published")],
            cut_down=_text(content, "cut_down", ""),
            reading=_text(content, "reading", ""),
        )
    except UsageError as error:
        raise UsageError(f"study {path}: {error}") from error


def _sweep(entry: dict[str, Any], shared: dict[str, Any], dataset: str) -> Sweep:
    choices = shared | entry
    _require_known(choices, ["label", "recipe", *GRID, *DEFAULTS], "field")
    name = choices.get("recipe", "official")
    if name not in RECIPES:
        raise unknown_name("recipe", str(name), RECIPES)
    recipe = replace(RECIPES[name], **{key: choices[key] for key in DEFAULTS if key in choices})
    grid = {key: choices[key] for key in GRID if key in choices}
    return Sweep(label=_text(choices, "label"), config=StudyConfig(dataset=dataset, recipe=recipe, **grid))


def _published(entry: dict[str, Any]) -> Published:
    _require_known(entry, ["source", "where", "accuracy", "difference"], "key of [[published]]")
    by_target = {}
    for name in ("accuracy", "difference"):
        values = _table(entry, name)
        if not all(target.isdigit() and isinstance(value, int | float) for target, value in values.items()):
            raise UsageError(f"{name} of [[published]] must be numbers by target, such as {{ 28 = -6.5 }}")
        by_target[name] = {int(target): float(value) for target, value in values.items()}
    return Published(source=_text(entry, "source"), where=_table(entry, "where"), **by_target)


def _require_known(found: dict[str, Any], known: list[str], what: str) -> None:
    for name in found:
        if name not in known:
            raise unknown_name(what, name, known)


def _table(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise UsageError(f"{name} must be a table, but is {value!r}")
    return value


def _tables(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = content.get(name, [])
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise UsageError(f"{name} must be tables [[{name}]], but is {value!r}")
    return value


def _text(content: dict[str, Any], name: str, default: str | None = None) -> str:
    value = content.get(name, default)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text, but is {value!r}" if name in content else f"{name} is missing")
    return value
