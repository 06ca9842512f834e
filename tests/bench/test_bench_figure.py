"""The figure of a benchmark: no candidate hides another."""

import json
from pathlib import Path

from restool.bench.harness.figure import draw

RECORD = Path(__file__).resolve().parents[2] / "results" / "cost" / "size-wide" / "bench-layer.json"


def test_auto_shows_below_the_method_that_it_chose():
    figure = draw(json.loads(RECORD.read_text()))
    assert figure is not None
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    others = [line for name, line in lines.items() if name not in ("auto", "floor")]
    assert len(others) == 3
    assert all(lines["auto"].get_linewidth() > 2 * line.get_linewidth() for line in others)
    assert all(lines["auto"].get_zorder() < line.get_zorder() for line in others)
