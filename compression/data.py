"""Examples a network is judged on.

A split says what the data may be used for: "train" may teach and calibrate, "validation" may choose, "test" only reports.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class Data:
    """Examples a network can be judged on. A prediction is a class for an image, a next character for each place in a text."""

    name: str  # "Fashion-MNIST"
    split: str
    inputs: Tensor  # images (n, 1, h, w) float32, normalised; or text (n, 128) int64
    labels: Tensor | None  # (n,) int64, or (n, 128) int64 for text; None when unknown
    classes: tuple[str, ...]  # what the labels mean: names, or the alphabet
    kind: Literal["images", "text", "vectors"] = "images"
    mean: float = 0.0
    std: float = 1.0

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def digest(self) -> str:
        """Of the examples and their labels, so that answers to one set are never taken for answers to another."""
        sha = hashlib.blake2b(digest_size=16)
        for tensor in (self.inputs, self.labels):
            if tensor is not None:
                sha.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
                sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()
