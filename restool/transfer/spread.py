"""Where the trainings and cells of a study are done: in this process, by workers on this machine, or on a cluster."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from restool.arguments import Knob, check_knobs
from restool.errors import ArgumentError, UsageError

MOST_WORKERS = 1024
JOIN = "run this on a machine of the cluster"
"""Ray's remote clients (ray://) do not hear what a task tells while it goes on."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What to ask of Ray, whose worker processes do the tasks of a study.

    Attributes:
        workers: tasks at a time on this machine, where Ray is started for one run; None on a cluster.
        device: of the tasks: "auto", "cpu" or "cuda".
        ray: address of a running cluster, as `ray.init` takes it; None on this machine.
        cpus_per_cell: cores that a task gets, and its threads; None for an equal share of this machine's, or 1 on a
            cluster.
        gpus_per_cell: GPUs that a task gets, 0.25 for four tasks on one; 0 computes on a CPU. None for 0 where there is
            no GPU, else for an equal share of this machine's, 1 at most, or 1 on a cluster.

    Raises:
        UsageError: numbers out of bounds or that contradict the device, or both a number of workers and an address.
    """

    workers: Annotated[int | None, Knob("", "N", least=1, most=MOST_WORKERS)] = None
    ray: str | None = None
    device: str = "auto"
    cpus_per_cell: Annotated[int | None, Knob("", "N", least=1, most=MOST_WORKERS)] = None
    gpus_per_cell: Annotated[float | None, Knob("", "X", least=0, most=MOST_WORKERS)] = None

    def __post_init__(self) -> None:
        check_knobs(self)
        if self.ray is not None and not re.fullmatch(r"auto|[^\s:/]+:\d{1,5}", self.ray):
            raise ArgumentError("ray", "must be auto or HOST:PORT, such as 10.0.0.1:6379", self.ray, JOIN)
        if self.workers is not None and self.ray is not None:
            raise UsageError("`workers` are those of this machine and `ray` names a cluster; leave one out")
        gpus = self.gpus_per_cell
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ArgumentError("gpus_per_cell", "must be at most 1 or a whole number", gpus)
        if self.device not in ("auto", "cpu", "cuda"):
            mend = "Ray gives each of them its GPU"
            raise ArgumentError("device", "must be auto, cpu or cuda for workers", self.device, mend)
        if self.device == "cpu" and gpus:
            raise ArgumentError("gpus_per_cell", "must be 0 on a CPU", gpus)
        if self.device == "cuda" and gpus == 0:
            raise ArgumentError("gpus_per_cell", "must be above 0 on a GPU", gpus)


def spread_of(
    workers: int | None, ray: str | None, cpus_per_cell: int | None, gpus_per_cell: float | None, device: str
) -> Spread | None:
    """What is asked of Ray, None for a study in this process.

    Raises:
        UsageError: see `Spread`, or numbers that mean nothing in this process.
    """
    choices: dict[str, Any] = {"cpus_per_cell": cpus_per_cell, "gpus_per_cell": gpus_per_cell}
    if workers is not None or ray is not None:
        return Spread(workers=workers, ray=ray, device=device, **choices)
    for name, value in choices.items():
        if value is not None:
            raise ArgumentError(name, "must be left out without `workers` or `ray`", value)
    return None
