"""`restool bench`: candidates for the same work timed beside each other, checked, and set against the hardware."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restool.bench.harness.budget import Budget
from restool.cli.command import Command
from restool.cli.option import option
from restool.cli.output import print_files, print_json
from restool.cli.panels import Json, device_option, takes_panels
from restool.cli.parsing import model_names, names, numbers, sizes, whole_number
from restool.errors import ArgumentError

if TYPE_CHECKING:
    from restool.bench.harness.run import Bench

bench = typer.Typer(
    help="Time a layer, a training step, evaluation or the input pipeline beside the plain way of doing it.",
    no_args_is_help=True,
)

_measured = partial(option, "What to measure")
_running = partial(option, "How to measure")

Sizes = Annotated[str, _measured("--size", "Pixels: 32, or 16,32,64, or 16..48:8.", "SIZES")]
Lengths = Annotated[
    str,
    _measured("--size", "Pixels, or steps of a sequence: 32, or 16,32,64, or 16..48:8.", "SIZES", names=["--length"]),
]
Widths = Annotated[
    str, _measured("--sigma", "Mask widths: initial (0.075), whole (no crop) or numbers, such as 0.1,0.3.", "WIDTHS")
]
Batch = Annotated[int, _measured("--batch", "Images or sequences a call.", "N", parser=whole_number)]
Candidates = Annotated[
    str | None,
    _measured(
        "--candidates",
        "Methods for continuous kernels, such as auto,dft; the plain way always takes part.",
        "NAMES",
        show_default="all",
    ),
]
Own = Annotated[
    list[str] | None,
    _measured(
        "--candidate",
        "A module of your own, checked against its float64 copy; may be given several times.",
        "package.module:factory",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where to measure and where to write."""

    device: Annotated[str, device_option("How to measure")] = "auto"
    threads: Annotated[
        int | None, _running("--threads", "Of the CPU.", "N", parser=whole_number, show_default="torch's")
    ] = None
    out: Annotated[
        Path | None,
        _running("--out", "Write record, table and figure into this folder.", "DIR", show_default="nothing written"),
    ] = None


@bench.command(cls=Command)
@takes_panels
def layer(
    running: Running,
    budget: Budget,
    dims: Annotated[int, _measured("--dims", "2 for images, 1 for sequences.", "N", parser=whole_number)] = 2,
    size: Lengths = "32",
    sigma: Widths = "0.3",
    batch: Batch = 64,
    channels: Annotated[str, _measured("--channels", "24, or in and out: 24:48.", "N")] = "24",
    backward: Annotated[bool, _measured("--backward/--forward", "With gradients, or without.")] = True,
    candidates: Candidates = None,
    candidate: Own = None,
    as_json: Json = False,
) -> None:
    """One continuous convolution by every method, beside conv2d (or conv1d) of the sampled kernel.

    restool bench layer --size 16,32,64 --sigma 0.3 --candidate mine.layers:make
    """
    from restool.bench.work.candidates import parse_candidates, parse_widths
    from restool.bench.work.layer import LayerBench

    chosen = LayerBench(
        dims=dims,
        sizes=sizes(size, "size"),
        widths=parse_widths(sigma),
        batch=batch,
        channels=_channels(channels),
        backward=backward,
        candidates=parse_candidates(candidates),
        own=tuple(candidate or ()),
    )
    _run(chosen, running, budget, as_json)


@bench.command(cls=Command)
@takes_panels
def step(
    running: Running,
    budget: Budget,
    model: Annotated[str, _measured("--model", "One or several, see `restool ls models`.", "NAMES")] = "flexnet-7",
    size: Lengths = "16",
    sigma: Widths = "initial",
    batch: Batch = 64,
    memory: Annotated[bool, _measured("--memory", "Also peak memory, in a new process each.")] = False,
    candidates: Candidates = None,
    penalties: Annotated[
        str, _measured("--penalties", "Also a step with each aliasing penalty, such as gabor,spectral.", "NAMES")
    ] = "",
    candidate: Own = None,
    as_json: Json = False,
) -> None:
    """A training step by every method, beside conv2d (or conv1d) of the sampled kernels or a plain loop over steps.

    restool bench step --model flexnet-7 --size 16,32 --sigma initial,0.3,whole --candidates auto

    restool bench step --model flextcn-2,r-lstm,cornn --length 784
    """
    from restool.bench.work.candidates import parse_candidates, parse_widths
    from restool.bench.work.step import StepBench, StepBenches

    benches = [
        StepBench(
            model=name,
            sizes=sizes(size, "size"),
            widths=parse_widths(sigma),
            batch=batch,
            candidates=parse_candidates(candidates),
            penalties=names(penalties) if penalties else (),
            own=tuple(candidate or ()),
            memory=memory,
            threads=running.threads,
        )
        for name in model_names(model)
    ]
    _run(benches[0] if len(benches) == 1 else StepBenches(benches), running, budget, as_json)


