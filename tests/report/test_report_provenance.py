"""What the page says of where records come from: commands name all that they have, times are theirs."""

import json
import shlex

import pytest

from restool.report import read_records, tables_of
from restool.report.provenance import commands, mixed, of_settings, seconds, typed


def all_commands(out):
    return [command for part in of_settings(read_records(out)) for command in commands(part)]


def test_the_command_of_a_study_names_all_that_its_records_have(study):
    assert all_commands(study) == [
        "restool sweep --model flexnet-3 --dataset gabors --train 16,20 --epochs 8 --alias-penalty gabor+mask "
        "--seeds 0 --test 28,32 --protocols requery",
        "restool sweep --model flexnet-3 --dataset gabors --train 16 --epochs 8 --seeds 0,1 --test 32 "
        "--protocols requery,resize --finetune-epochs 10",
    ]


def test_settings_of_every_kind_are_typed_and_defaults_are_not(tmp_path, write):
    write(tmp_path, 0.9, 10, dataset="my photos", limit=10, source=20, train_sizes="16+20", enlarge=2.0, batch_size=32)
    [command] = all_commands(tmp_path)
    assert shlex.split(command)[2:] == [
        *("--model", "flexnet-3", "--dataset", "my photos", "--train", "16+20", "--limit", "10", "--epochs", "8"),
        *("--batch-size", "32", "--enlarge", "2.0", "--seeds", "0", "--test", "16"),
    ]


def test_a_start_from_elsewhere_and_views_are_typed(tmp_path, write):
    start = {"weights": "0123456789abcdef", "new_head": True, "mean": [0.5, 0.25], "crop_ratio": 0.875}
    write(tmp_path, 0.9, source=20, target=20, **start)
    write(tmp_path, 0.9, source=20, protocol="as-is", target=32, **start)
    write(tmp_path, 0.9, source=20, protocol="as-is", target=32, test_crop_ratio=1.0, test_resample="bicubic", **start)
    [command] = all_commands(tmp_path)
    assert shlex.split(command)[8:] == [
        *(
            "--epochs",
            "8",
            "--crop-ratio",
            "0.875,1.0",
            "--mean",
            "0.5,0.25",
            "--new-head",
            "--weights",
            "FILE-01234567",
        ),
        *("--seeds", "0", "--test", "32", "--protocols", "as-is", "--resample", "bilinear,bicubic"),
    ]


def test_every_number_of_epochs_at_the_target_is_a_command(tmp_path, write):
    write(tmp_path, 0.9)
    for epochs in (1, 10):
        write(tmp_path, 0.9, target=32, protocol="finetune", finetune_epochs=epochs)
    assert [command.rpartition(" ")[2] for command in all_commands(tmp_path)] == ["1", "10"]


def test_what_a_shell_would_take_apart_is_quoted():
    assert typed("diagnose", {"to": "32", "limit": ""}, "my model; rm x") == "restool diagnose 'my model; rm x' --to 32"


def test_times_are_medians_over_seeds_by_device(tmp_path, write):
    for seed, (taken, device) in enumerate([(1.0, "cpu"), (2.0, "cpu"), (9.0, "cpu"), (0.5, "gpu")]):
        path = write(tmp_path, 0.9, 500, seed=seed, target=32, protocol="requery")
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"timing": {"evaluate_seconds": taken}, "environment": {"device": device}}))
    [part] = of_settings(read_records(tmp_path))
    assert seconds(part) == [
        ["device", "source", "protocol", "32 px"],
        ["cpu", "16 px", "requery", "4.00"],
        ["gpu", "16 px", "requery", "1.00"],
    ]


@pytest.mark.parametrize("timing", [{}, {"train_seconds": 1.0}])
def test_records_without_a_time_have_no_table(tmp_path, write, timing):
    path = write(tmp_path, 0.9)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"timing": timing}))
    [part] = of_settings(read_records(tmp_path))
    assert seconds(part) == []


def test_a_table_tells_what_its_cells_were_made_under_where_that_differs(tmp_path, write):
    for target, threads in ((16, 1), (28, 1), (32, 2)):
        path = write(tmp_path, 0.9, target=target, protocol="source" if target == 16 else "requery")
        record = json.loads(path.read_text())
        record["environment"] |= {"threads": threads, "methods": "auto, 12ab", "torch": "2.9"}
        path.write_text(json.dumps(record))
    write(tmp_path, 0.9, target=36, protocol="requery")  # one of the first, which does not tell
    (part,) = of_settings(read_records(tmp_path))
    assert mixed(part) == "Its cells were made with several numbers of threads (1; 2), which changes last digits"
    assert f"{mixed(part)}." in tables_of(tmp_path, set(part["key"]))[0]
    assert mixed(part[part["target"] < 32]) == ""
