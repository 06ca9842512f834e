"""Tables: the committed pages, units, blanks and what LaTeX needs escaped."""

import csv
from pathlib import Path

import pytest

from restool.report import curves, read_records, summarise, tables, write_report
from restool.report.groups import Group, points, split
from restool.report.tables import escape, markdown, rows

GOLDEN = Path(__file__).parent / "golden"


def groups(out: Path) -> list[Group]:
    records = read_records(out)
    return split(summarise(records), curves(records))


def parse(out: Path) -> list[dict[str, str]]:
    """The CSV as Python's own reader sees it."""
    return list(csv.DictReader(tables.csv(summarise(read_records(out))).splitlines()))


def test_tables_equal_the_committed_ones(study):
    written = [path for path in write_report(study) if path.name.startswith("table.")]
    assert {path.name for path in written} == {path.name for path in GOLDEN.iterdir()}
    for path in written:
        assert path.read_text("utf-8") == (GOLDEN / path.name).read_text("utf-8")


def test_table_holds_percent_points_intervals_and_marks(study):
    gabor, none = groups(study)
    assert rows(gabor) == [
        ["source", "protocol", "source accuracy", "28 px", "32 px"],
        ["16 px", "requery", "90.0 ± 1.9", "", "88.8 ± 2.0 (-1.2 ± 0.7)"],
        ["20 px", "requery", "90.0 ± 1.9", "90.5 ± 1.8 (+0.5 ± 0.5 n.s.)", "88.8 ± 2.0 (-1.2 ± 0.7)"],
    ]
    assert rows(none) == [
        ["source", "protocol", "source accuracy", "28 px", "32 px"],
        [
            "16 px",
            "before fine-tuning (requery)",
            "91.0 ± 13.4",
            "83.0 ± 23.5 (-8.0 ± 12.7 n.s.)",
            "82.0 ± 23.3 (-9.0 ± 12.7 n.s.)",
        ],
        ["16 px", "before fine-tuning (resize)", "91.0 ± 13.4", "", "91.0 ± 13.4 (+0.0 ± 0.2 n.s.)"],
        ["16 px", "after fine-tuning (10 epochs)", "91.0 ± 13.4", "", "92.5 ± 6.6 (+1.5 ± 6.4 n.s.)"],
    ]


def test_a_cell_with_fewer_seeds_than_its_source_says_so(tmp_path, write):
    for seed in range(2):
        write(tmp_path, 0.9, seed=seed)
    write(tmp_path, 0.8, target=32, protocol="requery")
    [group] = groups(tmp_path)
    assert rows(group)[1][-1] == "80.0 ± 2.5 (-10.0 ± 1.9) [1 seed]"


def test_csv_is_in_percent_and_points_with_plain_numbers(study):
    [row] = [row for row in parse(study) if row["protocol"] == "finetune"]
    assert row["limit"] == ""
    assert [row[name] for name in ("source", "target", "seeds", "n", "finetune_epochs")] == [
        "16",
        "32",
        "2",
        "1000",
        "10",
    ]
    assert row["learning_rate"] == "0.01"
    assert float(row["accuracy_percent"]) == 92.5
    assert float(row["difference_points"]) == 1.5
    assert float(row["difference_seed_error_points"]) == 0.5  # differences 2.0 and 1.0
    assert float(row["accuracy_seed_error_points"]) == 0.5


def test_csv_keeps_the_digits_of_a_small_p(tmp_path, write):
    write(tmp_path, 0.9)
    write(tmp_path, 0.8, target=32, protocol="requery")
    assert float(parse(tmp_path)[1]["p"]) == pytest.approx(2 * 0.5**100, rel=1e-5)


def test_small_settings_and_integers_beside_nothing_keep_their_digits(tmp_path, write):
    write(tmp_path, 0.9, learning_rate=1e-9)
    write(tmp_path, 0.9, limit=500)
    found = {(float(row["learning_rate"]), row["limit"]) for row in parse(tmp_path)}
    assert found == {(1e-9, ""), (0.01, "500")}


def test_a_difference_has_its_sign_and_no_negative_zero():
    assert [points(value) for value in (-4.24, 0.26, -0.04, 0.0)] == ["-4.2", "+0.3", "+0.0", "+0.0"]


def test_headings_tell_groups_apart_by_what_differs(tmp_path, write):
    for rate in (0.01, 0.02):
        write(tmp_path, 0.9, learning_rate=rate, limit=500, epochs=1)
    text = markdown(groups(tmp_path))
    for rate in (0.01, 0.02):
        assert (
            f"## flexnet-3 on gabors, no aliasing penalty, 1 epoch, limited to 500 images, learning rate {rate}\n"
            in text
        )
    assert text.count("Settings: batch size 64, data 0123456789ab.") == 2


def test_a_source_alone_is_told_in_words(tmp_path, write):
    write(tmp_path, 0.9)
    text = markdown(groups(tmp_path))
    assert "Accuracy in percent on 1000 test images, 1 seed: 90.0 ± 1.9 at 16 px. No other resolution" in text
    assert "|" not in text


def test_fine_tuning_settings_are_part_of_the_row_label(tmp_path, write):
    write(tmp_path, 0.9, finetune_learning_rate=None)
    for rate in (0.001, 0.002):
        tuned = {"protocol": "finetune", "finetune_epochs": 1, "finetune_learning_rate": rate}
        write(tmp_path, 0.95, target=32, **tuned)
    [group] = groups(tmp_path)
    assert [row[1:] for row in rows(group)[1:]] == [
        [f"after fine-tuning (1 epoch, learning rate {rate})", "90.0 ± 1.9", "95.0 ± 1.4 (+5.0 ± 1.4)"]
        for rate in (0.001, 0.002)
    ]


def test_latex_prints_every_special_character():
    assert escape("100% of my_set & #1 {a} $5 ~x^2\\y") == (
        r"100\% of my\_set \& \#1 \{a\} \$5 \textasciitilde{}x\textasciicircum{}2\textbackslash{}y"
    )
    assert escape("71.4 ± 0.5 (-4.2)") == r"71.4 $\pm$ 0.5 ($-$4.2)"
