"""`restool export` to stdout, into a file and for TensorBoard."""

import json
import os
import subprocess
import sys

from restool.files import temporary_name


def test_rows_go_to_stdout_or_into_a_file(restool, swept, tmp_path):
    answer = restool("export", "jsonl", swept)
    assert answer.status == 0
    assert len([json.loads(line) for line in answer.out.splitlines()]) == 5
    told = restool("export", "jsonl", swept, "--to", tmp_path / "rows.jsonl")
    assert not told.out
    assert (tmp_path / "rows.jsonl").read_text() == answer.out
    assert restool("export", "csv", swept).out.startswith("key,model,dataset,")


def test_a_folder_without_records_ends_with_status_4(restool, tmp_path):
    assert restool("export", "csv", tmp_path).status == 4


def test_what_a_killed_export_left_beside_its_file_is_removed_by_the_next(restool, swept, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = temporary_name("rows.csv")
    (place := tmp_path / "rows").mkdir()
    pids = (ended.pid, os.getppid())
    rest, other = (place / own.replace(f".{os.getpid()}", f".{pid}") for pid in pids)
    for path in (rest, other):
        path.write_text("half")
    assert restool("export", "csv", swept, "--to", place / "rows.csv").status == 0
    assert sorted(place.iterdir()) == sorted([place / "rows.csv", other])  # that of a living process stays
