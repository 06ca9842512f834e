"""`restool bench scale`: the cells of a grid by one process, and by ever more workers of Ray."""

import json
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any, ClassVar

import torch

from restool.arguments import Knob, check_knobs
from restool.bench.harness.compare import Candidate, Case, Deviation
from restool.errors import ArgumentError
from restool.training.loop import Unwatched, Watch
from restool.transfer import Study, StudyConfig, open_study
from restool.transfer.cluster import Driver, Pool
from restool.transfer.spread import MOST_WORKERS, Spread

BASELINE = "one process"
SMALL: dict[str, Any] = {"model": "flexnet-3", "train": (16,), "test": tuple(range(28, 37)), "epochs": 0}
"""The grid of the first example in the help, of models that are not trained, for every one of which there is as much to
do."""


@dataclass(frozen=True, kw_only=True)
class ScaleBench:
    """The cells of untrained source models, tested at 28 to 36 px by every protocol, with one core each.

    Candidates: `one process` is `restool.transfer.sweep` without its report; `N workers` are as many processes of Ray,
    which has been started before.

    Attributes:
        workers: numbers of them, ascending.
        models: source models, of 46 cells each.
        images: test images.

    Raises:
        UsageError: a number out of range.
    """

    kind: ClassVar[str] = "scale"

    workers: tuple[int, ...] = (1, 2)
    models: Annotated[int, Knob("Source models, of 46 cells each.", "N", least=1, most=10_000)] = 2
    images: Annotated[int, Knob("Test images of a cell.", "N", least=1, most=10_000)] = 100

    def __post_init__(self) -> None:
        check_knobs(self)
        if not self.workers or min(self.workers) < 1 or max(self.workers) > MOST_WORKERS:
            raise ArgumentError("workers", f"must hold numbers from 1 to {MOST_WORKERS}", self.workers)

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""
        return {"models": self.models, "images": self.images, "batch": self.images}

    def __len__(self) -> int:
        """Cases."""
        return 1

    def cases(self, device: torch.device) -> Generator[Case]:
        """The one grid."""
        config = StudyConfig(**SMALL, seeds=range(self.models), limit=self.images)
        with Pool(Spread(workers=max(self.workers), cpus_per_cell=1, device=device.type)) as pool:
            alone = Run(config, Study.run, str(device))
            runs = {
                f"{count} worker{'s' if count > 1 else ''}": (count, self._run(config, pool, count))
                for count in self.workers
            }
            candidates = [Candidate(name=BASELINE, call=alone, check=dict)]
            for name, (count, run) in runs.items():
                costs = partial(run.costs, alone, count)
                candidates.append(Candidate(name=name, call=run, check=partial(run.deviations, alone), extras=costs))
            yield Case(
                place={"size": alone.cells, "unit": "cells"}, candidates=candidates, pieces=[], cells=alone.cells
            )

    @staticmethod
    def _run(config: StudyConfig, pool: Pool, count: int) -> "Run":
        return Run(config, lambda study: Driver(study, pool, at_most=count).run(), "cpu")


class Run:
    """A call that runs a study into a new folder, and remembers its seconds and accuracies.

    Args:
        config: of the study.
        do: runs it.
        device: of this process.
    """

    def __init__(self, config: StudyConfig, do: Callable[[Study], None], device: str) -> None:
        self.config, self.do, self.device = config, do, device
        self.seconds: list[float] = []
        self.accuracies: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as folder:
            self.cells = len(self._study(folder).cells)

    def __call__(self) -> None:
        """Run it."""
        with tempfile.TemporaryDirectory() as folder:
            study = self._study(folder)
            study.folder.create()
            started = time.perf_counter()
            self.do(study)
            self.seconds.append(time.perf_counter() - started)
            read = (json.loads(path.read_text("utf-8")) for path in Path(folder).glob("records/*.json"))
            self.accuracies = {record["key"]: record["result"]["accuracy"] for record in read}

    def _study(self, folder: str) -> Study:
        return open_study(self.config, folder, device=self.device, progress=Silent())

    def deviations(self, other: "Run") -> dict[str, Deviation]:
        """Of the accuracies, which are to be those of another run; a missing one is off by all."""
        keys = self.accuracies.keys() | other.accuracies.keys()
        off = [abs(self.accuracies.get(key, 1.0) - other.accuracies.get(key, -1.0)) for key in keys]
        return {"accuracy": Deviation(max(off), 0.0)}

    def costs(self, alone: "Run", workers: int) -> dict[str, Any]:
        """Seconds that a worker spends on a cell beyond what the cell takes in one process."""
        spent = workers * median(self.seconds[1:]) - median(alone.seconds[1:])
        return {"overhead_per_cell": spent / self.cells}


class Silent:
    """A progress that tells nothing."""

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator[Watch]:
        """Untold."""
        yield Unwatched()

    def at(self, number: int, of: int) -> None:
        """Untold."""

    def waiting(self, cells: int) -> None:
        """Untold."""

    def under_way(self, tasks: Sequence[str]) -> None:
        """Untold."""

    def failed(self, text: str, error: Exception) -> None:
        """The accuracies will tell."""

    def noted(self, text: str) -> None:
        """Untold."""
