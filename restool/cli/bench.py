"""`restool bench`: candidates for the same work timed beside each other, checked, and set against the hardware."""

import json
import math
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restool.cli import options
from restool.errors import UsageError

if TYPE_CHECKING:
    from restool.bench.run import Bench

bench = typer.Typer(
    help="Time a layer, a training step, evaluation or the input pipeline beside the plain way of doing it.",
    no_args_is_help=True,
)

_measured = partial(typer.Option, rich_help_panel="What to measure")
_running = partial(typer.Option, rich_help_panel="How to measure")

Sizes = Annotated[str, _measured("--size", help="Pixels: 32, or 16,32,64, or 16..48:8.", metavar="SIZES")]
Widths = Annotated[
    str,
    _measured(
        "--sigma", help="Mask widths: initial (0.075), whole (no crop) or numbers, such as 0.1,0.3.", metavar="WIDTHS"
    ),
]
Batch = Annotated[int, _measured("--batch", help="Images a call.", parser=options.whole_number, metavar="N")]
Model = Annotated[str, _measured("--model", help="See `restool ls models`.", metavar="NAME")]
Candidates = Annotated[
    str | None,
    _measured(
        "--candidates",
        help="Methods such as auto,dft; conv2d of the sampled kernel always takes part.",
        show_default="all",
        metavar="NAMES",
    ),
]
Own = Annotated[
    list[str] | None,
    _measured(
        "--candidate",
        help="A module of your own, checked against its float64 copy; may be given several times.",
        show_default=False,
        metavar="package.module:factory",
    ),
]
Threads = Annotated[
    int | None,
    _running("--threads", help="Of the CPU.", parser=options.whole_number, show_default="torch's", metavar="N"),
]
Repeats = Annotated[
    int, _running("--repeats", help="Calls of a candidate at most.", parser=options.whole_number, metavar="N")
]
Seconds = Annotated[
    float,
    _running("--seconds", help="Start no further call after so many.", parser=options.number, metavar="SECONDS"),
]
GiveUp = Annotated[
    float | None,
    _running(
        "--give-up",
        help="Leave a candidate out of larger cases once a call took longer.",
        parser=options.number,
        show_default="never",
        metavar="SECONDS",
    ),
]
Device = Annotated[
    options.DeviceChoice, _running("--device", help="auto takes a GPU where there is one.", metavar="auto|cpu|cuda")
]
Out = Annotated[
    Path | None,
    _running(
        "--out", help="Write record, table and figure into this folder.", show_default="nothing written", metavar="DIR"
    ),
]


@dataclass(frozen=True)
class Running:
    """How to measure and where to write, which all commands share; `budget` is repeats, seconds and give-up."""

    device: options.DeviceChoice
    threads: int | None
    budget: tuple[int, float, float | None]
    out: Path | None
    as_json: bool


@bench.command()
def layer(
    size: Sizes = "32",
    sigma: Widths = "0.3",
    batch: Batch = 64,
    channels: Annotated[str, _measured("--channels", help="24, or in and out: 24:48.", metavar="N")] = "24",
    backward: Annotated[bool, _measured("--backward/--forward", help="With gradients, or without.")] = True,
    candidates: Candidates = None,
    candidate: Own = None,
    device: Device = options.DeviceChoice.auto,
    threads: Threads = None,
    repeats: Repeats = 30,
    seconds: Seconds = 5.0,
    give_up: GiveUp = None,
    out: Out = None,
    as_json: options.Json = False,
) -> None:
    """One continuous convolution by every method, beside conv2d of the sampled kernel.

    restool bench layer --size 16,32,64 --sigma 0.3 --candidate mine.layers:make
    """
    from restool.bench.candidates import parse_candidates, parse_widths
    from restool.bench.layer import LayerBench

    chosen = LayerBench(
        sizes=_sizes(size),
        widths=parse_widths(sigma),
        batch=batch,
        channels=_channels(channels),
        backward=backward,
        candidates=parse_candidates(candidates),
        own=tuple(candidate or ()),
    )
    _run(chosen, Running(device, threads, (repeats, seconds, give_up), out, as_json))


