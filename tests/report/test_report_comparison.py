"""Comparing two results: which cells are one, what is said of their difference, and what cannot be compared."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from restool.errors import MissingDataError, UsageError
from restool.report import compare, parse_sides
from restool.report.comparison import BelowError, Comparison


def found(first: str, second: str) -> Comparison:
    return compare(*parse_sides(str(first), str(second)))


@pytest.fixture
def two(tmp_path, write) -> tuple[Path, Path]:
    """Two folders with one source and two targets each; the second is worse by 20 and by 40 of 1000 images."""
    for name, lost in (("old", (0, 0, 0)), ("new", (5, 20, 40))):
        folder, learning_rate = tmp_path / name, {"old": 0.01, "new": 0.02}[name]
        write(folder, 0.9 - lost[0] / 1000, learning_rate=learning_rate)
        for target, more in zip((28, 32), lost[1:], strict=True):
            cell = {"target": target, "protocol": "requery", "learning_rate": learning_rate}
            write(folder, 0.8 - more / 1000, **cell)
    return tmp_path / "old", tmp_path / "new"


def test_equal_cells_of_two_folders_are_paired_by_image(two):
    result = found(*two)
    rows = {(row["protocol"], row["target"]): row for row in result.rows.to_dict("records")}
    assert {place: row["difference_points"] for place, row in rows.items()} == pytest.approx(
        {("source", 16): -0.5, ("requery", 28): -2.0, ("requery", 32): -4.0}
    )
    assert rows["requery", 28]["p"] == pytest.approx(stats.binomtest(0, 20).pvalue)
    assert rows["source", 16]["p_holm"] == pytest.approx(stats.binomtest(0, 5).pvalue)  # the largest of three
    assert rows["requery", 28]["p_holm"] == pytest.approx(2 * stats.binomtest(0, 20).pvalue)
    assert (rows["requery", 32]["first_percent"], rows["requery", 32]["second_percent"]) == pytest.approx((80, 76))


def test_the_verdict_is_of_the_mean_of_the_cells_beyond_the_source(two):
    result = found(*two)
    per_image = np.r_[np.full(20, -1.0), np.full(20, -0.5), np.zeros(960)]  # the images lost at both and at one target
    assert result.mean.mean == pytest.approx(per_image.mean())
    half = 1.959964 * np.sqrt(per_image.var(ddof=1) / 1000 + 1e-6)
    assert result.mean.high - result.mean.mean == pytest.approx(half, rel=1e-6)
    low, high = -3 - 100 * half, -3 + 100 * half
    assert result.verdict == (
        f"{two[1]} is worse than {two[0]} (-3.0 points, 95 % interval {low:+.1f} to {high:+.1f}; "
        "1 seed, 1,000 test images, 2 cells; p < 0.0001). One seed tells nothing of another training."
    )


def test_the_other_way_round_is_the_opposite(two):
    one, other = found(*two), found(*reversed(two))
    assert other.mean.mean == -one.mean.mean
    assert other.mean.p == one.mean.p
    assert "is better than" in other.verdict


def test_nothing_is_told_where_nothing_can_be(two):
    verdict = found(two[0], two[0]).verdict
    assert verdict.startswith(f"No difference between {two[0]} and {two[0]} can be told (+0.0 points, ")


def test_two_protocols_of_one_folder(tmp_path, write):
    for seed in range(2):
        for protocol, accuracy in (("requery", 0.7), ("resize", 0.75)):
            write(tmp_path, accuracy, seed=seed, target=32, protocol=protocol)
    result = found(f"{tmp_path}:protocol=requery", "protocol=resize")
    [row] = result.rows.to_dict("records")
    assert (row["target"], row["seeds"]) == (32, 2)
    assert row["difference_points"] == pytest.approx(5)
    assert "protocol" not in row


def test_the_second_side_of_one_folder_has_the_conditions_of_the_first(tmp_path, write):
    for penalty in ("none", "gabor"):
        for protocol, accuracy in (("requery", 0.7), ("resize", 0.75)):
            write(tmp_path, accuracy, target=32, protocol=protocol, alias_penalty=penalty)
    _, second = parse_sides(f"{tmp_path}:alias_penalty=gabor,protocol=requery", "protocol=resize")
    assert second.where == {"alias_penalty": "gabor", "protocol": "resize"}
    assert found(f"{tmp_path}:alias_penalty=gabor,protocol=requery", "protocol=resize").cells == 1


def test_a_setting_that_was_added_later_has_its_default_where_a_record_has_none(tmp_path, write):
    write(tmp_path, 0.9)
    write(tmp_path, 0.8, enlarge=2.0)
    result = found(f"{tmp_path}:enlarge=1", "enlarge=2")
    assert result.mean.mean == pytest.approx(-0.1)


def test_seeds_without_a_partner_are_left_out_and_counted(two, write):
    write(two[0], 0.9, seed=7)
    result = found(*two)
    assert result.left_out == 1
    assert list(result.rows["seeds"]) == [1, 1, 1]


def test_fine_tuning_can_be_compared_with_none(tmp_path, write):
    write(tmp_path, 0.9)
    write(tmp_path, 0.7, target=32, protocol="requery")
    write(tmp_path, 0.8, target=32, protocol="finetune", finetune_epochs=2)
    result = found(f"{tmp_path}:protocol=requery", "protocol=finetune")
    assert result.mean.mean == pytest.approx(0.1)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_fine_tuning_setting_that_one_side_has_alone_tells_its_cells_apart(tmp_path, write, swapped):
    tuned = {"target": 32, "protocol": "finetune", "finetune_epochs": 2}
    write(tmp_path / "new", 0.8, **tuned, finetune_rate=0.1)
    write(tmp_path / "new", 0.7, **tuned, finetune_rate=0.2)
    write(tmp_path / "old", 0.9, target=32, protocol="requery")
    for folder in ("old", "new"):
        write(tmp_path / folder, 0.9)
    sides = [tmp_path / "old", tmp_path / "new"]
    result = found(*(sides[::-1] if swapped else sides))
    assert list(result.rows["protocol"]) == ["source"]
    assert (result.mean.mean, result.left_out) == (0, 3)


def test_a_difference_below_the_allowed_one_is_an_error_with_its_own_status(two):
    result = found(*two)
    result.require_above(-3.5)
    with pytest.raises(BelowError, match=r"is at -3.0 points from .*, below the -2.5 allowed$") as error:
        result.require_above(-2.5)
    assert error.value.exit_status == 5


def refused(first: str, second: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        found(first, second)


def test_what_cannot_be_compared_is_refused_with_the_reason(two, tmp_path, write):
    old = two[0]
    refused(old, f"{two[1]}:target=99", "has no record with target=99; there target is 16, 28, 32$")
    refused(old, f"{old}:protcol=requery", "unknown field 'protcol'; the nearest is 'protocol'")
    refused(old, f"{old}:accuracy=1", "unknown field 'accuracy'")
    refused(old, f"{old}:protocol=,", r"conditions must be FIELD=VALUE, .* has 'protocol='$")
    refused("protocol=requery", old, "the first side must name a results folder, as in DIR:protocol=requery$")
    write(old, 0.9, alias_penalty="gabor")
    refused(*two, f"differs in alias_penalty gabor, none; choose one, as in {old}:alias_penalty=gabor$")
    other = tmp_path / "other"
    write(other, 0.9, data="fedcba9876543210")
    refused(f"{old}:alias_penalty=none", other, "on the same images, but data is 0123456789abcdef, fedcba9876543210$")
    far = tmp_path / "far"
    write(far, 0.9, target=64, protocol="requery")
    refused(
        f"{old}:alias_penalty=none", far, "must share cells, but share none of equal source, target, protocol, seed$"
    )
    with pytest.raises(MissingDataError, match="no records in"):
        found(old, tmp_path / "nothing")


def test_an_empty_second_side_is_not_the_first_folder(two):
    refused(two[0], "", "^the second side must be a folder, or FIELD=VALUE for others of the first one's records$")
