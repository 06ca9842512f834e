"""`restool report`: tables, heat maps and a page, rebuilt from records alone."""

from pathlib import Path
from typing import Annotated

import typer

from restool.cli.option import option
from restool.cli.output import print_report, print_reports
from restool.cli.panels import DEFAULT_OUT, Json

Folders = Annotated[
    list[Path] | None, typer.Argument(help="Results folders.", metavar="DIR", show_default=str(DEFAULT_OUT))
]
Page = Annotated[
    Path | None,
    option(
        None, "--page", "One page of all folders.", "FILE", show_default="DIR/report.html; report.html for several DIR"
    ),
]


def report(out: Folders = None, page: Page = None, as_json: Json = False) -> None:
    """Rebuild tables (Markdown, CSV, LaTeX), figures (PNG, PDF) and the page of results folders from their records.

    restool report results/local
    restool report results/demo results/penalties --page all.html
    """
    from restool.records import ResultsFolder
    from restool.report import write_page, write_report

    outs = out or [DEFAULT_OUT]
    for each in outs:
        ResultsFolder(each)  # rejects a folder of another version
    if len(outs) == 1 and page is None:
        print_report(outs[0], write_report(outs[0]), as_json=as_json)
    else:
        print_reports(outs, write_page(outs, page or Path("report.html")), as_json=as_json)
