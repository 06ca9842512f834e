"""`restool sweep`: the grid of train and test resolutions."""

from restool.cli.grid import run_grid
from restool.cli.panels import DryRun, Grid, Json, KeepLogits, takes_panels
from restool.cli.place import Place
from restool.cli.start import Start
from restool.recipe import Recipe


@takes_panels
def sweep(
    grid: Grid,
    recipe: Recipe,
    place: Place,
    start: Start,
    keep_logits: KeepLogits = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train at each source size, test at every target size by every protocol, and draw the heat map.

    A second run does only what is missing. Examples:

    restool sweep --train 16 --test 28..36
    restool sweep --model cifar-resnet-32 --dataset cifar10 --download --test 28,32 --limit 5000 --epochs 10
    restool sweep --model torchvision:resnet18 --weights best.pth --dataset folder:DIR --train 64 --test 48..96:16
    """
    run_grid(grid, recipe, place, start, others="all", keep_logits=keep_logits, dry_run=dry_run, as_json=as_json)
