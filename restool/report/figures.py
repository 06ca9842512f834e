"""How figures look and how they become files."""

import io
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib.style
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import LogFormatterSciNotation

FONT = "DejaVu Sans"
STYLE: list[Any] = [
    "default",
    {
        "font.family": FONT,
        "font.size": 9,
        "pdf.fonttype": 42,
        "svg.hashsalt": "restool",
        "text.parse_math": False,  # names of models and sweeps may hold any sign
    },
]
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}
"""A file leaves these entries out, because they would make its bytes depend on more than its records."""
_RAISED = str.maketrans("0123456789-\N{MINUS SIGN}", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")


@contextmanager
def styled() -> Iterator[None]:
    """The style of all figures; letters that its font lacks become boxes, which `render` tells."""
    with matplotlib.style.context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


class Powers(LogFormatterSciNotation):
    """Powers of ten as plain text."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Such as 10⁻² or 2×10⁻²."""
        text = super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$").replace(r"\times", "×")
        return re.sub(r"\^\{(.+?)\}", lambda power: power[1].translate(_RAISED), text)


def label_powers(axis: Axis) -> None:
    """Label a logarithmic axis by powers of ten."""
    axis.set_major_formatter(Powers())
    axis.set_minor_formatter(Powers(labelOnlyBase=False))


def as_files(name: str, figure: Figure) -> dict[str, bytes]:
    """The figure as NAME.png and NAME.pdf: what they hold, by their names."""
    return {f"{name}.{suffix}": render(figure, suffix) for suffix in ("png", "pdf")}


def render(figure: Figure, suffix: str) -> bytes:
    """The figure as a PNG, PDF or SVG file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    if _lacks_letters(figure):
        _tell_boxes()
    with styled():
        figure.savefig(buffer, format=suffix, dpi=180, metadata=METADATA[suffix], bbox_inches="tight", pad_inches=0.1)
    return buffer.getvalue()


def _lacks_letters(figure: Figure) -> bool:
    """Whether a text of a figure has letters that the font has not."""
    known = get_font(findfont(FONT)).get_charmap()
    texts = (text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))
    return any(ord(letter) not in known for text in texts for letter in text if letter.isprintable())


@cache
def _tell_boxes() -> None:
    print(f"restool: figures have boxes for letters that {FONT} lacks; tables have the letters", file=sys.stderr)
