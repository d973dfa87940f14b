"""Keep the largest weights, and store where they are as Deep Compression does, with zeros in between where gaps are long."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compression.encoded import Codes, Dense, Encoded
from compression.method import Failure, Knob, Method
from compression.pruning import magnitude

WIDTHS = (2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True, eq=False)
class Relative(Encoded):
    """Weights one after the other, each with the distance from the one before; the largest distance belongs to a filler.

    A filler moves on by the largest distance. Its value is stored and counted like any other, but decodes to zero whatever
    later steps make of it; the paper tells fillers by that value, and so can spend their distance on weights too.
    """

    shape: tuple[int, ...]
    places: Encoded  # Codes (entries,): places passed over since the entry before
    values: Encoded  # (entries,): weights, and a zero for each filler
    longest: int  # the distance that belongs to a filler

    def decode(self) -> Tensor:
        gaps = self.places.decode().long()
        weights = gaps < self.longest
        dense = torch.zeros(torch.Size(self.shape).numel())
        dense[(gaps + weights).cumsum(0)[weights] - 1] = self.values.decode().float().flatten()[weights]
        return dense.reshape(self.shape)


def answer(ranked: magnitude.Ranked, sparsity: float, index: int) -> Encoded:
    weight = ranked.weight
    if sparsity == 0:
        return Dense(weight)
    where, longest = magnitude.kept(ranked, sparsity).nonzero().flatten(), 2**index - 1
    gaps = torch.diff(where, prepend=where.new_tensor([-1])) - 1
    ends = (gaps // longest + 1).cumsum(0) - 1  # where each weight's entry stands, after its fillers
    codes = torch.full((int(ends[-1]) + 1 if len(ends) else 0,), longest, dtype=torch.uint8)
    values = torch.zeros(len(codes))
    codes[ends] = (gaps % longest).to(torch.uint8)
    values[ends] = weight.flatten()[where]
    return Relative(tuple(weight.shape), Codes(codes, index), Dense(values), longest)


METHOD = Method(
    title="Magnitude pruning, relative index",
    summary="Keep the largest weights and store each with its distance from the last; too long a distance costs a zero as filler.",
    reference="Han et al. 2016, Deep Compression, figure 2, arXiv:1510.00149",
    survey="6.4",
    knobs=(
        Knob("sparsity", "Sparsity", tuple(i / 100 for i in range(100)), 0.9, "Share of weights set to zero, smallest first.",
             "fall", off=0.0),
        Knob("index", "Bits of a distance", WIDTHS, 5,
             "With few, distances are short and fillers frequent; the paper takes 5, and 4 for AlexNet and VGG."),
    ),
    prepare=magnitude.prepare,
    answer=answer,
    terms=(("filler", "A zero that is stored like a weight because the distance to the next weight does not fit in its bits."),),
    fails=Failure(
        "With two bits for a distance most entries are fillers, and each of them takes the room of a weight.",
        "lenet-5", "fc1", (("sparsity", 0.95), ("index", 2)), ("pruning.magnitude", (("sparsity", 0.75),))),
)
