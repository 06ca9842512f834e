"""`restool compare` on the records of a sweep."""

import json


def test_two_protocols_of_a_sweep_are_compared(restool, swept):
    answer = restool("compare", f"{swept}:protocol=as-is", "protocol=resize")
    assert answer.status == 0
    verdict, caption, table = answer.out.strip().split("\n\n")
    assert "2 cells" in verdict
    assert caption.startswith(f"A is {swept}:protocol=as-is, B is protocol=resize. ")
    assert len(table.splitlines()) == 4


def test_json_has_the_numbers_and_the_verdict(restool, swept):
    printed = restool("compare", f"{swept}:protocol=as-is", "protocol=resize")
    found = json.loads(restool("compare", f"{swept}:protocol=as-is", "protocol=resize", "--json").out)
    assert found["verdict"] == printed.out.split("\n\n")[0]
    rows = found["rows"]
    assert [row["target"] for row in rows] == [10, 12]
    assert found["difference_points"] * len(rows) == sum(row["difference_points"] for row in rows)
    assert found["low_points"] <= found["difference_points"] <= found["high_points"]


def test_a_worse_second_side_ends_with_status_5_after_the_table(restool, swept):
    sides = (f"{swept}:protocol=as-is", "protocol=resize")
    allowed = json.loads(restool("compare", *sides, "--json").out)["difference_points"]
    assert restool("compare", *sides, "--fail-below", allowed - 0.1).status == 0
    answer = restool("compare", *sides, "--fail-below", allowed + 0.1)
    assert answer.status == 5
    assert answer.out.startswith(("No difference", "protocol=resize is"))
    assert "allowed" in answer.message


def test_a_folder_that_is_not_there_ends_with_status_4(restool, tmp_path):
    assert restool("compare", tmp_path, tmp_path).status == 4
