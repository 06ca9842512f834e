"""What a study takes, from Python: every rule and every rejection."""

import math
import re

import pytest

from restool.errors import UsageError
from restool.models import MODELS
from restool.recipe import Recipe
from restool.transfer import StudyConfig
from restool.transfer.config import DEFAULT_EPOCHS, OFFICIAL_EPOCHS

WRONG = [
    ({"model": "flexnet3"}, "^unknown model 'flexnet3'; the nearest is 'flexnet-3', the known ones are flexnet-3, "),
    ({"model": "flexnet[4,x]"}, r"^unknown model 'flexnet\[4,x\]'; the nearest is "),
    (
        {"model": "flexnet[4,4]-conv5"},
        "^unknown layer kind 'conv5' in .*; the nearest is 'conv3', the known ones are magnet, ",
    ),
    (
        {"model": "flextcn-2"},
        "^flextcn-2 takes sequences, and data set 'gabors' holds images; choose a model of images$",
    ),
    ({"train": ()}, r"^`train` must hold sizes in pixels from 4 to 65,536, but is \(\)$"),
    ({"test": ()}, r"^`test` must hold sizes in pixels from 4 to 65,536, but is \(\)$"),
    ({"train": (16, 3)}, r"^`train` must hold sizes in pixels from 4 to 65,536, but is \(3,\)$"),
    ({"train": ((8, 3),)}, r"^`train` must hold sizes in pixels from 4 to 65,536, but is \(8, 3\)$"),
    ({"train": (16, ())}, r"^`train` must hold sizes in pixels from 4 to 65,536, but is \(\)$"),
    ({"train": ("16",)}, r"^`train` must hold sizes in pixels from 4 to 65,536, but is \('16',\)$"),
    ({"train": ((16, (8,)),)}, r"^`train` must hold sizes in pixels from 4 to 65,536, but is \(16, \(8,\)\)$"),
    ({"train": "16"}, "^`train` must hold sizes in pixels from 4 to 65,536, but is '16'$"),
    ({"test": (0,)}, r"^`test` must hold sizes in pixels from 4 to 65,536, but is \(0,\)$"),
    ({"train": 16}, "^`train` must hold sizes in pixels from 4 to 65,536, but is 16$"),
    ({"test": "28..36"}, "^`test` must hold sizes in pixels from 4 to 65,536, but is '28..36'$"),
    ({"test": [[28, 32]]}, r"^`test` must hold sizes in pixels from 4 to 65,536, but is \(\[28, 32\],\)$"),
    ({"protocols": "requery"}, "^`protocols` must be all, start, or several names, but is 'requery'; put "),
    ({"epochs": -1}, "^`epochs` must be at least 0, but is -1$"),
    ({"finetune_epochs": -2}, "^`finetune_epochs` must be at least 0, but is -2$"),
    ({"epochs": 1.5}, "^`epochs` must be a whole number, but is 1.5$"),
    ({"seeds": (0, True)}, r"^`seeds` must hold seeds from 0 to 4,294,967,295, but is \(0, True\)$"),
    ({"seeds": (-1,)}, r"^`seeds` must hold seeds from 0 to 4,294,967,295, but is \(-1,\)$"),
    ({"train": (16.5,)}, r"^`train` must hold sizes in pixels from 4 to 65,536, but is \(16.5,\)$"),
    ({"test": (math.nan,)}, r"^`test` must hold sizes in pixels from 4 to 65,536, but is \(nan,\)$"),
    (
        {"protocols": ("requery", "rescaled")},
        "^unknown protocol 'rescaled'; the nearest is 'rescale', the ",
    ),
    ({"protocols": ("",)}, "^unknown protocol ''; the nearest is "),
    (
        {"protocols": ("finetune",)},
        "^`protocols` must be zero-shot protocols, but is 'finetune'; fine-tuning is asked for by `finetune_epochs`$",
    ),
]


