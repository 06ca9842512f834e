"""Command lines that are wrong, made of what every command takes: values of each kind, and files that hold nonsense."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from restool.cli.app import app
from restool.models import ModelSpec
from restool.training import Checkpoint, save_checkpoint

LONG = "a" * 300
"""No file system takes such a name."""
HUGE = "9" * 20
SIZES = ("", " ", ",", "16,,20", "16,", "-8", "0", "3", "8.5", "nan", "inf", "8..", "..8", "8...9", "9..8", "8..9:0",
         "8..9:-1", "8..9:", "8:2", "1..1000000000", f"8..{HUGE}", HUGE, "9" * 5000, "16++8", "８", "x", "8;9", "8\n9",
         "\x07", "--")  # fmt: skip
WHOLE = ("", " ", "x", "1.5", "nan", "inf", "1e5", "-1", "0x10", "--", "½", "7\n8", "\x07", "9" * 5000, f"-{HUGE}")
REAL = ("", " ", "x", "1,5", "0x10", "1..2", "½", "1\n2", "\x07", "--")
"""Refused by every option of the kind."""
PERHAPS = {"whole": ("0", HUGE), "real": ("-1", "nan", "inf", "-inf", "1e309", "0", HUGE, "1e-320")}
"""Refused by some."""
LISTS = ("", " ", "x", ",", "0.5,", "0.5,,1", "1..2", "½", "0.5\n1", "\x07", "nan,x")
WORDS = ("", " ", "x", "None", "auto,cpu", "on;off", "日本", "a\nb", "\x07", "--")
NAMES = ("", " ", ",", "reqery", "REQUERY", "requery;resize", "resize,,", "日本", "a\nb", "\x07", "+soften")
MODELS = ("", " ", "flexnet3", "flexnet-0", "flexnet[", "flexnet[]", "flexnet[4]", "flexnet[4,-4]", "flexnet[4,4]-",
          "flexnet[٤,4]", f"flexnet[{HUGE},4]", "timm:", "torchvision:", "torchvision:resnet", ":", ":make", "mine:",
          "torchvision:resnet18?depth=", "torchvision:resnet18?num_classes=3", "torchvision:resnet18?x=1", "timm:x?y",
          "timm:resnet18?no_such=1", "broken:make", "mine:gone", "mine:raising", "mine:ending", "mine:nothing",
          "mine:text", "mine:lazy", "mine:number", "os:getcwd", "gone:make", "../x:y", "mine.py:make", "日本:語",
          "flextcn-2", "a\nb", "\x07", "torchvision:resnet18?weights=GONE", "mine:make?x=1", "cornn?",
          "cornn?hidden=0", "cornn?x=1", "cornn?hidden=1,hidden=2", "unicornn?dropout=1", "plmu?memory=1e9",
          "flexnet-3?hidden=2")  # fmt: skip
DATASETS = ("", " ", "gabor", "gabors:x", "parquet:", "parquet:gone", "parquet:empty", "parquet:text.txt", "folder:",
            "folder:gone", "folder:empty", "folder:text.txt", "folder:pipe", "cifar10:x", "pmnist:x", "pmnist:",
            "npcifar10:gone", "scifar10:empty", "tones:1", "日本", f"folder:{LONG}", "folder:\x01", "folder:a\nb",
            "parquet:/dev/null", "cifar10", "mnist", "folder:old", "parquet:old", "\x07")  # fmt: skip
READ = ("", " ", "gone", "gone.safetensors", "empty", "text.txt", "garbage.safetensors", "garbage.pt",
        "nothing.safetensors", "/dev/null", LONG, f"{LONG}/x", "text.txt/x", "a\nb", "\x01", "\udcff", "日本",
        "old/restool.json", "loop")  # fmt: skip
WRITTEN = ("", " ", "text.txt", "text.txt/x", "/dev/null", "/dev/null/x", LONG, f"{LONG}/x", "loop", "pipe", "newer",
           "marked")  # fmt: skip
SIDES = ("", " ", ":", "=", "gone", "empty", "text.txt", "old:", "old:x", "old:x=", "old:=x", "old:protocol=no",
         "old:no=1", "old:seed=9", "old:protocol=resize,,", f"{LONG}", "old:protocol=resize=as-is", "a\nb", "日本=語",
         "old:accuracy=1", "old:source=nan")  # fmt: skip
CODE = ("", " ", "x", ":", "mine:", ":make", "gone:make", "broken:make", "mine:gone", "mine:raising", "mine:ending",
        "mine:nothing", "mine:text", "日本:語", "a\nb")  # fmt: skip
IMPORTED = ("", " ", "model.pt", "flexconv:", *(f"flexconv:{name}" for name in READ))

KINDS: dict[str, tuple[str, ...]] = {
    "SIZES": SIZES, "SEEDS": ("-1", *(size for size in SIZES if size not in ("0", "3"))), "WIDTHS": LISTS,
    "NUMBERS": LISTS, "RATIOS": LISTS, "SHARES": LISTS, "NAMES": NAMES, "A": SIDES, "B": SIDES,
    "package.module:factory": CODE, "flexconv:FILE.pt": IMPORTED,
}  # fmt: skip
"""Bad values by what the help calls them."""
OF_OPTION = {
    "--model": MODELS,
    "--dataset": DATASETS,
    "--channels": (*LISTS, "0", "24:", ":24", "24:0", "24:24:24"),
    "--workers": ("", " ", "x", ",", "1.5", "nan", "-1", "1025", HUGE, "1,,2", "2..1", "½", "1\n2", "\x07"),
    "--data-dir": READ,
    "--weights": READ,
    "--classes": READ,
}
OUTPUTS = ("--out", "--page", "--to")
COMPANIONS = {"--classes": ("--dataset", "folder:images"), "--data-dir": ("--dataset", "cifar10")}
"""What some options need beside them to be looked at."""
HARMLESS = {("--penalties", ""), ("--model", "flextcn-2"), ("out", "empty")}
"""What `restool bench step` and `restool check` take."""

SMALL = "--limit 20 --batch-size 10 --train 8 --model flexnet[4,4]-conv3"
RUN = f"{SMALL} --epochs 1 --dry-run --test 10"
TIMED = "--repeats 1 --seconds 0.01"
BASES = {
    "sweep": RUN,
    "finetune": f"{SMALL} --source-epochs 1 --dry-run --test 10",
    "train": f"{SMALL} --epochs 1",
    "evaluate": "model.safetensors --dataset gabors --limit 8 --test 10",
    "diagnose": "model.safetensors --dataset gabors --limit 8 --to 10",
    "report": "old",
    "compare": "old old",
    "export": "csv old",
    "check": "old",
    "import": "flexconv:garbage.pt --out new.safetensors",
    "figure kernel": "",
    "figure kernels": "model.safetensors",
    "figure training": "old/model.safetensors",
    "ls models": "",
    "ls datasets": "",
    "ls runs": "old",
    "bench layer": f"{TIMED} --size 8 --batch 2 --channels 2",
    "bench step": f"{TIMED} --size 8 --batch 2 --model flexnet[4,4]",
    "bench eval": f"{TIMED} --size 8 --source 8 --batch 2 --model flexnet[4,4]",
    "bench data": f"{TIMED} --size 8 --images 8 --batch 2",
    "bench scale": f"{TIMED} --workers 0",  # Ray is not started for bad input
    "bench figure": "old",
    "study ls": "empty",
    "study run": "study.toml",
    "study page": "study.toml --out old",
}
"""What makes each command a small one."""
CONTRADICTIONS = (
    "sweep --new-head", "train --new-head", "sweep --weights garbage.pt --new-head", "sweep --tune bn",
    "sweep --tune head,,bn --finetune-epochs 1", "finetune --tune requery", "finetune --epochs 0 --tune head",
    "sweep --dataset tones", "sweep --dataset tones --model flextcn-2 --enlarge 2 --dry-run",
    "sweep --model flextcn-2", "sweep --model flexnet-7-conv3 --alias-penalty gabor", "sweep --resample decimate,every",
    "sweep --dataset tones --model flextcn-2 --fit pad", "sweep --dataset tones --model flextcn-2 --crop-ratio 0.5",
    "sweep --dataset tones --model flextcn-2 --resample bilinear", "sweep --resample every,bilinear",
    "sweep --protocols rescale", "sweep --protocols finetune", "sweep --protocols source", "sweep --classes text.txt",
    "sweep --train 8+16 --alias-penalty spectral --model flexnet-7-conv3", "sweep --mean 0.1,0.2 --dry-run",
    "sweep --std 1,1,1,1 --dry-run", "sweep --recipe robust --dataset tones --model flextcn-2", "train --epochs 0",
    "sweep --weights model.safetensors --model flexnet[4,4] --dry-run", "sweep --dataset gabors --classes imagenet",
    "bench layer --dims 3", "sweep --dry-run --cpus-per-cell 2", "sweep --dry-run --workers 2 --ray auto",
    "sweep --dry-run --workers 2 --device cuda:0", "train --workers 2 --device cpu --gpus-per-cell 1",
    "finetune --dry-run --shard 1/1000", "study run study.toml --shard 0/2", "sweep --ray auto",
    "sweep --dataset pmnist --model flextcn-2 --resample bandlimited", "evaluate model.safetensors --dataset tones",
    "evaluate model.safetensors --model flexnet-3 --dataset gabors", "evaluate model.safetensors",
    "compare old old:x=1",
    "evaluate model.safetensors --dataset gabors --resample bilinear,bicubic", "report old --metric nll --page x.html",
    "evaluate model.safetensors --dataset gabors --protocols requery", "diagnose model.safetensors --dataset tones",
    "diagnose model.safetensors --dataset gabors --crop-ratio 1,0.5", "figure kernels model.safetensors",
    "figure training model.safetensors", "compare old:protocol=resize old:protocol=gone", "compare old gone",
    "compare protocol=resize old", "report old gone", "report old --page old", "report old old gone --metric nll",
    "export tensorboard old --to text.txt", "export csv old --to empty", "import flexconv:gone.pt --out text.txt",
    "bench step --model gru --candidates dft", "bench step --model resnet-0", "bench eval --model gru",
    "bench layer --dims 1 --candidates conv2d,winograd", "bench step --model flexnet[4,4]-conv3 --sigma 0.3 --size 8",
    "bench step --penalties gabor,no", "bench data --workers 2000", "study run study.toml --dataset cifar10",
    "study run model.safetensors", "study page study.toml --out empty", "study run empty", "check gone", "check empty",
    "ls runs empty", "export csv empty", "report empty", "bench figure empty", "study ls gone", "study ls text.txt",
    "sweep --train 16,x", "sweep --seeds 0..99999", "sweep --test 16+8", "figure kernels model.safetensors --to 3",
    "evaluate model.safetensors --test 12+14", "sweep sweep", "frob", "-x",
    "sweep --limit", "sweep --dry-run=yes", "report --json=1", "compare old", "export", "export xml old", "evaluate",
)  # fmt: skip
"""Each word of these is allowed, or looks so; together they are not."""


@dataclass(frozen=True)
class Line:
    """A command line, the command and what of it takes the bad value, and whether it is sure that none can use it."""

    words: tuple[str, ...]
    of: tuple[str, str]
    is_bad: bool

    def __str__(self) -> str:
        return " ".join(word if word and len(word) < 60 else repr(word[:60]) for word in self.words)


def commands(tree: Any, path: str = "") -> Iterator[tuple[str, Sequence[Any]]]:
    """Every command as it is typed, with its parameters."""
    for name, command in tree.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command.params


COMMANDS = list(commands(typer.main.get_command(app)))


def values(parameter: Any) -> Iterator[tuple[str, bool]]:
    """Values for an option or an argument, and whether it is sure to refuse them."""
    name, kind = parameter.opts[0], parameter.metavar or ""
    if parameter.param_type_name == "argument" and kind in ("DIR", "FILE", "FILE..."):
        sure, perhaps = READ, ()
    elif name in OUTPUTS and kind != "N":
        sure, perhaps = (), WRITTEN
    elif name in OF_OPTION:
        sure, perhaps = OF_OPTION[name], ()
    elif kind in KINDS:
        sure, perhaps = KINDS[kind], ()
    elif "|" in kind:
        sure, perhaps = WORDS, ()
    elif parameter.type_descriptor.annotation is int:
        sure, perhaps = WHOLE, PERHAPS["whole"]
    else:
        sure, perhaps = REAL, PERHAPS["real"]
    yield from ((value, True) for value in sure)
    yield from ((value, False) for value in perhaps)


def lines() -> list[Line]:
    """All command lines."""
    found = [Line(tuple(text.split()), ("", ""), is_bad=True) for text in CONTRADICTIONS]
    for command, parameters in COMMANDS:
        base, at = BASES[command].split(), 0
        for parameter in parameters:
            is_argument = parameter.param_type_name == "argument"
            if is_argument:
                behind, at = base[:at], at + 1
            for value, is_bad in flags(parameter) if getattr(parameter, "is_flag", False) else values(parameter):
                name = parameter.opts[0]
                words = [*behind, value, *base[at:]] if is_argument else [*base, *COMPANIONS.get(name, ()), name, value]
                is_bad = is_bad and (name, value) not in HARMLESS
                found.append(Line((*command.split(), *words), (command, name), is_bad))
    return found


def flags(parameter: Any) -> Iterator[tuple[str, bool]]:
    """What follows a flag that takes nothing."""
    yield "yes", True


MINE = """
import sys
import torch

