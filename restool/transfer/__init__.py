"""Protocols, cells, studies and their records: the heart of the tool."""

from restool.transfer.cells import Cell, SourceRun, plan
from restool.transfer.config import StudyConfig
from restool.transfer.estimate import estimate_seconds
from restool.transfer.evaluate import correct_predictions, evaluate_model
from restool.transfer.protocols import PROTOCOLS, Protocol, applicable, resolve_protocol
from restool.transfer.recalibration import recalibrate
from restool.transfer.run import SweepResult, TrainingResult, open_study, sweep, train_sources
from restool.transfer.study import Study

__all__ = [
    "PROTOCOLS",
    "Cell",
    "Protocol",
    "SourceRun",
    "Study",
    "StudyConfig",
    "SweepResult",
    "TrainingResult",
    "applicable",
    "correct_predictions",
    "estimate_seconds",
    "evaluate_model",
    "open_study",
    "plan",
    "recalibrate",
    "resolve_protocol",
    "sweep",
    "train_sources",
]
