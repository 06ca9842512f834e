"""The page in a real browser: it loads without an error and fits a telephone."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from restool.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FRAME = """<!doctype html><title></title><iframe style="width: WIDTHpx; height: 900px; border: 0"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument;
  document.title = JSON.stringify({
    width: page.documentElement.scrollWidth,
    pictures: [...page.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect().width),
    cells: page.querySelectorAll("td").length,
  });
};
frame.srcdoc = PAGE;
</script>"""
"""A window of Chromium is at least 500 pixels wide, a frame is not."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]


def opened(page: Path, width: int) -> tuple[dict[str, object], str]:
    """What a script finds on the page in a frame of a width, and what the browser logs."""
    outer = page.with_name("frame.html")
    content = FRAME.replace("WIDTH", str(width)).replace("PAGE", json.dumps(page.read_text("utf-8")))
    outer.write_text(content, "utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", outer.as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*?)</title>", answer.stdout)
    assert title is not None
    return json.loads(title[1]), answer.stderr


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_loads_without_error_and_never_scrolls_sideways(study, width):
    write_report(study)
    found, log = opened(study / "report.html", width)
    assert found["width"] <= width
    assert len(found["pictures"]) == 4
    assert all(100 < picture <= width for picture in found["pictures"])
    assert found["cells"] > 20
    assert "CONSOLE" not in log
