"""Names may hold any letter and any sign: figures are drawn, and what their font lacks is told in one line."""

import io

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from restool.report import figures, write_report
from restool.report.figures import label_powers, render, styled
from restool.report.training import draw, table

NAMES = ["モデル:作る", "$\\bad$ and $y$", "${", "a_{b}^c", "क्षेत्र", "\N{GRINNING FACE}", "x\u200by"]


@pytest.fixture(autouse=True)
def _untold():
    figures._tell_boxes.cache_clear()


def told(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_of_any_name_is_drawn_and_tells_boxes_once(tmp_path, write, capsys, name):
    for target in (16, 28, 32):
        write(tmp_path, 0.7, model=name, target=target, **({} if target == 16 else {"protocol": "requery"}))
    files = write_report(tmp_path)
    assert {"heatmap.png", "lines.pdf"} <= {file.name for file in files}
    lacking = name in ("モデル:作る", "क्षेत्र")
    assert len(told(capsys)) == lacking
    assert name in (tmp_path / "table.csv").read_text()


def test_plain_names_tell_nothing_and_others_the_font(capsys):
    histories = {"é, ж, λ": [{"loss": 0.5}, {"loss": 0.05}]}
    render(draw(histories, table(histories)), "svg")
    assert told(capsys) == []
    histories = {"模型": [{"loss": 0.5}, {"loss": 0.05}]}
    for _ in range(2):
        render(draw(histories, table(histories)), "svg")
    assert told(capsys) == ["restool: figures have boxes for letters that DejaVu Sans lacks; tables have the letters"]


def test_powers_of_ten_are_labelled_without_mathematics():
    with styled():
        figure, ax = plt.subplots()
        ax.set(yscale="log", ylim=(0.5e-2, 200))
        label_powers(ax.yaxis)
        figure.draw_without_rendering()
        labels = {text.get_text() for text in ax.get_yticklabels()}
        plt.close(figure)
    assert {"10⁻²", "10⁰", "10²"} <= labels


def test_a_figure_of_such_names_has_a_picture():
    histories = {name: [{"loss": 0.5}, {"loss": 0.05}] for name in NAMES}
    picture = Image.open(io.BytesIO(render(draw(histories, table(histories)), "png")))
    assert picture.convert("L").getextrema()[0] < 128
