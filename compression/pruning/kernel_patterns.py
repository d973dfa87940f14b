"""Let the kernels of a convolution keep their weights in one of a few patterns."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import Sparse

COUNTS = (1, 4, 8, 16, 32)
LARGEST = 49  # places of a kernel
SPARSITIES = tuple(i / 100 for i in (0, 11, 22, 33, 44, 56, 67, 78, 89))  # ninths, for kernels of 3 x 3


@dataclass(frozen=True, eq=False)
class InPatterns(Encoded):
    """Which places are kept where every kernel keeps those of one pattern."""

    table: Encoded  # Codes of 1 bit (patterns * places of a kernel,): what each pattern keeps
    codes: Encoded  # (kernels,): the pattern of each
    area: int  # places of a kernel

    def decode(self) -> Tensor:
        """Places kept, (kept count,) int64 ascending."""
        patterns = self.table.decode().reshape(-1, self.area).bool()
        return patterns[self.codes.decode().long()].flatten().nonzero().flatten()


class Found(NamedTuple):
    """A weight, and for every number of places kept the patterns, most frequent first, and what each kernel would keep of it."""

    weight: Tensor
    patterns: dict[int, Tensor]  # kept -> (patterns, area) bool
    energy: dict[int, Tensor]  # kept -> (kernels, patterns), sums of squares


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if weight.ndim < 3 or weight[0, 0].numel() == 1:
        return "This layer has no kernels of several places, and patterns are parts of kernels."
    if weight[0, 0].numel() > LARGEST:
        return f"The kernels of this layer have {weight[0, 0].numel()} places; patterns are found for up to {LARGEST}."
    return None


def prepare(weight: Tensor, layer: Layer) -> Found:
    """The natural pattern of a kernel is where its largest weights stand; the most frequent ones become the patterns of all."""
    kernels = weight.flatten(2).flatten(0, 1)  # (kernels, area)
    area = kernels.shape[1]
    order = kernels.abs().argsort(dim=1, descending=True, stable=True)
    patterns, energy = {}, {}
    for kept in {_kept(s, area) for s in SPARSITIES}:
        natural = torch.zeros(kernels.shape, dtype=torch.bool).scatter_(1, order[:, :kept], True)
        names, counts = (natural * 2 ** torch.arange(area)).sum(1).unique(return_counts=True)
        common = names[counts.argsort(descending=True, stable=True)[: COUNTS[-1]]]
        patterns[kept] = (common[:, None] >> torch.arange(area) & 1).bool()
        energy[kept] = kernels.square() @ patterns[kept].float().T
    return Found(weight, patterns, energy)


def answer(found: Found, sparsity: float, patterns: int) -> Encoded:
    weight = found.weight
    area = weight[0, 0].numel()
    kept = _kept(sparsity, area)
    if kept == area:
        return Dense(weight)
    chosen = found.patterns[kept][:patterns]
    which = found.energy[kept][:, :patterns].argmax(1)  # (kernels,): the pattern that keeps most of it
    mask = chosen[which].reshape(weight.shape)
    table = Codes(chosen.flatten().to(torch.uint8), 1)
    codes = Codes(which.to(torch.uint8), needed(len(chosen) - 1))
    return Sparse(tuple(weight.shape), InPatterns(table, codes, area), Dense(weight[mask]))


def _kept(sparsity: float, area: int) -> int:
    """At least one place of each kernel is kept."""
    return max(1, area - round(sparsity * area))


METHOD = Method(
    title="Kernel patterns",
    summary="Every kernel of a convolution keeps equally many weights, in one of a few patterns that occur most often.",
    reference="Niu et al. 2020, PatDNN, arXiv:2001.00138; Ma et al. 2020, PCONV, arXiv:1909.05073",
    survey="3.4",
    knobs=(
        Knob("sparsity", "Sparsity", SPARSITIES, 0.56, "Share of each kernel set to zero; 56 % leaves 4 places of 3 x 3, as in the papers.",
             "fall", off=0.0),
        Knob("patterns", "Patterns", COUNTS, 8, "How many patterns there are for a kernel to choose from."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("kernel", "The weights of a convolution from one input channel to one output channel."),),
    fails=Failure(
        "The few patterns leave out large weights that stand elsewhere in their kernels.",
        "resnet-20", "stage2.0.conv2", (("sparsity", 0.67),), ("pruning.magnitude", (("sparsity", 0.7),))),
)
