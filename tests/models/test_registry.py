"""Names of models: published parameter counts, shells of any width, and what is said to a wrong name or number."""

import re

import pytest
import torch

from restool.errors import UsageError
from restool.models import MODELS, CIFARResNet, ModelSpec, build_model, find_model
from restool.models.layers import LAYER_KINDS
from restool.models.registry import shell_name
from restool.models.sequences import CoRNN

SEVEN = "flexnet[24,24,24,36,36,36,48,48]"
COUNTS = {
    "flexnet-3": 277_090,
    "flexnet-5": 454_046,
    "flexnet-7": 671_650,
    "ckcnn-7-magnet": 671_590,
    "flexnet-7-siren": 627_970,
    "ckcnn-7-siren": 627_910,
    "flexnet-7-gabor": 669_730,
    f"{SEVEN}-ckconv-gabor": 669_670,
    "flexnet-7-fourier": 663_970,
    f"{SEVEN}-ckconv-fourier": 663_910,
    "flexnet-7-conv3": 169_990,
    "flexnet-7-conv33": 19_998_790,
    "cifar-resnet-32": 464_154,
    "cifar-resnet-44": 658_586,
    "flexnet-7-njet": 698_503,
    "njet-allcnn": 1_066_004 + 5,  # the published sizes leave out the scale of each layer
    "njet-resnet-32": 515_402 + 31,
    "dcn-sigma-ji": 472_202,
    "flexnet-7-fractional": 59_317,  # 3 I O + 1 a layer
    "flexnet-7-dilated": 169_990 + 15,
    "flexnet-7-deformable": 169_990 + 78_516,  # 9 I 18 + 18 a layer
}
SEQUENCE_COUNTS = {  # kind: {channels: counts of 2, 4 and 6 blocks of 30 channels}
    "magnet": {1: (105_548, 239_436, 373_324), 3: (107_588, 241_476, 375_364), 96: (202_448, 336_336, 470_224)},
    "gabor": {1: (105_548, 239_436, 373_324), 3: (107_588, 241_476, 375_364), 96: (202_448, 336_336, 470_224)},
    "fourier": {1: (104_524, 237_388, 370_252), 3: (106_564, 239_428, 372_292), 96: (201_424, 334_288, 467_152)},
    "siren": {1: (95_308, 218_956, 342_604), 3: (97_348, 220_996, 344_644), 96: (192_208, 315_856, 439_504)},
    "ckconv-magnet": {1: (105_540, 239_420, 373_300), 3: (107_580, 241_460, 375_340), 96: (202_440, 336_320, 470_200)},
    "ckconv-gabor": {1: (105_540, 239_420, 373_300), 3: (107_580, 241_460, 375_340), 96: (202_440, 336_320, 470_200)},
    "ckconv-fourier": {1: (104_516, 237_372, 370_228), 3: (106_556, 239_412, 372_268), 96: (201_416, 334_272, 467_128)},
}  # fmt: skip


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_an_image_model_has_the_published_number_of_parameters(name):
    assert parameters(build_model(name)) == COUNTS[name]


def test_classes_and_channels_add_the_published_parameters():
    assert parameters(build_model("flexnet-5", classes=1000)) == 498_596
    assert parameters(build_model("flexnet-7", channels=1)) == 670_066


