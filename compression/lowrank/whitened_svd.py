"""Replace a weight by two thin matrices that keep what it does to the inputs it really gets, rather than the weight itself."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded, Factored
from compression.lowrank.svd import _LARGE, _by_gram, _directly, refuses
from compression.method import Failure, Knob, Layer, Method

SCALINGS = ("whitened", "columns")
_RIDGE = 1e-3  # of the mean square of an input, added to each: inputs that never speak in the examples still count a little
_POWER = 0.5  # of an input's mean size; the paper's alpha


class Directions(NamedTuple):
    """What a weight makes of its inputs, as a sum of output directions, strongest first.

    The squares of the whitened singular values left out are the squared error of the outputs on the examples, per place, and the
    ridge's share.
    """

    weight: Tensor  # (out, in, *kernel)
    whitened: Tensor  # (full,) float64, singular values of the weight times a root of the inputs' products, descending
    columns: Tensor  # (full,) float64, of the weight with each column times the size of its input
    plain: Tensor  # (full,) float64, of the weight itself
    by: dict[str, tuple[Tensor, Tensor]]  # scaling -> (out, full) orthonormal, and what the weight gives to each: (full, in * kernel)


def prepare(weight: Tensor, layer: Layer) -> Directions:
    matrix = weight.reshape(len(weight), -1).double()
    root, sizes = whitening(layer.context.products(layer.name)[0]), column_sizes(layer.context.inputs(layer.name)[:, 0])
    by, values = {}, []
    for scaling, scaled in (("whitened", matrix @ root), ("columns", matrix * sizes)):
        left, singular, _ = _by_gram(scaled) if min(scaled.shape) > _LARGE else _directly(scaled)
        by[scaling] = left, left.T @ matrix
        values.append(singular)
    return Directions(weight, *values, torch.linalg.svdvals(matrix), by)


def answer(found: Directions, rank: float, scaling: str) -> Encoded:
    """The weight's projection on its first output directions, U Uᵀ W: equal to the paper's U Σ Vᵀ S⁻¹ as W S = U Σ Vᵀ, without the inverse."""
    left, right = found.by[scaling]
    r = max(1, round(rank * len(right)))
    root = right[:r].norm(dim=1).clamp(min=1e-30).sqrt()  # both factors of one size
    return Factored(tuple(found.weight.shape), Dense((left[:, :r] * root).float()), Dense((right[:r] / root[:, None]).float()))


def whitening(products: Tensor) -> Tensor:
    """S of S Sᵀ = the mean product of the inputs with themselves and a ridge: (d, d), lower triangle (Wang et al. 2024, section 3.2)."""
    wide = products.to(torch.float64, copy=True)
    ridge = _RIDGE * float(wide.diagonal().mean())
    wide.diagonal().add_(ridge if ridge > 0 else 1.0)
    return torch.linalg.cholesky(wide)


def column_sizes(inputs: Tensor) -> Tensor:
    """Mean magnitude of each input to a power, for inputs (places, d): (d,). Those that never speak count a little (Yuan et al. 2023, eq. 6)."""
    sizes = inputs.abs().mean(0).double()
    return sizes.clamp(min=max(_RIDGE * float(sizes.mean()), 1e-12)) ** _POWER


METHOD = Method(
    title="Activation-aware SVD",
    summary="Keep the directions that are strong in the layer's outputs on training examples, and store the weight as two thin matrices.",
    reference="Wang et al. 2024, SVD-LLM, arXiv:2403.07378; columns: Yuan et al. 2023, ASVD, arXiv:2312.05821",
    survey="4.1",
    knobs=(
        Knob("rank", "Rank", (0.02, *(i / 20 for i in range(1, 21))), 0.5, "Share of the full rank that is kept.", "rise", off=1.0),
        Knob("scaling", "Inputs weighed by", SCALINGS, "whitened",
             "How inputs appear together, with which no other factors miss the outputs by less; or the size of each alone."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(("whitening", "A change of coordinates after which the inputs are equally strong in all directions and do not go together."),),
    fails=Failure(
        "A matrix of rank 6 gives 6 mixes of answers, and this layer's answers need more; its inputs need few, and only a mix of them saves that.",
        "resnet-20", "stage3.1.conv2", (("rank", 0.1), ("scaling", "whitened")), instead=("lowrank.tucker2", (("rank", 0.2),))),
)
