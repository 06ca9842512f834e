"""A study, run: its sweeps one after the other, as far as the time allows."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from restool.report import read_records
from restool.studies.page import write_page
from restool.studies.spec import StudyFile
from restool.transfer import SweepResult
from restool.transfer.run import Place, run_cells


@dataclass(frozen=True)
class StudyResult:
    """What a run of a study left.

    Attributes:
        out: results folder.
        sweeps: result of every sweep that was begun.
        timed_out: whether the time limit ended the run.
        files: tables, figures and page that were written.
    """

    out: Path
    sweeps: list[SweepResult]
    timed_out: bool
    files: list[Path]

    @property
    def failed(self) -> int:
        """Cells that failed in this run."""
        return sum(len(result.failed) for result in self.sweeps)

    @property
    def missing(self) -> list[str]:
        """Cells without a record, of the sweeps that were begun."""
        return [str(cell) for result in self.sweeps for cell in result.missing]

    @property
    def damaged(self) -> bool:
        """Whether some failed over a damaged file."""
        return any(result.damaged for result in self.sweeps)


def run_study(study: StudyFile, out: str | Path, **place: Unpack[Place]) -> StudyResult:
    """Run the sweeps of a study into one folder, then write its page; what has a record is not done again.

    Args:
        study: to run.
        out: results folder, created.
        **place: as in `restool.transfer.sweep`; the time limit is that of the whole study.

    Raises:
        UsageError: a sweep that does not fit its data; those before it were run.
    """
    limit, started = place.pop("time_limit", None), time.monotonic()
    results: list[SweepResult] = []
    timed_out = False
    for one in study.sweeps:
        left = limit
        if results and limit is not None:
            left = limit - (time.monotonic() - started) / 60
            if left <= 0:
                timed_out = True
                break
        place["time_limit"] = left
        result = run_cells(one.config, out, **place)
        results.append(result)
        timed_out |= result.timed_out
    files = next(filter(None, (result.report() for result in results)), [])
    if files:
        files = files + write_page(study, Path(out), read_records(Path(out)))
    return StudyResult(Path(out), results, timed_out, files)
