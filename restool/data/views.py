"""Views: how an image of any shape comes to a square of n pixels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, get_args

import torch
from PIL import Image
from torch import Tensor

from restool.arguments import require_choice
from restool.data.resampling import Filter, require_filter, resize
from restool.errors import ArgumentError

Fit = Literal["crop", "squash", "pad"]


@dataclass(frozen=True, kw_only=True)
class View:
    """An image is resized, and the middle n x n pixels of it are what a model sees.

    Attributes:
        fit: "crop" brings the shorter side to m = floor(n / crop_ratio) and keeps the shape; "squash" brings both
            sides to m; "pad" brings the longer side to m, keeps the shape, and fills what is missing with the mean.
        crop_ratio: part of m that is left, above 0 and at most 1. 224 of 256 is usual for photographs.
        resample: filter of the resize, see `restool.data.resampling`.
        antialias: whether the filter grows where pixels get fewer.

    Raises:
        ArgumentError: any value that breaks a rule.
    """

    fit: Fit = "crop"
    crop_ratio: float = 0.875
    resample: Filter = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        require_choice("fit", self.fit, get_args(Fit))
        require_filter(self.resample, antialias=self.antialias)
        if not 0 < self.crop_ratio <= 1:
            raise ArgumentError("crop_ratio", "must be above 0 and at most 1", self.crop_ratio)

    def __str__(self) -> str:
        """As a record names it: "crop 0.875, bilinear"."""
        return f"{self.fit} {self.crop_ratio:g}, {self.resample}" + ("" if self.antialias else " without antialiasing")

    def fields(self, than: "View | None" = None) -> dict[str, Any]:
        """As a record stores it: every field, or those that differ from another view's."""
        told = {"fit": self.fit, "crop_ratio": self.crop_ratio, "resample": self.resample, "antialias": "on"}
        if not self.antialias:
            told["antialias"] = "off"
        return told if than is None else {name: value for name, value in told.items() if value != than.fields()[name]}

    def like(self, fields: Mapping[str, Any]) -> "View":
        """This view with what stored fields say otherwise."""
        told = {name: fields[name] for name in self.fields() if name in fields}
        if "antialias" in told:
            told["antialias"] = told["antialias"] == "on"
        return replace(self, **told)

    def of_picture(self, picture: Image.Image, size: int, fill: Sequence[int]) -> Tensor:
        """A picture of any shape as uint8 [C, size, size], by Pillow's resize, or torchvision's without antialiasing.

        Args:
            picture: in mode L or RGB.
            size: n, pixels along each axis.
            fill: grey level of each channel where a padded image has nothing.
        """
        from torchvision.transforms.v2 import functional as tv

        side, (width, height) = math.floor(size / self.crop_ratio), picture.size
        shorter, longer = sorted((width, height))
        if self.fit == "squash":
            shape = [side, side]
        else:  # the other side is rounded down, as in torchvision
            short, long = (side, side * longer // shorter) if self.fit == "crop" else (side * shorter // longer, side)
            shape = [max(1, long), max(1, short)] if height > width else [max(1, short), max(1, long)]
        resized = _resized(picture, shape, self)
        padding = [max(0, size - extent) for extent in resized.shape[:0:-1]]
        if any(padding):
            left, top = (missing // 2 for missing in padding)
            sides = [left, top, padding[0] - left, padding[1] - top]
            resized = torch.stack(
                [tv.pad(channel[None], sides, fill=[level])[0] for channel, level in zip(resized, fill, strict=True)]
            )
        return tv.center_crop(resized, [size, size])

    def of_squares(self, images: Tensor, size: int) -> Tensor:
        """Square images of one size, [B, C, n, n] uint8, as `of_picture` shows each, on their device."""
        side = math.floor(size / self.crop_ratio)
        resized = resize(images, side, self.resample, antialias=self.antialias)
        if side == size:
            return resized
        margin = round((side - size) / 2)
        return resized[:, :, margin : margin + size, margin : margin + size]


def _resized(picture: Image.Image, shape: list[int], view: View) -> Tensor:
    """[C, *shape] uint8."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as tv

    mode = InterpolationMode(view.resample)
    if view.antialias or view.resample == "nearest":
        return tv.pil_to_tensor(tv.resize(picture, shape, mode))
    return tv.resize(tv.pil_to_tensor(picture), shape, mode, antialias=False)


WHOLE = View(crop_ratio=1.0)
"""All of a square, as images of one size come to another."""


@dataclass(frozen=True, kw_only=True)
class ViewChoices:
    """What a user asks of views; what is left out is as the data set or the trained model has it.

    Attributes:
        fit: see `View`.
        crop_ratios: the first is for training and the source, all are tested.
        resample: likewise.
        antialias: likewise.

    Raises:
        ArgumentError: any value that breaks a rule.
    """

    fit: Fit | None = None
    crop_ratios: tuple[float, ...] = ()
    resample: tuple[Filter, ...] = ()
    antialias: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        self.views(WHOLE)  # which refuses what breaks a rule

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return self.fit is not None or bool(self.crop_ratios or self.resample or self.antialias)

    def views(self, default: View) -> tuple[View, ...]:
        """Every combination, the one for training and the source first."""
        fit: dict[str, Any] = {} if self.fit is None else {"fit": self.fit}
        return tuple(
            replace(default, crop_ratio=ratio, resample=filter_, antialias=antialias, **fit)
            for ratio, filter_, antialias in product(
                self.crop_ratios or (default.crop_ratio,),
                self.resample or (default.resample,),
                self.antialias or (default.antialias,),
            )
        )
