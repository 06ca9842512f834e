"""What driver and workers say to each other: a job, its tasks, and what is told while one of them is done."""

import os
from dataclasses import dataclass, field

from torch import Tensor

from restool.correlation import Method
from restool.data import Dataset
from restool.errors import RestoolError
from restool.transfer.cells import Cell, SourceRun
from restool.transfer.config import StudyConfig
from restool.version import __version__


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all tasks of a study share; a process opens it once.

    Attributes:
        token: of this job and no other.
        config: of the study.
        dataset: that it names, loaded.
        device: to compute on, "cpu" or "cuda".
        threads: on a CPU.
        method: how continuous layers convolve.
        keep_logits: also make the logits of cells.
        deterministic: see `restool.devices.be_deterministic`.
        weights: content of the file that source models start from, if they do.
        command: that the records tell.
        folder: in which it was typed, for models of the user's own.
        version: of restool.
    """

    token: str
    config: StudyConfig
    dataset: Dataset
    device: str
    threads: int
    method: Method
    keep_logits: bool
    deterministic: bool
    weights: bytes | None
    command: tuple[str, ...]
    folder: str = field(default_factory=os.getcwd)
    version: str = __version__


@dataclass(frozen=True, kw_only=True)
class Task:
    """A source model, which is trained unless it is, and what to do with it.

    Attributes:
        run: the source model.
        cell: to be tested, if one is.
        tells_answers: whether to tell the logits of the source model at its source.
    """

    run: SourceRun
    cell: Cell | None
    tells_answers: bool = False

    def __str__(self) -> str:
        """In a few words."""
        return str(self.cell or self.run)


@dataclass(frozen=True)
class Under:
    """What a worker is at: an activity, and the share of it that is done."""

    text: str
    share: float


@dataclass(frozen=True)
class File:
    """A file of the results folder, by its path in there."""

    path: str
    content: bytes


@dataclass(frozen=True)
class Note:
    """Something about the data that may surprise."""

    text: str


@dataclass(frozen=True)
class Answers:
    """The logits of the source model at its source: [N, C]."""

    logits: Tensor


@dataclass(frozen=True)
class Failed:
    """A training, where no cell is told, or a cell failed."""

    cell: Cell | None
    error: RestoolError


Event = Under | File | Note | Answers | Failed
