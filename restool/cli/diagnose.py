"""`restool diagnose`: why a checkpoint loses at a target."""

from pathlib import Path
from typing import Annotated

from restool.cli import panels
from restool.cli.checkpoint import Images, open_checkpoint
from restool.cli.option import option
from restool.cli.output import models_print_on_stderr, print_files, print_json
from restool.cli.sizes import TargetSize, target_of

Out = Annotated[
    Path | None,
    option(
        "Where to run and write",
        "--out",
        "Also write it, with a figure and the kernels, into this results folder, whose report then shows it.",
        "DIR",
        show_default="nothing is written",
    ),
]


@panels.takes_panels
def diagnose(
    checkpoint: panels.CheckpointFile,
    images: Images,
    to: TargetSize = None,
    out: Out = None,
    as_json: panels.Json = False,
) -> None:
    """Say why a checkpoint loses at a target: repair one cause at a time and test what comes back.

    restool diagnose model.safetensors --to 32
    """
    from restool.analysis.portraits import portraits
    from restool.diagnosis import as_plain, steps
    from restool.diagnosis import diagnose as measure
    from restool.files import require_place
    from restool.records import ResultsFolder
    from restool.report import diagnosis
    from restool.report.tables import aligned
    from restool.transfer.progress import ProgressBars

    typed = None if to is None else target_of(to, "")
    if out is not None:
        ResultsFolder(out)  # rejects a folder of another version
        require_place(out / "diagnoses")
    model, stored, dataset, data, device = open_checkpoint(checkpoint, images)
    to = typed or target_of(None, dataset)
    total = steps(model, stored.spec, to)
    with models_print_on_stderr(), ProgressBars().activity(f"diagnose {checkpoint.name}", total) as watch:
        measured = measure(model, stored.spec, data, to, device=device, step=watch.step)
    asked = {"checkpoint": str(checkpoint), "dataset": data.name, "limit": images.limit}
    found = {**asked, **as_plain(measured), "settings": stored.facts}
    if out is not None:
        kernels = portraits(model, stored.spec.reference_size, to)
        print_files(diagnosis.write_diagnosis(out, found, kernels))
    if as_json:
        print_json(found)
        return
    tables = [table(found) for table in (diagnosis.causes, diagnosis.layers, diagnosis.norms)]
    print("\n\n".join([found["verdict"], *(aligned(table, left=1) for table in tables if len(table) > 1)]))
