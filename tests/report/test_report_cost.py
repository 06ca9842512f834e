"""Accuracy against cost: every point, its size, and where the figure is shown."""

import pytest
from matplotlib.text import Annotation

from restool.report import curves, read_records, summarise, write_report
from restool.report.cost import COSTS, cost_rows, draw_cost
from restool.report.figures import as_files
from restool.report.groups import split
from restool.report.measure_frame import with_values

MEGA = 1_000_000


@pytest.fixture
def priced(tmp_path, write):
    """A source at 2 MFLOP, two protocols at three targets, and fine-tuning at one that is older and has no count."""
    write(tmp_path, 0.9, figures={"flops_per_image": 2 * MEGA}, seconds=0.5)
    for target, better in ((24, 0.92), (32, 0.94), (48, 0.7)):
        cost = {"flops_per_image": 2 * MEGA * target**2 // 16**2}
        write(tmp_path, better, target=target, protocol="requery", figures=cost, seconds=target / 32)
        cheap = {"flops_per_image": 2 * MEGA}
        write(tmp_path, 0.9, target=target, protocol="resize", figures=cheap, seconds=0.5)
    write(tmp_path, 0.95, target=32, protocol="finetune", finetune_epochs=1)
    return tmp_path


def groups(out):
    records = read_records(out)
    return with_values(split(summarise(records), curves(records)), records, COSTS)


def test_lines_go_through_cost_and_accuracy_in_the_order_of_sizes(priced):
    [group] = groups(priced)
    figure = draw_cost(group)
    flops, speed = figure.axes
    assert (flops.get_xscale(), speed.get_xscale()) == ("log", "log")
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in flops.get_lines()}
    assert drawn == {
        "requery": ([4.5 * MEGA, 8 * MEGA, 18 * MEGA], pytest.approx([92, 94, 70])),
        "resize": ([2 * MEGA] * 3, pytest.approx([90] * 3)),
        "at the source": ([2 * MEGA], pytest.approx([90])),
    }
    [requery] = [line for line in speed.get_lines() if line.get_label() == "requery"]
    assert list(requery.get_xdata()) == pytest.approx([1000 * 32 / 24, 1000, 1000 * 32 / 48])
    [tuned] = [line for line in speed.get_lines() if line.get_label() == "1 epoch"]
    assert list(tuned.get_xdata()) == [1000]  # its speed is known
    assert flops.get_xlabel() == "floating-point operations per image (lower is better)"
    assert speed.get_xlabel() == "images per second (higher is better)"


def test_points_bear_their_sizes_and_none_covers_another(priced):
    [group] = groups(priced)
    figure = draw_cost(group)
    figure.canvas.draw()
    for ax in figure.axes:
        labels = [text for text in ax.texts if isinstance(text, Annotation)]
        assert {text.get_text() for text in labels} >= {"24", "32", "48"}
        boxes = [text.get_window_extent() for text in labels]
        assert not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[:at])
        [line] = [line for line in ax.get_lines() if line.get_label() == "requery"]
        sizes = {tuple(place): size for place, size in zip(line.get_xydata(), ("24", "32", "48"), strict=True)}
        assert sizes.items() <= {text.xy: text.get_text() for text in labels}.items()
        points = [place for line in ax.get_lines() for place in ax.transData.transform(line.get_xydata())]
        assert not any(box.contains(*place) for box in boxes for place in points)


def test_the_numbers_hold_every_cost_that_is_known(priced):
    [group] = groups(priced)
    header, *body = cost_rows(group)
    assert header[3:] == ["percent", "floating-point operations per image", "images per second"]
    assert ["16 px", "source", "16 px", "90.0", "2 M", "2 k"] in body
    assert ["16 px", "requery", "48 px", "70.0", "18 M", "667"] in body
    assert len(body) == 7


def test_the_report_and_its_page_hold_the_figure(priced):
    names = {path.name for path in write_report(priced)}
    assert {"cost.png", "cost.pdf"} <= names
    page = (priced / "report.html").read_text()
    assert "Accuracy in percent against the operations and the speed of every target size" in page
    assert "<td>18 M</td>" in page
    [group] = groups(priced)
    assert as_files("cost", draw_cost(group))["cost.png"] == (priced / "cost.png").read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_the_figure_goes_with_the_records_that_had_the_numbers(priced, write):
    write_report(priced)
    assert (priced / "cost.png").exists()
    for path in (priced / "records").iterdir():
        path.unlink()
    write(priced, 0.9)
    write(priced, 0.8, target=32, protocol="requery")
    write_report(priced)
    assert not list(priced.glob("cost*"))


def test_every_source_has_its_row_and_many_are_thinned_out(tmp_path, write):
    for source in range(8, 17):
        write(tmp_path, 0.9, source=source, target=32, protocol="requery", figures={"flops_per_image": source * MEGA})
    [group] = groups(tmp_path)
    figure = draw_cost(group)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == [f"from {source} px" for source in (8, 11, 14) for _ in COSTS]
    assert "3 of 9 sources" in figure.get_suptitle()
