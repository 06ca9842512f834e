"""What a record says of itself, and what is wrong with one that does not hold together. Needs no torch.

A record is named after the hash of its cell, its accuracy is the mean of its bits, and it ends with a digest of all
else that it holds. The first records have no digest; they are read, and held to the rest.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restool.errors import DamagedError, UsageError

RECORD_FORMAT = 1
"""This number is part of every key. It is raised when the same fields come to mean another result."""
IDENTITY = {
    "model": str,
    "dataset": str,
    "source": int,
    "protocol": str,
    "finetune_epochs": int,
    "target": int,
    "seed": int,
}
"""Fields that every cell has, and their types."""
SET_ASIDE = "`restool check` lists what is damaged and can set it aside, and the same command makes it anew"


def key_of(fields: Mapping[str, Any]) -> str:
    """The key of a cell or a source run: first 16 hex digits of the SHA-256 of its fields and the format."""
    return digest_of({"format": RECORD_FORMAT, **fields})[:16]


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the JSON text of something, names in order, as 64 hex digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its digest behind."""
    return {**content, "digest": digest_of(content)}


def is_broken(content: Mapping[str, Any]) -> bool:
    """Whether something no longer has the digest that it was `sealed` with; what never had one is not."""
    rest = {name: value for name, value in content.items() if name != "digest"}
    return "digest" in content and content["digest"] != digest_of(rest)


def read_record(path: Path) -> dict[str, Any]:
    """The record of a file.

    Raises:
        DamagedError: it is no record, or does not hold together.
        UsageError: it has another format.
        OSError: it cannot be read.
    """
    try:
        record, problem = json.loads(path.read_bytes()), None
    except (ValueError, RecursionError):
        record, problem = None, "cannot be read as JSON"
    problem = problem or _problem(record, path.stem)
    if problem:
        raise DamagedError(f"record {path} {problem}; {SET_ASIDE}")
    return record


def correct_bits(packed: str, n: int) -> NDArray[np.bool_]:
    """What a record says of each test image, as it was given to `ResultsFolder.write_record`: [n].

    Args:
        packed: `result.correct` of the record.
        n: `result.n` of it.

    Raises:
        ValueError: not base64, or not as many bytes as n bits need.
    """
    raw = np.frombuffer(base64.b64decode(packed, validate=True), dtype=np.uint8)
    if len(raw) != -(-n // 8):
        raise ValueError(f"there are {len(raw)} bytes")
    return np.unpackbits(raw, count=n).astype(bool)


def _problem(record: Any, stem: str) -> str | None:
    """What keeps a parsed file from being a record of this format, or None."""
    if not isinstance(record, dict) or "format" not in record:
        return "is not a record of restool"
    if record["format"] != RECORD_FORMAT:
        raise UsageError(
            f"record {stem} has format {record['format']}, but this restool reads format {RECORD_FORMAT}; "
            "report it with the restool that wrote it"
        )
    if record.get("key") != stem:
        return f"must be named after its key, which is {record.get('key')}"
    cell, result = record.get("cell"), record.get("result")
    if not isinstance(cell, dict) or not isinstance(result, dict):
        return "has no cell or no result"
    if not isinstance(record.get("timing"), dict) or not isinstance(record.get("environment"), dict):
        return "has no timing or no environment"
    for name, kind in IDENTITY.items():
        if not _is_a(cell.get(name), kind):
            return f"must have cell.{name} of type {kind.__name__}, got {cell.get(name)!r}"
    if key_of(cell) != stem:
        return f"is of another cell, whose key is {key_of(cell)}"
    if is_broken(record):
        return "was changed after it was written"
    return _problem_of_result(result) or _problem_of_figures(record.get("figures", {}))


def _is_a(value: Any, kind: type) -> bool:
    """As `isinstance`, but True is no number."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _problem_of_figures(figures: Any) -> str | None:
    """What keeps the figures of a record from being numbers, or None."""
    if isinstance(figures, dict) and all(isinstance(value, int | float) for value in figures.values()):
        return None
    return f"must have figures that are numbers, got {figures!r}"


def _problem_of_result(result: Mapping[str, Any]) -> str | None:
    """What keeps a result from being one, or None."""
    accuracy, n = result.get("accuracy"), result.get("n")
    if not isinstance(accuracy, int | float) or isinstance(accuracy, bool) or not 0 <= accuracy <= 1:
        return f"must have result.accuracy between 0 and 1, got {accuracy!r}"
    if not isinstance(n, int) or isinstance(n, bool) or n <= 0:
        return f"must have result.n above 0, got {n!r}"
    return _problem_of_bits(result.get("correct"), accuracy, n)


def _problem_of_bits(correct: Any, accuracy: float, n: int) -> str | None:
    """What keeps the bits of a record from being those of its accuracy, or None."""
    try:
        bits = correct_bits(correct, n)
    except (TypeError, ValueError) as error:
        return f"must have result.correct of {n} bits in base64 ({error})"
    share = float(bits.mean())
    return None if abs(share - accuracy) < 1e-9 else f"has accuracy {accuracy}, but {share} of its images are correct"
