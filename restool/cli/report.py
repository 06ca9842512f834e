"""`restool report`: tables and heat maps, rebuilt from records alone."""

from restool.cli import options


def report(out: options.OutArgument = options.DEFAULT_OUT, as_json: options.Json = False) -> None:
    """Rebuild the tables (Markdown, CSV, LaTeX) and heat maps (PNG, PDF) of a results folder from its records.

    restool report results/local
    """
    from restool.cli.study import print_report
    from restool.transfer import ResultsFolder

    ResultsFolder(out)  # rejects a folder of another version
    print_report(out, as_json=as_json)
