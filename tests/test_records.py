"""Laws of a results folder: records that can be read back, and keys that one process holds at a time."""

import base64
import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from restool.errors import UsageError
from restool.integrity import RECORD_FORMAT
from restool.records import BusyError, ResultsFolder

KEY, CELL = "0123456789abcdef", {"model": "flexnet-3", "limit": None, "learning_rate": 0.01, "target": 32}


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1000])
def test_a_record_gives_back_the_cell_and_every_prediction(tmp_path, n):
    correct = np.random.default_rng(n).random(n) < 0.7
    folder = ResultsFolder(tmp_path)
    folder.write_record(KEY, CELL, correct, {"evaluate_seconds": 1.23456}, {"device": "cpu"})
    assert folder.record(KEY) == tmp_path / "records" / f"{KEY}.json"
    record = json.loads(folder.record(KEY).read_text())
    assert set(record) == {"format", "key", "cell", "result", "timing", "environment", "digest"}
    assert (record["format"], record["key"]) == (RECORD_FORMAT, KEY)
    assert record["cell"] == CELL
    result = record["result"]
    packed = np.frombuffer(base64.b64decode(result["correct"]), dtype=np.uint8)
    bits = np.unpackbits(packed)[: result["n"]].astype(bool)
    assert result["n"] == n
    assert (bits == correct).all()
    assert result["accuracy"] == bits.mean()
    assert record["timing"] == {"evaluate_seconds": 1.235}
    assert record["environment"] == {"device": "cpu"}


def test_a_record_holds_the_figures_that_there_are(tmp_path):
    folder, figures = ResultsFolder(tmp_path), {"nll_nats": 1 / 3, "flops_per_image": 10**12}
    folder.write_record(KEY, CELL, np.array([True]), {}, {}, figures)
    assert json.loads(folder.record(KEY).read_text())["figures"] == figures


def test_a_write_that_fails_leaves_the_old_record_and_nothing_else(tmp_path, monkeypatch):
    folder = ResultsFolder(tmp_path)
    folder.write_record(KEY, CELL, np.array([True]), {}, {})
    before = folder.record(KEY).read_bytes()

    def refuse(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("restool.files.os.replace", refuse)
    with pytest.raises(OSError, match="No space left on device"):
        folder.write_record(KEY, CELL, np.array([False]), {}, {})
    assert [file.read_bytes() for file in (tmp_path / "records").iterdir()] == [before]


def test_opening_writes_nothing(tmp_path):
    path = tmp_path / "deep" / "out"
    folder = ResultsFolder(path)
    folder.record(KEY)
    folder.checkpoint(KEY)
    assert list(tmp_path.iterdir()) == []
    folder.create()
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}
    assert before
    ResultsFolder(path).create()
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()} == before


def test_a_folder_of_another_version_is_rejected(tmp_path):
    ResultsFolder(tmp_path).create()
    marker = tmp_path / "restool.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "format": RECORD_FORMAT + 1}))
    message = (
        rf"^.* was made by another version of restool \(format {RECORD_FORMAT + 1}, this one writes {RECORD_FORMAT}\); "
        "choose another `out`$"
    )
    with pytest.raises(UsageError, match=message):
        ResultsFolder(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '"format"'])
def test_a_damaged_marker_is_rejected(tmp_path, content):
    (tmp_path / "restool.json").write_text(content)
    with pytest.raises(UsageError, match=r"^.*restool\.json is damaged; delete it, and the next run writes it anew$"):
        ResultsFolder(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="^`out` must be a folder, but is .*out; that is a file$"):
        ResultsFolder(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_key_has_one_holder_and_other_keys_are_free(tmp_path):
    first, second = ResultsFolder(tmp_path), ResultsFolder(tmp_path)
    with first.lock("a"):
        with pytest.raises(BusyError, match="^a$"), second.lock("a"):
            pytest.fail("two holders")
        with second.lock("b"):
            pass
    with second.lock("a"):
        pass


def test_a_key_is_free_again_after_an_error(tmp_path):
    folder = ResultsFolder(tmp_path)
    with pytest.raises(KeyError), folder.lock("a"):
        raise KeyError
    with folder.lock("a"):
        pass


def test_whether_a_key_is_held_is_told_without_holding_it(tmp_path):
    folder, other = ResultsFolder(tmp_path), ResultsFolder(tmp_path)
    assert not other.is_held("a")
    with folder.lock("a"):
        assert (other.is_held("a"), other.is_held("b")) == (True, False)
    assert not other.is_held("a")


def test_what_is_finished_is_what_has_its_files_and_nothing_that_lies_beside_them(tmp_path):
    folder = ResultsFolder(tmp_path)
    assert folder.finished(with_logits=False) == folder.finished(with_logits=True) == set()
    for key in ("a", "b"):
        folder.write_record(key, {}, np.ones(1, dtype=bool), {}, {})
    folder.write_logits("b", np.zeros((1, 2), dtype=np.float32))
    folder.write_logits("c", np.zeros((1, 2), dtype=np.float32))
    for name in ("d.json.1.tmp", "e.txt"):
        (tmp_path / "records" / name).write_text("")
    assert folder.finished(with_logits=False) == {"a", "b"} == {k for k in "abcde" if folder.record(k).exists()}
    assert folder.finished(with_logits=True) == {"b"}


HOLD = """
import sys, time
from pathlib import Path
from restool.records import ResultsFolder
with ResultsFolder(Path(sys.argv[1])).lock("a"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_key_is_free_again_when_its_holder_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError), ResultsFolder(tmp_path).lock("a"):
            pytest.fail("two holders")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with ResultsFolder(tmp_path).lock("a"):
        pass


def test_a_file_system_without_locks_is_served_by_files_that_tell_the_holder(tmp_path, monkeypatch, capsys):
    def refuse(self, *arguments, **options):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("restool.records.FileLock.acquire", refuse)
    first, second = ResultsFolder(tmp_path), ResultsFolder(tmp_path)
    with first.lock(KEY):
        assert str(os.getpid()) in (tmp_path / "locks" / KEY).read_text()
        with pytest.raises(BusyError), second.lock(KEY):
            pass
        with second.lock("another"):
            pass
    with second.lock(KEY):
        assert first.is_held(KEY)
    told = f"restool: {tmp_path} is on a file system without locks; files tell who is at work\n"
    assert capsys.readouterr().err == 2 * told  # once for each of the two
