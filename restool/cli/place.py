"""Options for where a study computes, reads and writes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from restool.cli.images import Reading
from restool.cli.option import option
from restool.cli.panels import DEFAULT_OUT, Device, MethodChoice
from restool.cli.parsing import number, whole_number

_running = partial(option, "Where to run and write")


@dataclass(frozen=True, kw_only=True)
class Place(Reading):
    """Where a study computes, reads and writes: what does not decide its results, or is in the data's fingerprint."""

    device: Device = "auto"
    method: Annotated[
        MethodChoice,
        _running(
            "--method",
            "How continuous layers convolve; auto takes the fastest. Results agree to rounding.",
            "auto|direct|fft|basis|dft",
        ),
    ] = MethodChoice.auto
    deterministic: Annotated[
        bool,
        _running("--deterministic", "The same seed gives the same bytes on this machine: one thread, fixed methods."),
    ] = False
    workers: Annotated[
        int | None,
        _running(
            "--workers",
            "Processes that do the cells at a time, on this machine; needs Ray.",
            "N",
            parser=whole_number,
            show_default="this process alone",
        ),
    ] = None
    ray: Annotated[
        str | None,
        _running(
            "--ray",
            "A running Ray cluster that does the cells: auto for that of this machine, or HOST:6379.",
            "ADDRESS",
            show_default="none",
        ),
    ] = None
    cpus_per_cell: Annotated[
        int | None,
        _running(
            "--cpus-per-cell",
            "Cores, and threads, for each of those cells.",
            "N",
            parser=whole_number,
            show_default="an equal share of this machine's, 1 on a cluster",
        ),
    ] = None
    gpus_per_cell: Annotated[
        float | None,
        _running(
            "--gpus-per-cell",
            "GPUs for each of them: 1, 0.25 for four cells on one GPU, or 0 to compute on CPUs.",
            "X",
            parser=number,
            show_default="an equal share of this machine's, 1 at most and on a cluster",
        ),
    ] = None
    shard: Annotated[
        str | None,
        _running(
            "--shard",
            "One of N equal parts of the grid, such as 2/4, for machines that share nothing.",
            "I/N",
            show_default="all of it",
        ),
    ] = None
    out: Annotated[
        Path,
        _running(
            "--out", "Results folder: records, checkpoints, tables, heat maps. What it has is not done again.", "DIR"
        ),
    ] = DEFAULT_OUT
    time_limit: Annotated[
        float | None,
        _running(
            "--time-limit",
            "Stop cleanly after so many minutes, such as 90 or 0.5; the same command goes on later.",
            "MINUTES",
            parser=number,
        ),
    ] = None

    @property
    def choices(self) -> dict[str, Any]:
        """What `restool.transfer.open_study` takes beside the folder."""
        return {
            "device": self.device,
            "method": self.method.value,
            "deterministic": self.deterministic,
            "workers": self.workers,
            "ray": self.ray,
            "cpus_per_cell": self.cpus_per_cell,
            "gpus_per_cell": self.gpus_per_cell,
            "shard": self.shard,
            "time_limit": self.time_limit,
            **self.reading,
        }
