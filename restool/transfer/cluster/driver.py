"""Hands the trainings and cells of a study to workers, and writes what they send home into its folder."""

import sys
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from restool.errors import RestoolError
from restool.files import write_atomically
from restool.records import BusyError
from restool.training.loop import Watch
from restool.transfer.cells import Cell, SourceRun
from restool.transfer.cluster.messages import Answers, Event, Failed, File, Job, Note, Task, Under
from restool.transfer.cluster.pool import Ended, Lost, Pool
from restool.transfer.study import Study
from restool.transfer.turns import WAIT_SECONDS

MOST_LOST = 3
"""A task is given again so many times when its worker is lost."""
LOOK_SECONDS = 0.5


class WorkerLostError(RestoolError):
    """The worker of a task died again and again."""


@dataclass
class Given:
    """A task in the hands of a worker.

    Attributes:
        task: what is to be done.
        locks: that are held for it.
        under: what the worker is at.
        failed: whether it told a failure.
    """

    task: Task
    locks: ExitStack
    under: Under | None = None
    failed: bool = False


class Driver:
    """Runs a study on a pool of workers.

    A source model is one task: it is trained, tested at its source, and its answers there come home. Then each of its
    other cells is a task.

    Args:
        study: to be run.
        pool: of workers, entered.
        at_most: so many tasks are given at a time; None for as many as the pool has use for.

    Attributes:
        failed: source models whose training failed, where nothing but trainings was asked for.
    """

    def __init__(self, study: Study, pool: Pool, at_most: int | None = None) -> None:
        self.study, self.pool, self.progress = study, pool, study.progress
        job = _job_of(study, pool)
        self._job, self._token = pool.put(job), job.token
        self.failed: list[SourceRun] = []
        self._todo: deque[Task] = deque()
        self._ready: deque[Task] = deque()
        self._held: list[Task] = []
        self._look_again, self._most, self._at_most = 0.0, 0, at_most
        self._given: dict[Any, Given] = {}
        self._cells: dict[SourceRun, list[Cell]] = {}
        self._left: dict[SourceRun, set[Cell]] = {}
        self._sources: dict[SourceRun, Any] = {}
        self._answers: dict[SourceRun, Any] = {}
        self._lost: dict[Task, int] = {}
        self._settled: set[Cell | SourceRun] = set()
        self._watch: Watch | None = None

    def run(self) -> None:
        """Run the missing cells, as `Study.run` does in one process."""
        study = self.study
        study.failed, study.damaged = [], False
        missing = study.missing()
        for run, of_run in groupby(missing, key=lambda cell: cell.run):
            cells = list(of_run)
            self._left[run] = set(cells)
            own = next((cell for cell in cells if cell.is_own), None)
            self._cells[run] = [cell for cell in cells if cell is not own]
            self._todo.append(Task(run=run, cell=own, tells_answers=bool(self._cells[run])))
        self._work(f"{len(missing)} cells", len(missing))

    def train(self) -> list[SourceRun]:
        """Train the source models alone, as `Study.train` does, and give those whose training failed."""
        runs = self.study.runs
        self._todo.extend(Task(run=run, cell=None) for run in runs)
        self._work(f"{len(runs)} models", len(runs))
        return self.failed

    def _work(self, what: str, steps: int) -> None:
        try:
            with self.progress.activity(f"{what} by {self.pool.slots} workers", steps) as self._watch:
                while self._ready or self._todo or self._given or self._held:
                    self._go_on()
        finally:
            self.pool.cancel(self._given)
            for given in self._given.values():
                given.locks.close()

    def _go_on(self) -> None:
        if time.monotonic() >= self._look_again:
            self._todo.extend(self._held)
            self._held.clear()
            self._most = self._at_most or self.pool.most_given  # not at every event, for it asks the cluster
            self._look_again = time.monotonic() + WAIT_SECONDS
        self._give()
        if not self._given and self._held:
            self.progress.waiting(len(self._held))
            time.sleep(WAIT_SECONDS)
        if not self._given:
            return
        for stream, event in self.pool.told(self._given, LOOK_SECONDS):
            self._hear(stream, event)
        under = [given.under for given in self._given.values() if given.under]
        self.progress.under_way([f"{each.text}: {each.share:.0%}" for each in under])

    def _give(self) -> None:
        """Give tasks to the pool as long as it has use for them."""
        while (self._ready or self._todo) and len(self._given) < self._most:
            task = (self._ready or self._todo).popleft()  # models that are trained have their cells done
            try:
                locks = self._lock(task)
            except BusyError:
                self._held.append(task)
                continue
            if task.cell is not None and self.study.is_done(task.cell):  # another process did it meanwhile
                self._settle(task.cell)
                if task.cell in self._cells.get(task.run, ()):
                    locks.close()
                    continue
                task = replace(task, cell=None)
            known = self._checkpoints(task), self._answers.get(task.run)
            stream = self.pool.submit(self._token, self._job, task, *known)
            self._given[stream] = Given(task, locks)

    def _lock(self, task: Task) -> ExitStack:
        """Hold what a task writes against other processes.

        Raises:
            BusyError: one of them holds it.
        """
        keys = [] if task.run in self._sources else [task.run.key]
        keys += [] if task.cell is None else [task.cell.key]
        with ExitStack() as locks:
            for key in keys:
                locks.enter_context(self.study.folder.lock(key))
            return locks.pop_all()

    def _checkpoints(self, task: Task) -> dict[str, Any]:
        """Handles of the trainings that a task starts from, as far as they are done."""
        source = self._sources.get(task.run)
        found = {} if source is None else {task.run.key: source}
        for key in (task.run.key, *([] if task.cell is None else [task.cell.key])):
            path = self.study.folder.checkpoint(key)
            if key not in found and path.exists():
                found[key] = self.pool.put(path.read_bytes())
        return found

    def _hear(self, stream: Any, event: Event | Ended | Lost) -> None:
        given = self._given[stream]
        match event:
            case Under():
                given.under = event
            case Note(text):
                self.study.note_once(text)
            case File(path, content):
                write_atomically(self.study.folder.path / path, content)
                if path.startswith("records/"):
                    self._settle(given.task.cell)
            case Answers(logits):
                self._answers[given.task.run] = self.pool.put(logits)
            case Failed(cell, error):
                self._fail(given, cell, error)
            case Ended():
                self._end(stream)
            case Lost(reason):
                self._lose(stream, reason)

    def _fail(self, given: Given, cell: Cell | None, error: RestoolError) -> None:
        """A cell has failed, or all that needs what a task was to make."""
        task, study = given.task, self.study
        failed = [cell]
        if cell is None:
            given.failed = True
            failed = [task.cell, *(() if task.run in self._sources else self._cells.pop(task.run, ()))]
            if not any(failed):
                self.failed.append(task.run)
                self._settle(task.run)
                study.tell(f"train {task.run}", error)
        for each in failed:
            if each is not None and each not in study.failed and not study.is_done(each):
                study.fail(each, error)
                self._settle(each)

    def _end(self, stream: Any) -> None:
        """A task is done; that of a source model leads to those of its cells."""
        given = self._given.pop(stream)
        given.locks.close()
        run = given.task.run
        if given.failed or run in self._sources:
            return
        cells = self._cells.get(run)
        if cells is None:
            self._settle(run)
        elif cells:
            self._sources[run] = self.pool.put(self.study.folder.checkpoint(run.key).read_bytes())
            self._ready.extend(Task(run=run, cell=cell) for cell in cells)

    def _lose(self, stream: Any, reason: str) -> None:
        """A worker is gone with its task, which another one gets."""
        given = self._given.pop(stream)
        given.locks.close()
        task = given.task
        self._lost[task] = self._lost.get(task, 0) + 1
        if self._lost[task] <= MOST_LOST:
            self.progress.noted(f"the worker of {task} is lost, another one gets it; {reason}")
            self._ready.appendleft(task)
            return
        error = WorkerLostError(f"its workers died {MOST_LOST + 1} times, the last time so: {reason}")
        self._fail(given, None, error)

    def _settle(self, what: Cell | SourceRun | None) -> None:
        """What is done or failed is a step of the progress, once; a source model goes with the last of its cells."""
        if self._watch is None or what is None or what in self._settled:
            return
        self._settled.add(what)
        self._watch.step()
        if isinstance(what, Cell):
            self._left[what.run].discard(what)
            if not self._left[what.run]:
                self._sources[what.run] = None  # it is done, and nobody's memory is to hold it any longer
                self._answers.pop(what.run, None)


def _job_of(study: Study, pool: Pool) -> Job:
    weights = study.config.weights
    return Job(
        token=uuid4().hex,
        config=study.config,
        dataset=study.loaded,
        device="cuda" if pool.gpus else "cpu",
        threads=pool.cpus,
        method=study.trainer.method,
        keep_logits=study.keep_logits,
        deterministic=torch.are_deterministic_algorithms_enabled(),
        weights=None if weights is None else Path(weights).read_bytes(),
        command=tuple(sys.argv),
    )
