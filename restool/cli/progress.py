"""Progress on stderr with time left, as bars on a terminal and as few lines in a log file; the stop of a time limit."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

LOG_SECONDS = 30.0
"""Between two lines of a log file."""


class TimeLimitReached(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The minutes of --time-limit are over."""


class Bar:
    """On a terminal. The bar of a training stays on the screen; that of a test, which has no epochs, goes away."""

    def __init__(self, text: str, steps: int, done: int) -> None:
        self.tqdm: tqdm[NoReturn] = tqdm(
            total=steps, initial=done, desc=text, unit="step", file=sys.stderr, dynamic_ncols=True, leave=False
        )

    def step(self) -> None:
        """One step further."""
        self.tqdm.update()

    def figures(self, text: str) -> None:
        """Show figures behind the bar."""
        self.tqdm.leave = True
        self.tqdm.set_postfix_str(text)

    def close(self) -> None:
        """The activity is over."""
        self.tqdm.close()


class Lines:
    """In a log file: a line now and then, and one at the end of a training.

    Args:
        text: what is done.
        steps: of all.
        done: of them, at the beginning.
        due: whether it is time for a line.
    """

    def __init__(self, text: str, steps: int, done: int, due: Callable[[], bool]) -> None:
        self.text, self.steps, self.done, self.due = text, steps, done, due
        self.first, self.started = done, time.monotonic()
        self.shown = ""

    def step(self) -> None:
        """One step further."""
        self.done += 1
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
        print(f"{self.text}: step {self.done} of {self.steps}, {left} left{self.shown}", file=sys.stderr, flush=True)


class Watcher:
    """A `Watch` that passes everything on to a bar or lines and looks at the clock."""

    def __init__(self, shown: Bar | Lines, deadline: float | None) -> None:
        self.shown, self.deadline = shown, deadline

    def step(self) -> None:
        """One step is done."""
        self.shown.step()
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeLimitReached

    def epoch(self, figures: dict[str, float]) -> None:
        """One epoch is done."""
        self.shown.figures(f"loss {figures['loss']:.3f}, validation {100 * figures['validation_accuracy']:.1f} %")


class ProgressBars:
    """The `Progress` of a study.

    Args:
        time_limit: minutes from now, or None.

    Attributes:
        position: where in the whole study things stand; printed before everything.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        self.deadline = None if time_limit is None else time.monotonic() + 60 * time_limit
        self.position: Callable[[], str] = lambda: ""
        self._next_line = time.monotonic() + LOG_SECONDS
        self._told_waiting = False

    @contextmanager
    def activity(self, text: str, steps: int, done: int = 0) -> Iterator[Watcher]:
        """Something of a known number of steps, of which some may be done before it starts."""
        text = f"{self.position()}{text}"
        shown = Bar(text, steps, done) if sys.stderr.isatty() else Lines(text, steps, done, self._line_is_due)
        try:
            yield Watcher(shown, self.deadline)
        finally:
            shown.close()

    def waiting(self, cells: int) -> None:
        """Told once, however long it takes."""
        if not self._told_waiting:
            print(f"restool: waiting for {cells} cells that another process works on", file=sys.stderr)
        self._told_waiting = True

    def failed(self, text: str, reason: str) -> None:
        """One line for a failed cell."""
        tqdm.write(f"restool: failed: {text}: {reason}", file=sys.stderr)

    def _line_is_due(self) -> bool:
        due = time.monotonic() >= self._next_line
        if due:
            self._next_line = time.monotonic() + LOG_SECONDS
        return due
