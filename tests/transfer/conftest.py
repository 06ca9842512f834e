"""A study so small that all of its cells take a second, and a progress that can stop it at any step."""

import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from restool.data import Dataset, load
from restool.recipe import DEFAULTS, Recipe
from restool.records import ResultsFolder
from restool.transfer import Cell, Study, StudyConfig, plan
from restool.transfer.preparation import prepared

CHOICES = {
    "model": "flexnet[3,4]",
    "train": (8,),
    "test": (10, 12),
    "epochs": 2,
    "finetune_epochs": 1,
    "limit": 32,
    "batch_size": 16,
}


class Stopped(Exception):  # noqa: N818 (not an error: a test asked for it)
    """As a time limit or a user would."""


class Progress:
    """Remembers activities, steps, waits and failures, and may raise or act after a number of steps."""

    def __init__(self, stop_after: float = math.inf, act: Callable[[], None] | None = None) -> None:
        self.left, self.act = stop_after, act
        self.activities: list[str] = []
        self.steps: dict[str, int] = {}
        self.failures: list[tuple[str, str]] = []
        self.waits: list[int] = []

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator["Progress"]:
        self.activities.append(text)
        self.steps[text] = 0
        yield self
        assert done + self.steps[text] == steps

    @property
    def tested(self) -> list[str]:
        """Cells that were tested, in a few words each."""
        return [text.removeprefix("test ") for text in self.activities if text.startswith("test")]

    @property
    def trainings(self) -> dict[str, int]:
        """Steps of what was trained or fine-tuned."""
        return {text: steps for text, steps in self.steps.items() if not text.startswith(("test", "answers of"))}

    def step(self) -> None:
        self.steps[self.activities[-1]] += 1
        self.left -= 1
        if self.left == 0 and self.act is not None:
            self.act()
        elif self.left == 0:
            raise Stopped

    def epoch(self, figures: dict[str, float]) -> None:
        pass

    def at(self, number: int, of: int) -> None:
        pass

    def noted(self, text: str) -> None:
        pass

    def waiting(self, cells: int) -> None:
        self.waits.append(cells)

    def under_way(self, tasks: Sequence[str]) -> None:
        pass

    def failed(self, text: str, error: Exception) -> None:
        self.failures.append((text, str(error)))


class Lab:
    """Runs the small study, or a variation of it, in a folder."""

    stopped, progress = Stopped, Progress

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def config(self, **choices: Any) -> StudyConfig:
        choices = {**CHOICES, **choices}
        recipe = Recipe(**{name: choices.pop(name) for name in DEFAULTS if name in choices})
        return StudyConfig(**choices, recipe=recipe)

    def study(
        self,
        path: Path,
        progress: Progress | None = None,
        *,
        keep_logits: bool = False,
        shard: tuple[int, int] = (1, 1),
        **choices: Any,
    ) -> Study:
        folder = ResultsFolder(path)
        folder.create()
        config, device = self.config(**choices), torch.device("cpu")
        progress = progress or Progress()
        kept = {"keep_logits": keep_logits, "shard": shard}
        return Study(config, self.dataset, folder, device=device, progress=progress, **kept)

    def plan(self, **choices: Any) -> list[Cell]:
        config = self.config(**choices)
        return plan(config, prepared(config, self.dataset))

    def run(self, path: Path, progress: Progress | None = None, **choices: Any) -> list[Cell]:
        """Run the study and give back the cells that failed."""
        study = self.study(path, progress, **choices)
        study.run()
        return study.failed

    @staticmethod
    def records(path: Path) -> dict[str, dict]:
        """What the records say, without what differs from run to run."""
        records = [json.loads(file.read_text()) for file in sorted((path / "records").iterdir())]
        return {
            r["key"]: {k: v for k, v in r.items() if k not in ("timing", "environment", "made", "digest")}
            for r in records
        }


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab(load("gabors", limit=32))


@pytest.fixture(scope="session")
def finished(lab, tmp_path_factory) -> Path:
    """The folder of the small study, run without interruption; not to be written to."""
    path = tmp_path_factory.mktemp("finished")
    lab.run(path)
    return path


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of the finished study that may be written to."""
    return shutil.copytree(finished, tmp_path / "copy")
