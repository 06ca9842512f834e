"""Whatever happens to a record or a checkpoint is found, or what is read of it is what was written."""

import json
import shutil

import pytest
from damaging import DAMAGES, damaged, unless_refused

from restool.integrity import read_record
from restool.training import load_checkpoint
from restool.transfer.check import check

TIMES = 6
"""So often each kind of damage is tried on each kind of file."""
READ = {"records": read_record, "checkpoints": load_checkpoint}


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of a finished study."""
    return shutil.copytree(finished, tmp_path / "copy")


def found(read, path):
    """What is read of a file as text, or None if it is refused in a line that names the file."""
    content = unless_refused(lambda: read(path), path.stem)
    if content is None:
        return None
    return repr(content) if isinstance(content, dict) else repr({**vars(content), "model": _bytes(content)})


def _bytes(checkpoint):
    return {name: (value.dtype, value.shape, value.numpy().tobytes()) for name, value in checkpoint.model.items()}


@pytest.mark.parametrize("kind", READ)
def test_damage_of_any_kind_is_found_or_changes_nothing_that_is_read(folder, kind):
    path, other = sorted((folder / kind).iterdir())[:2]
    whole, read = path.read_bytes(), READ[kind]
    expected, harmless = found(read, path), 0
    versions = damaged(whole, other.read_bytes(), TIMES)
    for name, content in versions:
        path.write_bytes(content)
        now = found(read, path)
        told = [finding.path for finding in check(folder).findings]
        if now == expected:
            assert not told, name
            harmless += 1
        elif name == "other" and kind == "checkpoints":  # it is whole, but not the one that the records tell of
            assert {json.loads(record.read_text())["key"] for record in told}
        else:
            assert now is None, name
            assert told == [path], name
    assert len(versions) == 2 + TIMES * len(DAMAGES)
    assert harmless < len(versions) / 5
