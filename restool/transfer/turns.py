"""Work that several processes share: what another one is at work on is tried again until none is left."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from restool.transfer.progress import Progress

J = TypeVar("J")

WAIT_SECONDS = 1.0
"""A process looks again after so many seconds at work that others hold."""


def take_turns(jobs: Sequence[J], do: Callable[[Sequence[J]], list[J]], progress: Progress) -> None:
    """Do all jobs.

    Args:
        jobs: to be done.
        do: does what it can of some jobs, and gives back those that another process is at work on.
        progress: told when all that is left is in the hands of others.
    """
    while jobs:
        held = do(jobs)
        if len(held) == len(jobs):
            progress.waiting(len(held))
            time.sleep(WAIT_SECONDS)
        jobs = held