@bench.command()
def step(
    model: Model = "flexnet-7",
    size: Sizes = "16",
    sigma: Widths = "initial",
    batch: Batch = 64,
    memory: Annotated[bool, _measured("--memory", help="Also peak memory, in a new process each.")] = False,
    candidates: Candidates = None,
    candidate: Own = None,
    device: Device = options.DeviceChoice.auto,
    threads: Threads = None,
    repeats: Repeats = 30,
    seconds: Seconds = 5.0,
    give_up: GiveUp = None,
    out: Out = None,
    as_json: options.Json = False,
) -> None:
    """A training step of a model by every method, beside conv2d of the sampled kernels.

    restool bench step --model flexnet-7 --size 16,32 --sigma initial,0.3,whole --candidates auto
    """
    from restool.bench.candidates import parse_candidates, parse_widths
    from restool.bench.step import StepBench

    chosen = StepBench(
        model=model,
        sizes=_sizes(size),
        widths=parse_widths(sigma),
        batch=batch,
        candidates=parse_candidates(candidates),
        own=tuple(candidate or ()),
        memory=memory,
        threads=threads,
    )
    _run(chosen, Running(device, threads, (repeats, seconds, give_up), out, as_json))


@bench.command("eval")
def evaluation(
    model: Model = "flexnet-7",
    source: Annotated[
        int, _measured("--source", help="Pixels it was trained at.", parser=options.whole_number, metavar="N")
    ] = 16,
    size: Sizes = "28..36:4",
    sigma: Widths = "0.3",
    batch: Batch = 100,
    candidate: Own = None,
    device: Device = options.DeviceChoice.auto,
    threads: Threads = None,
    repeats: Repeats = 30,
    seconds: Seconds = 5.0,
    give_up: GiveUp = None,
    out: Out = None,
    as_json: options.Json = False,
) -> None:
    """Evaluation at sizes a model was not trained at, beside conv2d with kernels sampled for every batch, and once.

    restool bench eval --model flexnet-7 --source 16 --size 28..36:4
    """
    from restool.bench.candidates import parse_widths
    from restool.bench.evaluation import EvalBench

    chosen = EvalBench(
        model=model,
        source=source,
        sizes=_sizes(size),
        widths=parse_widths(sigma),
        batch=batch,
        own=tuple(candidate or ()),
    )
    _run(chosen, Running(device, threads, (repeats, seconds, give_up), out, as_json))


@bench.command()
def data(
    size: Sizes = "16,32",
    images: Annotated[
        int, _measured("--images", help="Images an epoch.", parser=options.whole_number, metavar="N")
    ] = 2000,
    batch: Batch = 64,
    workers: Annotated[
        int, _measured("--workers", help="Processes of torchvision's.", parser=options.whole_number, metavar="N")
    ] = 0,
    device: Device = options.DeviceChoice.auto,
    threads: Threads = None,
    repeats: Repeats = 30,
    seconds: Seconds = 5.0,
    give_up: GiveUp = None,
    out: Out = None,
    as_json: options.Json = False,
) -> None:
    """Batches of training images, beside torchvision's transforms of Pillow pictures.

    restool bench data --size 16,32 --workers 2
    """
    from restool.bench.data import DataBench

    chosen = DataBench(sizes=_sizes(size), images=images, batch=batch, workers=workers)
    _run(chosen, Running(device, threads, (repeats, seconds, give_up), out, as_json))


@bench.command()
def figure(
    out: Annotated[Path, typer.Argument(help="Folder that --out named.", metavar="DIR", show_default=False)],
) -> None:
    """Make the tables and figures of a folder anew from its records alone.

    restool bench figure results/cost/size
    """
    from restool.bench.record import rebuild

    for path in rebuild(out):
        print(path)


def _run(chosen: "Bench", how: Running) -> None:
    """Measure under a progress bar; print the table or the record, and write what was asked for."""
    from restool.bench.record import write
    from restool.bench.run import run
    from restool.bench.table import text
    from restool.bench.timing import Budget
    from restool.cli.progress import ProgressBars
    from restool.cli.study import choose_device

    device = choose_device(how.device)
    repeats, seconds, give_up = how.budget
    budget = Budget(repeats=repeats, seconds=seconds, give_up=math.inf if give_up is None else give_up)
    with ProgressBars().activity(f"bench {chosen.kind}", len(chosen)) as watch:
        record = run(chosen, device, budget=budget, threads=how.threads, step=watch.step)
    print(json.dumps(record, indent=1) if how.as_json else text(record))
    if how.out is not None:
        print("wrote " + ", ".join(map(str, write(how.out, record))), file=sys.stderr)


def _sizes(text: str) -> tuple[int, ...]:
    from restool.transfer import parse_numbers
    from restool.transfer.config import SMALLEST_SIZE

    return parse_numbers(text, "--size", least=SMALLEST_SIZE)


def _channels(text: str) -> tuple[int, int]:
    inputs, colon, outputs = text.partition(":")
    try:
        return int(inputs), int(outputs if colon else inputs)
    except ValueError:
        raise UsageError(f"--channels takes a number, or two as in 24:48, but got {text!r}") from None
