"""Grids of many sizes: figures and tables that a person reads, and a CSV file with everything."""

import re
from itertools import combinations, product

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.text import Annotation

from restool.report import curves, read_records, summarise, write_report
from restool.report.cost import COSTS, draw_cost
from restool.report.frame import PROTOCOLS
from restool.report.groups import FEW, MOST, Group, split, thinned
from restool.report.heatmap import draw
from restool.report.measure_frame import with_values

SOURCES, TARGETS = range(8, 38), range(10, 70, 2)


@pytest.fixture
def large(tmp_path, write):
    """Thirty sources and thirty targets; a cell gains what its place says, so that all differ."""
    for source in SOURCES:
        write(tmp_path, 0.5, source=source, target=source, figures={"flops_per_image": 1e6 * source**2})
        for target in TARGETS:
            share = (500 + gain(source, target)) / 1000
            figures = {"flops_per_image": 1e6 * target**2}
            write(tmp_path, share, source=source, target=target, protocol="requery", figures=figures)
    return tmp_path


def gain(source: int, target: int) -> int:
    """Of 1000 images."""
    return 4 * (target - 40) + (source - 20)


def group_of(out) -> Group:
    records = read_records(out)
    [group] = with_values(split(summarise(records), curves(records)), records, COSTS)
    return group


def test_many_values_become_few_from_the_first_one_on():
    for count in range(1, 400):
        found = thinned(range(count))
        assert found[0] == 0
        assert len({b - a for a, b in zip(found, found[1:], strict=False)}) <= 1
        assert len(found) == count if count <= MOST else FEW / 2 < len(found) <= FEW


def test_every_cell_of_the_image_has_the_colour_of_its_value_and_every_tick_the_name_of_its_place(large):
    figure = draw(group_of(large))
    ax, bar = next(ax for ax in figure.axes if ax.get_title() == "requery"), figure.axes[-1]
    [mesh] = [mesh for mesh in ax.collections if isinstance(mesh, QuadMesh)]
    expected = np.array([[gain(source, target) / 10 for target in TARGETS] for source in SOURCES])
    figure.draw_without_rendering()
    limit = mesh.norm.vmax
    depth = (np.sign(expected) * np.sqrt(np.abs(expected) / limit) + 1) / 2  # the root of the difference
    colours = matplotlib.colormaps["RdBu"](depth)
    assert mesh.get_facecolor().reshape(colours.shape) == pytest.approx(colours, abs=0.02)
    assert bar.get_xlim() == (-limit, limit)
    assert mesh.get_rasterized()
    assert not ax.texts
    for axis, names in (
        (ax.xaxis, [f"{target} px" for target in TARGETS]),
        (ax.yaxis, [f"{source} px (50.0 %)" for source in SOURCES]),
    ):
        ticks = {
            place - 0.5: label.get_text()
            for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
        }
        assert 4 < len(ticks) <= FEW
        assert ticks == {place: names[int(place)] for place in ticks}
    texts = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert not any(one.overlaps(other) for one, other in zip(texts, texts[1:], strict=False))


@pytest.mark.usefixtures("undrawn")
def test_tables_hold_a_few_sizes_and_the_csv_file_all(large):
    write_report(large)
    text, cells = (large / "table.md").read_text(), pd.read_csv(large / "table.csv")
    assert len(cells) == 30 * 30 + 30
    assert "Shown are 10 of 30 sources and 10 of 30 targets; the CSV file has all." in text
    lines = [[word.strip() for word in line.split("|")[1:-1]] for line in text.splitlines() if " px " in line]
    header = next(line for line in lines if "source accuracy" in line)
    rows = [line for line in lines if len(line) == len(header) and line is not header]
    assert header[3:] == [f"{target} px" for target in TARGETS[::3]]
    assert [row[0] for row in rows] == [f"{source} px" for source in SOURCES[::3]]
    for row in rows:
        source = int(row[0].removesuffix(" px"))
        shown = [float(re.match(r"[\d.]+", told).group()) for told in row[3:]]
        assert shown == [50 + gain(source, target) / 10 for target in TARGETS[::3]]
    page = (large / "report.html").read_text()
    assert len(re.findall("<tr>", page)) < 400  # the tables of three figures, and those below


def test_points_of_many_targets_bear_a_few_sizes(large):
    figure = draw_cost(group_of(large))
    for ax in figure.axes:
        shown = {int(text.get_text()) for text in ax.texts if isinstance(text, Annotation)}
        assert shown
        assert shown <= set(TARGETS[::3])


def test_few_rows_beside_many_columns_keep_their_names_and_heights(tmp_path, write):
    protocols = ["requery", "bandlimit", "as-is", "resize"]
    write(tmp_path, 0.5)
    for target, protocol in product(TARGETS, protocols):
        write(tmp_path, 0.4, target=target, protocol=protocol)
    figure = draw(group_of(tmp_path))
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == protocols
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in (*ax.get_yticklabels(), *ax.get_xticklabels())]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_many_rows_that_are_words_are_all_named_beside_few_columns(tmp_path, write):
    write(tmp_path, 0.5)
    protocols = [*PROTOCOLS[1:], *(f"requery+soften, crop ratio 0.{number}" for number in range(1, 10))]
    assert len(protocols) > MOST
    for target, protocol in product((8, 32), protocols):
        name, _, view = protocol.partition(", crop ratio ")
        write(tmp_path, 0.4, target=target, protocol=name, **({"test_crop_ratio": float(view)} if view else {}))
    figure = draw(group_of(tmp_path))
    ax = figure.axes[0]
    assert sorted(label.get_text() for label in ax.get_yticklabels()) == sorted(protocols)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8 px", "32 px"]
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in (*ax.get_yticklabels(), *ax.get_xticklabels())]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_few_sizes_stay_as_they_are(pair):
    group = group_of(pair)
    assert group.thinned is group
    assert group.left_out == ""
