"""A study on a real Ray: two machines, one of which dies; and a driver that is killed and started again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from restool.errors import UsageError
from restool.transfer import sweep
from restool.transfer.cluster import Driver, Pool
from restool.transfer.spread import Spread

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'restool[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

SWEEP = ("--model", "flexnet[3,4]", "--limit", "32", "--batch-size", "16", "--epochs", "2", "--train", "8")
WAIT = 240


@pytest.fixture
def cluster(monkeypatch):
    """Ray's own two machines of one core each, beside a head that computes nothing."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    ray.shutdown()
    made.shutdown()


def checkpoints(path):
    return {file.name: file.read_bytes() for file in (path / "checkpoints").iterdir()}


def test_a_machine_dies_while_cells_run_and_every_cell_is_there_once(lab, cluster, tmp_path):
    first, second = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    choices = {"seeds": [0, 1, 2], "finetune_epochs": 1}
    study, homes = lab.study(tmp_path / "out", lab.progress(), **choices), []
    with Pool(Spread(ray=cluster.address, device="cpu")) as pool:
        driver = Driver(study, pool)
        hear = driver._hear

        def hear_and_kill(stream, event):
            homes.append(event)
            if sum(getattr(event, "path", "").startswith("records") for event in homes) == 4 and second in kept:
                kept.remove(second)
                cluster.remove_node(second, allow_graceful=False)
            hear(stream, event)

        kept = [first, second]
        driver._hear = hear_and_kill
        driver.run()
    assert kept == [first]
    assert (study.failed, study.missing()) == ([], [])
    records = [event.path for event in homes if getattr(event, "path", "").startswith("records")]
    assert sorted(records) == sorted(f"records/{cell.key}.json" for cell in study.cells)
    lab.run(tmp_path / "alone", **choices)
    assert lab.records(tmp_path / "out") == lab.records(tmp_path / "alone")
    assert checkpoints(tmp_path / "out") == checkpoints(tmp_path / "alone")


def start(out: Path, *options: str) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "restool", "sweep", *SWEEP, "--test", "10,12", "--seeds", "0,1", "--out", str(out)]
    return subprocess.Popen([*line, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_driver_is_killed_and_started_again_by_the_command_line(lab, tmp_path):
    out = tmp_path / "out"
    killed = start(out, "--workers", "2")
    until = time.monotonic() + WAIT
    while len(list(out.glob("records/*.json"))) < 3:
        assert killed.poll() is None, killed.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    done = {path.name: path.stat().st_mtime_ns for path in out.glob("records/*.json")}
    again = start(out, "--workers", "2", "--json")
    told, errors = again.communicate(timeout=WAIT)
    assert (again.returncode, "Traceback" in errors) == (0, False), errors
    table = json.loads(told)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("records/*.json") if path.name in done} == done
    alone = start(tmp_path / "alone", "--json")
    expected, errors = alone.communicate(timeout=WAIT)
    assert alone.returncode == 0, errors
    assert table["rows"] == json.loads(expected)["rows"]
    assert lab.records(out) == lab.records(tmp_path / "alone")
    assert checkpoints(out) == checkpoints(tmp_path / "alone")
    assert not list(out.rglob("*.tmp"))


def test_an_address_where_nothing_answers_is_one_line(lab, tmp_path):
    told = "`ray` must be where a Ray cluster answers, but is '127.0.0.1:9'; start one there, see the README"
    with pytest.raises(UsageError, match=re.escape(told)):
        sweep(lab.config(), tmp_path, ray="127.0.0.1:9", device="cpu")
