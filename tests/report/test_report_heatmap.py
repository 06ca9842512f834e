"""Heat maps: what is written in the cells, their colours and the bytes of the files."""

import json
import random
from itertools import combinations, pairwise, product
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from restool.report import curves, read_records, summarise, write_report
from restool.report.groups import Group, split
from restool.report.heatmap import draw


def groups(out: Path) -> list[Group]:
    records = read_records(out)
    return split(summarise(records), curves(records))


def figures(out: Path) -> list[Figure | None]:
    return [draw(group) for group in groups(out)]


def panels(figure: Figure) -> list[tuple[str, dict[tuple[str, str], str]]]:
    """Title and texts of the cells, by row and column name, of every panel."""
    found = []
    for ax in figure.axes:
        if ax.texts:
            columns = [label.get_text() for label in ax.get_xticklabels()]
            rows = [label.get_text() for label in ax.get_yticklabels()]
            texts = {}
            for text in ax.texts:
                x, y = text.get_position()
                texts[rows[int(y)] if rows else str(int(y)), columns[int(x)]] = text.get_text().replace("−", "-")
            found.append((ax.get_title(), texts))
    return found


def scales(figure: Figure) -> list[tuple[float, float]]:
    return [
        (mesh.norm.vmin, mesh.norm.vmax)
        for ax in figure.axes
        if ax.texts
        for mesh in ax.collections
        if isinstance(mesh, QuadMesh)
    ]


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_one_source_is_one_map_of_protocols_and_targets(study):
    figure = figures(study)[1]
    assert panels(figure) == [
        ("", {("requery", "28 px"): "(-8.0)", ("requery", "32 px"): "(-9.0)", ("resize", "32 px"): "(+0.0)"}),
        ("", {("10 epochs", "32 px"): "(+1.5)"}),
    ]
    assert labels(figure) == [
        "flexnet-3 on gabors, no aliasing penalty, 8 epochs",
        "trained at 16 px (accuracy 91.0 %), 1000 test images, mean of 2 seeds",
        "Zero-shot: accuracy at the target minus accuracy at the source",
        "After fine-tuning at the target",
        "In brackets: not significant, p at least 0.05 after Holm's correction for",
        "all cells. Grey: not measured.",
    ]
    assert [ax.get_xlabel() for ax in figure.axes if not ax.texts] == ["percentage points vs source accuracy"]


def test_brackets_hold_what_is_not_significant(tmp_path, write):
    write(tmp_path, 0.9)
    for target, lost in ((28, 5), (32, 9)):  # of 1000 images, none gained: p is 1/16 and 1/256, twice that after Holm
        write(tmp_path, 0.9 - lost / 1000, target=target, protocol="requery")
    [figure] = figures(tmp_path)
    assert panels(figure) == [("", {("requery", "28 px"): "(-0.5)", ("requery", "32 px"): "-0.9"})]
    assert not any("Grey" in text for text in labels(figure))


def test_rows_tell_the_source_where_each_has_its_own(tmp_path, write):
    """As the sweeps of a study may."""
    for source, protocol, accuracy in ((16, "requery", 0.7), (20, "resize", 0.78)):
        write(tmp_path, 0.8, source=source, target=source)
        write(tmp_path, accuracy, source=source, target=32, protocol=protocol)
    [figure] = figures(tmp_path)
    rows = {("requery, from 16 px (80.0 %)", "32 px"): "-10.0", ("resize, from 20 px (80.0 %)", "32 px"): "-2.0"}
    assert panels(figure) == [("", rows)]
    assert any(label.startswith("rows tell the source resolution, ") for label in labels(figure))


def test_each_of_many_protocols_has_its_numbers(tmp_path, write):
    write(tmp_path, 0.8, source=16, target=16)
    names = [f"bn-recalibrate@{count}" for count in range(100, 140)]
    for place, name in enumerate(names):
        write(tmp_path, 0.7 - place / 1000, source=16, target=32, protocol=name)
    [figure] = figures(tmp_path)
    [(_, texts)] = panels(figure)
    assert texts == {(name, "32 px"): f"-{10 + place / 10:.1f}" for place, name in enumerate(names)}