def raising(): raise RuntimeError("two\nlines")
def ending(): sys.exit(3)
def nothing(): return None
def text(): return "a model"
def lazy(): return torch.nn.LazyLinear(10)
number = 7
"""


def write_nonsense(folder: Path) -> None:
    """The files that the lines name, all but `old`, which is a results folder, and `images`, which are some."""
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("one line")
    (folder / "nothing.safetensors").write_bytes(b"")
    (folder / "garbage.safetensors").write_bytes(bytes(range(256)) * 4)
    (folder / "garbage.pt").write_bytes(bytes(range(256)) * 4)
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    (folder / "mine.py").write_text(MINE)
    (folder / "broken.py").write_text("def make(:\n")
    for name, marker in (("newer", '{"format": 99}'), ("marked", "{")):
        (folder / name).mkdir()
        (folder / name / "restool.json").write_text(marker)
    (folder / "study.toml").write_text(
        'question = "?"\ndataset = "parquet:gone"\n[grid]\nmodel = "flexnet[4,4]-conv3"\ntrain = [8]\ntest = [10]\n'
        '[[sweeps]]\nlabel = "one"\n'
    )
    spec = ModelSpec("flexnet[4,4]-conv3", reference_size=8)
    save_checkpoint(folder / "model.safetensors", Checkpoint(spec=spec, model=spec.build().state_dict()))
