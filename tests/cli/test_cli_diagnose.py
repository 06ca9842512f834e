"""`restool diagnose` on the checkpoint of a sweep."""

import json


def test_a_checkpoint_is_diagnosed_as_its_evaluation_says(restool, swept):
    (checkpoint,) = (swept / "checkpoints").iterdir()
    options = ("--limit", "20")
    found = json.loads(restool("diagnose", checkpoint, "--to", "12", *options, "--json").out)
    arguments = ("evaluate", checkpoint, "--test", "12", "--protocols", "as-is,interpolate,bn-recalibrate,resize")
    rows = {row["protocol"]: row for row in json.loads(restool(*arguments, *options, "--json").out)["rows"]}
    assert found["source_accuracy_percent"] == rows["source"]["accuracy_percent"]
    assert found["accuracy_percent"] == rows["as-is"]["accuracy_percent"]
    assert found["difference_points"] == rows["as-is"]["difference_points"]
    assert found["resize_accuracy_percent"] == rows["resize"]["accuracy_percent"]
    repaired = {repair["cause"]: repair["accuracy_percent"] for repair in found["repairs"]}
    assert repaired.keys() == {"kernel size", "batch norm", "sharpness"}
    assert repaired["kernel size"] == rows["interpolate"]["accuracy_percent"]
    assert repaired["batch norm"] == rows["bn-recalibrate"]["accuracy_percent"]


def test_the_verdict_comes_first_and_the_tables_after_it(restool, swept):
    (checkpoint,) = (swept / "checkpoints").iterdir()
    answer = restool("diagnose", checkpoint, "--to", "12", "--limit", "20")
    assert answer.status == 0
    verdict, causes, layers, norms = answer.out.strip().split("\n\n")
    assert verdict.startswith("flexnet[4,4]-conv3 by as-is from 8 to 12 px: ")
    assert [line.split("|")[1].strip() for line in causes.splitlines()[2:4]] == ["at the source", "as-is at 12 px"]
    assert "| stem " in layers
    assert "| stem_norm " in norms


def test_a_target_out_of_range_is_refused(restool):
    assert restool("diagnose", "x", "--to", "3").message == "--to must be from 4 to 65,536, but is 3"
