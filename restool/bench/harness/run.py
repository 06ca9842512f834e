"""A benchmark from its settings to its record."""

import math
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from typing import Any
from typing import Protocol as Interface

import torch
import torchvision

from restool.arguments import Knob, require_value
from restool.bench.harness.budget import Budget
from restool.bench.harness.compare import Case, compare
from restool.bench.harness.machine import computing, measure_machine, stopwatch_for
from restool.bench.harness.record import BENCH_FORMAT
from restool.transfer.provenance import environment

THREADS = Knob("Of the CPU.", "N", least=1, most=4096)


class Bench(Interface):
    """Settings that give cases to measure."""

    @property
    def kind(self) -> str:
        """Short name."""

    @property
    def settings(self) -> dict[str, Any]:
        """What all cases share."""

    def __len__(self) -> int:
        """Cases."""

    def cases(self, device: torch.device) -> Generator[Case]:
        """To be measured one after another."""


def _all(begun: list[Case], rest: Iterator[Case]) -> Iterator[Case]:
    """The cases of both; none is held once it is given."""
    while begun:
        yield begun.pop(0)
    yield from rest


def run(
    bench: Bench,
    device: torch.device,
    *,
    budget: Budget,
    threads: int | None = None,
    step: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Measure the machine, then every case.

    Args:
        bench: what to measure.
        device: to compute on.
        budget: of every candidate in every case.
        threads: of the CPU; None for torch's own choice.
        step: called after every case.

    Returns:
        The record, see `restool.bench.harness.record`.

    Raises:
        UsageError: fewer than one thread.
        InaccurateError: a candidate is wrong.
    """
    require_value("threads", threads, int | None, THREADS)
    rows = []
    with computing(threads), closing(bench.cases(device)) as cases:  # a case may hold processes
        used, load = torch.get_num_threads(), os.getloadavg()[0]
        begun = list(islice(cases, 1))  # what cannot be made is refused before anything is measured
        machine = measure_machine(device)
        for case_rows in compare(_all(begun, cases), machine, budget=budget, stopwatch=stopwatch_for(device)):
            rows += case_rows
            step()
    limits = {name: value for name, value in asdict(budget).items() if math.isfinite(value)}
    surroundings = {
        **environment(device),
        "torchvision": torchvision.__version__,
        "threads": used,
        "load": load,
    }
    return {
        "format": BENCH_FORMAT,
        "kind": bench.kind,
        "settings": bench.settings | limits,
        "environment": surroundings,
        "machine": asdict(machine),
        "rows": rows,
    }
