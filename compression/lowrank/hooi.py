"""Tucker-2 with its channel mixes improved in turn, each for the other."""

from collections.abc import Generator
from typing import NamedTuple

from torch import Tensor

from compression.encoded import Dense, Encoded, Tucker2
from compression.lowrank.block_term import fit
from compression.lowrank.tucker2 import ranks, refuses
from compression.method import Failure, Knob, Layer, Method, Piecewise

RANKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)


class Refined(NamedTuple):
    """For each rung the three factors, and the squared error after each turn."""

    shape: tuple[int, ...]
    fits: dict[float, tuple[Tensor, Tensor, Tensor]]  # (out, r_out), (r_out, r_in, *kernel), (in, r_in)
    errors: dict[float, tuple[float, ...]]


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Refined]:
    """Higher-order orthogonal iteration (De Lathauwer et al. 2000b; Kolda and Bader 2009, figure 4.4), which is a search for each rung."""
    fits, errors = {}, {}
    for rung in (r for r in RANKS if r < 1):
        yield len(fits) / len(RANKS)
        (out, core, into), errors[rung] = fit(weight.double().flatten(2), 1, *ranks(tuple(weight.shape), rung))
        parts = out[0], core[0].unflatten(2, weight.shape[2:]), into[0]
        fits[rung] = tuple(part.float().contiguous() for part in parts)
    return Refined(tuple(weight.shape), fits, errors)


def answer(refined: Refined, rank: float) -> Encoded:
    """Every rung was prepared; the last, at which a recipe leaves the step out, is answered by the one below."""
    return Tucker2(refined.shape, *map(Dense, refined.fits[min(rank, max(refined.fits))]))


METHOD = Method(
    title="Tucker-2, refined",
    summary="Tucker-2 whose two channel mixes are improved in turn, each for the other, which leaves a little less error.",
    reference="De Lathauwer et al. 2000, On the Best Rank-1 and Rank-(R1, ..., RN) Approximation; Kim et al. 2016, arXiv:1511.06530",
    survey="4.3",
    knobs=(
        Knob("rank", "Rank", RANKS, 0.5, "Share of the output and of the input channels that is kept.", "rise", off=1.0),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("orthogonal iteration", "Improving each of several sets of directions while the others are held."),),
    fails=Failure(
        "With 20 channels in and 50 out none can be spared, and better mixes of too few of them are still too few.",
        "lenet-5", "conv2", (("rank", 0.3),), instead=("sharing.kmeans", (("bits", 3),))),
)