@pytest.mark.parametrize("blocks", [2, 4, 6])
@pytest.mark.parametrize("kind", SEQUENCE_COUNTS)
def test_a_sequence_model_has_the_published_number_of_parameters(kind, blocks):
    name = f"flextcn[{','.join(['30'] * blocks)}]-{kind}"
    counts = {c: parameters(build_model(name, channels=c, reference_size=64)) for c in SEQUENCE_COUNTS[kind]}
    assert counts == {channels: row[blocks // 2 - 1] for channels, row in SEQUENCE_COUNTS[kind].items()}


@pytest.mark.parametrize("blocks", [2, 4, 6])
def test_a_listed_sequence_model_is_that_of_magnets(blocks):
    entry = find_model(f"flextcn-{blocks}")
    assert (entry.dims, entry.channels, entry.reference_size) == (1, 3, 1024)  # pixel-by-pixel CIFAR-10
    assert parameters(entry.build(10, 3, 1024)) == SEQUENCE_COUNTS["magnet"][3][blocks // 2 - 1]


SYSTEM_COUNTS = {
    "cktcn-2": 98_286,
    "cktcn-big-2": 1_030_546,
    "cktcn-magnet-2": 105_540,
    "dilrnn": 43_510,
    "indrnn": 86_410,
    "tcn": 66_910,
    "r-lstm": 465_419,
    "self-attention": 499_594,
    "trellisnet": 8_020_110,
    "trellisnet-small": 137_910,
    "ur-lstm": 1_186_570,
    "ur-gru-zoneout": 1_186_570,
    "hippo-legs": 531_980,
    "lipschitz-rnn": 134_154,
    "cornn": 134_154,
    "unicornn": 136_202,
    "plmu": 166_092,
}
"""Of sequences of 784 steps with one channel and 10 classes."""


@pytest.mark.parametrize(("name", "count"), SYSTEM_COUNTS.items())
def test_a_rival_for_sequences_has_the_published_number_of_parameters(name, count):
    assert find_model(name).dims == 1
    assert parameters(build_model(name, channels=1, reference_size=784)) == count


def test_every_rival_for_sequences_is_counted():
    listed = {name for name, entry in MODELS.items() if entry.dims == 1}
    assert listed == {"flextcn-2", "flextcn-4", "flextcn-6", *SYSTEM_COUNTS}


@pytest.mark.parametrize(("depth", "count"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)])
def test_a_cifar_resnet_of_any_depth_has_the_published_number_of_parameters(depth, count):
    model = CIFARResNet((depth - 2) // 6)
    assert parameters(model) == count
    assert sum(isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for m in model.modules()) == depth


IMAGE_KINDS = ["njet", "fractional", "dilated", "deformable"]
SHELLS = [("flexnet", kind) for kind in LAYER_KINDS]
SHELLS += [("flextcn", kind) for kind in LAYER_KINDS if kind not in IMAGE_KINDS]


@pytest.mark.parametrize(("family", "kind"), SHELLS)
def test_a_shell_of_any_width_is_built_by_its_name(family, kind):
    name = f"{family}[3,4,4]-{kind}"
    assert shell_name(family, [3, 4, 4], kind) == name
    model = build_model(name, classes=5, channels=2, reference_size=8)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)]
    widths = {"flexnet": [3, 4, 4, 4, 4], "flextcn": [3, 3, 4, 4, 4, 4]}  # a stem, then two to a block
    assert [norm.num_features for norm in norms] == widths[family]
    assert model.head.out_features == 5


def test_a_shell_without_a_kind_is_one_of_magnets_and_a_listed_shell_goes_by_its_listed_name():
    assert find_model("flexnet[8,8,12]").build == find_model("flexnet[8,8,12]-magnet").build
    assert shell_name("flexnet", [24, 24, 24, 36, 36, 36, 48, 48], "siren") == "flexnet-7-siren"
    assert shell_name("flextcn", [30, 30], "magnet") == "flextcn-2"


def test_every_entry_is_listed_under_its_own_name():
    assert [entry.name for entry in MODELS.values()] == list(MODELS)
    required = {"flexnet-3", "flexnet-5", "flexnet-7", "flexnet-7-conv3", "flexnet-7-conv33", "flexnet-7-siren"}
    required |= {"flexnet-7-gabor", "flexnet-7-fourier", "ckcnn-7-siren", "ckcnn-7-magnet"}
    assert set(MODELS) >= required | {"cifar-resnet-32", "cifar-resnet-44"}


NAME_ERRORS = [
    ("flexnet7", "unknown model 'flexnet7'; the nearest is 'flexnet-7', the known ones are flexnet-3, flexnet-5, "),
    ("cifar-resnet-33", "unknown model 'cifar-resnet-33'; the nearest is 'cifar-resnet-32', the known ones are "),
    ("zzz", "unknown model 'zzz'; the nearest is '"),
    ("", "unknown model ''; the nearest is '"),
    ("flexnet[8,x]", "unknown model 'flexnet[8,x]'; the nearest is '"),
    (
        "flexnet[8,8]-siern",
        "unknown layer kind 'siern' in 'flexnet[8,8]-siern'; the nearest is 'siren', the known ones are magnet, ",
    ),
    ("flexnet[8]", "'flexnet[8]' needs widths from 1 to 16,384: flexnet[STEM,BLOCK,...] or flextcn[BLOCK,...]"),
    (
        "flextcn[8,8]-njet",
        "layer kind 'njet' is for images; flextcn takes magnet, gabor, fourier, siren, ckconv-magnet, ",
    ),
    ("flexnet[8,99999999999999999999]", "'flexnet[8,99999999999999999999]' needs widths from 1 to 16,384: flexnet"),
    ("flexnet[٤,4]", "unknown model 'flexnet[٤,4]'; the nearest is '"),
    ("flextcn[8,0]", "'flextcn[8,0]' needs widths from 1 to 16,384: flexnet[STEM,BLOCK,...] or flextcn[BLOCK,...]"),
]


@pytest.mark.parametrize(("name", "message"), NAME_ERRORS)
def test_a_wrong_name_is_told_the_nearest_or_the_rule_in_one_line(name, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}[^\n]*$") as caught:
        build_model(name)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(("argument", "least"), [("classes", 2), ("channels", 1), ("reference_size", 4)])
def test_a_number_below_its_minimum_is_rejected_and_the_minimum_is_not(argument, least):
    ModelSpec("flexnet-3", **{argument: least})
    with pytest.raises(UsageError, match=f"^`{argument}` must be at least {least}.*, but is {least - 1}$"):
        build_model("flexnet-3", **{argument: least - 1})


SETTINGS = {  # name: it has as many parameters as its network of these settings
    "cornn?hidden=128": (129 + 128) * 128 + 128 + 1290,
    "unicornn?hidden=8,layers=2,alpha=10,step=0.3,dropout=0": (1 + 3) * 8 + (8 + 3) * 8 + 90,
    "ur-lstm?hidden=8": 4 * 8 * (1 + 8) + 4 * 8 + 256 * 8 + 256 + 2570,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_behind_the_name_of_a_sequence_system_reach_its_network(name):
    assert parameters(build_model(name, channels=1, reference_size=784)) == SETTINGS[name]


def test_settings_that_are_not_named_stay_the_published_ones_for_the_length():
    model = build_model("unicornn?alpha=10,dropout=0", channels=1, reference_size=1568)
    assert model.layers[0].step == 0.19 / 2
    assert model.layers[0].alpha == 10
    assert model.dropout.p == 0


def test_a_system_computes_by_the_settings_of_its_name():
    sequence = torch.randn(2, 1, 30)
    named, published = (build_model(name, channels=1, reference_size=30) for name in ("cornn?gamma=40", "cornn"))
    named.load_state_dict(published.state_dict())
    stiff = CoRNN(1, 10, step=0.042, gamma=40)
    stiff.load_state_dict(published.state_dict())
    assert torch.equal(named(sequence), stiff(sequence))
    assert not torch.allclose(named(sequence), published(sequence))


WRONG_SETTINGS = [
    ("cornn?hidden=x", "hidden must be a whole number from 1 to 16,384, but got cornn?hidden=x"),
    ("cornn?hidden=0", "hidden must be a whole number from 1 to 16,384, but got cornn?hidden=0"),
    ("cornn?hidden=True", "hidden must be a whole number from 1 to 16,384, but got cornn?hidden=True"),
    ("unicornn?layers=99999", "layers must be a whole number from 1 to 16,384, but got unicornn?layers=99999"),
    ("cornn?step=1e999", "step must be a finite number of at least 0, but got cornn?step=1e999"),
    ("cornn?step=-1", "step must be a finite number of at least 0, but got cornn?step=-1"),
    (
        "cornn?hiden=3",
        "unknown option 'hiden' in 'cornn?hiden=3'; the nearest is 'hidden', the known ones are hidden, ",
    ),
    ("indrnn?steps=3", "unknown option 'steps' in 'indrnn?steps=3'; the nearest is 'layers', the known ones are hidd"),
    ("unicornn?dropout=3", "UnICORNN cannot be built with dropout=3: p must lie in [0, 1), but is 3"),
    ("self-attention?width=10,heads=3", "SelfAttention cannot be built with width=10,heads=3: embed_dim must be div"),
    (
        "cornn?",
        "what follows ? must be KEY=VALUE,... with Python literals or words, as in ?patch_size=4, but got cornn?",
    ),
    ("corn?step=1", "unknown model 'corn?step=1'; the nearest is 'cornn', the known ones are "),
    (
        "flexnet-3?hidden=3",
        "flexnet-3 has no settings to name behind ?; only the systems of other authors for sequences h",
    ),
]


@pytest.mark.parametrize(("name", "message"), WRONG_SETTINGS)
def test_wrong_settings_of_a_system_are_named(name, message):
    with pytest.raises(UsageError) as told:
        build_model(name, channels=1, reference_size=64)
    assert str(told.value).startswith(message)
