"""Where records come from: the command that makes them again, the machines that made them, and the time they took."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from restool.recipe import DEFAULTS
from restool.report.frame import setting_columns
from restool.report.groups import PLACES, Group, span, thinned, unit_of, with_labels

OWN_OPTIONS = {"model", "dataset", "data", "limit", "epochs", "train_sizes", "unit"}
"""Settings that are not typed as an option of their name, or not always."""

USUAL_VIEW = {"fit": "crop", "crop-ratio": "1", "resample": "bilinear", "antialias": "on", "low-pass": "none"}
"""How images of one size come to another where no record tells it."""
FLAG = "yes"
"""The value of an option that is typed without one."""


def of_settings(records: pd.DataFrame) -> list[pd.DataFrame]:
    """The records of every group of equal settings, in the order of `restool.report.groups.split`."""
    return [part for _, part in records.groupby(setting_columns(records), dropna=False, sort=False)]


def commands(part: pd.DataFrame) -> list[str]:
    """What to type for the records of equal settings: a sweep for every number of epochs of fine-tuning.

    The data set is called what the records call it; one of files is given as the path to them.

    Args:
        part: one of `of_settings`.
    """
    tuned = sorted(set(part["finetune_epochs"]) - {0})
    zero_shot = part[(part["finetune_epochs"] == 0) & (part["protocol"] != "source")]
    found = []
    for epochs in tuned or [0]:
        targets = part[part["finetune_epochs"] == epochs] if epochs else zero_shot
        targets = targets[~targets["protocol"].str.startswith("source")]
        ways = [way.split(", ") for way in dict.fromkeys(zero_shot["protocol"])]
        settings = _settings(part)
        options = settings | {
            "seeds": _listed(part["seed"]),
            "test": _listed(targets["target"] if len(targets) else part["target"]),
            "protocols": ",".join(dict.fromkeys(way for way, *_ in ways if way != "source")),
            **_views(settings, [view for _, *views in ways for view in views]),
        }
        options |= {"finetune-epochs": str(epochs), "tune": _tunes(targets)} if epochs else {}
        found.append(typed("sweep", options))
    return found


def _tunes(tuned: pd.DataFrame) -> str:
    """What fine-tuned records trained, nothing where that is all."""
    found = tuned.get("finetune_tune", pd.Series(dtype=object)).dropna()
    every = [] if len(found) == len(tuned) else ["all"]
    return ",".join([*every, *dict.fromkeys(found)]) if len(found) else ""


def _views(settings: Mapping[str, str], others: Sequence[str]) -> dict[str, str]:
    """Options for the ways in which test images came to their size, of phrases such as "crop ratio 0.9"."""
    found: dict[str, dict[str, None]] = {}
    for phrase in others:
        words, _, value = phrase.rpartition(" ")
        name = words.replace(" ", "-")
        first = settings.get(name, USUAL_VIEW[name])
        found.setdefault(name, {first: None})[value] = None
    return {name: ",".join(values) for name, values in found.items()}


def typed(command: str, options: Mapping[str, str], *arguments: str) -> str:
    """A command of restool as a shell takes it; options without a value are left out."""
    told = {f"--{name}": value for name, value in options.items() if value}
    words = [word for name, value in told.items() for word in ([name] if value is FLAG else [name, value])]
    return shlex.join(["restool", command, *arguments, *words])


def _settings(part: pd.DataFrame) -> dict[str, str]:
    """Options that all records of a part share, by name."""
    first = part.iloc[0].dropna()
    options = {"model": first["model"], "dataset": first["dataset"]}
    options["train"] = first.get("train_sizes", _listed(part["source"]))
    options |= {name: str(first[name]) for name in ("limit", "epochs") if name in first}
    for name in setting_columns(part):
        if name not in OWN_OPTIONS and name in first and first[name] != DEFAULTS.get(name):
            options[name.replace("_", "-")] = _typed_value(name, first[name])
    return options


def _typed_value(name: str, value: Any) -> str:
    """A setting as it is typed; of a file of weights only the hash is known, whose first digits name it."""
    match name:
        case "weights":
            return f"FILE-{str(value)[:8]}"
        case "mean" | "std":
            return ",".join(map(str, json.loads(value)))
    return FLAG if value is True else str(value)


def _listed(values: "pd.Series[int]") -> str:
    return ",".join(map(str, sorted(set(values))))


CONDITIONS = {
    "device": "devices",
    "threads": "numbers of threads",
    "methods": "ways to convolve",
    "torch": "versions of torch",
    "torchvision": "versions of torchvision",
    "timm": "versions of timm",
}
"""What decides the last bits of a number without being part of its key, and how several are called."""


def mixed(part: pd.DataFrame) -> str:
    """In which `CONDITIONS` records of one table differ, as a sentence; empty where they do not.

    Args:
        part: one of `of_settings`.
    """
    told = []
    for name, noun in CONDITIONS.items():
        values = sorted({str(environment[name]) for environment in part["environment"] if name in environment})
        if len(values) > 1:
            told.append(f"{noun} ({'; '.join(values)})")
    return f"Its cells were made with several {', '.join(told)}, which changes last digits" if told else ""


def with_mixed(groups: Sequence[Group], records: pd.DataFrame) -> list[Group]:
    """Groups that say in what their records are `mixed`.

    Args:
        groups: of the summary of the records.
        records: what `restool.report.read_records` returns.
    """
    return [replace(group, mixed=mixed(part)) for group, part in zip(groups, of_settings(records), strict=True)]


def machines(records: pd.DataFrame) -> list[list[str]]:
    """What the records say of where and by what they were made, and of how many that is so, under a header."""
    counted: dict[str, Counter[str]] = {}
    for environment in records["environment"]:
        for name, value in environment.items():
            counted.setdefault(name, Counter())[value if isinstance(value, str) else json.dumps(value)] += 1
    table = [["what", "value", "records"]]
    table.append(["seeds", span(records.groupby("model", sort=False)["seed"].nunique(), "seed"), str(len(records))])
    for name in sorted(counted):
        table += [[name, value, str(count)] for value, count in sorted(counted[name].items())]
    return table


SECONDS = (
    "Seconds on the clock per 1,000 test {noun}s, median over seeds, data included, and whatever else the machine did. "
    "`restool bench eval` measures speed."
)


def seconds(part: pd.DataFrame) -> list[list[str]]:
    """The time of tests under a header: a row per device, source and protocol; empty where no record tells one.

    Of too many sources and targets it has a few.

    Args:
        part: one of `of_settings`.
    """
    taken = [timing.get("evaluate_seconds") for timing in part["timing"]]
    devices = [environment.get("device", "") for environment in part["environment"]]
    timed = with_labels(part).assign(taken=pd.Series(taken, index=part.index, dtype=float), device=devices)
    timed = timed.dropna(subset="taken")
    if timed.empty:
        return []
    for name in PLACES:
        timed = timed[timed[name].isin(thinned(sorted(set(timed[name]))))]
    targets, unit = sorted(set(timed["target"])), unit_of(timed.iloc[0].to_dict())
    table = [["device", "source", "protocol", *(f"{target} {unit}" for target in targets)]]
    for (device, source, label), rows in timed.groupby(["device", "source", "label"], sort=False):
        median = (1000 * rows["taken"] / rows["n"]).groupby(rows["target"]).median()
        shown = [f"{median[target]:.2f}" if target in median else "" for target in targets]
        table.append([str(device), f"{source} {unit}", str(label), *shown])
    return table
