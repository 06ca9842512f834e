"""Diagnoses in a results folder: what is written is read, shown as figures and numbers, and refused where damaged."""

import json

import numpy as np
import pytest

from restool.errors import UsageError
from restool.report import diagnosis, write_report
from restool.report.portrait import Portrait

LAYER = {
    "layer": "stem",
    "source_taps": 3,
    "target_taps": 7,
    "above_nyquist": 0.25,
    "bound": 1.5,
    "sum_change": 0.5,
    "sum_change_by_crop": 0.125,
    "response": 0.375,
    "growth": 0.375,
}
FOUND = {
    "checkpoint": "results/local/checkpoints/abc.safetensors",
    "dataset": "gabors",
    "limit": 500,
    "settings": {"seed": 3, "epochs": 8, "alias_penalty": "none", "enlarge": 2.0},
    "model": "flexnet-3",
    "source": 16,
    "target": 32,
    "protocol": "requery",
    "n": 500,
    "source_accuracy_percent": 90.0,
    "accuracy_percent": 70.0,
    "resize_accuracy_percent": 89.0,
    "difference_points": -20.0,
    "difference_low_points": -25.0,
    "difference_high_points": -15.0,
    "p": 1e-9,
    "repairs": [
        {"cause": cause, "repair": "it is", "accuracy_percent": 70 + gain, "gain_points": gain,
         "gain_low_points": gain - 2, "gain_high_points": gain + 2, "p": 0.5, "significant": gain > 2}
        for cause, gain in (("aliasing", 12.0), ("crop", 1.0))
    ],
    "breaks_at": "stem",
    "layers": [LAYER],
    "norms": [{"layer": "stem_norm", "shift": 1.25, "spread": 0.75}],
    "verdict": "It aliases <b>much</b>.",
}  # fmt: skip


def portrait() -> Portrait:
    rng = np.random.default_rng(0)
    frequencies = np.linspace(0, 16, 9)
    return Portrait(
        layer="stem",
        pictures=rng.normal(size=(2, 5, 5)),
        covered=(0.4, 0.6),
        taps=(3, 5),
        frequencies=frequencies,
        above=np.exp(-frequencies),
        bound=None,
    )


def test_what_is_written_is_read(tmp_path):
    paths = diagnosis.write_diagnosis(tmp_path, FOUND, [portrait()])
    assert [path.name for path in paths] == [f"abc-to-32px.{suffix}" for suffix in ("json", "png", "pdf")]
    [found] = diagnosis.read_diagnoses(tmp_path)
    assert {name: found[name] for name in FOUND} == FOUND
    [kernel] = found["kernels"]
    expected = portrait()
    np.testing.assert_allclose(kernel.pictures, expected.pictures, rtol=2**-11)  # half precision
    np.testing.assert_allclose(kernel.above, expected.above, atol=1e-8)
    assert (kernel.covered, kernel.taps, kernel.bound) == (expected.covered, expected.taps, None)
    assert kernel.share_above(16) == pytest.approx(np.exp(-4), abs=1e-7)


def test_tables_say_what_was_found():
    assert diagnosis.causes(FOUND)[1:] == [
        ["at the source", "90.0", ""],
        ["requery at 32 px", "70.0", ""],
        ["aliasing repaired", "82.0", "+12.0 ± 2.0"],
        ["crop repaired", "71.0", "+1.0 ± 2.0 n.s."],
        ["resize to the source", "89.0", ""],
    ]
    assert diagnosis.layers(FOUND)[1:] == [["stem", "3 -> 7", "25.0 %", "1.5", "50.0 %", "12.5 %", "37.5 %"]]
    assert diagnosis.norms(FOUND)[1:] == [["stem_norm", "1.25", "0.75"]]
    assert diagnosis.heading(FOUND) == (
        "flexnet-3 from 16 to 32 px, seed 3, no aliasing penalty, 8 epochs, enlarge 2.0"
    )


def test_the_figure_draws_gains_and_responses():
    figure = diagnosis.draw(FOUND)
    gains, responses = figure.axes
    assert [patch.get_width() for patch in gains.patches] == [12, 1]
    assert [patch.get_facecolor()[3] > 0 for patch in gains.patches] == [True, False]  # the second is not significant
    assert [list(line.get_ydata()) for line in responses.get_lines()] == [[37.5], [25.0]]
    bare = FOUND | {"layers": [LAYER | {"response": None}]}
    assert len(diagnosis.draw(bare).axes) == 1


def test_the_page_shows_every_diagnosis_of_the_folder(pair):
    diagnosis.write_diagnosis(pair, FOUND, [portrait()])
    diagnosis.write_diagnosis(pair, FOUND | {"target": 28}, [])
    write_report(pair)
    text = (pair / "report.html").read_text("utf-8")
    assert text.count("Diagnosis: flexnet-3 from 16 to") == 4  # contents and headings
    assert "It aliases &lt;b&gt;much&lt;/b&gt;." in text
    assert text.count("Learned kernels from shallow to deep") == 2  # a caption and its alternative text
    assert "restool diagnose results/local/checkpoints/abc.safetensors --to 28 --dataset gabors --limit 500" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "is damaged"),
        ('{"format": 1}', "is damaged"),
        (json.dumps({"format": 1} | FOUND), "is damaged"),  # without kernels
        (json.dumps({"format": 1, "kernels": [{}]} | FOUND), "is damaged"),
        (json.dumps({"format": 2} | FOUND), "is of another version"),
    ],
)
def test_a_damaged_diagnosis_is_named(pair, content, reason):
    path = pair / "diagnoses" / "abc-to-32px.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(UsageError, match=rf"{path} {reason}.*: delete it and diagnose the checkpoint again$"):
        write_report(pair)
    assert not (pair / "table.md").exists()
