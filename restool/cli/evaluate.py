"""`restool evaluate`: a checkpoint at given sizes."""

from typing import Any

from restool.cli import panels
from restool.cli.checkpoint import Images, open_checkpoint
from restool.cli.output import models_print_on_stderr, print_json
from restool.cli.parsing import names
from restool.cli.sizes import TestSizes, targets_of


@panels.takes_panels
def evaluate(
    checkpoint: panels.CheckpointFile,
    images: Images,
    test: TestSizes = None,
    protocols: panels.Protocols = None,
    as_json: panels.Json = False,
) -> None:
    """Test a checkpoint at its source and at given sizes and print the accuracies; nothing is written.

    restool evaluate model.safetensors --test 28..36 --protocols requery,resize
    """
    from restool.transfer import applicable, evaluate_model, resolve_protocol
    from restool.transfer.progress import ProgressBars

    typed = None if test is None else targets_of(test, "")
    asked = None if protocols is None else names(protocols)
    for name in asked or ():
        resolve_protocol(name)
    model, stored, dataset, data, device = open_checkpoint(checkpoint, images)
    how, targets = asked or applicable(model), typed or targets_of(None, dataset)
    total = 1 + len(how) * len(targets)
    with models_print_on_stderr(), ProgressBars().activity(f"test {checkpoint.name}", total) as watch:
        rows = evaluate_model(model, stored.spec, data, targets, protocols=how, device=device, step=watch.step)
    if as_json:
        print_json({"checkpoint": str(checkpoint), "source": stored.spec.reference_size, "rows": rows})
        return
    _print(rows, data.unit)


def _print(rows: list[dict[str, Any]], unit: str) -> None:
    """The source, then a line for every protocol and target."""
    from restool.report.groups import noun_of, points

    width = max(len(row["protocol"]) for row in rows)
    tested = f"{rows[0]['n']} test {noun_of(unit)}s"
    print(f"Percent of {tested}; in points, with its 95 % interval: the difference from the source.")
    for row in rows:
        line = f"{row['protocol']:{width}}  {row['target']:3d} {unit}  {row['accuracy_percent']:5.1f}"
        if "difference_points" in row:
            low, high = points(row["difference_low_points"]), points(row["difference_high_points"])
            line += f"  {points(row['difference_points']):>5} ({low} to {high})"
        print(line)
