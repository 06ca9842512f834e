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
from restool.data.lowpass import low_pass
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
        low_pass: before the resize, frequencies from this share of the Nyquist frequency of the resized grid on are
            taken out, above 0 and at most 1, see `restool.data.lowpass`; None for no such filter.

    Raises:
        ArgumentError: any value that breaks a rule.
    """

    fit: Fit = "crop"
    crop_ratio: float = 0.875
    resample: Filter = "bilinear"
    antialias: bool = True
    low_pass: float | None = None

    def __post_init__(self) -> None:
        require_choice("fit", self.fit, get_args(Fit))
        require_filter(self.resample, antialias=self.antialias)
        if not 0 < self.crop_ratio <= 1:
            raise ArgumentError("crop_ratio", "must be above 0 and at most 1", self.crop_ratio)
        if self.low_pass is not None and not 0 < self.low_pass <= 1:
            raise ArgumentError("low_pass", "must be above 0 and at most 1", self.low_pass)

    def __str__(self) -> str:
        """As a record names it: "crop 0.875, bilinear"."""
        sharp = "" if self.antialias else " without antialiasing"
        soft = "" if self.low_pass is None else f", low pass {self.low_pass:g}"
        return f"{self.fit} {self.crop_ratio:g}, {self.resample}{sharp}{soft}"

    def fields(self, than: "View | None" = None) -> dict[str, Any]:
        """As a record stores it: all but a low pass that there is not, or what differs from another's."""
        usual = {"low_pass": "none"} if than is None else than._told
        return {name: value for name, value in self._told.items() if value != usual.get(name)}

    @property
    def _told(self) -> dict[str, Any]:
        return {
            "fit": self.fit,
            "crop_ratio": self.crop_ratio,
            "resample": self.resample,
            "antialias": "on" if self.antialias else "off",
            "low_pass": self.low_pass or "none",
        }

    def like(self, fields: Mapping[str, Any]) -> "View":
        """This view with what stored fields say otherwise."""
        told = {name: fields[name] for name in self._told if name in fields}
        if "antialias" in told:
            told["antialias"] = told["antialias"] == "on"
        if told.get("low_pass") == "none":
            told["low_pass"] = None
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
        if self.low_pass is not None:
            picture = tv.to_pil_image(self._softened(tv.pil_to_tensor(picture), shape))
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
        resized = resize(self._softened(images, (side, side)), side, self.resample, antialias=self.antialias)
        if side == size:
            return resized
        margin = round((side - size) / 2)
        return resized[:, :, margin : margin + size, margin : margin + size]

    def _softened(self, images: Tensor, shape: Sequence[int]) -> Tensor:
        """Images [..., H, W], uint8, as they are resized to a shape."""
        if self.low_pass is None:
            return images
        height, width = (self.low_pass / 2 * after / now for after, now in zip(shape, images.shape[-2:], strict=True))
        return low_pass(images, (height, width))


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
        low_pass: likewise.

    Raises:
        ArgumentError: any value that breaks a rule.
    """

    fit: Fit | None = None
    crop_ratios: tuple[float, ...] = ()
    resample: tuple[Filter, ...] = ()
    antialias: tuple[bool, ...] = ()
    low_pass: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        self.views(WHOLE)  # which refuses what breaks a rule

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return self.fit is not None or bool(self.crop_ratios or self.resample or self.antialias or self.low_pass)

    def views(self, default: View) -> tuple[View, ...]:
        """Every combination, the one for training and the source first."""
        fit: dict[str, Any] = {} if self.fit is None else {"fit": self.fit}
        return tuple(
            replace(default, crop_ratio=ratio, resample=filter_, antialias=antialias, low_pass=share, **fit)
            for ratio, filter_, antialias, share in product(
                self.crop_ratios or (default.crop_ratio,),
                self.resample or (default.resample,),
                self.antialias or (default.antialias,),
                self.low_pass or (default.low_pass,),
            )
        )
