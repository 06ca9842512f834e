"""Laws of a study's file: what it says is what is run, and what it must not say is named."""

from pathlib import Path

import pytest

from restool.errors import MissingDataError, UsageError
from restool.recipe import RECIPES, Recipe
from restool.studies import read_study


def test_a_sweep_is_the_grid_with_what_its_own_table_and_recipe_change(file):
    study = read_study(file)
    official, robust, mixed = (sweep.config for sweep in study.sweeps)
    assert [sweep.label for sweep in study.sweeps] == ["official", "robust", "mixed"]
    assert (official.model, official.train, official.test, official.seeds) == ("flexnet[3,4]", (8,), (10, 12), (0, 1))
    assert (official.epochs, official.limit, official.finetune_epochs) == (3, 64, 0)
    assert official.recipe == Recipe()
    assert robust.recipe == Recipe(**{**vars(RECIPES["robust"]), "learning_rate": 0.5})
    assert robust.finetune_epochs == 2
    assert mixed.train == ((6, 8),)
    assert {config.dataset for config in (official, robust, mixed)} == {"gabors"}
    assert (study.name, study.question, study.reading) == ("help", "Does it help?", "It does.")


def test_the_small_variant_changes_what_its_table_says_and_nothing_else(file):
    usual, small = read_study(file), read_study(file, small=True)
    for one, other in zip(usual.sweeps, small.sweeps, strict=True):
        assert (other.config.epochs, other.config.seeds) == (1, (0,))
        same = ("model", "train", "test", "limit", "recipe", "finetune_epochs", "zero_shot")
        assert all(getattr(one.config, name) == getattr(other.config, name) for name in same)


def test_another_data_set_takes_the_place_of_the_files(file):
    assert {sweep.config.dataset for sweep in read_study(file, dataset="cifar10").sweeps} == {"cifar10"}


def test_a_sweep_may_start_from_a_file_of_weights(file):
    more = 'weights = "best.pth"\nmean = [0.5]\nstd = [0.1, 0.2, 0.3]'
    file.write_text(file.read_text().replace("epochs = 3", more, 1))
    for config in (sweep.config for sweep in read_study(file).sweeps):
        assert (config.weights, config.source_epochs) == (Path("best.pth"), 0)
        assert (config.mean, config.std) == ((0.5,), (0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('question = "Does', 'queston = "Does', "unknown key 'queston'; the nearest is 'question'"),
        ("epochs = 3", "epoch = 3", "unknown field 'epoch'; the nearest is 'epochs'"),
        ("epochs = 3", "epochs = -3", "`epochs` must be at least 0, but is -3"),
        ("epochs = 3", "weights = 3", "`weights` must be the path of a file, but is 3"),
        ("train = [8]", 'train = "8"', "`train` must hold sizes in pixels"),
        ('recipe = "robust"', 'recipe = "robost"', "unknown recipe 'robost'; the nearest is 'robust'"),
        ('label = "mixed"', 'label = "robust"', "each with a label of its own"),
        ('label = "mixed"', "", "label is missing"),
        ('dataset = "gabors"', "dataset = 3", "dataset must be a text, but is 3"),
        ("{ 12 = -3.5 }", "{ twelve = -3.5 }", "difference of .* must be numbers by target"),
        ("{ 12 = -3.5 }", "3", "difference must be a table, but is 3"),
        ("[grid]", "[grid", "cannot be read: "),
    ],
)
def test_a_file_that_breaks_a_rule_is_named_with_it(file, old, new, message):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=f"^study {file}.* {message}" if "read" not in message else message):
        read_study(file)


def test_a_file_that_is_not_there_is_missing_data(tmp_path):
    with pytest.raises(MissingDataError, match="^no study at .*none.toml"):
        read_study(tmp_path / "none.toml")
