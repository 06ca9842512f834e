"""How a run over a grid ends: its line on stderr and its exit status."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from restool.cli.command import Failure
from restool.errors import CellsFailedError, DamagedError

if TYPE_CHECKING:
    from restool.transfer import SweepResult

TIME_IS_OVER = 6
"""The exit status of a run that its time limit ended with something left to do."""
MOST_LISTED = 5
"""So many of what is missing are named."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is left to do, of so many.

    Attributes:
        of: how many there are of what `noun` calls them.
        failed: how many failed.
        missing: names of those that are not done, failed ones too.
        damaged: whether some failed over a damaged file.
        timed_out: whether the time limit ended the run.
        noun: of several.
        beside: what else the time did not suffice for, in words.
    """

    of: int
    failed: int
    missing: Sequence[str]
    damaged: bool
    timed_out: bool
    noun: str = "cells"
    beside: str = ""

    @classmethod
    def of_sweep(cls, result: "SweepResult") -> "Ending":
        """That of a grid."""
        missing = [str(cell) for cell in result.missing]
        return cls(
            of=len(result.cells),
            failed=len(result.failed),
            missing=missing,
            damaged=result.damaged,
            timed_out=result.timed_out,
        )

    def tell(self) -> None:
        """End as the run did.

        Raises:
            DamagedError: some failed over a damaged file.
            CellsFailedError: others failed, or lost their files.
            Failure: the time is over.
        """
        again = "the same command tries them again"
        if self.damaged:
            raise DamagedError(
                f"{self.failed} of {self.of} {self.noun} failed, some over a damaged file, see above; mend that first"
            )
        if self.failed:
            raise CellsFailedError(f"{self.failed} of {self.of} {self.noun} failed, see above; {again}")
        if self.timed_out and (self.missing or self.beside):
            told = f"time limit reached, {len(self.missing)} of {self.of} {self.noun} are missing{self.beside}"
            raise Failure(f"{told}; run the same command to go on", TIME_IS_OVER)
        if self.missing:
            told = f"{len(self.missing)} of {self.of} {self.noun} are missing: their files were removed during the run"
            error = CellsFailedError(f"{told}; {again}")
            for missing in self.missing[:MOST_LISTED]:
                error.add_note(missing)
            if len(self.missing) > MOST_LISTED:
                error.add_note(f"and {len(self.missing) - MOST_LISTED} more")
            raise error
