"""Protocols, cells, grid and records: the heart of the tool."""

from restool.transfer.cells import Cell, SourceRun, plan
from restool.transfer.config import StudyConfig, parse_numbers
from restool.transfer.evaluate import correct_predictions, evaluate_model
from restool.transfer.grid import Outcome, Study
from restool.transfer.protocols import PROTOCOLS, Protocol, applicable, resolve_protocol
from restool.transfer.records import BusyError, ResultsFolder

__all__ = [
    "PROTOCOLS",
    "BusyError",
    "Cell",
    "Outcome",
    "Protocol",
    "ResultsFolder",
    "SourceRun",
    "Study",
    "StudyConfig",
    "applicable",
    "correct_predictions",
    "evaluate_model",
    "parse_numbers",
    "plan",
    "resolve_protocol",
]
