"""Laws of a checked folder: every damage of every kind of file is found, set aside whole, and made anew to the same."""

import json
import shutil

import pytest

from restool.errors import MissingDataError
from restool.integrity import sealed
from restool.records import ResultsFolder
from restool.transfer.check import check, set_aside


@pytest.fixture
def folder(lab, finished, tmp_path):
    """A copy of a finished study, and what is in its records."""
    return shutil.copytree(finished, tmp_path / "copy")


def flip(path, share=0.6):
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x10
    path.write_bytes(content)


def test_a_sound_folder_has_no_findings_and_is_not_touched(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = check(folder)
    assert (found.findings, found.unsealed, found.logits) == ([], 0, 0)
    assert found.records == len(list((folder / "records").iterdir())) > 0
    assert found.checkpoints == len(list((folder / "checkpoints").iterdir())) > 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("kind", ["records", "checkpoints"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_flipped_bit_anywhere_is_found_set_aside_and_made_anew(lab, finished, folder, kind, share):
    path = sorted((folder / kind).iterdir())[0]
    flip(path, share)
    damaged = path.read_bytes()
    [finding] = check(folder).findings
    assert finding.path == path
    [place] = set_aside(folder, [finding])
    assert (place, place.read_bytes()) == (folder / "damaged" / kind / path.name, damaged)
    assert check(folder).findings == []
    assert lab.run(folder) == []
    assert lab.records(folder) == lab.records(finished)


def test_what_is_set_aside_twice_is_kept_twice(folder):
    path = sorted((folder / "records").iterdir())[0]
    for _ in range(3):
        path.write_text("{")
        set_aside(folder, check(folder).findings)
    names = sorted(place.name for place in (folder / "damaged" / "records").iterdir())
    assert names == [path.name, f"{path.name}.1", f"{path.name}.2"]


def test_a_record_of_another_checkpoint_than_lies_there_is_found(folder):
    tested = [path for path in (folder / "records").iterdir() if '"protocol": "requery"' in path.read_text()]
    record = json.loads(tested[0].read_text())
    record["checkpoint"] = "0" * 64
    del record["digest"]
    tested[0].write_text(json.dumps(sealed(record)))
    [finding] = check(folder).findings
    assert (finding.path, finding.problem) == (
        tested[0],
        "is of another checkpoint than the one that lies beside it now",
    )


def test_every_record_names_the_checkpoint_that_lies_there(folder):
    told = {json.loads(path.read_text())["checkpoint"] for path in (folder / "records").iterdir()}
    assert len(told) == len(list((folder / "checkpoints").iterdir()))


def test_what_a_killed_process_left_half_written_is_found(folder):
    rest = folder / "checkpoints" / "0123456789abcdef.safetensors.99999999.tmp"
    rest.write_bytes(b"half")
    [finding] = check(folder).findings
    assert (finding.path, finding.problem) == (rest, "was left half written by a process that was killed")


def test_a_checkpoint_of_another_training_is_not_used(lab, folder, tmp_path):
    lab.run(tmp_path / "other", seeds=(1,), protocols=(), finetune_epochs=0)
    [source] = [cell for cell in lab.plan() if cell.protocol == "source"]
    [other] = (tmp_path / "other" / "checkpoints").iterdir()
    shutil.copy(other, folder / "checkpoints" / f"{source.run.key}.safetensors")
    shutil.rmtree(folder / "records")
    progress = lab.progress()
    assert len(lab.run(folder, progress)) == len(lab.plan())
    [told] = {message for _, message in progress.failures}
    assert told.startswith(
        f"{source.run.key}.safetensors is of another training, whose seed is 1 and not 0; `restool c"
    )


def test_there_must_be_a_folder(tmp_path):
    with pytest.raises(MissingDataError, match="^there is no folder "):
        check(tmp_path / "gone")


def test_a_folder_of_something_else_is_no_sound_results_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(MissingDataError, match="is no results folder: it holds no records, checkpoints or logits"):
        check(tmp_path)
    ResultsFolder(tmp_path).create()  # as a run leaves it that ends before its first record
    assert check(tmp_path).findings == []
