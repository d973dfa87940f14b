"""What pruning with an update shares: for every sparsity the mask and the new values, and the output error that is left."""

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Layer, mapped
from compression.places import sparse
from compression.surgeon import damped, output_error

Prune = Callable[[Tensor, Tensor, Sequence[float]], Generator[float, None, list[Tensor]]]


class Updated(NamedTuple):
    """The error of the layer's outputs at each sparsity, as a share of their power: with the update, and by magnitude without."""

    weight: Tensor
    errors: Tensor  # (rungs,)
    errors_by_magnitude: Tensor  # (rungs,) when as many weights of each output go, smallest first, and the others stay as they are
    pruned: dict[float, Tensor]  # by sparsity: the weight after it, zero where pruned


def updating(layer: Layer, ladder: Sequence[float], prune: Prune) -> Generator[float, None, Updated]:
    """Prune a layer at every sparsity above 0 on a ladder that begins with 0.

    prune(weight (out, d), products (d, d) damped, sparsities) is asked once for each group of outputs, in float64: it yields the
    share that is done and returns the weight after each sparsity.
    """
    products = layer.context.products(layer.name)  # (groups, d, d)
    rows = layer.weight.double().reshape(len(products), -1, products.shape[-1])  # (groups, out / groups, d)
    found = []
    for g, (w, p) in enumerate(zip(rows, products)):
        made = yield from mapped(prune(w, damped(p), ladder[1:]), lambda share, g=g: (g + share) / len(rows))
        found.append(torch.stack([w, *made]))
    plain = [torch.stack([w, *(smallest_out(w, s) for s in ladder[1:])]) for w in rows]
    power = sum(float(output_error(w, p.double()).sum()) for w, p in zip(rows, products))

    def errors(made: list[Tensor]) -> Tensor:
        left = [torch.stack([output_error(new - w, p.double()).sum() for new in each]) for each, w, p in zip(made, rows, products)]
        return (torch.stack(left).sum(0) / max(power, 1e-300)).float()

    shaped = torch.cat(found, 1).reshape(len(ladder), *layer.weight.shape).float()
    return Updated(layer.weight, errors(found), errors(plain), dict(zip(ladder, shaped)))


def smallest_out(weight: Tensor, sparsity: float) -> Tensor:
    """The weight (out, d) without the smallest of each row."""
    order = weight.abs().argsort(dim=1, stable=True)
    return weight.scatter(1, order[:, : round(sparsity * weight.shape[1])], 0)


def answer(found: Updated, sparsity: float) -> Encoded:
    """The layer at one sparsity."""
    if sparsity == 0:
        return sparse(found.weight, torch.ones(found.weight.numel(), dtype=torch.bool))
    pruned = found.pruned[sparsity]
    return sparse(pruned, (pruned != 0).flatten())
