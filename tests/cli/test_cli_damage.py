"""What goes wrong in a folder, a machine or a data set costs the cells that it concerns, and is told by the status."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from restool.correlation.rates import REFERENCE, rates_file, write
from restool.models.flexnet import FlexNet
from restool.records import ResultsFolder


def records(out):
    return {path.name: json.loads(path.read_text()) for path in sorted((out / "records").iterdir())}


def test_a_damaged_checkpoint_fails_its_own_cells_alone_and_is_made_anew_once_set_aside(restool, swept, study_options):
    arguments = ("sweep", *study_options, "--train", "8,9", "--out", swept)
    before = set((swept / "checkpoints").iterdir())
    assert restool(*arguments).status == 0
    (other,) = set((swept / "checkpoints").iterdir()) - before
    other.write_bytes(b"damaged")
    for name, record in records(swept).items():
        if record["cell"]["source"] == 9:
            (swept / "records" / name).unlink()
    answer = restool(*arguments)
    assert answer.status == 4
    assert "| 8 px " in answer.out
    assert "| 9 px " not in answer.out
    *failed, last = [line for line in answer.err.splitlines() if line.startswith("restool: ")]
    assert all(re.match(r"restool: failed: .* 9( -> \d+)? px.*: .* is damaged", line) for line in failed)
    assert last == "restool: 5 of 10 cells failed, some over a damaged file, see above; mend that first"
    assert restool("check", swept).status == 4
    assert restool("check", swept, "--fix").status == 0
    assert [path.name for path in (swept / "damaged" / "checkpoints").iterdir()] == [other.name]
    again = restool(*arguments)
    assert again.status == 0
    assert "| 9 px " in again.out


def test_records_that_are_removed_during_a_run_are_told(restool, study_options, tmp_path, monkeypatch):
    out, write = tmp_path / "out", ResultsFolder.write_record

    def write_and_lose(folder, key, cell, *rest, **more):
        write(folder, key, cell, *rest, **more)
        if cell["protocol"] == "as-is":
            shutil.rmtree(out)

    monkeypatch.setattr(ResultsFolder, "write_record", write_and_lose)
    answer = restool("sweep", *study_options, "--out", out)
    assert answer.status == 3
    *_, last, first, second, third, fourth = answer.err.splitlines()
    told = "4 of 5 cells are missing: their files were removed during the run; the same command tries them again"
    assert last == f"restool: {told}"
    assert [line.strip().removeprefix("flexnet[4,4]-conv3 8 ") for line in (first, second, third, fourth)] == [
        "px, source, seed 0",
        "-> 10 px, as-is, seed 0",
        "-> 10 px, resize, seed 0",
        "-> 12 px, as-is, seed 0",
    ]


def test_the_time_limit_holds_while_another_process_is_at_work(restool, swept, study_options):
    key = next((swept / "records").iterdir()).stem
    (swept / "records" / f"{key}.json").unlink()
    with ResultsFolder(swept).lock(key):
        answer = restool("sweep", *study_options, "--out", swept, "--time-limit", "0.03")
    assert answer.status == 6
    assert "restool: time limit reached, 1 of 5 cells are missing; run the same command to go on" in answer.err


def test_a_size_beyond_the_memory_of_a_cpu_fails_its_own_cell(restool, study_options, tmp_path, monkeypatch):
    def forward(self, images, *rest):
        if images.shape[-1] == 12:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory")
        return plain(self, images, *rest)

    plain = FlexNet.forward
    monkeypatch.setattr(FlexNet, "forward", forward)
    answer = restool("sweep", *study_options, "--protocols", "as-is", "--out", tmp_path / "out")
    assert answer.status == 3
    assert "restool: failed: flexnet[4,4]-conv3 8 -> 12 px, as-is, seed 0: not enough memory" in answer.err
    assert "| 8 px   | as-is " in answer.out


def test_a_deterministic_run_gives_the_same_bytes_whatever_was_measured(tmp_path, study_options):
    options = [*study_options, "--model", "flexnet[4,4]", "--protocols", "requery", "--deterministic"]
    digests = []
    for threads, faster in ((1, "fft"), (2, "direct")):
        cache, out = tmp_path / f"cache{threads}", tmp_path / f"out{threads}"
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "RESTOOL_CACHE": str(cache)}
        write_rates(cache, threads, faster)
        command = [sys.executable, "-m", "restool", "sweep", *options, "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        assert {record["environment"]["methods"] for record in records(out).values()} == {"auto, reference"}
        digests.append([record["checkpoint"] for record in records(out).values()])
    assert digests[0] == digests[1]


def write_rates(cache, threads, faster):
    """A cache in which one method costs nothing."""
    usual = REFERENCE[True]
    rates = replace(usual, call={way: 0.0 if way == faster else 1.0 for way in usual.call})
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(threads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTOOL_CACHE", str(cache))
        path = rates_file(torch.device("cpu"), torch.float32)
    torch.set_num_threads(torch_threads)
    write(path, {True: rates, False: rates})


@pytest.mark.parametrize("names", ["abcdefghij", None], ids=["others", "turned"])
def test_evaluate_tells_other_classes_and_refuses_the_same_ones_in_another_order(restool, tmp_path, here, names):
    own = "zyxwvutsrq" if names is None else names
    for name, order in (("trained", "qrstuvwxyz"), ("tested", own)):
        for part in ("train", "test"):
            for shade, label in enumerate(order):
                (here / name / part / label).mkdir(parents=True)
                for number in range(3):
                    Image.new("RGB", (12, 12), (20 * shade, number, 0)).save(
                        here / name / part / label / f"{number}.png"
                    )
        (here / name / "classes.txt").write_text("\n".join(order))
    options = ["--model", "flexnet[4,4]-conv3", "--train", "8", "--epochs", "1", "--batch-size", "10"]
    assert restool("train", *options, "--dataset", "folder:trained", "--out", "out").status == 0
    (checkpoint,) = Path("out/checkpoints").iterdir()
    ask = ("evaluate", checkpoint, "--test", "12", "--protocols", "resize")
    assert (
        restool(*ask).message
        == f"{checkpoint.name} was trained on folder:trained, whose place it does not tell; name it as --dataset"
    )
    assert "restool: " not in restool(*ask, "--dataset", "folder:trained").err.replace("restool: folder:trained: ", "")
    answer = restool(*ask, "--dataset", "folder:tested")
    if names is None:
        assert answer.status == 2
        told = "folder:tested has the classes of the training in another order, z, y, x, ... in place of q, r, s, ...; "
        assert answer.err.splitlines()[-1] == f"restool: {told}give a file with their order as --classes"
        assert restool(*ask, "--dataset", "folder:tested", "--classes", "trained/classes.txt").status == 0
    else:
        assert answer.status == 0
        assert "its classes are a, b, c, ..., those of the training q, r, s, ...\n" in answer.err
