"""Wanda for N:M sparsity: of every few neighbouring inputs keep those whose weight times the size of the input is largest."""

from torch import Tensor

from compression.method import Failure, Layer, Method
from compression.pruning import n_of_m, wanda


def prepare(weight: Tensor, layer: Layer) -> n_of_m.Ranked:
    return n_of_m.ranked(weight, wanda.prepare(weight, layer).scores.reshape(weight.shape))


_LIKE = n_of_m.METHOD
METHOD = Method(
    title="Wanda N:M",
    summary="Of every 4, 8 or 16 neighbouring inputs always as many go: those whose magnitude times the usual size of the input is least.",
    reference="Sun et al. 2023, Wanda, arXiv:2306.11695, section 3; Mishra et al. 2021, arXiv:2104.08378",
    survey="3.4",
    knobs=_LIKE.knobs,
    prepare=prepare,
    answer=n_of_m.answer,
    refuses=n_of_m.refuses,
    needs=("inputs",),
    terms=(*_LIKE.terms, *wanda.METHOD.terms),
    fails=Failure(
        "Three of every four neighbours must go, however loud they are, and nothing makes up for them.",
        "lenet-300-100", "fc1", (("sparsity", 0.75),), ("pruning.sparse_gpt_groups", (("sparsity", 0.75),))),
)
