"""How figures look and how they become files."""

import io
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

STYLE: list[Any] = ["default", {"font.size": 9, "pdf.fonttype": 42, "svg.hashsalt": "restool"}]
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}
"""A file leaves these entries out, because they would make its bytes depend on more than its records."""


def as_files(name: str, figure: Figure) -> dict[str, bytes]:
    """The figure as NAME.png and NAME.pdf: what they hold, by their names."""
    return {f"{name}.{suffix}": render(figure, suffix) for suffix in ("png", "pdf")}


def render(figure: Figure, suffix: str) -> bytes:
    """The figure as a PNG, PDF or SVG file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    with matplotlib.style.context(STYLE):
        figure.savefig(buffer, format=suffix, dpi=180, metadata=METADATA[suffix], bbox_inches="tight", pad_inches=0.1)
    return buffer.getvalue()
