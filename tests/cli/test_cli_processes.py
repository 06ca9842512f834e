"""What only whole processes can show: interrupts, kill -9, and two at work in one folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EPOCHS = 20
STUDY = ["sweep", "--model", "flexnet[4,4]", "--limit", "40", "--batch-size", "10", "--train", "8", "--test", "10,12"]
STUDY += ["--protocols", "requery,resize", "--epochs", str(EPOCHS)]
CELLS = 5
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}  # the number of threads may change the last bit of a sum
ENVIRONMENT.pop("PYTHONUNBUFFERED", None)  # or a closed pipe is noticed earlier than it is for a user
WAIT_SECONDS = 120

LOGGED = """
from restool.cli import main
from restool.records import ResultsFolder
write = ResultsFolder.write_record
def logged(self, key, *rest, **more):
    with open(LOG, "a") as log:
        log.write(key + "\\n")
    write(self, key, *rest, **more)
ResultsFolder.write_record = logged
main()
"""


def start(*arguments, program=("-m", "restool")):
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts():
    """Tests that run in the background of a shell inherit its deafness to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process):
    """Exit status and stderr."""
    _, err = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, err


def stop_in_training(process, out, number):
    """Send a signal once the process has written a checkpoint of its own."""
    deadline = time.monotonic() + WAIT_SECONDS
    before = written(out)
    while written(out) == before:
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)


def written(out):
    """The checkpoints and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("checkpoints/*.safetensors")}


def results(out):
    """All that records say but for time and place."""
    kept = {path.name: json.loads(path.read_text()) for path in (out / "records").glob("*.json")}
    return {name: {key: r[key] for key in ("format", "key", "cell", "result")} for name, r in kept.items()}


def checkpoint(out) -> Path:
    (path,) = out.glob("checkpoints/*.safetensors")
    return path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """The results of the study, run by one process from beginning to end."""
    out = tmp_path_factory.mktemp("uninterrupted") / "out"
    status, err = finish(start(*STUDY, "--out", out))
    assert status == 0, err
    assert len(results(out)) == CELLS
    return out


def test_an_interrupted_and_killed_run_ends_in_the_same_bytes(restool, uninterrupted, tmp_path):
    out = tmp_path / "out"
    process = start(*STUDY, "--out", out)
    stop_in_training(process, out, signal.SIGINT)
    status, err = finish(process)
    assert status == 130
    assert (
        err.splitlines()[-1] == "restool: interrupted; the same command goes on from the last finished epoch and cell"
    )
    assert "Traceback" not in err

    process = start(*STUDY, "--out", out)
    stop_in_training(process, out, signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    (run,) = json.loads(restool("ls", "runs", out, "--json").out)
    assert 2 <= run["epochs"] < EPOCHS == run["of"]
    assert not results(out)

    status, err = finish(start(*STUDY, "--out", out))
    assert status == 0, err
    assert results(out) == results(uninterrupted)
    assert checkpoint(out).name == checkpoint(uninterrupted).name
    assert checkpoint(out).read_bytes() == checkpoint(uninterrupted).read_bytes()


def test_two_processes_in_one_folder_share_the_cells(uninterrupted, tmp_path):
    out, log = tmp_path / "out", tmp_path / "log"
    program = ("-c", f"LOG = {str(log)!r}\n{LOGGED}")
    both = [start(*STUDY, "--out", out, program=program) for _ in range(2)]
    for status, err in [finish(process) for process in both]:
        assert status == 0, err
    keys = log.read_text().split()
    assert sorted(keys) == sorted(set(keys))
    assert results(out) == results(uninterrupted)
    assert checkpoint(out).read_bytes() == checkpoint(uninterrupted).read_bytes()
    assert {(out / name).read_bytes() for name in ("table.md", "table.csv")} == {
        (uninterrupted / name).read_bytes() for name in ("table.md", "table.csv")
    }


def test_a_closed_pipe_makes_no_noise():
    with start("ls", "datasets") as process:
        process.stdout.close()
        assert process.wait(timeout=WAIT_SECONDS) == 1
        assert process.stderr.read() == ""
