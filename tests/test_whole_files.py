"""Laws of files that are written whole, and of what a killed process leaves of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from restool.files import leftovers, require_place, write_atomically, write_files
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
    assert list(leftovers(tmp_path)) == [killed]
    ResultsFolder(tmp_path).create()
    assert not killed.exists()


def test_files_that_are_written_take_the_place_of_what_a_killed_process_left(killed):
    [written] = write_files(killed.parent, {"b.json": b"whole"})
    assert list(killed.parent.iterdir()) == [written]


@pytest.mark.parametrize("place", ["file", "file/below", "loop", "loop/below", "a" * 300])
def test_a_place_where_no_folder_can_be_is_told_before_anything_is_made(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match=place):
        require_place(tmp_path / place)
    assert sorted(tmp_path.iterdir()) == before


def test_a_place_where_a_folder_can_be_is_not_made(tmp_path):
    for place in (tmp_path, tmp_path / "new" / "deep"):
        require_place(place)
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_told_by_its_own_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, Path(".")):
        with pytest.raises(OSError, match=f"'{re.escape(str(place))}'"):
            write_atomically(place, b"content")
    assert not list(tmp_path.parent.glob("*.tmp"))


@pytest.mark.parametrize("name", ["a.json.{pid}.tmp", "a.json.99999999@elsewhere.tmp", "mine.tmp", "a.json.tmp"])
def test_what_a_living_process_another_machine_or_a_user_writes_stays(tmp_path, name):
    (tmp_path / name.format(pid=os.getpid())).write_text("being written")
    assert list(leftovers(tmp_path)) == []


def test_the_temporary_file_of_this_process_is_its_own(tmp_path, monkeypatch):
    seen = []
    replace = os.replace

    def look(old, new):
        seen.extend(leftovers(tmp_path))
        replace(old, new)

    monkeypatch.setattr("restool.files.os.replace", look)
    write_atomically(tmp_path / "a.json", b"content")
    assert (seen, (tmp_path / "a.json").read_bytes()) == ([], b"content")
