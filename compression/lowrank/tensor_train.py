"""Read a weight as a tensor of several modes, and store it as a chain of small cores."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from compression.encoded import Encoded
from compression.lowrank.svd import refuses
from compression.lowrank.trains import Modes, fold, full_ranks, join, modes, share, train, unfold
from compression.method import Failure, Knob, Layer, Method

RANKS = (0.02, 0.05, *(i / 10 for i in range(1, 11)))
CORES = (3, 4)


@dataclass(frozen=True, eq=False)
class TensorTrain(Encoded):
    """W[i, j] = G1[i1, j1] G2[i2, j2] ... for the digits i1, i2, ... of i and j1, j2, ... of j in bases given by out and into."""

    shape: tuple[int, ...]
    kernel: int
    out: tuple[int, ...]
    into: tuple[int, ...]
    core: Encoded  # cores joined one by one

    def decode(self) -> Tensor:
        return unfold(self.core.decode(), Modes(self.kernel, self.out, self.into), self.shape)


class Trains(NamedTuple):
    """For each number of cores how the weight is read, and for each rung the cores and the squared error."""

    shape: tuple[int, ...]
    how: dict[int, Modes]
    cores: dict[int, dict[float, list[Tensor]]]
    errors: dict[int, dict[float, float]]


def prepare(weight: Tensor, layer: Layer) -> Trains:
    """A TT-SVD for each rung, as every core depends on the ranks before it."""
    how = {count: modes(tuple(weight.shape), count) for count in CORES}
    cores: dict[int, dict[float, list[Tensor]]] = {count: {} for count in CORES}
    errors: dict[int, dict[float, float]] = {count: {} for count in CORES}
    for count in CORES:
        tensor = fold(weight.double(), how[count])
        full = full_ranks(how[count].sizes)
        for rung in RANKS:
            found, errors[count][rung] = train(tensor, share(full, rung))
            cores[count][rung] = [core.float().contiguous() for core in found]
    return Trains(tuple(weight.shape), how, cores, errors)


def answer(trains: Trains, rank: float, cores: int) -> Encoded:
    return TensorTrain(trains.shape, *trains.how[cores], join(trains.cores[cores][rank]))


METHOD = Method(
    title="Tensor train",
    summary="Read the rows and columns of a weight as numbers of several digits, and store a small core for each digit.",
    reference="Novikov et al. 2015, Tensorizing Neural Networks, arXiv:1509.06569; convolutions: Garipov et al. 2016, "
              "arXiv:1611.03214; TT-SVD: Oseledets 2011",
    survey="4.1",
    knobs=(
        Knob("rank", "Rank", RANKS, 0.4, "Ranks between the cores, as a share of those with which nothing is lost.", "rise", off=1.0),
        Knob("cores", "Cores", CORES, 3, "How many digits a row or column number has: one core for each."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("TT-rank", "How many numbers pass from one core of a tensor train to the next."),),
    fails=Failure(
        "Channels have no order, so digits of their numbers share nothing and every core must be large; the kernel's rows and columns do share.",
        "lenet-5", "conv2", (("rank", 0.5), ("cores", 4)), instead=("lowrank.cp", (("rank", 0.4), ("kernel", "separable")))),
)
