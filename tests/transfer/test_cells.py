"""Laws of the plan: a key depends on every field and on nothing else, and a study has exactly its cells."""

from dataclasses import fields, replace
from itertools import product

import pytest
from example import CELL, RUN

from restool.data import load
from restool.data.views import View, ViewChoices
from restool.recipe import Recipe
from restool.transfer import Cell, SourceRun, StudyConfig, plan
from restool.transfer.preparation import as_trained, prepared

OTHER = {
    "model": "flexnet-5",
    "dataset": "cifar10",
    "data": "0123456789abcdee",
    "limit": 100,
    "source": 17,
    "seed": 1,
    "epochs": 9,
    "smaller": (12,),
    "resample": "every",
    "shown": (("crop_ratio", 0.9), ("mean", (0.5,))),
    "weights": "fedcba9876543210",
    "new_head": True,
    "code": "aaaabbbbccccdddd",
}
OTHER_RECIPE = {
    "alias_after": 0.5,
    "alias_penalty": "gabor",
    "alias_strength": 0.2,
    "batch_size": 63,
    "clip": 1.0,
    "enlarge": 2.0,
    "enlarge_share": 0.25,
    "learning_rate": 0.0100001,
    "precision": "bfloat16",
    "weight_decay": 1e-9,
}
OTHER_CELL = {"target": 33, "protocol": "as-is", "finetune_epochs": 1, "tune": "bn", "view": View(crop_ratio=0.9)}


def test_the_key_of_an_example_never_changes():
    # whoever changes it takes from every user the records made so far: raise RECORD_FORMAT instead
    assert RUN.key == "0c78f79c96504970"
    assert CELL.key == "9429a598df292d14"


def test_a_key_changes_with_every_field():
    assert {"recipe", *OTHER} == {field.name for field in fields(SourceRun)}
    assert set(OTHER_RECIPE) == {field.name for field in fields(Recipe)}
    assert {"run", *OTHER_CELL} == {field.name for field in fields(Cell)}
    runs = [RUN, *(replace(RUN, **{name: value}) for name, value in OTHER.items())]
    runs += [replace(RUN, recipe=replace(RUN.recipe, **{name: value})) for name, value in OTHER_RECIPE.items()]
    assert len({run.key for run in runs}) == len(runs)
    cells = [*(Cell(run=run, target=32, protocol="requery") for run in runs)]
    cells += [replace(CELL, **{name: value}) for name, value in OTHER_CELL.items()]
    assert len({cell.key for cell in cells} | {run.key for run in runs}) == len(cells) + len(runs)


def test_equal_cells_have_equal_keys():
    again = Cell(protocol="requery", target=32, run=replace(RUN))
    assert again == CELL
    assert again.key == CELL.key


def test_a_rate_is_the_same_whether_written_as_1_or_as_1_0(lab):
    whole, real = (lab.plan(learning_rate=rate) for rate in (1, 1.0))
    assert [cell.key for cell in whole] == [cell.key for cell in real]


@pytest.mark.parametrize("later", [{}, {"precision": "bfloat16"}, {"precision": "bfloat16", "weight_decay": 0.1}])
def test_the_fields_of_a_cell_are_flat_and_complete_but_for_later_ones_that_are_as_usual(later):
    run = replace(RUN, recipe=replace(RUN.recipe, **later))
    told = {field.name: getattr(run, field.name) for field in fields(SourceRun)}
    for name in ("recipe", "smaller", "resample", "weights", "new_head", "shown", "code"):
        del told[name]
    told |= {"alias_penalty": "none", "batch_size": 64, "learning_rate": 0.01, **later}
    assert replace(CELL, run=run).fields == {**told, "target": 32, "protocol": "requery", "finetune_epochs": 0}


def test_a_run_of_several_sizes_tells_them_all_and_one_of_a_single_size_only_that():
    several = replace(RUN, smaller=(12, 14))
    assert several.trained_at == several.fields["train_sizes"] == "12+14+16"
    assert several.fields == {**RUN.fields, "train_sizes": "12+14+16"}
    assert RUN.trained_at == "16"
    assert len({run.key for run in (RUN, several, replace(RUN, smaller=(12,)), replace(RUN, smaller=(14,)))}) == 4
    cell = Cell(run=several, target=32, protocol="requery")
    assert str(several) == "flexnet-3 at 12+14+16 px, seed 0"
    assert str(cell) == "flexnet-3 12+14+16 -> 32 px, requery, seed 0"
    assert str(replace(cell, target=16, protocol="source")) == "flexnet-3 12+14+16 px, source, seed 0"


def test_a_model_of_several_sizes_has_its_cells_from_the_largest_of_them(lab):
    mixed, alone = lab.plan(train=((8, 6),)), lab.plan(train=(8,))
    assert {cell.run.smaller for cell in mixed} == {(6,)}
    assert [{**cell.fields, "train_sizes": "6+8"} for cell in alone] == [cell.fields for cell in mixed]
    assert not {cell.key for cell in mixed} & {cell.key for cell in alone}
    both = lab.plan(train=(8, (6, 8)))
    assert [cell.key for cell in both] == [cell.key for cell in (*alone, *mixed)]


