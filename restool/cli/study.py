"""What `sweep`, `finetune` and `train` share: from checked options to records, tables and heat maps."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restool.cli.options import DeviceChoice, MethodChoice
from restool.errors import CellsFailedError, UsageError

if TYPE_CHECKING:
    import torch

    from restool.cli.progress import ProgressBars
    from restool.transfer import Cell, Study, StudyConfig


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study computes, reads and writes: what does not decide its results."""

    out: Path
    device: DeviceChoice
    method: MethodChoice
    data_dir: Path | None
    download: bool
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if self.time_limit is not None and not self.time_limit > 0:
            raise UsageError(f"--time-limit takes minutes above 0, but got {self.time_limit}")


def choose_device(choice: DeviceChoice) -> "torch.device":
    """The device of a choice; UsageError for cuda where there is none."""
    import torch

    from restool.nn.memory import keep_freed_memory

    if choice == DeviceChoice.cuda and not torch.cuda.is_available():
        raise UsageError("--device cuda needs an NVIDIA GPU that torch can use; there is none, so use --device cpu")
    cuda = choice == DeviceChoice.cuda or (choice == DeviceChoice.auto and torch.cuda.is_available())
    if cuda:
        return torch.device("cuda")
    keep_freed_memory()
    return torch.device("cpu")


def study_config(*, train: str, test: str, seeds: str, protocols: str | None, **choices: Any) -> "StudyConfig":
    """A configuration from options as typed; `choices` are passed on."""
    from restool.transfer import StudyConfig, parse_numbers
    from restool.transfer.config import SMALLEST_SIZE

    return StudyConfig(
        train=parse_numbers(train, "--train", least=SMALLEST_SIZE),
        test=parse_numbers(test, "--test", least=SMALLEST_SIZE),
        seeds=parse_numbers(seeds, "--seeds", least=0),
        protocols=split_names(protocols),
        **choices,
    )


def native_protocol(model: str, train: str) -> str:
    """What fine-tuning a model, built for the first source size, starts from."""
    from restool.models import build_model
    from restool.transfer import parse_numbers
    from restool.transfer.config import SMALLEST_SIZE
    from restool.transfer.protocols import native_protocol

    size = parse_numbers(train, "--train", least=SMALLEST_SIZE)[0]
    return native_protocol(build_model(model, reference_size=size))


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Comma-separated names, each once, or None."""
    return None if text is None else tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def prepare(config: "StudyConfig", place: Place) -> "tuple[Study, ProgressBars, list[Cell]]":
    """Check everything and read the data; nothing is written yet."""
    from restool.cli.progress import ProgressBars
    from restool.data import load
    from restool.transfer import ResultsFolder, Study, plan
    from restool.transfer.fitting import require_fitting

    progress = ProgressBars(place.time_limit)
    device = choose_device(place.device)
    folder = ResultsFolder(place.out)
    config.zero_shot_protocols()
    dataset = load(config.dataset, data_dir=place.data_dir, download=place.download, limit=config.limit)
    require_fitting(config, dataset)
    study = Study(config, dataset, folder, device=device, method=place.method.value, progress=progress)
    return study, progress, plan(config, dataset)


def run_grid(config: "StudyConfig", place: Place, *, dry_run: bool, as_json: bool) -> None:
    """Run the missing cells of a study and print its table; or, as a dry run, what would be done.

    Raises:
        CellsFailedError: some cells failed; the table of the others is printed all the same.
    """
    from restool.cli.dry_run import print_plan
    from restool.cli.progress import TimeLimitReached

    study, progress, cells = prepare(config, place)
    if dry_run:
        print_plan(study, cells, as_json=as_json)
        return

    def missing() -> int:
        return sum(not study.folder.record(cell).exists() for cell in cells)

    progress.position = lambda: f"[{len(cells) - missing() + 1}/{len(cells)}] "
    study.folder.create()
    failed: list[Cell] = []
    try:
        failed = study.run(cells).failed
    except TimeLimitReached:
        say_time_is_over(f"{missing()} of {len(cells)} cells are missing")
    if missing() < len(cells):
        print_report(place.out, as_json=as_json)
    elif as_json:
        print(json.dumps({"out": str(place.out), "files": [], "rows": []}, indent=1))
    if failed:
        raise CellsFailedError(
            f"{len(failed)} of {len(cells)} cells failed, see above; the same command tries them again"
        )


def say_time_is_over(missing: str) -> None:
    """The line that ends a run on its time limit."""
    print(f"restool: time limit reached, {missing}; run the same command to go on", file=sys.stderr)


def print_report(out: Path, *, as_json: bool) -> None:
    """Rebuild tables and heat maps from the records; print the table on stdout and the files' names on stderr."""
    from restool.report import write_report

    files = write_report(out)
    if as_json:
        from restool.report import read_records, summarise

        rows = json.loads(summarise(read_records(out)).to_json(orient="records"))
        print(json.dumps({"out": str(out), "files": [str(file) for file in files], "rows": rows}, indent=1))
        return
    print((out / "table.md").read_text())
    print("wrote " + ", ".join(str(file) for file in files), file=sys.stderr)
