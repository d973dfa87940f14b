"""Tensor trains from the first step on: small cores are trained in place of each weight."""

from collections.abc import Iterator

from torch import nn

from compression.lowrank.tensor_train import TensorTrain
from compression.lowrank.trains import Modes, fold, full_ranks, join, modes, train
from compression.method import Knob, Layer
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.scratch.beside import EPOCHS, RATE, beside, refuses, stored
from compression.train.sparse.masked import to_mask


def numbers(how: Modes, ranks: tuple[int, ...]) -> int:
    """Numbers in all cores of a train.

    >>> numbers(Modes(1, (2, 2), (3, 3)), (4,))
    48
    """
    ends = (1, *ranks, 1)
    return sum(before * size * after for before, size, after in zip(ends, how.sizes, ends[1:], strict=False))


def thin(layer: Layer, cores: int, rank: int) -> TensorTrain | None:
    """The train of a layer's first weight with so many cores and ranks of at most so much; None where it is not shorter."""
    how = modes(tuple(layer.weight.shape), cores)
    ranks = tuple(min(rank, full) for full in full_ranks(how.sizes))
    if numbers(how, ranks) >= layer.weight.numel():
        return None
    found, _ = train(fold(layer.weight.double(), how), ranks)
    return TensorTrain(tuple(layer.weight.shape), *how, join([core.float().contiguous() for core in found]))


def run(task: Task, rank: int, cores: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Every layer that is shorter for it but the last."""
    last = to_mask(task.network.reference)[-1].name

    def make(layer: Layer) -> nn.Module | None:
        form = None if layer.name == last else thin(layer, cores, rank)
        return None if form is None else stored(layer, form)

    yield from beside(task, f"{cores} cores, rank {rank}", make, epochs, rate, "tensor_train", rank, cores)


PROCEDURE = Procedure(
    title="Tensor trains from the start",
    summary="Trains a chain of small cores in place of every weight but the last layer's. Beside it a narrower plain network with as many "
            "numbers, and the plain one. The recipe on screen is left aside.",
    reference="Novikov et al. 2015, Tensorizing Neural Networks, arXiv:1509.06569",
    survey="4",
    knobs=(Knob("rank", "Most rank", (1, 2, 4, 8, 16), 4, "Between two cores."),
           Knob("cores", "Cores", (2, 3, 4), 3, "How many digits a row or column number has: one core for each."), EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("rank", r),) for r in (2, 8)),
    refuses=refuses,
    finding="A layer of hundreds of thousands of numbers learns as a few thousand, where a plain layer with so few hardly does.",
)
