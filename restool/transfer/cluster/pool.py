"""The workers of a study, started and reached by Ray: tasks go in, and what they tell comes out."""

import math
import os
import signal
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from restool.errors import ArgumentError, UsageError
from restool.transfer.cluster.messages import Event, Task
from restool.transfer.cluster.worker import perform
from restool.transfer.spread import Spread

AHEAD = 2
"""So many tasks for every one that can be done at a time are given, so that no worker waits for the next."""
MOST_GIVEN = 400
"""And no more than these, for each holds a lock, which is an open file."""
REACH_SECONDS = 10.0
"""A cluster that does not answer for so long is not there."""


@dataclass(frozen=True)
class Ended:
    """A task has told everything."""


@dataclass(frozen=True)
class Lost:
    """The process or the machine that did a task is gone."""

    reason: str


class Pool:
    """Ray as a study needs it; to be entered, and left when the study ends.

    Args:
        spread: what to ask for.

    Attributes:
        cpus: that a task gets.
        gpus: that a task gets.

    Raises:
        UsageError: Ray is not installed, no cluster is at the address, or this machine is too small for a task.
    """

    def __init__(self, spread: Spread) -> None:
        self._ray: Any = _imported()
        self.spread = spread
        self.cpus, self.gpus = spread.cpus_per_cell or 1, spread.gpus_per_cell or 0.0
        self._perform: Any = None

    def __enter__(self) -> Self:
        """Start Ray here, or join a cluster."""
        if self.spread.workers is not None and self.spread.cpus_per_cell is None:
            self.cpus = max(1, (os.cpu_count() or 1) // self.spread.workers)
        with _own_signals():
            self._start()
        try:
            self.gpus = self._gpus_of_a_task()
        except UsageError:
            self._ray.shutdown()
            raise
        shape = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        # a task that is lost is given again by the driver, with what it has sent home since
        self._perform = self._ray.remote(num_returns="streaming", max_retries=0, **shape)(_perform)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave Ray; one that was started here ends, with all that it does."""
        self._ray.shutdown()

    def _start(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send figures to its makers
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # and warn of what it is to do one day
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.spread.workers is not None:
            os.environ.setdefault("RAY_worker_niceness", "0")  # workers here do what this process would do
            cpus = self.spread.workers * self.cpus
            self._ray.init("local", num_cpus=cpus, include_dashboard=False, **quiet)
            return
        address = str(self.spread.ray)
        host, _, port = address.partition(":")
        try:
            if port:  # Ray itself tries for a quarter of an hour
                socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
            self._ray.init(address, **quiet)
        except (OSError, OverflowError, ValueError, RuntimeError) as error:
            rule = "must be where a Ray cluster answers"
            raise ArgumentError("ray", rule, address, "start one there, see the README") from error

    def _gpus_of_a_task(self) -> float:
        """What a task gets where nothing was asked for, and a refusal of what this machine does not have."""
        here, asked = float(self._resources().get("GPU", 0)), self.spread.gpus_per_cell
        if asked is None:
            if self.spread.device == "cpu" or (self.spread.device == "auto" and not here):
                return 0.0
            asked = 1.0
            if self.spread.workers is not None and 0 < here < self.spread.workers:
                asked = math.floor(1e4 * here / self.spread.workers) / 1e4  # Ray counts in ten thousandths
        if self.spread.workers is not None and asked and not here:
            raise UsageError("Ray finds no GPU on this machine; leave `gpus_per_cell` out and let `device` be cpu")
        if self.spread.workers is not None and asked > here:
            raise ArgumentError("gpus_per_cell", f"must be at most {here:g}, all GPUs of this machine", asked)
        return asked

    def _resources(self) -> Mapping[str, float]:
        found: Mapping[str, float] = self._ray.cluster_resources()
        return found

    @property
    def slots(self) -> int:
        """How many tasks the machines that there are at this moment do at a time."""
        found = self._resources()
        shares = [found.get("CPU", 0) / self.cpus, *([found.get("GPU", 0) / self.gpus] if self.gpus else [])]
        return math.floor(min(shares) + 1e-6)

    @property
    def most_given(self) -> int:
        """How many tasks are to be given at a time."""
        return min(MOST_GIVEN, AHEAD * max(1, self.slots))

    def put(self, value: object) -> Any:
        """A handle of a value, by which every machine gets it once."""
        return self._ray.put(value)

    def submit(self, token: str, job: Any, task: Task, checkpoints: Mapping[str, Any], answers: Any) -> Any:
        """Give a task to whoever is free; arguments are handles, see `restool.transfer.cluster.worker.perform`."""
        return self._perform.remote(token, [job], task, dict(checkpoints), [answers])

    def told(self, streams: Iterable[Any], seconds: float) -> Iterator[tuple[Any, Event | Ended | Lost]]:
        """What has been told in so many seconds, with who told it.

        Raises:
            Exception: a defect in what was done.
        """
        ready, _ = self._ray.wait(list(streams), num_returns=1, timeout=seconds, fetch_local=False)
        for stream in ready:
            try:
                yield stream, self._ray.get(next(stream))
            except StopIteration:
                yield stream, Ended()
            except self._ray.exceptions.RayTaskError as error:
                raise error.as_instanceof_cause() from None
            except self._ray.exceptions.RayError as error:
                yield stream, Lost(str(error).partition("\n")[0])

    def cancel(self, streams: Iterable[Any]) -> None:
        """End tasks wherever they are."""
        for stream in streams:
            self._ray.cancel(stream, force=True)


def _perform(
    token: str, job: list[Any], task: Task, checkpoints: dict[str, Any], answers: list[Any]
) -> Iterator[Event]:
    """`perform` in a process of Ray, which does not fetch by itself what handles inside of lists stand for."""
    import ray

    yield from perform(ray.get, token, job[0], task, checkpoints, answers[0])


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError("`workers` need Ray, which is not installed; pip install 'restool[ray]'") from error
    return ray


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray's own way to end on SIGTERM does not stay."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)
