"""SparseGPT for N:M sparsity: of every 4 or 8 neighbouring inputs always as many go, and the inputs to come make up for them."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Layer, Method, Piecewise, mapped
from compression.pruning import n_of_m
from compression.pruning.sparse_gpt import prune
from compression.pruning.updating import updating

LADDER, SIZES = (0.0, 0.25, 0.5, 0.75), (4, 8)


class InGroups(NamedTuple):
    """The error of the layer's outputs at each sparsity, as a share of their power: in groups of 4, of 8, and by magnitude."""

    weight: Tensor
    errors_of_4: Tensor  # (rungs,)
    errors_of_8: Tensor  # (rungs,)
    errors_by_magnitude: Tensor  # (rungs,) when as many weights of each output go, in no groups, and the others stay as they are
    pruned: dict[tuple[float, int], n_of_m.Ranked]  # by sparsity and m: the weight after it, whose zeros are the smallest of each group


def refuses(weight: Tensor, layer: Layer) -> str | None:
    why = n_of_m.refuses(weight, layer)
    if why is None and weight.ndim > 2 and weight.shape[1] % max(SIZES):
        return f"Its {weight.shape[1]} input channels do not come out even in groups of {max(SIZES)}."
    return why


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, InGroups]:
    turns = torch.arange(weight[0].numel()).reshape(weight.shape[1], -1).T.flatten()  # channels of one place after another
    back = turns.argsort()

    def pruned(w: Tensor, products: Tensor, sparsities: Sequence[float], m: int) -> Generator[float, None, list[Tensor]]:
        made = yield from prune(w[:, turns], products[turns][:, turns], sparsities, m, each=True)
        return [new[:, back] for new in made]

    found = {}
    for i, m in enumerate(SIZES):
        work = updating(layer, LADDER, lambda w, p, s, m=m: pruned(w, p, s, m))
        found[m] = yield from mapped(work, lambda share, i=i: (i + share) / len(SIZES))
    ready = {(s, m): n_of_m.prepare(w, layer) for m, each in found.items() for s, w in each.pruned.items() if s}
    return InGroups(weight, found[4].errors, found[8].errors, found[4].errors_by_magnitude, ready)


def answer(found: InGroups, sparsity: float, m: int) -> Encoded:
    return n_of_m.answer(found.pruned[sparsity, m], sparsity, m, "choices") if sparsity else Dense(found.weight)


_LIKE = n_of_m.METHOD
METHOD = Method(
    title="SparseGPT N:M",
    summary="Of every 4 or 8 neighbouring inputs always as many go, those missed least, and the inputs still to come make up for them.",
    reference="Frantar and Alistarh 2023, SparseGPT, arXiv:2301.00774, section 3.4; Mishra et al. 2021, arXiv:2104.08378",
    survey="3.4",
    knobs=(_LIKE.knob("sparsity"), replace(_LIKE.knob("m"), ladder=SIZES)),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=_LIKE.terms,
    fails=Failure(
        "Three of every four neighbours must go wherever they stand, at full precision for the fourth; six bits for every weight lose far less.",
        "lenet-5", "fc2", (("sparsity", 0.75), ("m", 4)), ("quantization.uniform", (("bits", 6),)),
    ),
)
