"""Remove the principal components of a layer's inputs whose loss its outputs would feel least, and store the rest as two thin matrices.

The components are the eigenvectors of the mean product of the inputs with themselves (the correlation matrix of Levin et al.): inputs
are not centred, as the mean of what is removed could only be put back into a bias. Removing the component u with eigenvalue λ from
what a weight W sees adds exactly λ |W u|² to the mean squared error of the outputs, and errors of several components add up. The paper
goes on removing while the error on validation examples falls; here a dial says how many stay.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded, Factored
from compression.lowrank.svd import refuses
from compression.method import Failure, Knob, Layer, Method

ORDERS = ("effect", "variance")


class Components(NamedTuple):
    """How much each principal component of the inputs does to the outputs, and how strong it is in the inputs, largest first."""

    weight: Tensor  # (out, in, *kernel)
    strength: dict[str, Tensor]  # order -> (full,), root of what each component adds to the mean square of the outputs, or of the inputs
    by: dict[str, tuple[Tensor, Tensor]]  # order -> what the weight makes of the components (out, full), the components (full, in * kernel)


def prepare(weight: Tensor, layer: Layer) -> Components:
    matrix = weight.reshape(len(weight), -1)
    values, vectors = components(layer.context.inputs(layer.name)[:, 0])
    made = matrix @ vectors  # (out, count)
    known = {"effect": (values * made.double().square().sum(0)).sqrt(), "variance": values.sqrt()}
    strength, by = {}, {}
    for order in ORDERS:
        strength[order], places = known[order].sort(descending=True, stable=True)
        places = places[: min(matrix.shape)]
        by[order] = made[:, places], vectors[:, places].T
    return Components(weight, strength, by)


def answer(found: Components, rank: float, order: str) -> Encoded:
    """The weight's projection on the components kept, as two factors, or as one matrix where that takes no more bytes."""
    if rank == 1:
        return Dense(found.weight)
    made, known = found.by[order]
    r = max(1, round(rank * min(len(found.weight), found.weight[0].numel())))
    left, right = made[:, :r], known[:r]
    if left.numel() + right.numel() >= found.weight.numel():
        return Dense((left @ right).reshape(found.weight.shape))
    root = left.norm(dim=0).clamp(min=1e-30).sqrt()  # both factors of one size
    return Factored(tuple(found.weight.shape), Dense(left / root), Dense(right * root[:, None]))


def components(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (count,) float64 and eigenvectors (d, count) of the mean product of inputs (places, d); count = min(places, d).

    From whichever product of the inputs with themselves is smaller. An eigenvector of eigenvalue zero, which no example shows, may be zeros.
    """
    wide, count = inputs.double(), len(inputs)
    if count >= inputs.shape[1]:
        values, vectors = torch.linalg.eigh(wide.T @ wide / count)
        return values.clamp(min=0), vectors.float()
    values, shares = torch.linalg.eigh(wide @ wide.T / count)
    values = torch.where(values > 1e-12 * values[-1], values, 0)
    return values, (wide.T @ (shares / torch.where(values > 0, count * values, torch.inf).sqrt())).float()


METHOD = Method(
    title="Principal-component pruning",
    summary="Forget the directions of a layer's inputs that its outputs feel least on training examples, and store the weight as two thin matrices.",
    reference="Levin, Leen and Moody 1994, Fast Pruning Using Principal Components, NIPS 6",
    survey="3.3.1",
    knobs=(
        Knob("rank", "Components", (0.02, *(i / 20 for i in range(1, 21))), 0.5,
             "How many components of the inputs are kept, as a share of the full rank; no more than the training examples that were looked at.",
             "rise", off=1.0),
        Knob("order", "Kept first", ORDERS, "effect",
             "Components that do most to the layer's outputs, as in the paper; or those strongest in its inputs, whatever the layer makes of them."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(("principal component", "A direction along which inputs vary independently of what they do along the others, on average."),),
    fails=Failure(
        "It keeps or drops directions of the inputs whole; what few mixes of them the outputs need, a decomposition of the weight itself finds.",
        "lenet-300-100", "fc1", (("rank", 0.1), ("order", "effect")), instead=("lowrank.whitened_svd", (("rank", 0.1), ("scaling", "whitened")))),
)
