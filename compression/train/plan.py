"""How long and how fast a network is trained: optimizer, rate and its rise and fall, batches, augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data

RISE = 0.2  # share of the steps in which the rate rises


@dataclass(frozen=True)
class Plan:
    """The rate rises and falls once (one cycle, Smith 2018, arXiv:1803.09820), or stays where cycle is off."""

    optimizer: str  # "sgd" (Nesterov, momentum 0.9), "adamw", or "muon" for matrices with AdamW for the rest
    rate: float
    decay: float
    batch: int
    epochs: int = 0  # passes over the training examples
    steps: int = 0  # or so many batches
    smoothing: float = 0.0
    flip: bool = False  # left and right at random
    shift: int = 0  # pixels at most, in each direction
    cycle: bool = True

    def total(self, examples: int) -> int:
        """Batches in all; the last incomplete batch of a pass is left out."""
        return self.steps or self.epochs * max(1, examples // self.batch)


def usual_batch(data: Data) -> int:
    """Examples in a batch where nothing asks for another number: 128, fewer where there are few, 16 windows of text.

    >>> import torch
    >>> usual_batch(Data("few", "train", torch.zeros(1000, 2), None, ()))
    32
    """
    return 16 if data.kind == "text" else 128 if len(data) >= 5000 else 32


def one_cycle(step: int, total: int) -> float:
    """What the rate is multiplied with at a step, from 1/25 up to 1 and down to 1/250,000, along cosines.

    >>> [round(one_cycle(i, 11), 2) for i in (0, 2, 10)]
    [0.04, 1.0, 0.0]
    """
    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + cos(pi * share)) / 2

    top = RISE * total - 1
    if step <= top:
        return between(1 / 25, 1.0, step / max(top, 1e-9))
    return between(1.0, 1 / 250_000, (step - top) / max(total - 1 - top, 1e-9))


def optimizers(parameters: dict[str, nn.Parameter], plan: Plan) -> list[torch.optim.Optimizer]:
    """One optimizer, or for "muon" two: Muon for the blocks' matrices, AdamW for embeddings and vectors."""
    if plan.optimizer == "sgd":
        return [torch.optim.SGD(parameters.values(), plan.rate, 0.9, weight_decay=plan.decay, nesterov=True)]
    if plan.optimizer == "muon":
        matrices = [p for name, p in parameters.items() if p.ndim == 2 and "blocks" in name]
        others = [p for p in parameters.values() if not any(p is m for m in matrices)]
        return [torch.optim.Muon(matrices, plan.rate, weight_decay=plan.decay), torch.optim.AdamW(others, 3e-3)]
    return [torch.optim.AdamW(parameters.values(), plan.rate, weight_decay=plan.decay)]


def augment(images: Tensor, plan: Plan, rng: torch.Generator) -> Tensor:
    """Flip some images and shift each by up to plan.shift pixels, the edge repeated. (n, 1, h, w), both ways."""
    n, _, h, w = images.shape
    if plan.shift:
        padded = F.pad(images, [plan.shift] * 4, mode="replicate")[:, 0]  # (n, h + 2s, w + 2s)
        down, right = torch.randint(0, 2 * plan.shift + 1, (2, n, 1), generator=rng)
        rows, columns = down + torch.arange(h), right + torch.arange(w)
        images = padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]
    if plan.flip:
        turn = torch.rand(n, 1, 1, 1, generator=rng) < 0.5
        images = torch.where(turn, images.flip(-1), images)
    return images


def batches(data: Data, plan: Plan, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels without end, each pass in a fresh order, its last incomplete batch left out.

    Data of one grey channel is augmented as the plan says; other data comes as it is.
    """
    size = min(plan.batch, len(data))
    pictures = data.kind == "images" and data.inputs.ndim == 4 and data.inputs.shape[1] == 1
    while True:
        for rows in torch.randperm(len(data), generator=rng).split(size):
            if len(rows) == size:
                inputs = data.inputs[rows]
                yield augment(inputs, plan, rng) if pictures and (plan.flip or plan.shift) else inputs, data.labels[rows]
