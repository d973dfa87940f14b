"""Low rank from the first step on: two thin matrices are trained in place of each weight, and their product is never free."""

from collections.abc import Iterator

import torch
from torch import nn

from compression.encoded import Dense, Factored
from compression.method import Knob, Layer
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.scratch.beside import EPOCHS, RATE, beside, refuses, stored
from compression.train.sparse.masked import to_mask

SHARE = Knob("share", "Numbers kept", (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2), 1 / 8, "Of each weight's, at most; a rank is at least 1.")


def rank_of(shape: tuple[int, ...], share: float) -> int:
    """The largest rank, at least 1, whose two factors have at most a share of the numbers of a weight (out, in, *kernel).

    >>> rank_of((300, 784), 1 / 8)
    27
    """
    m, n = shape[0], torch.Size(shape[1:]).numel()
    return max(1, int(share * m * n / (m + n)))


def thin(layer: Layer, share: float) -> Factored | None:
    """The best factors of a layer's first weight, each with the root of the singular values; None where they would not be fewer numbers."""
    matrix = layer.weight.flatten(1)
    rank = rank_of(tuple(layer.weight.shape), share)
    if rank * sum(matrix.shape) >= matrix.numel():
        return None
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    root = s[:rank].sqrt()
    return Factored(tuple(layer.weight.shape), Dense(u[:, :rank] * root), Dense((root[:, None] * v[:rank]).contiguous()))


def run(task: Task, share: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Every layer that has fewer numbers for it but the last, whose few outputs would have almost no rank left."""
    last = to_mask(task.network.reference)[-1].name

    def make(layer: Layer) -> nn.Module | None:
        form = None if layer.name == last else thin(layer, share)
        return None if form is None else stored(layer, form)

    yield from beside(task, f"low rank, 1/{round(1 / share)} of the numbers", make, epochs, rate, "low_rank", share)


PROCEDURE = Procedure(
    title="Low rank from the start",
    summary="Trains two thin matrices in place of every weight but the last layer's. Beside it a narrower plain network with as many "
            "numbers, and the plain one. The recipe on screen is left aside.",
    reference="Sainath et al. 2013; Khodak et al. 2021, arXiv:2105.01029 (the beginning: factors of first weights)",
    survey="4",
    knobs=(SHARE, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("share", s),) for s in (1 / 4, 1 / 16)),
    refuses=refuses,
    finding="A wide network of low rank beats a narrow one with as many numbers where inputs are many.",
)
