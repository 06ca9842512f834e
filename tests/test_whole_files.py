"""Laws of files that are written whole, and of what a killed process leaves of them."""

import os
import subprocess
import sys

import pytest

from restool.files import leftovers, write_atomically
from restool.records import ResultsFolder

KILLED = """
import os, signal, sys
from pathlib import Path
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
from restool.files import write_atomically
write_atomically(Path(sys.argv[1]), b"half")
"""


@pytest.fixture
def killed(tmp_path):
    """The temporary file of a process that was killed between writing and renaming, in `folder/deep`."""
    path = tmp_path / "folder" / "deep" / "a.json"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    [rest] = path.parent.iterdir()
    assert rest.suffix == ".tmp"
    return rest


def test_what_a_killed_process_left_is_found_and_removed_at_the_next_start(tmp_path, killed):
    assert list(leftovers(tmp_path.rglob("*.tmp"))) == [killed]
    ResultsFolder(tmp_path).create()
    assert not killed.exists()


@pytest.mark.parametrize("name", ["a.json.{pid}.tmp", "a.json.99999999@elsewhere.tmp", "mine.tmp", "a.json.tmp"])
def test_what_a_living_process_another_machine_or_a_user_writes_stays(tmp_path, name):
    (tmp_path / name.format(pid=os.getpid())).write_text("being written")
    assert list(leftovers(tmp_path.rglob("*.tmp"))) == []


def test_the_temporary_file_of_this_process_is_its_own(tmp_path, monkeypatch):
    seen = []
    replace = os.replace

    def look(old, new):
        seen.extend(leftovers(tmp_path.rglob("*.tmp")))
        replace(old, new)

    monkeypatch.setattr("restool.files.os.replace", look)
    write_atomically(tmp_path / "a.json", b"content")
    assert (seen, (tmp_path / "a.json").read_bytes()) == ([], b"content")
