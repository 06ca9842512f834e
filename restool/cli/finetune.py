"""`restool finetune`: before and after training on at the target resolution."""

from restool.cli.grid import run_grid
from restool.cli.panels import DryRun, Json, KeepLogits, TuningGrid, takes_panels
from restool.cli.place import Place
from restool.cli.start import Start
from restool.recipe import Recipe


@takes_panels
def finetune(
    grid: TuningGrid,
    recipe: Recipe,
    place: Place,
    start: Start,
    keep_logits: KeepLogits = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Test at each target before and after training on there.

    Source models are trained first, unless a sweep into the same folder has done so. Examples:

    restool finetune --train 16 --test 32 --epochs 10
    restool finetune --dataset cifar10 --source-epochs 100 --test 28..36:4 --protocols requery,resize
    restool finetune --model mynet:make --weights best.pth --dataset folder:DIR --train 64 --test 96 --epochs 2
    """
    run_grid(grid, recipe, place, start, others="start", keep_logits=keep_logits, dry_run=dry_run, as_json=as_json)