def test_several_sources_are_a_panel_per_protocol_on_one_centred_scale(tmp_path, write):
    numbers = random.Random(0)
    expected: dict[str, dict[tuple[str, str], str]] = {"requery": {}, "bandlimit": {}}
    for source in (8, 16):
        write(tmp_path, 0.9, source=source, target=source)
        for protocol, target in product(expected, (24, 32)):
            drop = round(numbers.uniform(0, 0.1), 3)
            write(tmp_path, 0.9 - drop, source=source, target=target, protocol=protocol)
            row = f"{source} px (90.0 %)" if protocol == "requery" else str([8, 16].index(source))
            expected[protocol][row, f"{target} px"] = f"{-100 * drop:+.1f}"
    [figure] = figures(tmp_path)
    assert dict(panels(figure)) == expected
    limits = set(scales(figure))
    assert len(limits) == 1
    [(low, high)] = limits
    assert low == -high


def test_a_missing_cell_is_blank(study):
    figure = figures(study)[0]
    [(_, texts)] = panels(figure)
    assert texts == {
        ("16 px (90.0 %)", "32 px"): "-1.2",
        ("20 px (90.0 %)", "28 px"): "(+0.5)",
        ("20 px (90.0 %)", "32 px"): "-1.2",
    }


def colours(figure: Figure) -> dict[str, tuple[float, ...]]:
    """Of the cells, by their texts."""
    found = {}
    for ax in figure.axes:
        for mesh in (mesh for mesh in ax.collections if ax.texts and isinstance(mesh, QuadMesh)):
            shown = mesh.get_facecolor()[~np.isnan(np.ma.filled(mesh.get_array(), np.nan).ravel())]
            found |= {text.get_text().strip("()"): tuple(colour) for text, colour in zip(ax.texts, shown, strict=True)}
    return found


def test_a_protocol_at_chance_does_not_hide_the_others(tmp_path, write):
    write(tmp_path, 0.9)
    for target, accuracy in ((24, 0.29), (28, 0.66), (32, 0.89), (36, 0.9)):
        write(tmp_path, accuracy, target=target, protocol="requery")
    [figure] = figures(tmp_path)
    assert scales(figure) == [(-64, 64)]
    found = colours(figure)
    shades = [
        np.array(found[text]) for text in ("\N{MINUS SIGN}61.0", "\N{MINUS SIGN}24.0", "\N{MINUS SIGN}1.0", "+0.0")
    ]
    assert all(np.abs(one - other).max() > 0.1 for one, other in pairwise(shades))


def test_the_accuracy_after_fine_tuning_is_compared_on_the_scale_of_the_others(study):
    before, after = scales(figures(study)[1])
    assert before == after == (-12, 12)


def test_a_source_alone_has_no_heat_map(tmp_path, write):
    write(tmp_path, 0.9)
    assert figures(tmp_path) == [None]
    assert [path.name for path in write_report(tmp_path)] == ["table.md", "table.csv", "table.tex", "report.html"]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in write_report(out)}


def test_report_is_a_pure_function_of_cells_and_results(study, tmp_path_factory):
    first = contents(study)
    other = tmp_path_factory.mktemp("other")
    (other / "records").mkdir()
    for number, path in enumerate(sorted((study / "records").iterdir(), reverse=True)):
        record = json.loads(path.read_text())
        record |= {"timing": {"train_seconds": number}, "environment": {"device": "cuda:7", "host": f"node{number}"}}
        record["cell"] = dict(sorted(record["cell"].items(), reverse=True))
        (other / "records" / path.name).write_text(json.dumps(record, indent=2))
    pages = first.pop("report.html"), (again := contents(other)).pop("report.html")
    assert again == first
    assert pages[0] != pages[1]  # the page tells the devices too
    kinds = {name.split("-")[0].split(".")[0] for name in first}
    assert kinds == {"table", "curves", "heatmap", "lines"}


