"""What `sweep` and `finetune` share: from panels to a study, and from its result to what is printed."""

from typing import TYPE_CHECKING, Any

from restool.arguments import LARGEST_SEED
from restool.cli.command import tell
from restool.cli.ending import Ending
from restool.cli.images import seen
from restool.cli.output import models_print_on_stderr, print_grid
from restool.cli.panels import Grid, Sources, TuningGrid
from restool.cli.parsing import names, numbers
from restool.cli.place import Place
from restool.cli.sizes import sources_of, targets_of
from restool.cli.start import Start
from restool.recipe import Recipe

if TYPE_CHECKING:
    from restool.transfer import StudyConfig


def study_config(sources: Sources, recipe: Recipe, **choices: Any) -> "StudyConfig":
    """A configuration of panels; `choices` are passed on."""
    from restool.transfer import StudyConfig

    train = sources_of(sources.train, sources.dataset)
    return StudyConfig(
        model=sources.model,
        dataset=sources.dataset,
        seeds=numbers(sources.seeds, "seeds", least=0, most=LARGEST_SEED),
        limit=sources.limit,
        epochs=sources.epochs,
        augment=sources.augment,  # type: ignore[arg-type] # it is checked there
        recipe=recipe,
        **seen(sources, sources.dataset),
        **{"train": train, "test": [size if isinstance(size, int) else size[-1] for size in train], **choices},
    )


def run_grid(
    grid: Grid | TuningGrid,
    recipe: Recipe,
    place: Place,
    start: Start,
    *,
    others: str,
    keep_logits: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the missing cells of a grid and print its table; or, as a dry run, what would be done.

    Args:
        grid: what to measure.
        recipe: how to train.
        place: where.
        start: what models come with.
        others: protocols where none are named: "all" or "start".
        keep_logits: see `restool.transfer.open_study`.
        dry_run: write nothing.
        as_json: print JSON.

    Raises:
        Failure: some cells are not done; the table of the others is printed all the same.
    """
    from restool.transfer import open_study, sweep
    from restool.transfer.progress import ProgressBars

    config = study_config(
        grid,
        recipe,
        test=targets_of(grid.test, grid.dataset, one=isinstance(grid, TuningGrid)),
        protocols=others if grid.protocols is None else names(grid.protocols),
        finetune_epochs=grid.finetune_epochs,
        tune=names(grid.tune),
        **start.choices,
    )
    choices = place.choices | {"keep_logits": keep_logits}
    if dry_run:
        from restool.cli.dry_run import print_plan

        with models_print_on_stderr():
            study = open_study(config, place.out, **choices)
        print_plan(study, as_json=as_json)
        return
    with models_print_on_stderr():
        result = sweep(config, place.out, progress=ProgressBars(tell), **choices)
    print_grid(result.out, result.files, result.keys, as_json=as_json)
    Ending.of_sweep(result).tell()
