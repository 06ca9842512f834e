"""How a model is trained: the recipe of the official FlexConv code, with what a user may change. Needs no torch."""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

from restool.arguments import MOST_IMAGES, Knob, check_knobs, knobs

AliasPenalty = Literal["none", "gabor", "gabor+mask", "spectral"]
Precision = Literal["float32", "bfloat16"]

FIRST_FIELDS = ("alias_penalty", "batch_size", "learning_rate")
"""The first records hold these fields of a recipe; those that came later are told only where they are not default."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Adam, linear warm-up and cosine per step.

    A new field is a new option of every command that trains, and a part of the keys of the models that set it.

    Attributes:
        alias_after: part of all steps before the first that the aliasing penalty counts in, from 0 to 1.
        alias_penalty: what the aliasing penalty counts (see `restool.aliasing.penalty`), or none.
        alias_strength: factor of the aliasing penalty in the loss.
        batch_size: images a step.
        clip: the gradient of a step is scaled down to this norm where it is larger; 0 leaves it as it is.
        enlarge: in the second half of the training some steps also enlarge source images, up to so many times their
            size, and learn to answer them as the images themselves, so that the model learns finer grids without any
            finer content; 1 for none (see `restool.training.enlarging`).
        enlarge_share: part of the steps of the second half that does.
        learning_rate: peak rate of Adam.
        precision: of the forward pass. In bfloat16, convolutions and matrix products are computed in it (autocast);
            weights, kernel coordinates, sines and masks, the loss and the penalty stay in float32.
        weight_decay: decoupled (Loshchilov and Hutter 2019): a step also takes rate * weight_decay of every weight off
            it, but for masks, whose decay would narrow every kernel.

    Raises:
        ArgumentError: a value out of range.
    """

    alias_after: Annotated[
        float, Knob("Part of the training before the aliasing penalty counts.", "PART", least=0, most=1)
    ] = 0.0
    alias_penalty: Annotated[
        AliasPenalty, Knob("Penalise kernel frequencies above the Nyquist frequency of the source.")
    ] = "none"
    alias_strength: Annotated[
        float, Knob("Factor of the aliasing penalty in the loss.", "FACTOR", least=0, most=1e30)
    ] = 0.1
    batch_size: Annotated[
        int, Knob("Images in a training step.", "N", least=2, most=MOST_IMAGES, because="batch norm needs it")
    ] = 64
    clip: Annotated[float, Knob("Largest norm of a step's gradient; 0 for any.", "NORM", least=0, most=1e30)] = 0.0
    enlarge: Annotated[
        float,
        Knob("Also learn from source images enlarged up to so many times; 1 for never.", "TIMES", least=1, most=8),
    ] = 1.0
    enlarge_share: Annotated[float, Knob("Part of the later steps that learn from them.", "SHARE", least=0, most=1)] = (
        0.5
    )
    learning_rate: Annotated[float, Knob("Peak rate of Adam.", "RATE", above=0, most=1e30)] = 0.01
    precision: Annotated[Precision, Knob("Of convolutions in training; bfloat16 is faster on GPUs and some CPUs.")] = (
        "float32"
    )
    weight_decay: Annotated[
        float, Knob("Decoupled decay of all weights but those of masks.", "FACTOR", least=0, most=1e30)
    ] = 0.0

    def __post_init__(self) -> None:
        check_knobs(self)
        for name, (kind, _) in knobs(Recipe).items():
            if kind is float:
                object.__setattr__(self, name, float(getattr(self, name)))  # 1 and 1.0 are one recipe

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the weights, as keys and records tell it."""
        return {k: v for k, v in asdict(self).items() if k in FIRST_FIELDS or v != DEFAULTS[k]}


DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Recipe)}
LATER = {name: default for name, default in DEFAULTS.items() if name not in FIRST_FIELDS}
"""A record that does not tell one of these fields means its default."""

RECIPES = {
    "official": Recipe(),
    "robust": Recipe(alias_after=0.5, alias_penalty="spectral", alias_strength=0.1, enlarge=2.0),
}
"""Recipes by name: that of the official FlexConv code, and the one that loses least at other resolutions."""