@pytest.mark.parametrize(("choices", "message"), WRONG)
def test_a_study_that_breaks_a_rule_is_rejected_at_once(choices, message):
    with pytest.raises(UsageError, match=message) as caught:
        StudyConfig(**choices)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("train", "taken", "sources"),
    [
        ((16, 20), (16, 20), (16, 20)),
        ([16, 16], (16,), (16,)),
        (((16, 12, 14),), ((12, 14, 16),), (16,)),
        ([[12, 16], 20, (16, 12), 20], ((12, 16), 20), (16, 20)),
        (((16, 16), [20]), (16, 20), (16, 20)),
    ],
)
def test_sizes_of_one_model_are_ascending_and_each_model_is_there_once(train, taken, sources):
    config = StudyConfig(train=train)
    assert (config.train, config.sources) == (taken, sources)
    assert hash(config) == hash(StudyConfig(train=taken))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("flexnet[4,4]-siren", "SIREN has no frequency known from its parameters; "),
        ("ckcnn-7-siren", "SIREN has no frequency known from its parameters; "),
        ("flexnet-7-conv3", "the aliasing penalty needs a model with continuous kernels; "),
        ("cifar-resnet-32", "the aliasing penalty needs a model with continuous kernels; "),
    ],
)
@pytest.mark.parametrize("penalty", ["gabor", "gabor+mask"])
def test_a_penalty_that_the_model_cannot_have_is_rejected_at_once(model, reason, penalty):
    message = f"^`alias_penalty` does not apply to {re.escape(model)}: {reason}.*; use none$"
    with pytest.raises(UsageError, match=message) as caught:
        StudyConfig(model=model, recipe=Recipe(alias_penalty=penalty))
    assert "\n" not in str(caught.value)
    assert StudyConfig(model=model).recipe.alias_penalty == "none"


@pytest.mark.parametrize("model", ["flexnet-7-conv3", "cifar-resnet-32"])
def test_a_spectral_penalty_needs_continuous_kernels(model):
    message = f"^`alias_penalty` does not apply to {model}: the aliasing penalty needs .*; use none$"
    with pytest.raises(UsageError, match=message):
        StudyConfig(model=model, recipe=Recipe(alias_penalty="spectral"))
    assert StudyConfig(model="flexnet[4,4]-siren", recipe=Recipe(alias_penalty="spectral"))


@pytest.mark.parametrize("penalty", ["gabor", "gabor+mask", "spectral"])
@pytest.mark.parametrize("model", ["flexnet[4,4]", "flexnet[4,4]-fourier", "flexnet[4,4]-ckconv-gabor"])
def test_a_penalty_that_the_model_can_have_is_taken(model, penalty):
    config = StudyConfig(model=model, recipe=Recipe(alias_penalty=penalty))
    assert config.recipe.alias_penalty == penalty


@pytest.mark.parametrize(
    ("model", "protocol"),
    [("flexnet-3", "interpolate"), ("cifar-resnet-32", "requery"), ("flexnet-7-conv3", "requery")],
)
def test_a_protocol_that_does_not_apply_is_rejected_before_anything_is_run(model, protocol):
    message = f"^protocol '{protocol}' does not apply to {model}; (requery, )?bandlimit, .*, bn-recalibrate do$"
    with pytest.raises(UsageError, match=message):
        StudyConfig(model=model, protocols=("as-is", protocol))


def test_protocols_are_those_asked_for_or_the_start_of_fine_tuning_or_all_that_apply():
    assert StudyConfig(protocols=("resize", "as-is", "resize")).zero_shot == ("resize", "as-is")
    assert StudyConfig(protocols=()).zero_shot == ()
    composed = ("requery+soften", "bandlimit+soften+bn-recalibrate", "resize+bn-recalibrate")
    assert StudyConfig(protocols=composed).zero_shot == composed
    assert StudyConfig(protocols="start").zero_shot == ("requery",)
    assert StudyConfig(model="cifar-resnet-32", protocols="start").zero_shot == ("as-is",)
    everything = StudyConfig(model="cifar-resnet-32").zero_shot
    assert everything == ("bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate")


@pytest.mark.parametrize(
    ("dataset", "epochs", "expected"),
    [("gabors", None, DEFAULT_EPOCHS["gabors"]), ("cifar10", None, OFFICIAL_EPOCHS), ("gabors", 0, 0), ("mnist", 3, 3)],
)
def test_epochs_are_the_users_or_the_data_sets(dataset, epochs, expected):
    assert StudyConfig(dataset=dataset, epochs=epochs, finetune_epochs=7).source_epochs == expected


def test_every_image_model_makes_a_study():
    for name, entry in MODELS.items():
        if entry.dims == 2 and name != "flexnet-7-conv33":
            last = "resize" if name == "dcn-sigma-ji" else "bn-recalibrate"  # it has group norms
            assert StudyConfig(model=name).zero_shot[-1].removeprefix("rescale+") == last


def test_sizes_that_are_not_named_are_the_usual_ones_of_the_data_set():
    sequences = StudyConfig(model="flextcn[3]", dataset="tones")
    assert (sequences.train, sequences.test, sequences.sources) == ((256,), (512,), (256,))
    images = StudyConfig()
    assert (images.train, images.test) == ((16,), (32,))
    assert StudyConfig(train=[16], test=[32]) == images
