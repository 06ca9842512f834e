"""`restool export` to stdout, into a file and for TensorBoard."""

import json


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
