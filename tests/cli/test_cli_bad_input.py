"""Whatever is typed wrong ends in one plain line and a status that is documented, and changes nothing.

The lines are made of what every command takes (`bad_input`). The suite tries one in so many; RESTOOL_BAD_INPUT_STEP=1
tries them all.
"""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from bad_input import COMMANDS, lines, write_nonsense
from PIL import Image

from restool.bench.harness import run as bench
from restool.bench.harness.machine import Machine
from restool.transfer import estimate

ALL = lines()
STEP = int(os.environ.get("RESTOOL_BAD_INPUT_STEP", "20"))
LINES = ALL[::STEP]
MACHINE = Machine(operations_per_second=1e9, bytes_per_second=1e9)
FEWEST, PROCESSES = 170, 3
"""So many lines are tried, and so many by a process of their own; by hand these were 20."""
DOCUMENTED = {0, 2, 3, 4, 5, 6}
"""The exit statuses that a command ends with by itself."""
SECONDS = 60
PARTS = 16


@pytest.fixture(scope="module")
def nonsense(tmp_path_factory, _swept):
    """A folder of files that hold nonsense, a results folder and some images."""
    folder = tmp_path_factory.mktemp("nonsense")
    write_nonsense(folder)
    shutil.copytree(_swept, folder / "old")
    shutil.copy(next((folder / "old" / "checkpoints").iterdir()), folder / "old" / "model.safetensors")
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / "images" / part / name).mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (12, 12), (80 * index, 9, 9)).save(folder / "images" / part / name / f"{index}.png")
    return folder


@pytest.fixture
def among(nonsense, monkeypatch):
    """It as the working folder, where a command that hangs is stopped, and estimates and the machine's take no time."""
    monkeypatch.chdir(nonsense)
    monkeypatch.setattr(estimate, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(bench, "measure_machine", lambda device: MACHINE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = signal.signal(signal.SIGALRM, _too_long)
    yield nonsense
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _too_long(*_):
    raise AssertionError(f"it takes longer than {SECONDS} s")


def state(folder):
    """What is there, and when it was written."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()}


def told(answer):
    """What stderr tells in lines of restool's own, without what they list below them."""
    return [line for line in answer.err.splitlines() if not line.startswith("  ")]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_bad_command_line_ends_in_one_line_and_changes_nothing(restool, among, part):
    before = state(among)
    for line in LINES[part::PARTS]:
        signal.alarm(SECONDS)
        answer = restool(*line.words)
        assert answer.status in DOCUMENTED, line
        assert answer.status != 0 or not line.is_bad, line
        if answer.status in (2, 4):
            assert len(told(answer)) == 1, (line, answer.err)
            assert told(answer)[0].startswith("restool: "), line
            assert not answer.out, line
            assert state(among) == before, line
        for path in [path for path in state(among) if path not in before]:
            path.unlink()
        before = state(among)


def test_all_that_a_command_takes_has_lines():
    taken = {(command, parameter.opts[0]) for command, parameters in COMMANDS for parameter in parameters}
    assert {line.of for line in ALL} == {("", ""), *taken}
    assert len({line.words for line in LINES}) >= FEWEST


@pytest.mark.slow
def test_a_process_ends_as_its_command_line_does_here(restool, among):
    bad = [line for line in ALL if line.is_bad]
    for line in bad[:: len(bad) // PROCESSES]:
        done = subprocess.run([sys.executable, "-m", "restool", *line.words], capture_output=True, text=True)
        answer = restool(*line.words)
        told = answer.err.encode(errors="backslashreplace").decode()  # as a stream of a process writes it
        assert (done.returncode, done.stderr) == (answer.status, told), line
