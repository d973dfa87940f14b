"""Round the weights of one input after another, and let those of the inputs still to come make up for each error."""

from collections.abc import Generator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Codes, Dense, Encoded, Levels
from compression.method import Failure, Knob, Layer, Method, Piecewise, mapped
from compression.quantization import uniform
from compression.surgeon import damped, factor, output_error, passing_on

BITS, WAYS, ORDERS, DAMPING = (2, 3, 4, 5, 6, 7, 8), ("channel", "group"), ("stored", "loudest"), (0.01, 0.1)
ROOM = 2**26  # weights that are rounded together, one copy for each kind of level


class Compensated(NamedTuple):
    """How loud each input is, where the rounding to 4 bits differs from the nearest level, and all roundings that can be chosen."""

    weight: Tensor
    loudness: Tensor  # (groups, d) mean square of each input
    moved: Tensor  # (out, d) levels up or down from the nearest one: 4 bits, a scale per channel, inputs as stored, damping 0.01
    roundings: dict[tuple[int, str, str, float], Levels]  # (bits, per, order, damping)


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Compensated]:
    products = layer.context.products(layer.name)  # (groups, d, d)
    ranges = uniform.prepare(weight, layer)
    plain = {(bits, per): uniform.answer(ranges, bits, False, per) for bits in BITS for per in WAYS}
    grids = [_Grid(form, products) for form in plain.values()]
    at_once = max(1, ROOM // max(1, weight.numel()))
    batches = [range(i, min(i + at_once, len(grids))) for i in range(0, len(grids), at_once)]
    found: dict[tuple[int, str, str, float], Levels] = {}
    ways = [(order, share, batch) for order in ORDERS for share in DAMPING for batch in batches]
    for n, (order, share, batch) in enumerate(ways):
        parts = []
        for g, inputs in enumerate(products):
            work = _rounding(weight, inputs, [grids[i] for i in batch], g, len(products), order, share)
            parts.append((yield from mapped(work, lambda done, n=n, g=g: (n + (g + done) / len(products)) / len(ways))))
        for i, codes in zip(batch, zip(*parts)):
            key, form = list(plain.items())[i]
            found[(*key, order, share)] = replace(form, codes=Codes(torch.cat(codes).flatten(), key[0]))
    nearest, usual = (form.codes.decode().int() for form in (plain[4, "channel"], found[4, "channel", "stored", 0.01]))
    return Compensated(weight, products.diagonal(dim1=1, dim2=2), (usual - nearest).reshape(len(weight), -1), found)


def answer(ready: Compensated, bits: int, per: str, order: str, damping: float) -> Encoded:
    return Dense(ready.weight) if bits == 32 else ready.roundings[bits, per, order, damping]


class _Grid:
    """The levels of a plain rounding, and its codes: all (groups, out / groups, ...)."""

    def __init__(self, form: Levels, products: Tensor) -> None:
        groups, d = products.shape[:2]
        self.top, self.size = 2 ** form.codes.width - 1, form.group  # type: ignore[attr-defined]
        self.codes = form.codes.decode().reshape(groups, -1, d)
        self.scale = form.scale.float().reshape(groups, self.codes.shape[1], -1)  # one column for each group of inputs
        self.zero = form.zero.float().reshape(self.scale.shape)  # type: ignore[union-attr]

    def wide(self, g: int, count: int) -> list[Tensor]:
        """Scales and zero points (out, count), with as many columns as the finest grid has."""
        return [each[g].repeat_interleave(count // each.shape[2], 1) for each in (self.scale, self.zero)]


def _rounding(weight: Tensor, products: Tensor, grids: list[_Grid], g: int, groups: int, order: str,
              share: float) -> Generator[float, None, list[Tensor]]:
    """Codes of one group of channels, (out, d) for every grid: all are done together, one below the other."""
    d = len(products)
    rows = weight.reshape(groups, -1, d)[g]
    turn = torch.arange(d) if order == "stored" else products.diagonal().argsort(descending=True, stable=True)
    by = factor(damped(products, share)[turn][:, turn]).float()
    count = max(each.scale.shape[2] for each in grids)
    scale, zero = (torch.cat(each) for each in zip(*(grid.wide(g, count) for grid in grids)))
    top = torch.tensor([grid.top for grid in grids]).repeat_interleave(len(rows))
    where = (turn // (d // count)).tolist()

    def codes(w: Tensor, step: Tensor, zero: Tensor, top: Tensor) -> Tensor:
        return ((w / step).round() + zero).clamp_(min=0).minimum(top)

    def choose(w: Tensor, j: int) -> Tensor:
        step, nought = scale[:, where[j]], zero[:, where[j]]
        return (codes(w[:, j], step, nought, top) - nought) * step

    new = torch.empty(len(rows) * len(grids), d)
    new[:, turn] = yield from passing_on(rows[:, turn].repeat(len(grids), 1), by, choose)
    best = []
    for i, values in enumerate(new.split(len(rows))):
        grid = grids[i]
        step, nought = (each[g].repeat_interleave(d // each.shape[2], 1) for each in (grid.scale, grid.zero))
        error, plain = (output_error(v - rows, products) for v in (values, (grid.codes[g] - nought) * step))
        chosen = codes(values, step, nought, torch.tensor(grid.top)).to(torch.uint8)
        best.append(torch.where((error <= plain)[:, None], chosen, grid.codes[g]))  # each output keeps whichever errs less
    return best


METHOD = Method(
    title="GPTQ",
    summary="Round one input's weights after another and let the rest make up for the error, for the inputs that the layer really gets.",
    reference="Frantar et al. 2022, GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, arXiv:2210.17323",
    survey="6.2",
    knobs=(
        Knob("bits", "Bits per weight", (*BITS, 32), 3, "How many levels there are: two to this power.", "rise", off=32),
        Knob("per", "One scale per", WAYS, "channel",
             "Which weights share a scale: those of one output channel, or about 64 neighbours. The levels are those of plain rounding."),
        Knob("order", "Order of inputs", ORDERS, "loudest",
             "Loudest first rounds the inputs that matter most while all others can still make up for it (act-order)."),
        Knob("damping", "Damping", DAMPING, 0.01,
             "How much is added to each input's mean square, as a share of the mean: more trusts the examples less."),
    ),
    prepare=prepare,
    answer=answer,
    needs=("inputs",),
    terms=(
        ("Hessian", "How the squared error of a layer's output grows with each pair of weights: the mean products of its inputs."),
        ("act-order", "Rounding the inputs with the largest mean square first."),
    ),
    fails=Failure(
        "With nine inputs, taken as they stand in the kernel, the last have nobody left to make up for their errors, and min-max levels are few.",
        "resnet-20", "stem.conv", (("bits", 2), ("order", "stored")), ("quantization.uniform", (("bits", 2), ("clip", "mse")))),
)
