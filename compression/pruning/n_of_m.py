"""Of every few neighbouring inputs keep the largest, always as many."""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import Sparse

SIZES = (4, 8, 16)


@dataclass(frozen=True, eq=False)
class InGroups(Encoded):
    """Which places are kept where every group of m inputs keeps n: for each group the number of the choice, or its places.

    What is left of the inputs after the last whole group is a shorter group, of which the same share is kept, rounded up.
    """

    shape: tuple[int, ...]
    n: int
    m: int
    whole: Encoded  # Codes: one choice for each group, or n places of it
    rest: Encoded  # Codes: the same for the shorter groups
    choices: bool  # whether a code stands for a whole choice

    def __post_init__(self) -> None:
        if self.m not in SIZES or not 0 < self.n < self.m:
            raise ValueError(f"groups are of {', '.join(map(str, SIZES))} and keep fewer, not {self.n} of {self.m}")

    def decode(self) -> Tensor:
        """Places kept, (kept count,) int64 ascending."""
        moved = _inputs_last(torch.empty(self.shape)).shape  # (out, *kernel, in)
        left = moved[-1] % self.m
        kept = [_mask(self.whole.decode(), self.n, self.m, self.choices).reshape(*moved[:-1], moved[-1] - left)]
        if left:
            kept.append(_mask(self.rest.decode(), _short(self.n, self.m, left), left, self.choices).reshape(*moved[:-1], left))
        return torch.cat(kept, -1).movedim(-1, 1).flatten().nonzero().flatten()


class Ranked(NamedTuple):
    """A weight, and for every size of group the rank of each entry in its group, 0 for the largest, and how large each rank is on average."""

    weight: Tensor
    ranks: dict[int, tuple[Tensor, Tensor]]  # m -> (groups, m) and (short groups, what is left), uint8
    rank_sizes: dict[int, Tensor]  # m -> (ranks,) mean importance, the largest of each group first


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if weight.ndim < 2:
        return "This tensor has a single dimension, and groups are made of neighbouring inputs."
    if weight.shape[1] < SIZES[0]:
        return f"This layer has {weight.shape[1]} inputs for each output and place, fewer than the {SIZES[0]} of a group."
    return None


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    return ranked(weight, weight.abs())


def ranked(weight: Tensor, importance: Tensor) -> Ranked:
    """The weight, with its entries ranked in each group by their importance, (out, in, *kernel), none below zero."""
    magnitude = _inputs_last(importance).flatten(0, -2)  # (rows, in)
    ranks, sizes = {}, {}
    for m in SIZES:
        end = magnitude.shape[1] // m * m
        groups = magnitude[:, :end].reshape(-1, m)
        ranks[m], sizes[m] = (_ranks(groups), _ranks(magnitude[:, end:])), groups.sort(1, descending=True).values.mean(0)
    return Ranked(weight, ranks, sizes)


def answer(ranked: Ranked, sparsity: float, m: int, places: str) -> Encoded:
    n = m - round(sparsity * m)
    if n == m:
        return Dense(ranked.weight)
    moved = _inputs_last(ranked.weight)
    left, choices = moved.shape[-1] % m, places == "choices"
    whole, rest = (ranks < keep for ranks, keep in zip(ranked.ranks[m], (n, _short(n, m, left))))
    kept = torch.cat([whole.reshape(*moved.shape[:-1], -1), rest.reshape(*moved.shape[:-1], left)], -1).movedim(-1, 1)
    where = InGroups(tuple(ranked.weight.shape), n, m, _codes(whole, n, choices), _codes(rest, _short(n, m, left), choices), choices)
    return Sparse(tuple(ranked.weight.shape), where, Dense(ranked.weight[kept]))


def _inputs_last(weight: Tensor) -> Tensor:
    """(out, in, *kernel) -> (out, *kernel, in)."""
    return weight.movedim(1, -1)


def _short(n: int, m: int, left: int) -> int:
    """How many of the inputs left over are kept."""
    return -(-n * left // m)


def _ranks(magnitude: Tensor) -> Tensor:
    order = magnitude.argsort(dim=1, descending=True, stable=True)
    numbers = torch.arange(magnitude.shape[1], dtype=torch.uint8).expand(order.shape)
    return torch.empty(order.shape, dtype=torch.uint8).scatter_(1, order, numbers)


@cache
def _choices(n: int, m: int) -> Tensor:
    """All ways to keep n of m, (ways, m) bool, in the order of itertools.combinations."""
    picked = torch.tensor(list(combinations(range(m), n)), dtype=torch.long).reshape(-1, n)
    return torch.zeros(len(picked), m, dtype=torch.bool).scatter_(1, picked, True)


@cache
def _numbers(n: int, m: int) -> Tensor:
    """The number of the choice whose bits are the index, (2**m,) int32."""
    ways = _choices(n, m)
    found = torch.zeros(2**m, dtype=torch.int32)
    found[(ways * 2 ** torch.arange(m)).sum(1)] = torch.arange(len(ways), dtype=torch.int32)
    return found


def _codes(kept: Tensor, n: int, choices: bool) -> Codes:
    """kept: (groups, m) bool with n true in each row."""
    m = kept.shape[1]
    if not choices:
        where = kept.nonzero()[:, 1] if m else torch.empty(0)
        return Codes(where.to(torch.uint8), needed(m - 1) if m else 1)
    if not m:
        return Codes(torch.empty(0, dtype=torch.uint8), 1)
    width = needed(len(_choices(n, m)) - 1)
    found = _numbers(n, m)[(kept.int() * (2 ** torch.arange(m, dtype=torch.int32))).sum(1)]
    return Codes(found.to(torch.uint8 if width <= 8 else torch.int32), width)


def _mask(codes: Tensor, n: int, m: int, choices: bool) -> Tensor:
    """The inverse of _codes: (groups, m) bool."""
    if choices:
        return _choices(n, m)[codes.long()]
    places = codes.reshape(-1, n).long()
    return torch.zeros(len(places), m, dtype=torch.bool).scatter_(1, places, True)


METHOD = Method(
    title="N:M sparsity",
    summary="Of every 4, 8 or 16 neighbouring inputs keep the largest weights, always equally many: 2 of 4 is what hardware runs fast.",
    reference="Mishra et al. 2021, Accelerating Sparse Deep Neural Networks, arXiv:2104.08378; Zhou et al. 2021, arXiv:2102.04010",
    survey="3.4",
    knobs=(
        Knob("sparsity", "Sparsity", (0.0, 0.25, 0.5, 0.75), 0.5, "Share of each group set to zero: half is 2:4, 4:8 or 8:16, three quarters 1:4.",
             "fall", off=0.0),
        Knob("m", "Group", SIZES, 4, "How many neighbouring inputs make a group, M."),
        Knob("places", "Places stored as", ("choices", "indices"), "choices",
             "One number for the choice made in each group, or the place of each weight kept, as graphics cards read it."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("N:M", "N weights are kept of every M neighbours, so that both memory and arithmetic know what to expect."),),
    fails=Failure(
        "A group of four keeps one weight even where all are large, and nothing makes up for the others.",
        "lenet-300-100", "fc1", (("sparsity", 0.75),), ("pruning.sparse_gpt_groups", (("sparsity", 0.75),))),
)
