"""Laws of several processes on one folder: kill -9 costs at most the epoch in flight, and no cell is done twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WORKER = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import Lab, Progress
from restool.data import load

def die():
    os.kill(os.getpid(), signal.SIGKILL)

folder, log, kill_after, choices = Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), json.loads(sys.argv[5])
progress = Progress(kill_after, die)
failed = Lab(load("gabors", limit=32)).run(folder, progress, **choices)
log.write_text(json.dumps({"tested": progress.tested, "failed": len(failed)}))
"""


def start(folder: Path, log: Path, *, kill_after: float = -1, **choices) -> subprocess.Popen:
    arguments = [str(Path(__file__).parent), str(folder), str(log), str(kill_after), json.dumps(choices)]
    return subprocess.Popen([sys.executable, "-W", "error", "-c", WORKER, *arguments])


@pytest.mark.parametrize("step", [3, 16])
def test_a_killed_study_resumes_to_the_same_records(lab, finished, tmp_path, step):
    assert start(tmp_path, tmp_path / "log.json", kill_after=step).wait(120) == -9
    assert not (tmp_path / "log.json").exists()
    progress = lab.progress()
    assert lab.run(tmp_path, progress) == []
    assert lab.records(tmp_path) == lab.records(finished)
    assert (
        sum(progress.trainings.values()) == {3: 2 + 4, 16: 4}[step]
    )  # two epochs of two steps, of which one was done, and two of fine-tuning


def test_two_processes_share_a_study_and_repeat_nothing(lab, tmp_path):
    choices = {"seeds": [0, 1], "test": [10], "finetune_epochs": 1}
    folder, logs = tmp_path / "out", [tmp_path / f"{name}.json" for name in "ab"]
    workers = [start(folder, log, **choices) for log in logs]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    cells = lab.plan(**choices)
    reports = [json.loads(log.read_text()) for log in logs]
    assert [report["failed"] for report in reports] == [0, 0]
    tested = [text for report in reports for text in report["tested"]]
    assert sorted(tested) == sorted(map(str, cells))
    assert set(lab.records(folder)) == {cell.key for cell in cells}
    assert lab.run(tmp_path / "alone", **choices) == []
    assert lab.records(folder) == lab.records(tmp_path / "alone")
    assert not [file for file in folder.rglob("*") if file.suffix == ".tmp"]
