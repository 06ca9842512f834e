"""Curves of records: which records they are of, their numbers, and the lines that are drawn of them."""

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from restool.report import curves, read_records, summarise, write_report
from restool.report.groups import split
from restool.report.lines import draw_lines


def figures(out: Path) -> list[Figure | None]:
    records = read_records(out)
    return [draw_lines(group) for group in split(summarise(records), curves(records))]


def lines(figure: Figure) -> dict[str, tuple[list[float], list[float], str]]:
    """Of every panel: x, y and stroke by label."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()), str(line.get_linestyle()))
        for ax in figure.axes
        for line in ax.get_lines()
    }


@pytest.fixture
def falling(tmp_path, write) -> Path:
    """Two seeds; re-query loses 10, 20 and 40 points, and one seed has a fourth target; resize has one target."""
    for seed in range(2):
        write(tmp_path, 0.9, seed=seed)
        for target, accuracy in ((20, 0.8), (24, 0.7), (40, 0.5)):
            write(tmp_path, accuracy, seed=seed, target=target, protocol="requery")
        write(tmp_path, 0.9, seed=seed, target=40, protocol="resize")
    write(tmp_path, 0.95, target=48, protocol="finetune", finetune_epochs=1)
    write(tmp_path, 0.85, target=40, protocol="finetune", finetune_epochs=1)
    return tmp_path


def test_a_curve_in_one_number(falling):
    table = curves(read_records(falling)).set_index("protocol")
    row = table.loc["requery"]
    assert (row["targets"], row["curve_seeds"]) == (3, 2)
    # the trapezoidal rule on log2: 0.263 octaves from 20 to 24 px, 0.737 from there to 40
    assert row["area_points"] == pytest.approx(-(15 * 0.26303 + 30 * 0.73697), abs=1e-3)
    assert (row["worst_target"], row["worst_points"]) == (40, pytest.approx(-40))
    assert row["area_low_points"] < row["area_points"] < row["area_high_points"]
    assert row["rank_correlation"] == pytest.approx(-1)
    assert pd.isna(table.loc["resize", "rank_correlation"])
    assert table.loc["resize", "area_points"] == 0
    assert table.loc["finetune", "curve_seeds"] == 1


def test_a_curve_is_of_the_seeds_that_all_its_targets_have(falling, write):
    write(falling, 0.1, target=48, protocol="requery")
    row = curves(read_records(falling)).set_index("protocol").loc["requery"]
    assert (row["targets"], row["curve_seeds"], row["worst_target"]) == (4, 1, 48)


def test_without_its_source_there_is_no_curve(tmp_path, write):
    for target in (20, 24):
        write(tmp_path, 0.5, target=target, protocol="requery")
    assert len(curves(read_records(tmp_path))) == 0
    assert "curves.csv" not in {path.name for path in write_report(tmp_path)}


def test_the_report_holds_curves_as_text_csv_and_lines(falling):
    names = {path.name for path in write_report(falling)}
    assert {"curves.csv", "lines.png", "lines.pdf"} <= names
    text = (falling / "table.md").read_text()
    assert re.search(r"\| 16 px +\| requery +\| +3 \| -26.1 ± ", text)
    assert "-1.00 (-1.00 to -1.00)" in text
    assert pd.read_csv(falling / "curves.csv").set_index("protocol").loc["requery", "worst_points"] == -40


def test_lines_hold_the_accuracies_the_source_and_the_stroke_of_fine_tuning(falling):
    [figure] = figures(falling)
    found = lines(figure)
    assert found["requery"] == ([20, 24, 40], pytest.approx([80, 70, 50]), "-")
    assert found["1 epoch"] == ([40, 48], pytest.approx([85, 95]), "--")
    assert found["at the source"][1] == pytest.approx([90, 90])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "requery",
        "resize",
        "1 epoch",
        "at the source",
    ]


def test_bands_are_the_intervals(falling):
    [figure] = figures(falling)
    summary = summarise(read_records(falling))
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    at_24 = summary[(summary["protocol"] == "requery") & (summary["target"] == 24)].iloc[0]
    ends = sorted(y for x, y in band if x == 24)
    assert (ends[0], ends[-1]) == pytest.approx((at_24["accuracy_low_percent"], at_24["accuracy_high_percent"]))


def test_one_target_makes_no_line(tmp_path, write):
    write(tmp_path, 0.9)
    write(tmp_path, 0.8, target=32, protocol="requery")
    assert figures(tmp_path) == [None]


def test_of_many_sources_some_are_drawn_and_the_title_says_so(tmp_path, write):
    for source in range(8, 30):
        write(tmp_path, 0.9, source=source, target=source)
        for target in (32, 36):
            write(tmp_path, 0.8, source=source, target=target, protocol="requery")
    [figure] = figures(tmp_path)
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == [f"from {size} px" for size in range(8, 30, 3)]
    assert "8 of 22 sources" in figure.get_suptitle()
