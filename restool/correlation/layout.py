"""Images whose batch comes last in memory, as products per frequency read and write them.

A tensor [B, C, n_y, n_x] is *batch last* when its memory holds [n_y, n_x, C, B]: rows of one channel at one place, as
long as the batch. Contiguous tensors and those with channels last are moved by one transposition.
"""

from torch import Tensor


def batch_last(images: Tensor) -> Tensor:
    """[B, C, n_y, n_x] in any layout -> contiguous [n_y, n_x, C, B]; no copy of what is batch last."""
    if images.is_contiguous():  # a transposition of a matrix is fast, and so is one that moves whole rows
        columns = images.flatten(1).T.contiguous()
        return columns.view(*images.shape[1:], len(images)).permute(1, 2, 0, 3).contiguous()
    rows = images.permute(2, 3, 1, 0)
    if rows.is_contiguous():
        return rows
    return images.permute(0, 2, 3, 1).flatten(1).T.contiguous().view(rows.shape)


def as_images(rows: Tensor) -> Tensor:
    """[n_y, n_x, C, B] -> [B, C, n_y, n_x], a view that is batch last."""
    return rows.permute(3, 2, 0, 1)


def is_batch_last(images: Tensor) -> bool:
    """Whether a tensor [B, C, n_y, n_x] is batch last, and not plainly contiguous too."""
    return not images.is_contiguous() and images.permute(2, 3, 1, 0).is_contiguous()


def channels_last(images: Tensor) -> Tensor:
    """[B, C, n_y, n_x] that is batch last -> the same with channels last."""
    rows = batch_last(images)
    return rows.flatten(0, 2).T.contiguous().view(len(images), *rows.shape[:3]).permute(0, 3, 1, 2)
