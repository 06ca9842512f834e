"""What a worker process does: it trains a source model and tests a cell, in a folder of its own, and tells the driver.

Nothing but what is told comes back, so a worker needs no file system in common with the driver.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

from restool.devices import be_deterministic, choose_device
from restool.errors import RestoolError, UsageError
from restool.files import leftovers, temporary_name
from restool.records import ResultsFolder
from restool.training.loop import Watch
from restool.transfer.cells import SourceRun
from restool.transfer.cluster.messages import Answers, Event, Failed, File, Job, Note, Task, Under
from restool.transfer.failures import failure_of
from restool.transfer.study import Study
from restool.transfer.trainer import Trained
from restool.version import __version__

TELL_SECONDS = 1.0
"""A worker tells how far it is every so many seconds."""
KEEP_SECONDS = 30.0
"""A training that goes on is sent home every so many seconds, at the end of an epoch."""
WEIGHTS, RESULTS = "weights", "results"
KINDS = ("checkpoints", "logits", "records")
"""What comes home, in this order."""


Tell = Callable[[Event], None]


class Worker:
    """One process at work on a job.

    Args:
        job: that it serves.

    Raises:
        UsageError: the restool or the model's code of this machine is another than the driver's.
    """

    def __init__(self, job: Job) -> None:
        if job.version != __version__:
            raise UsageError(f"a worker has restool {__version__} and the driver {job.version}; install the same")
        sys.argv = list(job.command)
        if os.path.isdir(job.folder):
            os.chdir(job.folder)
        if job.deterministic:
            be_deterministic()
        self.token, self._threads = job.token, job.threads
        place = Path(tempfile.gettempdir())
        for path in leftovers(place, "restool-worker.*.tmp"):
            shutil.rmtree(path, ignore_errors=True)
        self._path = place / temporary_name("restool-worker")
        config, self._weights = job.config, job.weights
        if config.weights is not None:
            config = replace(config, weights=self._path / WEIGHTS / Path(config.weights).name)
        self._config = config
        with self._folder():
            self._study = Study(
                *(config, job.dataset, ResultsFolder(self._path / RESULTS)),
                device=choose_device(job.device),
                progress=self,
                method=job.method,
                keep_logits=job.keep_logits,
            )
        self._runs = set(self._study.runs)
        self._source: tuple[SourceRun, Trained] | None = None
        self._tell: Tell = lambda event: None
        self._sent: dict[Path, int] = {}
        self._last_told = self._last_kept = 0.0

    def has(self, run: SourceRun) -> bool:
        """Whether the source model is at hand, so that its checkpoint need not come."""
        return self._source is not None and self._source[0] == run

    @contextmanager
    def _folder(self) -> Iterator[None]:
        """The folder of this process is there, with the weights that training starts from, and then gone."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir(mode=0o700)
        try:
            if self._weights is not None and self._config.weights is not None:
                path = Path(self._config.weights)
                path.parent.mkdir()
                path.write_bytes(self._weights)
            yield
        finally:
            shutil.rmtree(self._path, ignore_errors=True)

    def do(self, task: Task, checkpoints: Mapping[str, bytes], answers: Tensor | None, tell: Tell) -> None:
        """Do a task.

        Args:
            task: to be done.
            checkpoints: of its trainings as far as they are, by key.
            answers: of its source model, unless this worker is to find them.
            tell: told of everything.
        """
        torch.set_num_threads(1 if torch.are_deterministic_algorithms_enabled() else self._threads)
        self._tell, study, run, cell = tell, self._study, task.run, task.cell
        if run not in self._runs:
            raise UsageError(f"{run.model} or its weights are others on a worker than on the driver; copy them there")
        with self._folder():
            self._put(checkpoints)
            step = "trained"
            try:
                source, step = self._trained(run), "tested"
                if answers is not None:
                    study.put_own_logits(run, answers)
                if cell is not None and (error := study.attempt(cell, source)):
                    tell(Failed(cell, error))
                if task.tells_answers:
                    tell(Answers(study.own_logits(run, source)))
            except BaseException as error:
                tell(Failed(None, failure_of(error, run.model, step)))
            self._send()

    def _put(self, checkpoints: Mapping[str, bytes]) -> None:
        """Write what came with the task; the driver has it."""
        self._sent = {}
        for key, content in checkpoints.items():
            path = self._study.folder.checkpoint(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self._sent[path] = path.stat().st_mtime_ns
        self._last_kept = time.monotonic()

    def _trained(self, run: SourceRun) -> Trained:
        if self._source is None or self._source[0] != run:
            self._source = None  # its memory is free before another is built
            self._source = run, self._study.trainer.source(run)
        return self._source[1]

    def _files(self) -> list[Path]:
        """What the task has made, records last, for they say that the others are there."""
        return sorted(path for path in self._path.glob(f"{RESULTS}/*/*") if path.parent.name in KINDS)

    def _send(self) -> None:
        """Tell the files that are new."""
        for path in self._files():
            if self._sent.get(path) != (changed := path.stat().st_mtime_ns):
                self._sent[path] = changed
                self._tell(File(f"{path.parent.name}/{path.name}", path.read_bytes()))

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator[Watch]:
        """Told now and then with the share that is done; files that an epoch leaves are sent."""
        self._told(text, done / max(1, steps), at_once=True)
        yield _Watch(self, text, steps, done)

    def _told(self, text: str, share: float, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() >= self._last_told + TELL_SECONDS:
            self._last_told = time.monotonic()
            self._tell(Under(text, share))

    def _epoch(self) -> None:
        if time.monotonic() >= self._last_kept + KEEP_SECONDS:
            self._send()
            self._last_kept = time.monotonic()

    def noted(self, text: str) -> None:
        """Passed on."""
        self._tell(Note(text))

    def at(self, number: int, of: int) -> None:
        """The driver counts."""

    def waiting(self, cells: int) -> None:
        """A worker never waits."""

    def failed(self, text: str, error: Exception) -> None:
        """A failure is the answer to a task."""

    def under_way(self, tasks: Sequence[str]) -> None:
        """A worker has no workers."""


class _Watch:
    """Of one activity of a worker."""

    def __init__(self, worker: Worker, text: str, steps: int, done: int) -> None:
        self.worker, self.text, self.steps, self.done = worker, text, steps, done

    def step(self) -> None:
        """One step is done."""
        self.done += 1
        self.worker._told(self.text, self.done / self.steps)

    def epoch(self, figures: dict[str, float]) -> None:
        """One epoch is done and its checkpoint is on the disk."""
        self.worker._epoch()


_worker: Worker | None = None  # of this process


def perform(
    fetch: Callable[[Any], Any], token: str, job: Any, task: Task, checkpoints: Mapping[str, Any], answers: Any
) -> Iterator[Event]:
    """Do a task in this process, and give what it tells while it goes on.

    Args:
        fetch: gives what stands behind the arguments that follow; what is at hand is not fetched.
        token: of the job.
        job: a `Job`.
        task: to be done.
        checkpoints: contents, by key.
        answers: logits, or None.
    """
    events: SimpleQueue[Event | BaseException | None] = SimpleQueue()

    def work() -> None:
        global _worker
        try:
            if _worker is None or _worker.token != token:
                _worker = None
                _worker = Worker(fetch(job))
            wanted = {key for key in checkpoints if key != task.run.key or not _worker.has(task.run)}
            found = {key: fetch(checkpoints[key]) for key in wanted}
            _worker.do(task, found, None if answers is None else fetch(answers), events.put)
        except RestoolError as error:
            events.put(Failed(None, error))
        except BaseException as error:
            events.put(error)
        finally:
            events.put(None)

    threading.Thread(target=work, daemon=True).start()
    while (event := events.get()) is not None:
        if isinstance(event, BaseException):
            raise event
        yield event
