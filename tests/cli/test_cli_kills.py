"""A command that is killed at any moment, and run again, ends in the bytes of one that was left alone.

The suite kills a few times; RESTOOL_KILLS=100 kills so often, in turn over sweep, finetune, evaluate and report.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("RESTOOL_KILLS", "2"))
IN_A_ROW = 3
"""So often a command is killed before it may end."""
MODEL = ["--model", "flexnet[4,4]", "--limit", "40", "--batch-size", "10", "--train", "8"]
COMMANDS = {
    "sweep": ["sweep", *MODEL, "--epochs", "6", "--test", "10", "--protocols", "requery,resize"],
    "evaluate": ["evaluate", "results/local/checkpoints/*", "--test", "10,12", "--limit", "40"],
    "finetune": ["finetune", *MODEL, "--source-epochs", "6", "--epochs", "3", "--test", "10"],
    "report": ["report", "results/local"],
}
"""One after another they are run in one working folder; all but the second write into it."""
AT_WRITE = """
import os, signal, sys
number, left = int(sys.argv.pop(1)), int(sys.argv.pop(1))
replace = os.replace
def broken_off(*paths):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), number)
    replace(*paths)
os.replace = broken_off
from restool.cli import main
main()
"""
"""The command line, which gets a signal where it has written a temporary file of so many."""
STOPPED = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}
"""What a process ends with that gets a signal."""
OF_TIME = ("cost.png", "cost.pdf", "report.html")
"""Files that show how long something took."""
START_SECONDS = 3
"""So long a process takes to import what is imported here."""
WAIT_SECONDS = 120


def words(command):
    """What is typed in the working folder, where a shell writes names for a star."""
    return [name for word in COMMANDS[command] for name in (map(str, Path().glob(word)) if "*" in word else [word])]


def kill(command, duration, rng):
    """Run a command and stop it: at any moment of so many seconds, or between writing a file and its renaming."""
    number, program, moment = (
        rng.choices(list(STOPPED), weights=(4, 1, 1))[0],
        ["-m", "restool"],
        rng.random() * duration,
    )
    if command != "evaluate" and rng.random() < 0.5:
        program, moment = ["-c", AT_WRITE, str(int(number)), str(rng.randint(1, 14))], None
    process = subprocess.Popen(
        [sys.executable, *program, *words(command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    if moment is not None:
        time.sleep(moment)
        process.send_signal(number)
    _, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode in (0, STOPPED[number], -number), err
    assert "Traceback" not in err or process.returncode == -number  # Python itself was not ready yet


def finish(restool, command):
    """What a command prints that is left alone, and the files of the working folder then.

    Locks are left out, and of records and figures what tells time and place.
    """
    answer = restool(*words(command))
    assert answer.status == 0, answer.err
    found = {}
    for path in (path for path in Path().rglob("*") if path.is_file() and "locks" not in path.parts):
        if path.parent.name == "records":
            record = json.loads(path.read_text())
            found[path] = {part: record[part] for part in ("format", "key", "cell", "result", "figures", "checkpoint")}
        else:
            found[path] = None if path.name in OF_TIME else path.read_bytes()
    return answer.out, found


@pytest.fixture(scope="module")
def undisturbed(restool, tmp_path_factory):
    """What each command gives where none is killed, and the seconds that it takes."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("undisturbed"))
        for command in COMMANDS:
            began = time.monotonic()
            found[command] = finish(restool, command), START_SECONDS + time.monotonic() - began
    return found


def test_a_killed_command_ends_in_the_same_bytes_and_leaves_nothing_behind(restool, undisturbed, tmp_path, monkeypatch):
    rng, kills = random.Random(KILLS), Counter(islice(cycle(COMMANDS), KILLS))
    while kills.total():
        folder = tmp_path / str(kills.total())
        folder.mkdir()
        monkeypatch.chdir(folder)
        for command, (whole, duration) in undisturbed.items():
            for _ in range(min(IN_A_ROW, kills[command])):
                kill(command, duration, rng)
                kills[command] -= 1
            assert finish(restool, command) == whole
