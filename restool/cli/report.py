"""`restool report`: tables and heat maps, rebuilt from records alone."""

from restool.cli.output import print_report
from restool.cli.panels import DEFAULT_OUT, Json, OutArgument


def report(out: OutArgument = DEFAULT_OUT, as_json: Json = False) -> None:
    """Rebuild the tables (Markdown, CSV, LaTeX) and heat maps (PNG, PDF) of a results folder from its records.

    restool report results/local
    """
    from restool.records import ResultsFolder
    from restool.report import write_report

    ResultsFolder(out)  # rejects a folder of another version
    print_report(out, write_report(out), as_json=as_json)