@bench.command("eval", cls=Command)
@takes_panels
def evaluation(
    running: Running,
    budget: Budget,
    model: Annotated[str, _measured("--model", "See `restool ls models`.", "NAME")] = "flexnet-7",
    source: Annotated[int, _measured("--source", "Pixels it was trained at.", "N", parser=whole_number)] = 16,
    size: Sizes = "28..36:4",
    sigma: Widths = "0.3",
    batch: Batch = 100,
    candidate: Own = None,
    as_json: Json = False,
) -> None:
    """Evaluation at sizes a model was not trained at, beside conv2d with kernels sampled for every batch, and once.

    restool bench eval --model flexnet-7 --source 16 --size 28..36:4
    """
    from restool.bench.work.candidates import parse_widths
    from restool.bench.work.evaluation import EvalBench

    chosen = EvalBench(
        model=model,
        source=source,
        sizes=sizes(size, "size"),
        widths=parse_widths(sigma),
        batch=batch,
        own=tuple(candidate or ()),
    )
    _run(chosen, running, budget, as_json)


@bench.command(cls=Command)
@takes_panels
def data(
    running: Running,
    budget: Budget,
    size: Annotated[
        str | None,
        _measured("--size", "Pixels: 32, or 16,32,64.", "SIZES", show_default="16,32, or 224 of photographs"),
    ] = None,
    photographs: Annotated[
        bool, _measured("--photographs", "JPEG files of 500x375 pixels in place of squares of 32 in memory.")
    ] = False,
    images: Annotated[int, _measured("--images", "Images an epoch.", "N", parser=whole_number)] = 2000,
    batch: Batch = 64,
    workers: Annotated[
        int,
        _measured(
            "--workers",
            "Processes of torchvision's, and of restool's that decode photographs.",
            "N",
            parser=whole_number,
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Batches of training images, beside torchvision's transforms of Pillow pictures.

    restool bench data --size 16,32 --workers 2
    """
    from restool.bench.work.data import DataBench
    from restool.bench.work.photographs import PhotographBench

    work = PhotographBench if photographs else DataBench
    shown: dict[str, Any] = {} if size is None else {"sizes": sizes(size, "size")}
    chosen = work(images=images, batch=batch, workers=workers, **shown)
    _run(chosen, running, budget, as_json)


@bench.command(cls=Command)
@takes_panels
def scale(
    running: Running,
    budget: Budget,
    workers: Annotated[str, _measured("--workers", "Processes of Ray: 2, or 1,2,4.", "NUMBERS")] = "1,2",
    models: Annotated[int, _measured("--models", "Source models, of 46 cells each.", "N", parser=whole_number)] = 2,
    images: Annotated[int, _measured("--images", "Test images of a cell.", "N", parser=whole_number)] = 100,
    as_json: Json = False,
) -> None:
    """Cells a second by one process and by workers of Ray, and what these cost a cell.

    restool bench scale --workers 1,2,4 --models 4
    """
    from restool.bench.work.scale import ScaleBench
    from restool.transfer.spread import MOST_WORKERS

    counts = numbers(workers, "workers", least=1, most=MOST_WORKERS)
    _run(ScaleBench(workers=tuple(counts), models=models, images=images), running, budget, as_json)


@bench.command(cls=Command)
def figure(
    out: Annotated[Path, typer.Argument(help="Folder that --out named.", metavar="DIR", show_default=False)],
) -> None:
    """Make the tables and figures of a folder anew from its records alone.

    restool bench figure results/cost/size
    """
    from restool.bench.harness.record import rebuild

    for path in rebuild(out):
        print(path)


def _run(chosen: "Bench", running: Running, budget: Budget, as_json: bool) -> None:
    """Measure under a progress bar; print the table or the record, and write what was asked for."""
    from restool.bench.harness.record import write
    from restool.bench.harness.run import run
    from restool.bench.harness.table import text
    from restool.devices import choose_device
    from restool.files import require_place
    from restool.transfer.progress import ProgressBars

    device = choose_device(running.device)
    if running.out is not None:
        require_place(running.out)
    with ProgressBars().activity(f"bench {chosen.kind}", len(chosen)) as watch:
        record = run(chosen, device, budget=budget, threads=running.threads, step=watch.step)
    if as_json:
        print_json(record)
    else:
        print(text(record))
    if running.out is not None:
        print_files(write(running.out, record))


def _channels(text: str) -> tuple[int, int]:
    inputs, colon, outputs = text.partition(":")
    try:
        return int(inputs), int(outputs if colon else inputs)
    except ValueError:
        raise ArgumentError("channels", "must be a number, or two as in 24:48", text) from None
