"""`restool import`: other people's checkpoints."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from restool.cli.output import print_json
from restool.cli.panels import Json
from restool.cli.parsing import whole_number
from restool.errors import ArgumentError, UsageError

PREFIX = "flexconv:"


def import_(
    source: Annotated[
        str,
        typer.Argument(help="A checkpoint of the official FlexConv code.", metavar="flexconv:FILE.pt"),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The .safetensors file to write.", show_default=False, metavar="FILE")
    ],
    reference_size: Annotated[
        int,
        typer.Option(
            "--reference-size",
            help="Pixels of the image side (or steps of the sequence) it was trained at.",
            parser=whole_number,
            metavar="N",
        ),
    ] = 16,
    as_json: Json = False,
) -> None:
    """Read a foreign checkpoint and write it as one of restool's.

    restool import flexconv:model.pt --reference-size 16 --out model.safetensors
    restool evaluate model.safetensors --dataset cifar10
    """
    if not source.startswith(PREFIX):
        raise UsageError(f"the source must start with {PREFIX}, as in {PREFIX}model.pt, but is {source!r}")
    if out.suffix != ".safetensors":
        raise ArgumentError("out", "must end in .safetensors", out)
    from restool.files import remove_leftovers
    from restool.interop.flexconv import read_flexconv_spec
    from restool.training import Checkpoint, save_checkpoint

    path = Path(source.removeprefix(PREFIX))
    spec, model = read_flexconv_spec(path, reference_size=reference_size)
    facts = {"imported": f"{PREFIX}{path.name}", "size": reference_size}
    remove_leftovers(out.parent, "*.tmp")
    save_checkpoint(out, Checkpoint(spec=spec, model=model.state_dict(), facts=facts))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if as_json:
        print_json({"checkpoint": str(out), **asdict(spec), "parameters": parameters})
    else:
        print(f"{out}: {spec.name}, {parameters:,} parameters, reference size {spec.reference_size}")