def test_matplotlib_settings_of_the_user_do_not_change_the_figure(pair):
    first = contents(pair)
    with matplotlib.rc_context({"font.size": 20, "figure.facecolor": "black", "pdf.fonttype": 3}):
        assert contents(pair) == first


def test_heat_maps_of_settings_without_records_are_removed(study, write):
    kept = study / "heatmap-of-mine.txt"
    kept.write_text("not ours")
    before = {path.name for path in write_report(study)}
    stale = {name for name in before if name.startswith(("heatmap-", "lines-"))}
    assert len(stale) == 8  # of two settings
    for path in (study / "records").iterdir():
        if json.loads(path.read_text())["cell"]["alias_penalty"] != "none":
            path.unlink()
    after = {path.name for path in write_report(study)}
    figures = {f"{kind}.{suffix}" for kind in ("heatmap", "lines") for suffix in ("png", "pdf")}
    assert after == {"table.md", "table.csv", "table.tex", "curves.csv", "report.html"} | figures
    assert {path.name for path in study.iterdir()} == after | {"records", kept.name}


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(pair, monkeypatch):
    before = contents(pair)

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(pair)
    assert {path.name: path.read_bytes() for path in pair.iterdir() if path.is_file()} == before


def test_figure_files_hold_no_date(pair):
    files = contents(pair)
    assert b"CreationDate" not in files["heatmap.pdf"]
    assert b"Software" not in files["heatmap.png"]


def test_a_data_set_named_like_a_formula_is_drawn_as_text(tmp_path, write):
    write(tmp_path, 0.9, dataset=r"folder:$a_{b$")
    write(tmp_path, 0.8, dataset=r"folder:$a_{b$", target=32, protocol="requery")
    assert (tmp_path / "heatmap.png") in write_report(tmp_path)


def test_names_of_headings_that_spell_alike_stay_different(tmp_path, write):
    for dataset in ("folder:a/b", "folder:a-b"):
        write(tmp_path, 0.9, dataset=dataset)
        write(tmp_path, 0.8, dataset=dataset, target=32, protocol="requery")
    names = [path.name for path in write_report(tmp_path) if path.suffix == ".png"]
    assert names == [
        "heatmap-flexnet-3-on-folder-a-b-no-aliasing-penalty-8-epochs.png",
        "heatmap-flexnet-3-on-folder-a-b-no-aliasing-penalty-8-epochs-2.png",
    ]


def test_a_matrix_of_many_sizes_is_an_image_with_ticks(tmp_path, write):
    sizes = range(8, 38)
    for source in sizes:
        write(tmp_path, 0.9, source=source, target=source)
        for target in sizes:
            if target != source:
                write(tmp_path, 0.9 - abs(target - source) / 100, source=source, target=target, protocol="requery")
    [figure] = figures(tmp_path)
    ax = next(ax for ax in figure.axes if ax.get_title() == "requery")
    assert len(ax.texts) == 0
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["8 px", "15 px"]
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["8 px (90.0 %)", "11 px (90.0 %)"]
    [mesh] = [mesh for mesh in ax.collections if isinstance(mesh, QuadMesh)]
    values = np.ma.filled(mesh.get_array(), np.nan).reshape(30, 30)
    assert values[3, 10] == pytest.approx(-7)
    assert np.isnan(values.diagonal()).all()
    assert max(figure.get_size_inches()) < 6
    assert not any(text.startswith("In brackets") for text in labels(figure))


def test_titles_and_labels_of_narrow_panels_do_not_run_into_each_other(tmp_path, write):
    for source in (16, 20):
        write(tmp_path, 0.9, source=source, target=source)
        for protocol in ("requery", "as-is", "bn-recalibrate", "bandlimit+soften+bn-recalibrate"):
            write(tmp_path, 0.8, source=source, target=32, protocol=protocol)
    [figure] = figures(tmp_path)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    texts = [text for ax in figure.axes for text in (ax.title, ax.xaxis.label) if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in texts]
    assert len(boxes) == 8
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
