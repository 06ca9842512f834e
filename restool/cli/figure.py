"""`restool figure`: figures that need no study."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from restool.cli import options

figure = typer.Typer(help="Draw figures that need no trained model: restool figure kernel", no_args_is_help=True)


@figure.command()
def kernel(
    seed: Annotated[
        int, typer.Option("--seed", help="Of the kernel's random weights.", parser=options.whole_number, metavar="N")
    ] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", metavar="DIR")] = options.DEFAULT_OUT,
    as_json: options.Json = False,
) -> None:
    """One kernel at three times its size, by dilation, deformation and re-query, with the frequency response of each.

    Writes kernel.png, kernel.pdf, kernel.csv and kernel-response.csv. Example:

    restool figure kernel --out results/local
    """
    from restool.report.kernels import write_figure

    files, table = write_figure(out, seed)
    if as_json:
        rows = json.loads(table.to_json(orient="records"))
        print(json.dumps({"files": [str(file) for file in files], "rows": rows}, indent=1))
        return
    print(table.to_string(index=False, float_format="{:.4f}".format))
    print("wrote " + ", ".join(str(file) for file in files), file=sys.stderr)
