"""`restool train`: source models only; the test images are not read."""

from restool.cli.command import tell
from restool.cli.ending import Ending
from restool.cli.grid import study_config
from restool.cli.output import in_percent, models_print_on_stderr, print_json
from restool.cli.panels import Json, Sources, takes_panels
from restool.cli.place import Place
from restool.cli.start import Start
from restool.errors import ArgumentError
from restool.recipe import Recipe


@takes_panels
def train(sources: Sources, recipe: Recipe, place: Place, start: Start, as_json: Json = False) -> None:
    """Train a model at each source size and print where its checkpoint lies.

    A sweep with the same options into the same folder uses them. Example:

    restool train --train 16,24 --seeds 0..2
    """
    from restool.transfer import train_sources
    from restool.transfer.progress import ProgressBars

    config = study_config(sources, recipe, **start.choices)
    if config.source_epochs < 1:
        raise ArgumentError("epochs", "must be at least 1 for a model that is trained", config.source_epochs)
    with models_print_on_stderr():
        result = train_sources(config, place.out, progress=ProgressBars(tell), **place.choices)
    rows = [in_percent(row) for row in result.rows]
    if as_json:
        print_json({"runs": rows})
    else:
        for row in rows:
            accuracy = row["validation_accuracy_percent"]
            print(
                f"{row['checkpoint']}  {row['source']} {row['unit']}, seed {row['seed']}, validation {accuracy:.1f} %"
            )
    Ending(
        of=len(result.runs),
        failed=len(result.failed),
        missing=[str(run) for run in result.missing],
        damaged=result.damaged,
        timed_out=result.timed_out,
        noun="models",
    ).tell()
