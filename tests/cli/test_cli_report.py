"""`restool report`: one page of several folders, diagnoses in it, and commands that make the same cells."""

import json
import re
import shlex
import shutil
from html import unescape
from pathlib import Path

from restool.report.diagnosis import read_diagnoses


def test_the_command_on_the_page_makes_the_same_cells(restool, swept):
    restool("report", swept)
    text = (swept / "report.html").read_text("utf-8")
    [command] = re.findall(r"<pre>(restool sweep .*?)</pre>", text)
    planned = restool(*shlex.split(unescape(command))[1:], "--dry-run", "--json", "--out", swept)
    cells = json.loads(planned.out)["cells"]
    assert {cell["key"] for cell in cells} == {path.stem for path in (swept / "records").iterdir()}
    assert all(cell["done"] for cell in cells)


def test_several_folders_are_chapters_of_one_page(restool, swept, here):
    shutil.copytree(swept, here / "again")
    shutil.copytree(swept, here / "other")
    answer = restool("report", "again", "other", "--json")
    assert answer.status == 0, answer.err
    printed = json.loads(answer.out)
    assert [folder["out"] for folder in printed["folders"]] == ["again", "other"]
    assert printed["files"][-1] == "report.html"
    text = (here / "report.html").read_text("utf-8")
    assert re.findall(r'<h2 id="c\d">(.*?)</h2>', text) == ["again", "other"]
    own = (here / "again" / "report.html").read_text("utf-8")
    assert text.count("<svg") == 2 * own.count("<svg")
    assert set(re.findall(r'href="#(\w+)"', text)) <= set(re.findall(r'id="(\w+)"', text))
    told = restool("report", "again", "other", "--page", "all.html")
    assert told.out.count("# Accuracy at resolutions") == 2
    assert (here / "all.html").read_text("utf-8") == text


def test_one_bad_folder_stops_the_page_before_anything_is_written(restool, swept, here):
    answer = restool("report", swept, "nowhere")
    assert answer.status == 4
    assert answer.message == "no records in nowhere/records; a sweep into nowhere writes them"
    assert not list(here.iterdir())


def test_another_metric_is_printed_and_written(restool, swept):
    answer = restool("report", swept, "--metric", "flops_per_image")
    assert answer.status == 0, answer.err
    assert answer.out.rstrip() == (swept / "flops_per_image-table.md").read_text().rstrip()
    printed = json.loads(restool("report", swept, "--metric", "flops_per_image", "--json").out)
    stored = {}
    for path in (swept / "records").iterdir():
        record = json.loads(path.read_text())
        stored[record["cell"]["protocol"], record["cell"]["target"]] = record["figures"]["flops_per_image"]
    assert {(row["protocol"], row["target"]): row["flops_per_image"] for row in printed["rows"]} == stored
    assert {Path(path).name for path in printed["files"]} >= {"flops_per_image-heatmap.png"}


def test_a_metric_of_several_folders_is_printed_for_each(restool, swept, here):
    shutil.copytree(swept, here / "again")
    answer = restool("report", swept, "again", "--metric", "nll")
    assert answer.out.count("# Mean negative log-likelihood in nats") == 2
    assert (here / "again" / "nll-table.md").exists()


def test_a_metric_that_is_not_there_is_told(restool, swept, here):
    answer = restool("report", swept, "--metric", "memory")
    assert (answer.status, answer.message) == (4, f"no record of {swept} tells memory; only tests on a GPU do")
    answer = restool("report", swept, "--metric", "loss")
    assert answer.status == 2
    assert "must be one of accuracy, top5, nll, " in answer.message
    answer = restool("report", swept, "--metric", "nll", "--page", "all.html")
    assert answer.status == 2
    assert "is of the accuracy and not of another metric" in answer.message


def test_a_diagnosis_is_kept_and_shown(restool, swept):
    (checkpoint,) = (swept / "checkpoints").iterdir()
    arguments = ("diagnose", checkpoint, "--to", "12", "--limit", "20", "--out", swept)
    answer = restool(*arguments, "--json")
    assert answer.status == 0, answer.err
    printed, [kept] = json.loads(answer.out), read_diagnoses(swept)
    assert {name: value for name, value in kept.items() if name != "kernels"} == printed
    names = {path.name for path in (swept / "diagnoses").iterdir()}
    assert names == {f"{checkpoint.stem}-to-12px.{suffix}" for suffix in ("json", "png", "pdf")}
    restool("report", swept)
    text = unescape((swept / "report.html").read_text("utf-8"))
    assert printed["verdict"] in text
    [command] = re.findall(r"<pre>(restool diagnose .*?)</pre>", text)
    assert json.loads(restool(*shlex.split(command)[1:], "--json").out) == printed
