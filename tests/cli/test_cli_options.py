"""Numbers on the command line: one out of range names the option that was typed, whatever the command calls it."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

import pytest
import torch
import typer
from typer.models import OptionInfo

from restool.cli.app import app
from restool.cli.parsing import number, whole_number
from restool.models import ModelSpec
from restool.training import Checkpoint, save_checkpoint

HUGE = "1" + "0" * 20
"""No tensor has so many elements."""
POSITIVE = ("0", "-1", "nan")
SIZES = ("3", "0", "-1", "8,3", "65537", "8..65537")
MIXED = ("8+3", "8+", "+", "65537+8")
"""Bad sizes of one model."""
READING = {"--decoders": ("-1", "1025", HUGE), "--cache": ("-1", "nan", "inf")}
PLACE = READING | {
    "--time-limit": POSITIVE,
    "--workers": ("0", "-1", "1025", HUGE),
    "--cpus-per-cell": ("0", "1", HUGE),
    "--gpus-per-cell": ("-1", "0.5", "nan", "inf"),
}
TRAINING = PLACE | {
    "--epochs": ("-1", HUGE),
    "--alias-after": ("-0.1", "1.1", "nan"),
    "--alias-strength": ("-1", "nan", "inf"),
    "--enlarge": ("0.9", "8.1", "nan", "inf"),
    "--enlarge-share": ("-0.1", "1.1", "nan"),
    "--batch-size": ("1", "0", HUGE),
    "--clip": ("-1", "nan", "inf"),
    "--learning-rate": (*POSITIVE, "inf", "2e30"),
    "--weight-decay": ("-1", "nan", "inf"),
    "--limit": ("0", "-1"),
    "--seeds": ("-1", "4294967296", HUGE),
    "--train": (*SIZES, *MIXED),
    "--mean": ("nan", "inf", "x", "0.1,,0.2"),
    "--std": (*POSITIVE, "inf", "x", "0.1,0"),
}
RUNNING = {
    "--size": SIZES,
    "--batch": ("0", "-1", HUGE),
    "--threads": ("0", "-1", HUGE),
    "--repeats": ("0", "-1"),
    "--seconds": POSITIVE,
    "--give-up": POSITIVE,
}
WIDTHS = {"--sigma": (*POSITIVE, "inf", "1e300", "0.1,0")}
REFUSED = {
    "sweep": TRAINING | {"--test": SIZES, "--finetune-epochs": ("-1", HUGE)},
    "finetune": TRAINING | {"--test": SIZES, "--source-epochs": ("-1", HUGE)},
    "train": TRAINING | {"--epochs": ("0", "-1", HUGE)},
    "study run": PLACE,
    "evaluate": READING | {"--test": SIZES, "--limit": ("0", "-1")},
    "compare": {"--fail-below": ("nan", "inf", "-inf")},
    "diagnose": READING | {"--to": ("3", "0", "-1", "65537", HUGE), "--limit": ("0", "-1")},
    "figure kernels": {"--to": ("3", "0", "-1", "65537", HUGE)},
    "import": {"--reference-size": ("0", "3", "-1", "65537", HUGE)},
    "figure kernel": {"--seed": ("-1", "4294967296")},
    "bench layer": RUNNING | WIDTHS | {"--dims": ("0", "3", "-1"), "--channels": ("0", "-1", "24:0", "0:24", HUGE)},
    "bench step": RUNNING | WIDTHS | {"--batch": ("1", "0", HUGE)},
    "bench eval": RUNNING | WIDTHS | {"--source": ("3", "0", "-1", "65537")},
    "bench scale": {name: bad for name, bad in RUNNING.items() if name not in ("--size", "--batch")}
    | {"--workers": ("0", "1025", "x", HUGE), "--models": ("0", "-1", HUGE), "--images": ("0", "-1", HUGE)},
    "bench data": RUNNING | {"--images": ("0", "-1", HUGE), "--workers": ("-1", HUGE)},
}
"""Values that are no good, by command and option."""
NEEDED = {
    "compare": ["old", "new"],
    "diagnose": ["model.safetensors"],
    "evaluate": ["model.safetensors"],
    "figure kernels": ["model.safetensors"],
    "import": ["flexconv:model.pt", "--out", "new.safetensors"],
    "study run": [str(Path(__file__).resolve().parents[2] / "studies" / "demo.toml")],
}
"""What else these commands take before they look at a number."""
LISTS = {"SIZES", "SEEDS", "WIDTHS", "NUMBERS"}
"""What the help calls text that holds numbers; beside these, all options in which a number is an N."""


def registered(tree: typer.Typer, path: str = "") -> Iterator[tuple[str, inspect.Signature]]:
    """Every command as it is typed, with what it takes."""
    for info in tree.registered_commands:
        name = info.name or info.callback.__name__
        yield f"{path}{name}", inspect.signature(info.callback, eval_str=True)
    for group in tree.registered_groups:
        yield from registered(group.typer_instance, f"{path}{group.name} ")


def numeric_options(tree: typer.Typer) -> Iterator[tuple[str, OptionInfo, type]]:
    """Command, option and type of all that take numbers, alone or in a list."""
    for command, signature in registered(tree):
        for parameter in signature.parameters.values():
            kind, *notes = get_args(parameter.annotation) if get_origin(parameter.annotation) is Annotated else [None]
            kinds = {kind, *get_args(kind)} if get_origin(kind) in (Union, UnionType) else {kind}
            for option in notes:
                if isinstance(option, OptionInfo) and (option.metavar in {*LISTS, "N"} or kinds & {int, float}):
                    yield command, option, next(iter(kinds & {int, float}), str)


def typed(option: OptionInfo) -> str:
    """An option as it is typed; inside `Annotated`, Typer keeps it where a default would be."""
    return str(option.default)


OPTIONS = [(command, typed(option), kind) for command, option, kind in numeric_options(app)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint of restool's, and as much of one of the official code as is read before its numbers are used."""
    folder = tmp_path_factory.mktemp("files")
    spec = ModelSpec("flexnet[4,4]-conv3")
    save_checkpoint(folder / "model.safetensors", Checkpoint(spec=spec, model=spec.build().state_dict()))
    shapes = {"cconv1.weight": (4, 3, 3, 3), "norm1.weight": (4,), "blocks.0.norm2.weight": (4,)}
    shapes["out_layer.weight"] = (10, 4, 1, 1)
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / "model.pt")
    return folder


