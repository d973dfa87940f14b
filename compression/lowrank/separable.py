"""What decompositions into one-dimensional filters share: where they apply, and kernels stored as columns times rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Layer


@dataclass(frozen=True, eq=False)
class Outer(Encoded):
    """Two-dimensional filters as a column times a row each: (filters, height) and (filters, width)."""

    left: Encoded
    right: Encoded

    def decode(self) -> Tensor:
        return self.left.decode()[:, :, None] * self.right.decode()[:, None, :]


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if weight.ndim != 4 or layer.kind != "conv":
        return "This is for convolutions of images, whose kernels have a height and a width."
    if layer.groups > 1:
        return f"This convolution works in {layer.groups} groups, so its filters do not see all inputs."
    return None


def rank_one(filters: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest column times row of each of many small filters (..., height, width): (..., height), (..., width)."""
    left, singular, right = torch.linalg.svd(filters, full_matrices=False)
    root = singular[..., :1].sqrt()
    return left[..., 0] * root, right[..., 0, :] * root
