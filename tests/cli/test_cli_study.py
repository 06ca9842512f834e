"""The commands on a small study: what they print and write, and that nothing is done twice."""

import json
import re

import pytest

from restool.training import load_checkpoint

PROTOCOLS = {
    "requery",
    "bandlimit",
    "rescale",
    "interpolate",
    "position",
    "as-is",
    "resize",
    "bn-recalibrate",
    "rescale+bn-recalibrate",
    "finetune",
}
REPORT = [
    "cost.pdf",
    "cost.png",
    "curves.csv",
    "heatmap.pdf",
    "heatmap.png",
    "lines.pdf",
    "lines.png",
    "report.html",
    "table.csv",
    "table.md",
    "table.tex",
]


def times(folder):
    """When each file was written last."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def records(out):
    return {path.name: json.loads(path.read_text()) for path in (out / "records").iterdir()}


def test_a_sweep_leaves_a_record_for_every_cell_and_its_report(swept):
    cells = {(r["cell"]["protocol"], r["cell"]["target"]) for r in records(swept).values()}
    assert cells == {("source", 8), ("as-is", 10), ("as-is", 12), ("resize", 10), ("resize", 12)}
    assert {path.name for path in swept.iterdir() if path.is_file()} == {*REPORT, "restool.json"}


def test_a_second_run_does_nothing_again_and_prints_the_same_table(restool, swept, study_options):
    table, before = (swept / "table.md").read_text(), times(swept / "records") | times(swept / "checkpoints")
    answer = restool("sweep", *study_options, "--out", swept)
    assert answer.status == 0
    assert answer.out.rstrip() == table.rstrip()
    assert answer.err.startswith("wrote ")
    assert times(swept / "records") | times(swept / "checkpoints") == before


def test_json_is_one_object_with_the_accuracies_of_the_records(restool, swept, study_options):
    answer = json.loads(restool("sweep", *study_options, "--out", swept, "--json").out)
    assert [path.rpartition("/")[2] for path in sorted(answer["files"])] == REPORT
    stored = {
        (r["cell"]["protocol"], r["cell"]["target"]): 100 * r["result"]["accuracy"] for r in records(swept).values()
    }
    printed = {(row["protocol"], row["target"]): row["accuracy_percent"] for row in answer["rows"]}
    assert printed == pytest.approx(stored)


def test_a_dry_run_lists_done_and_missing_cells_and_writes_nothing(restool, swept, study_options):
    before = times(swept)
    arguments = ("sweep", *study_options, "--test", "10..13", "--finetune-epochs", "3", "--out", swept, "--dry-run")
    lines = restool(*arguments).out.splitlines()
    assert sum(line.startswith("done ") for line in lines) == 5
    assert sum(line.startswith("missing ") for line in lines) == 2 * 2 + 4
    assert re.fullmatch(r"5 of 13 cells are done; the rest takes about .* on this device", lines[-1])
    answer = json.loads(restool(*arguments, "--json").out)
    assert (answer["done"], len(answer["cells"])) == (5, 13)
    assert {cell["key"] for cell in answer["cells"] if cell["done"]} == {name[:-5] for name in records(swept)}
    assert times(swept) == before


def test_sizes_joined_by_plus_are_one_model_that_is_trained_for_the_largest(restool, here, study_options):
    answer = restool("sweep", *study_options, "--train", "8,6+8", "--dry-run", "--json")
    assert answer.status == 0, answer.err
    cells = json.loads(answer.out)["cells"]
    assert [cell.get("train_sizes") for cell in cells] == [None] * 5 + ["6+8"] * 5
    assert {cell["source"] for cell in cells} == {8}
    assert len({cell["key"] for cell in cells}) == 10
    lines = restool("sweep", *study_options, "--train", "6+8", "--dry-run").out.splitlines()
    assert len([line for line in lines if "flexnet[4,4]-conv3 6+8 -> 10 px, as-is" in line]) == 1


def test_a_dry_run_into_a_new_folder_does_not_make_it(restool, here, study_options):
    assert restool("sweep", *study_options, "--out", "new", "--dry-run").status == 0
    assert not list(here.iterdir())


def test_a_name_that_is_given_twice_is_one_cell(restool, here, study_options):
    answer = restool("sweep", *study_options, "--test", "10,10", "--protocols", "as-is, as-is", "--dry-run")
    assert answer.out.splitlines()[-1].startswith("0 of 2 cells")


@pytest.mark.parametrize(("model", "protocol"), [("flexnet[4,4]", "requery"), ("flexnet[4,4]-conv3", "as-is")])
def test_finetune_compares_with_what_the_model_does_by_itself(restool, here, model, protocol):
    arguments = ("--model", model, "--train", "8", "--test", "10", "--limit", "10", "--dry-run", "--json")
    cells = json.loads(restool("finetune", *arguments).out)["cells"]
    assert [cell["protocol"] for cell in cells] == ["source", protocol, "finetune"]


def test_finetune_uses_the_model_of_the_sweep(restool, swept, small):
    before = times(swept / "records") | times(swept / "checkpoints")
    source_epochs = [option.replace("--epochs", "--source-epochs") for option in small]
    answer = restool("finetune", *source_epochs, "--test", "10", "--epochs", "1", "--out", swept)
    assert answer.status == 0, answer.err
    after = times(swept / "records") | times(swept / "checkpoints")
    assert before.items() <= after.items()
    assert [path.parent.name for path in sorted(set(after) - set(before))] == ["checkpoints", "records"]
    assert "after fine-tuning" in answer.out
    assert answer.err.startswith("[3/3] ")  # of the source, the protocol to compare with and fine-tuning


def test_a_report_comes_from_records_alone(restool, swept):
    files = {name: (swept / name).read_bytes() for name in REPORT}
    for path in [*(swept / name for name in REPORT), *(swept / "checkpoints").iterdir(), swept / "restool.json"]:
        path.unlink()
    answer = restool("report", swept)
    assert answer.status == 0
    assert {name: (swept / name).read_bytes() for name in REPORT} == files
    assert answer.out.rstrip() == files["table.md"].decode().rstrip()
    assert json.loads(restool("report", swept, "--json").out)["rows"]


def test_train_makes_the_model_that_a_sweep_uses(restool, swept, small, tmp_path):
    answer = restool("train", *small, "--out", tmp_path / "new", "--json")
    (run,) = json.loads(answer.out)["runs"]
    (trained,) = (swept / "checkpoints").iterdir()
    (alone,) = (tmp_path / "new" / "checkpoints").iterdir()
    assert run["checkpoint"] == str(alone)
    assert answer.err.startswith("[1/1] train flexnet[4,4]-conv3 at 8 px, seed 0: ")
    assert alone.name == trained.name
    assert alone.read_bytes() == trained.read_bytes()
    before = times(swept)
    again = restool("train", *small, "--out", swept)
    assert re.fullmatch(rf"{re.escape(str(trained))}  8 px, seed 0, validation \d+\.\d %\n", again.out)
    assert times(swept / "checkpoints").items() <= before.items()


def test_evaluate_agrees_with_the_records_of_the_sweep(restool, swept):
    (checkpoint,) = (swept / "checkpoints").iterdir()
    arguments = ("evaluate", checkpoint, "--test", "10,12", "--protocols", "as-is,resize", "--limit", "20")
    before = times(swept)
    answer = json.loads(restool(*arguments, "--json").out)
    stored = {
        (r["cell"]["protocol"], r["cell"]["target"]): (r["result"]["accuracy"], r["result"]["n"])
        for r in records(swept).values()
    }
    assert {(row["protocol"], row["target"]): (row["accuracy_percent"] / 100, row["n"]) for row in answer["rows"]} == {
        cell: (pytest.approx(accuracy), n) for cell, (accuracy, n) in stored.items()
    }
    assert answer["rows"][0]["protocol"] == "source"
    about, at_source, *text = restool(*arguments).out.splitlines()
    assert about.startswith("Percent of 20 test images; ")
    assert re.fullmatch(r"source +8 px +\d+\.\d", at_source)
    moved = r"(as-is|resize) +1[02] px +\d+\.\d +[+-]\d+\.\d \([+-]\d+\.\d to [+-]\d+\.\d\)"
    assert len(text) == len(stored) - 1
    assert all(re.fullmatch(moved, line) for line in text), text
    assert times(swept) == before


def test_a_time_limit_stops_cleanly_and_the_same_command_goes_on(restool, swept, study_options, tmp_path):
    out = tmp_path / "limited"
    stopped = restool("sweep", *study_options, "--out", out, "--time-limit", "0.00001", "--json")
    assert stopped.status == 6
    assert stopped.message == "time limit reached, 5 of 5 cells are missing; run the same command to go on"
    assert json.loads(stopped.out) == {"format": 1, "out": str(out), "files": [], "rows": []}
    assert not list(out.rglob("*.tmp"))
    assert restool("sweep", *study_options, "--out", out, "--time-limit", "90.5").status == 0
    assert {name: r["result"] for name, r in records(out).items()} == {
        name: r["result"] for name, r in records(swept).items()
    }


def test_a_time_limit_stops_train_too(restool, small, tmp_path):
    stopped = restool("train", *small, "--out", tmp_path / "new", "--time-limit", "0.00001", "--json")
    assert stopped.status == 6
    assert stopped.message == "time limit reached, 1 of 1 models are missing; run the same command to go on"
    assert json.loads(stopped.out) == {"format": 1, "runs": []}


@pytest.mark.parametrize(("command", "what"), [("sweep", "5 of 5 cells"), ("train", "1 of 1 models")])
def test_a_training_that_diverges_ends_in_status_3(restool, small, tmp_path, command, what):
    options = small if command == "train" else (*small, "--test", "10,12", "--protocols", "as-is,resize")
    answer = restool(command, *options, "--learning-rate", "1e30", "--out", tmp_path / "out")
    assert answer.status == 3
    assert re.search(r"the loss became (nan|inf) in epoch \d of 2; lower --learning-rate", answer.err)
    assert answer.err.splitlines()[-1] == f"restool: {what} failed, see above; the same command tries them again"
    assert not answer.out


def test_ls_models_lists_objects_with_five_fields(restool):
    rows = json.loads(restool("ls", "models", "--json").out)
    assert {tuple(row) for row in rows} == {("name", "parameters", "dims", "protocols", "source")}
    found = {row["name"]: row for row in rows}
    assert (found["flexnet-7"]["parameters"], found["flexnet-7"]["dims"]) == (671_650, 2)
    assert "requery" in found["flexnet-7"]["protocols"]
    assert "interpolate" in found["cifar-resnet-32"]["protocols"]
    assert "requery" not in found["cifar-resnet-32"]["protocols"]
    assert found["flextcn-2"]["dims"] == 1
    assert all(set(row["protocols"]) <= PROTOCOLS for row in rows)
    answer = restool("ls", "models")
    assert [line.split()[0] for line in answer.out.splitlines()] == ["name", *found]
    assert all(name in answer.err for name in ("torchvision:NAME", "timm:NAME", "MODULE:FACTORY"))


def test_ls_datasets_lists_the_built_in_one_first(restool):
    rows = json.loads(restool("ls", "datasets", "--json").out)
    assert [row["name"] for row in rows][:5] == ["gabors", "cifar10", "mnist", "parquet:DIR", "folder:DIR"]
    assert {row["name"] for row in rows if row["dims"] == 1} >= {"tones", "smnist", "pmnist", "scifar10"}
    assert len(restool("ls", "datasets").out.splitlines()) == 1 + len(rows)


def test_ls_runs_says_what_was_trained_and_how_far(restool, swept):
    (row,) = json.loads(restool("ls", "runs", swept, "--json").out)
    [checkpoint] = (swept / "checkpoints").iterdir()
    last = load_checkpoint(checkpoint).history[-1]["validation_accuracy"]
    assert row.pop("validation_accuracy_percent") == pytest.approx(100 * last)
    assert row == {
        "checkpoint": str(next((swept / "checkpoints").iterdir())),
        "model": "flexnet[4,4]-conv3",
        "dataset": "gabors",
        "source": 8,
        "size": 8,
        "seed": 0,
        "epochs": 2,
        "of": 2,
    }
    header, line = restool("ls", "runs", swept).out.splitlines()
    assert header.endswith("validation_accuracy_percent")
    assert line.endswith(f" {100 * last:.1f}")


def test_a_sweep_prints_its_own_settings_and_names_the_others_of_its_folder(restool, swept, study_options):
    answer = restool("sweep", *study_options, "--learning-rate", "0.5", "--out", swept)
    assert answer.status == 0, answer.err
    heading = "## flexnet[4,4]-conv3 on gabors, no aliasing penalty, 2 epochs, limited to 20 images"
    assert [line for line in answer.out.splitlines() if line.startswith("## ")] == [heading]
    assert "learning rate 0.5." in answer.out
    assert f"{swept} also holds {heading[3:]}\n" in answer.err
    assert answer.err.splitlines()[-1].startswith("next: look at ")
    rows = json.loads(restool("sweep", *study_options, "--learning-rate", "0.5", "--out", swept, "--json").out)["rows"]
    assert {row["learning_rate"] for row in rows} == {0.5}
    assert len(rows) == 5
    assert (swept / "table.md").read_text().count("\n## ") == 2


def test_a_run_that_measured_nothing_yet_prints_no_table_of_others(restool, swept, study_options):
    options = (*study_options, "--learning-rate", "0.25", "--out", swept, "--time-limit", "0.00001")
    answer = restool("sweep", *options)
    assert answer.status == 6
    assert "## " not in answer.out
    assert json.loads(restool("sweep", *options, "--json").out)["rows"] == []
