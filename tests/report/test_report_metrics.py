"""Reports of other metrics than the accuracy: what they average, what they leave blank, and where they write."""

import csv
import json
import math
import statistics

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import LogNorm
from scipy import stats

import restool
from restool.errors import ArgumentError, DamagedError, MissingDataError
from restool.report import METRICS, curves, read_records, summarise, write_report
from restool.report.groups import split
from restool.report.lines import draw_lines
from restool.report.measure_frame import measured, with_measure
from restool.report.measure_map import draw_map
from restool.report.measures import MEASURES, counted


@pytest.fixture
def told(tmp_path, write):
    """Two seeds at 24 and 32 px by two protocols, an older cell at 28 px, and a fine-tuned one of a single seed."""
    for seed in range(2):
        write(tmp_path, 0.9, seed=seed, figures={"nll_nats": 0.3 + 0.1 * seed, "flops_per_image": 4_000_000})
        for target, nats in ((24, 0.5), (32, 1.25)):
            figures = {"nll_nats": nats + 0.2 * seed, "agreement": 0.75, "flops_per_image": 4_000_000 * target // 16}
            write(tmp_path, 0.8, seed=seed, target=target, protocol="requery", figures=figures, seconds=target / 16)
            write(tmp_path, 0.7, seed=seed, target=target, protocol="resize", figures=figures | {"nll_nats": 2.0})
        write(tmp_path, 0.8, seed=seed, target=28, protocol="requery")
    tuned = {"protocol": "finetune", "finetune_epochs": 1}
    write(tmp_path, 0.9, target=32, figures={"nll_nats": 0.25}, **tuned)
    write(tmp_path, 0.9, seed=1, target=32, **tuned)
    return tmp_path


def groups(out, name):
    records = read_records(out)
    return with_measure(split(summarise(records), curves(records)), records, MEASURES[name])


def cell(out, name, **where):
    found = restool.results(out, name)
    [row] = [row for row in found.to_dict("records") if all(row[key] == value for key, value in where.items())]
    return row


def test_a_value_is_the_mean_over_seeds_with_students_interval(told):
    row, values = cell(told, "nll", protocol="requery", target=32), [1.25, 1.45]
    assert row["seeds"] == 2
    assert row["nll_nats"] == pytest.approx(statistics.mean(values))
    half = stats.t.ppf(0.975, 1) * statistics.stdev(values) / math.sqrt(2)
    assert row["nll_high_nats"] == pytest.approx(1.35 + half)
    assert row["nll_low_nats"] == pytest.approx(max(0, 1.35 - half))


def test_one_seed_has_no_interval_and_a_cell_without_the_figure_is_blank(told):
    row = cell(told, "nll", protocol="finetune")
    assert (row["seeds"], row["nll_nats"]) == (1, 0.25)
    assert math.isnan(row["nll_low_nats"])
    row = cell(told, "nll", protocol="requery", target=28)
    assert row["seeds"] == 0
    assert math.isnan(row["nll_nats"])
    assert len(restool.results(told, "nll")) == len(restool.results(told))


def test_shares_are_in_percent_and_stay_within_it(tmp_path, write):
    for seed, share in enumerate((0.5, 0.98)):
        write(tmp_path, 0.5, seed=seed, target=32, protocol="requery", figures={"agreement": share})
    row = cell(tmp_path, "agreement", target=32)
    assert row["agreement_percent"] == pytest.approx(74)
    assert (row["agreement_low_percent"], row["agreement_high_percent"]) == (0, 100)


@pytest.mark.usefixtures("undrawn")
def test_the_table_shows_values_blanks_seeds_and_the_direction(told):
    files = write_report(told, "nll")
    text = (told / "nll-table.md").read_text()
    lines = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == ["source", "protocol", "at the source", "24 px", "32 px"]
    assert lines[2:] == [
        ["16 px", "before fine-tuning (requery)", "0.350 (0.000 to 0.985)"]
        + ["0.600 (0.000 to 1.871)", "1.350 (0.079 to 2.621)"],
        ["16 px", "before fine-tuning (resize)", "0.350 (0.000 to 0.985)", "2.000", "2.000"],
        ["16 px", "after fine-tuning (1 epoch)", "0.350 (0.000 to 0.985)", "", "0.250 [1 seed]"],
    ]
    assert "Mean negative log-likelihood in nats; 1000 test images, 1 to 2 seeds; lower is better." in text
    assert [path.name for path in files] == ["nll-table.md", "nll-table.csv"] + [
        f"nll-{kind}.{suffix}" for kind in ("heatmap", "lines") for suffix in ("png", "pdf")
    ]
    with (told / "nll-table.csv").open() as file:
        blank = [row["target"] for row in csv.DictReader(file) if row["nll_nats"] == ""]
    assert blank == ["28"]


@pytest.mark.usefixtures("undrawn")
def test_speed_comes_from_the_seconds_of_the_test_and_of_one_device(tmp_path, write):
    for seed in range(3):
        where = {"target": 32, "protocol": "requery", "seed": seed}
        write(tmp_path, 0.8, n=500, seconds=[2.0, 4.0, 0.01][seed], device=["cpu", "cpu", "gpu"][seed], **where)
    write(tmp_path, 0.8, n=500, seconds=0.0, target=28, protocol="requery")
    row = cell(tmp_path, "images_per_second", target=32)
    assert (row["seeds"], row["device"]) == (2, "cpu")
    assert row["images_per_second"] == pytest.approx((250 + 125) / 2)
    assert math.isnan(cell(tmp_path, "images_per_second", target=28)["images_per_second"])
    write_report(tmp_path, "images_per_second")
    assert "Measured on cpu." in (tmp_path / "images_per_second-table.md").read_text()


def test_the_heat_map_holds_values_and_is_dark_where_they_are_good(told):
    [group] = groups(told, "nll")
    figure = draw_map(group, MEASURES["nll"])
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts == ["0.600", "1.350", "2.000", "2.000", "0.250"]
    meshes = [mesh for ax in figure.axes if ax.texts for mesh in ax.collections]
    assert {(mesh.norm.vmin, mesh.norm.vmax) for mesh in meshes} == {(0.25, 2.0)}
    light = [float(np.mean(mesh.cmap(mesh.norm([0.25, 2.0]))[:, :3], axis=1) @ [-1, 1]) for mesh in meshes]
    assert min(light) > 0.3  # the worst is much lighter than the best
    assert figure.axes[-1].get_xlabel() == "lower is better"
    written = [text.get_text() for text in figure.texts]
    assert "trained at 16 px (value 0.350), 1000 test images, mean of 1 to 2 seeds" in written
    assert "Zero-shot: mean negative log-likelihood in nats" in written


def test_counts_are_told_with_letters_and_drawn_by_their_logarithm(told):
    [group] = groups(told, "flops_per_image")
    figure = draw_map(group, MEASURES["flops_per_image"])
    assert {text.get_text() for ax in figure.axes for text in ax.texts} == {"6 M", "8 M"}
    assert all(isinstance(mesh.norm, LogNorm) for ax in figure.axes if ax.texts for mesh in ax.collections)
    lines = draw_lines(group, MEASURES["flops_per_image"])
    assert lines.axes[0].get_yscale() == "log"
    [requery] = [line for line in lines.axes[0].get_lines() if line.get_label() == "requery"]
    assert list(requery.get_ydata()) == [6_000_000, 8_000_000]
    assert lines.axes[0].get_ylabel().replace("\n", " ") == "floating-point operations per image"
    told_counts = {0: "0", 0.25: "0.25", 999.4: "999", 999.6: "1 k", 12_345_678: "12.3 M", 4.1e9: "4.1 G", 2e13: "20 T"}
    assert {value: counted(value) for value in told_counts} == told_counts


def test_what_no_record_tells_is_refused_with_the_reason(told):
    before = {path.name for path in told.iterdir()}
    with pytest.raises(MissingDataError, match=r"tells memory; only tests on a GPU do$"):
        write_report(told, "memory")
    with pytest.raises(ArgumentError, match="must be one of accuracy, top5, nll, .*, but is 'loss'"):
        write_report(told, "loss")
    assert {path.name for path in told.iterdir()} == before


@pytest.mark.usefixtures("undrawn")
def test_records_without_figures_are_read_and_tell_their_speed(study):
    assert restool.results(study, "images_per_second")["images_per_second"].dropna().eq(1000).all()
    for name in set(METRICS) - {"accuracy", "images_per_second"}:
        assert not restool.results(study, name)["seeds"].any()
    assert not any(path.name.startswith("cost") for path in write_report(study))


@pytest.mark.parametrize("figures", [[1], {"nll_nats": "low"}])
def test_figures_that_are_no_numbers_are_named(tmp_path, write, figures):
    path = write(tmp_path, 0.9, figures={"nll_nats": 1.0})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"figures": figures}))
    with pytest.raises(DamagedError, match=r"must have figures that are numbers"):
        read_records(tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_a_metric_and_the_accuracy_leave_each_others_files(told):
    write_report(told)
    before = {path.name: path.read_bytes() for path in told.iterdir() if path.is_file()}
    write_report(told, "nll")
    (told / "nll-heatmap-old.png").write_bytes(b"")
    names = {path.name for path in write_report(told, "nll")}
    assert not (told / "nll-heatmap-old.png").exists()
    write_report(told)
    assert {
        path.name: path.read_bytes() for path in told.iterdir() if path.is_file() and path.name not in names
    } == before


@pytest.mark.usefixtures("undrawn")
def test_other_settings_have_a_map_of_their_own(told, write):
    write(told, 0.9, alias_penalty="gabor", target=32, protocol="requery", figures={"nll_nats": 0.5})
    write(told, 0.9, alias_penalty="spectral", target=32, protocol="requery")
    names = {path.name for path in write_report(told, "nll")}
    assert len([name for name in names if name.startswith("nll-heatmap-") and name.endswith(".png")]) == 2
    assert "spectral" not in (told / "nll-table.md").read_text()


def test_the_frame_has_the_rows_of_the_summary(told):
    records = read_records(told)
    summary, found = summarise(records), measured(records, MEASURES["ece"])
    keys = ["source", "protocol", "target", "finetune_epochs"]
    pd.testing.assert_frame_equal(found[keys], summary[keys])
