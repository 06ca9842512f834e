"""`restool report`: tables, heat maps and a page, rebuilt from records alone."""

from pathlib import Path
from typing import Annotated

import typer

from restool.arguments import require_choice
from restool.cli.option import option
from restool.cli.output import print_report, print_reports
from restool.cli.panels import DEFAULT_OUT, Json
from restool.errors import ArgumentError

Folders = Annotated[
    list[Path] | None, typer.Argument(help="Results folders.", metavar="DIR", show_default=str(DEFAULT_OUT))
]
Page = Annotated[
    Path | None,
    option(
        None, "--page", "One page of all folders.", "FILE", show_default="DIR/report.html; report.html for several DIR"
    ),
]
Metric = Annotated[
    str,
    option(
        None,
        "--metric",
        "What tables and figures show; the page is of the accuracy.",
        "accuracy|top5|nll|ece|agreement|divergence|images_per_second|flops_per_image|memory",
    ),
]


def report(out: Folders = None, page: Page = None, metric: Metric = "accuracy", as_json: Json = False) -> None:
    """Rebuild tables (Markdown, CSV, LaTeX), figures (PNG, PDF) and the page of results folders from their records.

    restool report results/local
    restool report results/demo results/penalties --page all.html
    restool report results/local --metric flops_per_image
    """
    from restool.records import ResultsFolder
    from restool.report import METRICS, write_page, write_report, write_reports

    outs = out or [DEFAULT_OUT]
    require_choice("metric", metric, METRICS)
    shows_accuracy = metric == METRICS[0]
    if page is not None and not shows_accuracy:
        raise ArgumentError("page", "is of the accuracy and not of another metric", page)
    for each in outs:
        ResultsFolder(each)  # rejects a folder of another version
    if len(outs) == 1 and page is None:
        print_report(outs[0], write_report(outs[0], metric), metric=metric, as_json=as_json)
        return
    files = write_page(outs, page or Path("report.html")) if shows_accuracy else write_reports(outs, metric)
    print_reports(outs, files, metric=metric, as_json=as_json)
