"""Progress of a study: what it tells, bars and lines on stderr, and the stop of a time limit."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn
from typing import Protocol as Interface

from tqdm import tqdm

from restool.errors import ArgumentError
from restool.training.loop import Watch

LOG_SECONDS = 30.0
"""A log file gets a line every so many seconds."""


class TimeLimitReached(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The minutes of a time limit are over."""


class Progress(Interface):
    """How a study tells what it does; it may raise from `Watch.step` to stop the study."""

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator[Watch]:
        """Something of a known number of steps, of which some may be done before it starts."""
        ...

    def at(self, number: int, of: int) -> None:
        """The study turns to one of its cells, or to one of its trainings."""

    def waiting(self, cells: int) -> None:
        """All missing cells, so many, are in the hands of other processes."""

    def under_way(self, tasks: Sequence[str]) -> None:
        """What the workers of this process do at this moment; told again and again."""

    def failed(self, text: str, error: Exception) -> None:
        """A cell has failed; the study goes on."""

    def noted(self, text: str) -> None:
        """Something about the data that may surprise."""


class Bar:
    """On a terminal. The bar of a training stays on the screen; that of a test, which has no epochs, goes away.

    What matters most comes first, because a narrow terminal cuts off the end.
    """

    def __init__(self, text: str, steps: int, done: int, rest: str) -> None:
        self.tqdm: tqdm[NoReturn] = tqdm(
            total=steps,
            initial=done,
            desc=text,
            bar_format=f"{{desc}}: {{remaining}} left{{postfix}}, {{n_fmt}}/{{total_fmt}} [{{elapsed}}{rest}] {{bar}}",
            file=sys.stderr,
            dynamic_ncols=True,
            leave=False,
        )

    def step(self) -> None:
        """One step further."""
        self.tqdm.update()

    def figures(self, text: str) -> None:
        """Show figures behind the time."""
        self.tqdm.leave = True
        self.tqdm.set_postfix_str(text)

    def look(self) -> None:
        """Show figures that are new."""
        self.tqdm.refresh()

    def close(self) -> None:
        """The activity is over."""
        self.tqdm.close()


class Lines:
    """In a log file: a line now and then, and one at the end of a training.

    Args:
        text: what is done.
        steps: of all.
        done: of them, at the beginning.
        rest: what the whole run still takes, in words.
        due: whether it is time for a line.
    """

    def __init__(self, text: str, steps: int, done: int, rest: str, due: Callable[[], bool]) -> None:
        self.text, self.steps, self.done, self.rest, self.due = text, steps, done, rest, due
        self.first, self.started = done, time.monotonic()
        self.shown = ""

    def step(self) -> None:
        """One step further."""
        self.done += 1
        self.look()

    def look(self) -> None:
        """Print a line if it is time for one."""
        if self.due():
            self._print()

    def figures(self, text: str) -> None:
        """Figures for the next line."""
        self.shown = f", {text}"

    def close(self) -> None:
        """The activity is over."""
        if self.shown:
            self._print()

    def _print(self) -> None:
        pace = (time.monotonic() - self.started) / max(1, self.done - self.first)
        left = tqdm.format_interval(pace * (self.steps - self.done))
        told = f"{self.text}: step {self.done} of {self.steps}, {left} left{self.shown}{self.rest}"
        print(told, file=sys.stderr, flush=True)


class Watcher:
    """A `Watch` that shows what it is told."""

    def __init__(self, shown: Bar | Lines) -> None:
        self.shown = shown

    def step(self) -> None:
        """One step is done."""
        self.shown.step()

    def epoch(self, figures: dict[str, float]) -> None:
        """One epoch is done."""
        self.shown.figures(f"loss {figures['loss']:.3f}, val {100 * figures['validation_accuracy']:.1f} %")


class ProgressBars:
    """Progress on stderr with time left, as bars on a terminal and as few lines in a log file.

    Args:
        tell: what an error is called.
    """

    def __init__(self, tell: Callable[[Exception], str] = str) -> None:
        self.tell = tell
        self._position = self._rest = ""
        self._began, self._last = (1, time.monotonic()), 0
        self._next_line = time.monotonic() + LOG_SECONDS
        self._told_waiting = False
        self._shown: Bar | Lines | None = None

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator[Watch]:
        """Something of a known number of steps, of which some may be done before it starts."""
        text = f"{self._position}{text}"
        rest = self._rest
        shown = (
            Bar(text, steps, done, rest) if sys.stderr.isatty() else Lines(text, steps, done, rest, self._line_is_due)
        )
        self._shown = shown
        try:
            yield Watcher(shown)
        finally:
            shown.close()

    def at(self, number: int, of: int) -> None:
        """Printed before everything that follows, with the time that all of it still takes, at the pace so far."""
        self._position = f"[{number}/{of}] "
        now = time.monotonic()
        if number < self._last or self._last == 0:  # another study begins
            self._began = number, now
        self._last = number
        first, started = self._began
        left = (now - started) / max(1, number - first) * (of - number + 1)
        self._rest = f", {tqdm.format_interval(left)} for all" if number > first else ""

    def waiting(self, cells: int) -> None:
        """Told once, however long it takes."""
        if not self._told_waiting:
            print(f"restool: waiting for {cells} cells that another process works on", file=sys.stderr)
        self._told_waiting = True

    def under_way(self, tasks: Sequence[str]) -> None:
        """Shown behind the bar of the activity that they are part of, or in the next line of a log."""
        if self._shown is not None:
            self._shown.figures("; ".join(tasks) or "waiting for a free worker")
            self._shown.look()

    def failed(self, text: str, error: Exception) -> None:
        """One line for a failed cell."""
        tqdm.write(f"restool: failed: {text}: {self.tell(error).splitlines()[0]}", file=sys.stderr)

    def noted(self, text: str) -> None:
        """One line."""
        print(f"restool: {text}", file=sys.stderr)

    def _line_is_due(self) -> bool:
        due = time.monotonic() >= self._next_line
        if due:
            self._next_line = time.monotonic() + LOG_SECONDS
        return due


class Limited:
    """Progress that stops a study by `TimeLimitReached` once its time is over.

    Args:
        progress: told of everything.
        minutes: from now.

    Raises:
        ArgumentError: no minutes.
    """

    def __init__(self, progress: Progress, minutes: float) -> None:
        if not minutes > 0:
            raise ArgumentError("time_limit", "must be above 0 minutes", minutes)
        self.progress, self.deadline = progress, time.monotonic() + 60 * minutes
        self.at, self.failed, self.noted = progress.at, progress.failed, progress.noted

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator[Watch]:
        """The activity, whose steps look at the clock."""
        with self.progress.activity(text, steps, done) as watch:
            yield _LimitedWatch(watch, self.deadline)

    def waiting(self, cells: int) -> None:
        """Waiting for other processes takes time, too."""
        self.progress.waiting(cells)
        self._look()

    def under_way(self, tasks: Sequence[str]) -> None:
        """So does waiting for one's own workers."""
        self.progress.under_way(tasks)
        self._look()

    def _look(self) -> None:
        if time.monotonic() > self.deadline:
            raise TimeLimitReached


class _LimitedWatch:
    def __init__(self, watch: Watch, deadline: float) -> None:
        self.watch, self.deadline, self.epoch = watch, deadline, watch.epoch

    def step(self) -> None:
        """One step is done."""
        self.watch.step()
        if time.monotonic() > self.deadline:
            raise TimeLimitReached