@pytest.mark.parametrize("finetune_epochs", [0, 3])
@pytest.mark.parametrize("protocols", ["all", ("resize", "requery+bn-recalibrate")])
def test_a_study_has_exactly_its_cells(finetune_epochs, protocols):
    dataset = load("gabors", limit=20)
    config = StudyConfig(
        model="flexnet[2,2]",
        train=(8, 12),
        test=(8, 16, 20),
        seeds=(0, 5),
        epochs=2,
        finetune_epochs=finetune_epochs,
        protocols=protocols,
        limit=20,
        recipe=Recipe(batch_size=10, learning_rate=0.5, alias_penalty="gabor"),
    )
    names = ("requery", "bandlimit", "as-is", "resize", "bn-recalibrate") if protocols == "all" else protocols
    expected = set()
    for source, seed in product((8, 12), (0, 5)):
        common = {"model": "flexnet[2,2]", "dataset": "gabors", "data": dataset.fingerprint, "limit": 20}
        common |= {"alias_penalty": "gabor", "epochs": 2, "batch_size": 10, "learning_rate": 0.5}
        common |= {"source": source, "seed": seed}
        entries = [(source, "source", 0), *((target, name, 0) for target, name in product((8, 16, 20), names))]
        if finetune_epochs:
            entries += [(target, "finetune", 3) for target in (8, 16, 20)]
        for target, protocol, epochs in entries:
            cell = {**common, "target": target, "protocol": protocol, "finetune_epochs": epochs}
            expected.add(frozenset(cell.items()))
    cells = plan(config, dataset)
    assert len(cells) == len(expected)
    assert {frozenset(cell.fields.items()) for cell in cells} == expected
    for run in {cell.run for cell in cells}:
        assert next(cell for cell in cells if cell.run == run).protocol == "source"


def test_another_limit_is_another_run():
    few = plan(StudyConfig(model="flexnet[2,2]", limit=20), load("gabors", limit=20))
    more = plan(StudyConfig(model="flexnet[2,2]", limit=21), load("gabors", limit=21))
    assert not {cell.key for cell in few} & {cell.key for cell in more}
    assert few[0].run.data != more[0].run.data


def test_a_view_is_told_where_it_is_not_as_usual_and_of_a_test_where_it_is_not_as_in_training():
    small = replace(load("gabors", limit=20), native_size=32, view=View(crop_ratio=1.0))  # as one of stored squares
    plain = StudyConfig(test=(32,), protocols=["requery"])
    typed = StudyConfig(test=(32,), protocols=["requery"], views=ViewChoices(crop_ratios=(1.0,)), augment="none")
    assert [c.key for c in plan(typed, prepared(typed, small))] == [c.key for c in plan(plain, prepared(plain, small))]
    chosen = ViewChoices(fit="pad", crop_ratios=(0.5, 1.0), antialias=(True, False))
    config = StudyConfig(test=(32,), protocols=["requery"], views=chosen, augment="flip", finetune_epochs=1)
    cells = plan(config, prepared(config, small))
    of_run = {"fit": "pad", "crop_ratio": 0.5, "augment": "flip"}
    assert all(cell.fields.items() >= of_run.items() for cell in cells)
    told = [{name: value for name, value in cell.fields.items() if name.startswith("test_")} for cell in cells]
    of_tests = [{}, {"test_antialias": "off"}, {"test_crop_ratio": 1.0}]
    of_tests.append({"test_crop_ratio": 1.0, "test_antialias": "off"})
    ways = [("source", {}), ("requery", {}), ("finetune", {})]
    ways += [(protocol, view) for view in of_tests[1:] for protocol in ("source", "requery")]
    found = sorted([cell.protocol, str(view)] for cell, view in zip(cells, told, strict=True))
    assert found == sorted([protocol, str(view)] for protocol, view in ways)


@pytest.mark.parametrize(
    ("shares", "of_run", "of_test"),
    [
        ((None,), {}, []),
        ((None, 0.5), {}, [{"test_low_pass": 0.5}]),
        ((0.5, None), {"low_pass": 0.5}, [{"test_low_pass": "none"}]),
        ((0.5, 1.0), {"low_pass": 0.5}, [{"test_low_pass": 1.0}]),
    ],
)
def test_a_low_pass_is_told_where_there_is_one_or_was_one_in_training(shares, of_run, of_test):
    small = replace(load("gabors", limit=20), native_size=32, view=View(crop_ratio=1.0))
    config = StudyConfig(test=(32,), protocols=["requery"], views=ViewChoices(low_pass=shares))
    cells = plan(config, prepared(config, small))
    told = [{name: value for name, value in cell.fields.items() if name.endswith("low_pass")} for cell in cells]
    assert told == [of_run, of_run, *(of_run | view for view in of_test for _ in range(2))]
    stored = prepared(config, small)
    assert as_trained(small, cells[0].run.fields, ViewChoices()).view == stored.view