@pytest.fixture(autouse=True)
def _among_files(files, monkeypatch):
    monkeypatch.chdir(files)


@pytest.mark.parametrize(
    ("command", "option"), [(command, option) for command, options in REFUSED.items() for option in options]
)
def test_a_number_out_of_range_names_its_option(restool, files, command, option):
    before = sorted(files.rglob("*"))
    for value in REFUSED[command][option]:
        answer = restool(*command.split(), *NEEDED.get(command, []), option, value)
        assert answer.status == 2, value
        assert re.fullmatch(rf"{option} must .+, but is .+", answer.message), value
        assert "`" not in answer.message
        assert not answer.out
        assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(("command", "option", "kind"), [case for case in OPTIONS if case[2] is not str])
def test_text_for_a_number_names_the_option_and_what_it_takes(restool, files, command, option, kind):
    answer = restool(*command.split(), *NEEDED.get(command, []), option, "x")
    assert answer.status == 2
    what = {int: "a whole number", float: "a number"}[kind]
    assert answer.message == (
        f"invalid value for '{option}': it takes {what}, but got 'x'; see `restool {command} --help`"
    )


@pytest.mark.parametrize(
    "line",
    [
        "evaluate gone.safetensors --limit 0",
        "evaluate gone.safetensors --test 3",
        "import flexconv:gone.pt --out new.safetensors --reference-size 3",
        "sweep --dataset parquet:gone --limit 0",
        "finetune --dataset folder:gone --time-limit 0",
        "train --dataset mnist --data-dir gone --limit -1",
        "sweep --dry-run --time-limit 0",
    ],
)
def test_a_number_out_of_range_is_told_before_files_are_looked_for(restool, line):
    answer = restool(*line.split())
    option = line.split()[-2]
    assert (answer.status, answer.message.split()[:2]) == (2, [option, "must"])


COMPUTING = [command for command, signature in registered(app) if "device" in signature.parameters]


@pytest.mark.parametrize("command", COMPUTING)
def test_every_command_that_computes_takes_the_number_of_a_gpu(restool, files, command, monkeypatch):
    before = sorted(files.rglob("*"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for index, rule in (
        ("2", "must be one of cuda:0, cuda:1, as torch sees 2 NVIDIA GPUs"),
        ("-1", "must be auto, cpu, cuda or cuda:K, K being the number of a GPU"),
    ):
        answer = restool(*command.split(), *NEEDED.get(command, []), "--device", f"cuda:{index}")
        assert (answer.status, answer.message) == (2, f"--device {rule}, but is 'cuda:{index}'")
        assert not answer.out
        assert sorted(files.rglob("*")) == before


def test_the_commands_that_compute_are_those_that_train_test_or_measure():
    benches = {f"bench {name}" for name in ("layer", "step", "eval", "data", "scale")}
    assert set(COMPUTING) == {"sweep", "finetune", "train", "evaluate", "diagnose", "study run"} | benches


def test_every_option_that_takes_numbers_has_a_case():
    cases = {(command, option) for command, options in REFUSED.items() for option in options}
    assert {(command, option) for command, option, _ in OPTIONS} == cases


def test_an_option_that_parses_numbers_is_one_that_takes_them():
    parsers = {whole_number: int, number: float, None: str}
    for command, option, kind in numeric_options(app):
        assert parsers[option.parser] is kind, (command, typed(option))
    numeric = {id(option) for _, option, _ in numeric_options(app)}
    for _, signature in registered(app):
        for parameter in signature.parameters.values():
            for note in get_args(parameter.annotation)[1:]:
                assert id(note) in numeric or getattr(note, "parser", None) is None


def test_a_new_numeric_option_would_be_noticed():
    tree, group = typer.Typer(), typer.Typer()

    @tree.command()
    def plain(
        flag: Annotated[bool, typer.Option("--flag")] = False,
        count: Annotated[int | None, typer.Option("--count")] = None,
        word: Annotated[str, typer.Option("--word", metavar="NAME")] = "",
    ) -> None: ...

    @group.command("other")
    def command(
        rate: Annotated[float, typer.Option("--rate")] = 0.5,
        sizes: Annotated[str, typer.Option("--sizes", metavar="SIZES")] = "8",
    ) -> None: ...

    tree.add_typer(group, name="group")
    found = {(command, typed(option), kind) for command, option, kind in numeric_options(tree)}
    assert found == {
        ("plain", "--count", int),
        ("group other", "--rate", float),
        ("group other", "--sizes", str),
    }
