"""Whether a results folder holds together: every record, checkpoint and file of logits is held to what it says."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restool.errors import DamagedError, MissingDataError, UsageError
from restool.files import leftovers
from restool.integrity import key_of, read_record
from restool.records import CHECKPOINTS, MARKER, ResultsFolder, read_logits
from restool.training import load_checkpoint
from restool.transfer.protocols import FINETUNE

ASIDE = "damaged"
"""Files that are set aside lie in a folder of this name, under the path that they had."""


@dataclass(frozen=True)
class Finding:
    """A file of a results folder that is not to be used, and why."""

    path: Path
    problem: str


@dataclass(frozen=True)
class Checked:
    """What there is in a results folder.

    Attributes:
        findings: files that are not to be used.
        records: how many there are.
        checkpoints: likewise.
        logits: files of them, likewise.
        unsealed: of all these, how many are of the first ones, without a digest.
    """

    findings: list[Finding]
    records: int
    checkpoints: int
    logits: int
    unsealed: int


def check(out: Path) -> Checked:
    """Read everything in a results folder; nothing is written.

    Raises:
        MissingDataError: there is no such folder, or nothing in it is of restool.
        UsageError: it was written by a restool with another format.
        OSError: something cannot be read.
    """
    if not out.is_dir():
        raise MissingDataError(f"there is no folder {out}")
    folder = ResultsFolder(out)
    findings: list[Finding] = []

    def sound(paths: Sequence[Path], read: Callable[[Path], Any]) -> dict[str, Any]:
        """What was read of the files that are to be used, by their keys."""
        found = {}
        for path in paths:
            try:
                found[path.stem] = read(path)
            except (DamagedError, UsageError) as error:
                findings.append(Finding(path, _reason(error, path)))
        return found

    files = {
        name: [path for path in sorted((out / name).glob(f"*{suffix}")) if not path.name.startswith(".")]
        for name, suffix in (("records", ".json"), (CHECKPOINTS, ".safetensors"), ("logits", ".npz"))
    }
    if not any(files.values()) and not (out / MARKER).exists():
        raise MissingDataError(f"{out} is no results folder: it holds no records, checkpoints or logits of restool")
    digests = sound(files[CHECKPOINTS], lambda path: load_checkpoint(path).digest)
    records = sound(files["records"], read_record)
    sound([path for path in files["logits"] if path.stem in records], lambda path: _read_logits(path, records))
    findings += _of_other_checkpoints(folder, records, digests)
    findings += [Finding(path, "was left half written by a process that was killed") for path in leftovers(out)]
    return Checked(
        findings,
        records=len(files["records"]),
        checkpoints=len(files[CHECKPOINTS]),
        logits=len(files["logits"]),
        unsealed=[*digests.values(), *map(_seal, records.values())].count(""),
    )


def set_aside(out: Path, findings: Sequence[Finding]) -> list[Path]:
    """Move files of a results folder to where nothing reads them, under the path that they had; gives their places."""
    places = []
    for finding in findings:
        wanted = out / ASIDE / finding.path.relative_to(out)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        place = next(place for place in _names(wanted) if not place.exists())
        finding.path.rename(place)
        places.append(place)
    return places


def _names(path: Path) -> Iterator[Path]:
    """The path, and further ones where something lies there from an earlier time."""
    yield path
    number = 1
    while True:
        yield path.with_name(f"{path.name}.{number}")
        number += 1


def _read_logits(path: Path, records: dict[str, Any]) -> None:
    record = records[path.stem]
    read_logits(path, record["result"]["n"], record.get("logits"))


def _seal(record: dict[str, Any]) -> str:
    return str(record.get("digest", ""))


def _of_other_checkpoints(folder: ResultsFolder, records: dict[str, Any], digests: dict[str, str]) -> list[Finding]:
    """Records of other checkpoints than those that lie beside them now."""
    found = []
    for key, record in records.items():
        cell = record["cell"]
        beside = digests.get(key if cell["protocol"] == FINETUNE.name else key_of(_of_source(cell)))
        if beside and record.get("checkpoint", beside) != beside:
            found.append(Finding(folder.record(key), "is of another checkpoint than the one that lies beside it now"))
    return found


def _of_source(cell: dict[str, Any]) -> dict[str, Any]:
    """The fields of a cell that are those of its source model."""
    own = ("target", "protocol", "finetune_", "test_")
    return {name: value for name, value in cell.items() if not name.startswith(own)}


def _reason(error: Exception, path: Path) -> str:
    """What is wrong, without the file's name before and the mend behind."""
    first = str(error).split("; ")[0]
    return first.split(f"{path.name} ", 1)[-1]
