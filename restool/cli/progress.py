"""Progress bars with time left, on stderr, and the clean stop of a time limit."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm


class TimeLimitReached(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The minutes of --time-limit are over."""


class Bar:
    """A `Watch` that advances a bar and looks at the clock."""

    def __init__(self, bar: "tqdm[NoReturn]", deadline: float | None) -> None:
        self.bar, self.deadline = bar, deadline

    def step(self) -> None:
        """One step is done."""
        self.bar.update()
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeLimitReached

    def epoch(self, figures: dict[str, float]) -> None:
        """Show the figures of an epoch behind the bar."""
        self.bar.set_postfix_str(
            f"loss {figures['loss']:.3f}, validation {100 * figures.get('validation_accuracy', float('nan')):.1f} %"
        )


class ProgressBars:
    """The `Progress` of a study.

    Args:
        time_limit: minutes from now, or None.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        self.deadline = None if time_limit is None else time.monotonic() + 60 * time_limit

    @contextmanager
    def activity(self, text: str, steps: int) -> Iterator[Bar]:
        """One bar, which stays on the screen when its activity is over."""
        patience = 0.5 if sys.stderr.isatty() else 30.0  # seconds between updates: a log file wants few
        bar: tqdm[NoReturn] = tqdm(
            total=steps, desc=text, unit="step", file=sys.stderr, dynamic_ncols=True, mininterval=patience
        )
        with bar:
            yield Bar(bar, self.deadline)

    def failed(self, text: str, reason: str) -> None:
        """One line for a failed cell."""
        tqdm.write(f"restool: failed: {text}: {reason}", file=sys.stderr)
