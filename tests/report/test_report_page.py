"""The page of a folder: complete, well-formed, alone, and safe from what users call things."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from restool.errors import MissingDataError
from restool.report import curves, read_records, summarise, write_page, write_report, write_reports
from restool.report.groups import split
from restool.report.tables import CURVES, caption, curve_rows, rows

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Elements of a page, closed in the order in which they were opened, and the texts of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(out: Path) -> Page:
    write_report(out)
    return Page((out / "report.html").read_text("utf-8"))


def test_the_page_holds_every_table_of_the_report(study):
    page = page_of(study)
    records = read_records(study)
    for group in split(summarise(records), curves(records)):
        assert rows(group) in page.tables
        assert group.heading in page.text
        assert " ".join(caption(group).split()) in " ".join(page.text.split())
        if (group.curves["targets"] > 1).any():
            assert curve_rows(group.curves) in page.tables
            assert CURVES in page.text


def test_every_figure_is_there_as_a_picture_with_words_and_as_numbers(study):
    page = page_of(study)
    pictures = [each for each in page.having("div") if each.get("role") == "img"]
    assert len(pictures) == len(page.having("svg")) == 4  # a heat map and lines for each of two settings
    assert all(len(str(each["aria-label"])) > 20 for each in pictures)
    numbers = [table for table in page.tables if table[0][:3] == ["source", "protocol", "target"]]
    assert len(numbers) == 4
    cells = {(row[0], row[1], row[2]): row[3:] for table in numbers if "points" in table[0] for row in table[1:]}
    summary = summarise(read_records(study))
    shown = summary[(summary["protocol"] == "resize") & (summary["target"] == 32)].iloc[0]
    told = [f"{shown[name]:+z.1f}" for name in ("difference_points", "difference_low_points", "difference_high_points")]
    assert cells["16 px", "resize", "32 px"] == [*told, "1000", "2"]


def test_the_page_needs_no_network_and_no_script(study):
    page = page_of(study)
    assert page.having("script") == page.having("link") == page.having("img") == page.having("iframe") == []
    for _, attributes in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "data", "action"):
                assert str(value).startswith(("#", "data:image/png;base64,")), (name, value)
            assert not name.startswith("on")


def test_contents_point_at_sections(study):
    page = page_of(study)
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [str(each["href"]).removeprefix("#") for each in page.having("a")]
    assert links == ["c1s1", "c1s2", "c1s3"]
    assert set(links) <= targets


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\nb", 'x" onload="y', "a|b & c", "--><svg onload=z>"])
def test_what_users_call_things_is_text(tmp_path, write, name):
    write(tmp_path, 0.9, dataset=name)
    for target in (28, 32):
        write(tmp_path, 0.8, target=target, protocol="requery", dataset=name)
    page = page_of(tmp_path)
    assert page.having("script") == []
    assert not any(attribute.startswith("on") for _, attributes in page.elements for attribute in attributes)
    assert " ".join(name.split()) in " ".join(page.text.split())
    headings = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("## ")]
    assert len(headings) == 1
    assert "<" not in headings[0].replace("\\<", "")


def test_provenance_counts_the_records_of_every_machine(study):
    path = next((study / "records").iterdir())
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"environment": {"restool": "0.2.0", "device": "cuda"}}))
    [table] = [table for table in page_of(study).tables if table[0][0] == "what"]
    of = {(row[0], row[1]): row[2] for row in table[1:]}
    total = len(list((study / "records").iterdir()))
    assert (of["device", "cuda"], of["device", "cpu"]) == ("1", str(total - 1))
    assert of["restool", "0.2.0"] == "1"


def test_equal_records_give_an_equal_page_of_a_size_to_send(study):
    write_report(study)
    first = (study / "report.html").read_bytes()
    write_report(study)
    assert (study / "report.html").read_bytes() == first
    assert len(first) < 1_000_000


@pytest.mark.parametrize("metric", ["accuracy", "images_per_second"])
def test_reports_of_several_folders_are_written_if_all_can_be(undrawn, pair, tmp_path_factory, metric):
    gone = tmp_path_factory.mktemp("gone")
    with pytest.raises(MissingDataError, match="^no records in "):
        write_reports([pair, gone], metric)
    assert [path.name for path in pair.iterdir()] == ["records"]
    assert write_reports([pair], metric) == write_report(pair, metric)


def test_no_report_is_written_where_the_page_of_all_cannot_be(undrawn, pair):
    (pair / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_page([pair], pair / "folder")
    assert sorted(path.name for path in pair.iterdir()) == ["folder", "records"]
