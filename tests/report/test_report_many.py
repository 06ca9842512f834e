"""Folders of many settings: one figure of all of them, and a list of the numbers by which it calls them."""

import re
from itertools import product

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from restool.report import curves, read_records, summarise, write_report
from restool.report.groups import MANY, MOST, split
from restool.report.heatmap import draw_all
from restool.report.measure_frame import with_measure
from restool.report.measure_map import draw_all_maps
from restool.report.measures import MEASURES

TARGETS = (24, 28, 32)
FEW_MORE, MANY_MORE = MANY + 1, MOST + 5


def lost(setting: int, protocol: str, target: int) -> int:
    """Of 1000 images; every cell another number."""
    return 3 * setting + (target - 20) // 4 + (100 if protocol == "resize" else 0)


def write_settings(out, write, settings: int) -> None:
    for setting in range(settings):
        told = {"learning_rate": 0.001 * (setting + 1), "figures": {"nll_nats": 0.5}}
        write(out, 0.9, **told)
        for protocol, target in product(("requery", "resize"), TARGETS):
            if (setting, protocol, target) != (2, "requery", 28):
                figures = {"nll_nats": lost(setting, protocol, target) / 100}
                accuracy = (900 - lost(setting, protocol, target)) / 1000
                write(out, accuracy, target=target, protocol=protocol, **told | {"figures": figures})


def groups_of(out):
    records = read_records(out)
    return split(summarise(records), curves(records)), records


def panels(figure) -> dict[str, np.ndarray]:
    """What the cells of every panel are coloured by."""
    return {
        ax.get_title(): np.ma.filled(mesh.get_array(), np.nan)
        for ax in figure.axes
        for mesh in ax.collections
        if isinstance(mesh, QuadMesh) and ax.get_title()
    }


@pytest.mark.parametrize("settings", [FEW_MORE, MANY_MORE])
def test_the_figure_has_a_row_for_every_setting_and_a_panel_for_every_protocol(tmp_path, write, settings):
    write_settings(tmp_path, write, settings)
    groups, records = groups_of(tmp_path)
    assert all(f"learning rate {0.001 * (n + 1)}" in group.heading for n, group in enumerate(groups))
    measured = MEASURES["nll"]
    figure, other = draw_all(groups), draw_all_maps(with_measure(groups, records, measured), measured)
    for protocol in ("requery", "resize"):
        expected = np.array([[lost(s, protocol, target) for target in TARGETS] for s in range(settings)], dtype=float)
        if protocol == "requery":
            expected[2, 1] = np.nan
        found = panels(figure)[f"{protocol} from 16 px"]
        assert found.reshape(expected.shape) == pytest.approx(-expected / 10, nan_ok=True)
        assert panels(other)[f"{protocol} from 16 px"].reshape(expected.shape) == pytest.approx(
            expected / 100, nan_ok=True
        )
    ax = figure.axes[0]
    assert ax.get_ylabel() == "setting"
    ticks = {place - 0.5: label.get_text() for place, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert ticks == {place: str(int(place) + 1) for place in ticks}
    assert len(ticks) == (settings if settings <= MOST else 10)
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert len(texts) == (3 * settings - 1 if settings <= MOST else 0)
    assert not texts or texts[2.5, 5.5] == f"\N{MINUS SIGN}{lost(5, 'requery', 32) / 10}"


def test_rows_of_several_models_are_called_by_them_too(tmp_path, write):
    models = [f"model-{letter}" for letter in "abcdefghijklmnop"[:MANY]] + ["torchvision:a_long_name"]
    for place, model in enumerate(models):
        write(tmp_path, 0.9, model=model)
        write(tmp_path, (800 - 10 * place) / 1000, model=model, target=32, protocol="requery")
    figure = draw_all(groups_of(tmp_path)[0])
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == [*(f"{model}  {n}" for n, model in enumerate(models[:-1], 1)), f"torchvision:a_lon…  {len(models)}"]
    assert panels(figure)["requery from 16 px"].ravel() == pytest.approx([-10 - place for place in range(len(models))])


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_many_settings_has_one_figure_and_lists_their_numbers_first(tmp_path, write):
    write_settings(tmp_path, write, MANY)
    names = {path.name for path in write_report(tmp_path)}
    assert len([name for name in names if name.startswith("heatmap-") and name.endswith(".png")]) == MANY
    assert not re.search(r"^\d+\. ", (tmp_path / "table.md").read_text(), re.MULTILINE)
    write_settings(tmp_path, write, MANY + 1)
    figures = {path.name for path in write_report(tmp_path) if path.suffix in (".png", ".pdf")}
    assert figures == {"heatmap.png", "heatmap.pdf"}
    assert {path.name for path in tmp_path.glob("*.p*")} == figures
    text = (tmp_path / "table.md").read_text()
    listed = re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE)
    assert listed == re.findall(r"^## (\d+)\. (.*)$", text, re.MULTILINE)
    assert [number for number, _ in listed] == [str(number) for number in range(1, MANY + 2)]
    page = (tmp_path / "report.html").read_text()
    assert page.index("</nav>") < page.index("<figure>") < page.index('<h2 class="section"')
    assert page.count("<figure>") == 1
    assert [heading for _, heading in listed] == re.findall(r'<li><a href="#c1s\d+">(.*)</a>', page)[:-1]
    assert {path.name for path in write_report(tmp_path, "nll")} == {
        f"nll-{name}" for name in ("table.md", "table.csv", "heatmap.png", "heatmap.pdf")
    }


def test_settings_of_other_data_have_a_map_of_their_own_and_many_panels_are_few(tmp_path, write):
    for dataset, protocol in product(("gabors", "cifar10"), ("requery", "resize")):
        for source in range(8, 24):
            write(tmp_path, 0.9, source=source, target=source, dataset=dataset)
            write(tmp_path, 0.8, source=source, target=32, protocol=protocol, dataset=dataset)
    figure = draw_all(groups_of(tmp_path)[0])
    titles = [text.get_text() for text in figure.texts]
    assert titles[2:4] == ["cifar10: 8 of 32 sources and protocols", "gabors: 8 of 32 sources and protocols"]
    assert len(panels(figure)) == 8


def test_settings_without_targets_have_no_figure(tmp_path, write):
    for setting in range(MANY + 1):
        write(tmp_path, 0.9, learning_rate=0.001 * (setting + 1))
    assert draw_all(groups_of(tmp_path)[0]) is None
    assert [path.name for path in write_report(tmp_path)] == ["table.md", "table.csv", "table.tex", "report.html"]
