"""`restool compare`: whether the difference of two results is real."""

import math
from typing import Annotated

import typer

from restool.cli.output import plain_rows, print_json
from restool.cli.panels import Json
from restool.cli.parsing import number
from restool.errors import ArgumentError

SIDE = "DIR, or DIR:FIELD=VALUE,... for some of its records."


def compare(
    first: Annotated[str, typer.Argument(help=SIDE, show_default=False, metavar="A")],
    second: Annotated[
        str,
        typer.Argument(help="The same, or FIELD=VALUE,... for others of A's folder.", show_default=False, metavar="B"),
    ],
    fail_below: Annotated[
        float | None,
        typer.Option("--fail-below", help="End with status 5 if B minus A is below.", metavar="POINTS", parser=number),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether B is better or worse than A, from their records, paired by seed and test image or sequence.

    restool compare results/demo:alias_penalty=spectral,protocol=requery protocol=resize
    restool compare results/old results/new --fail-below -1
    """
    from restool.report import compare as found_by
    from restool.report import parse_sides
    from restool.report.tables import comparison

    if fail_below is not None and not math.isfinite(fail_below):
        raise ArgumentError("fail_below", "must be a number of points", fail_below)
    found = found_by(*parse_sides(first, second))
    if as_json:
        print_json(
            {
                "first": found.first,
                "second": found.second,
                "rows": plain_rows(found.rows),
                "difference_points": 100 * found.mean.mean,
                "low_points": 100 * found.mean.low,
                "high_points": 100 * found.mean.high,
                "p": found.mean.p,
                "seeds": found.seeds,
                "n": found.images,
                "significant": found.is_real,
                "verdict": found.verdict,
            }
        )
    else:
        print(comparison(found))
    if fail_below is not None:
        found.require_above(fail_below)
