"""Learn for each weight whether to round it up or down, so that the layer's output changes least."""

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Codes, Dense, Encoded, Levels
from compression.method import Failure, Knob, Layer, Method, Piecewise, drained, mapped
from compression.quantization import uniform
from compression.surgeon import output_error

BITS, STEPS, WARM, RATE, PULL, SHARP = (2, 3, 4, 5, 6, 7, 8), 300, 0.2, 0.1, 60.0, (20.0, 2.0)
LOW, HIGH = -0.1, 1.1  # the stretched sigmoid reaches 0 and 1
KNOBS = (
    Knob("bits", "Bits per weight", (*BITS, 32), 4, "How many levels there are: two to this power; a scale for each output channel.",
         "rise", off=32),
    Knob("learn", "Learn the rounding", (False, True), True, "If not, to the nearest level: what learning gains is the difference."),
)


class Learned(NamedTuple):
    """Where 4 bits round the other way than to the nearest level, each output's error, and the roundings."""

    weight: Tensor
    flipped: Tensor  # (out, d) -1: down where nearest is up, 1: up where it is down
    error: Tensor  # (out,) squared error of each output relative to nearest rounding, 4 bits, over the examples
    roundings: dict[tuple[int, bool], Levels]  # (bits, learned)


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Learned]:
    products = layer.context.products(layer.name)  # (groups, d, d)
    ranges = uniform.prepare(weight, layer)
    roundings: dict[tuple[int, bool], Levels] = {}
    flipped, error = torch.zeros(0), torch.zeros(0)
    for i, bits in enumerate(BITS):
        plain = uniform.answer(ranges, bits, False, "channel")
        work = learning(weight.reshape(len(weight), -1), plain, lambda c: _times(c, products), lambda c: _errors(c, products))
        codes, beside = yield from mapped(work, lambda share, i=i: (i + share) / len(BITS))
        if bits == 4:
            flipped, error = codes.int() - plain.codes.decode().reshape(codes.shape).int(), beside
        roundings[bits, False], roundings[bits, True] = plain, replace(plain, codes=Codes(codes.flatten(), bits))
    return Learned(weight, flipped, error, roundings)


def answer(found: Learned, bits: int, learn: bool) -> Encoded:
    return Dense(found.weight) if bits == 32 else found.roundings[bits, learn]


def learned(rows: Tensor, plain: Levels, products: Tensor) -> tuple[Tensor, Tensor]:
    """What learning returns."""
    return drained(learning(rows, plain, lambda c: _times(c, products), lambda c: _errors(c, products)))


def learning(rows: Tensor, plain: Levels, times: Callable[[Tensor], Tensor],
             errors: Callable[[Tensor], Tensor]) -> Generator[float, None, tuple[Tensor, Tensor]]:
    """Codes (out, d), and each output's squared error beside that of the plain rounding's, (out,), never above 1.

    errors: of a change of the weights (out, d) each output's squared error, (out,), a quadratic form; times: half its gradient, (out, d).

    Equation 21: squared error of the output, plus a pull towards 0 or 1 (equation 24) that sharpens as it goes. Each output is
    weighed by the error that nearest rounding leaves it. The gradient is written out: the error is quadratic in the weights.
    """
    nearest = plain.codes.decode().reshape(rows.shape)
    scale, zero, top = plain.scale.float()[:, None], plain.zero.float()[:, None], 2 ** plain.codes.width - 1  # type: ignore[union-attr, attr-defined]
    floor = (rows / scale).floor()
    share = (rows / scale - floor).clamp(0.01, 0.99)
    v = torch.logit((share - LOW) / (HIGH - LOW))
    usual = errors((nearest - zero) * scale - rows).clamp(min=1e-30)[:, None]
    first, second = torch.zeros_like(v), torch.zeros_like(v)
    for step in range(STEPS):
        yield step / STEPS
        sigmoid = torch.sigmoid(v)
        h = sigmoid * (HIGH - LOW) + LOW
        soft, inside = h.clamp(0, 1), (h > 0) & (h < 1)
        codes = floor + soft + zero
        inside &= (codes >= 0) & (codes <= top)
        change = (codes.clamp_(0, top) - zero) * scale - rows
        slope = 2 * times(change) * scale * rows.shape[1] / usual
        if step >= WARM * STEPS:
            left = 1 - (step / STEPS - WARM) / (1 - WARM)
            beta, away = SHARP[1] + (SHARP[0] - SHARP[1]) * left, 2 * soft - 1
            slope -= PULL * 2 * beta * away.abs().pow(beta - 1) * away.sign()
        slope *= inside * sigmoid * (1 - sigmoid) * (HIGH - LOW)
        first.mul_(0.9).add_(slope, alpha=0.1)  # Adam (Kingma and Ba 2015)
        second.mul_(0.999).addcmul_(slope, slope, value=0.001)
        v -= RATE * (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    codes = (floor + (v >= 0) + zero).clamp_(0, top)
    error = errors((codes - zero) * scale - rows) / usual[:, 0]
    return torch.where((error <= 1)[:, None], codes.to(nearest.dtype), nearest), error.clamp(max=1)


def _times(change: Tensor, products: Tensor) -> Tensor:
    """(out, d) times the products of its group."""
    groups = change.reshape(len(products), -1, products.shape[1])
    return (groups @ products).reshape(change.shape)


def _errors(change: Tensor, products: Tensor) -> Tensor:
    return torch.cat([output_error(c, p) for c, p in zip(change.reshape(len(products), -1, products.shape[1]), products)])


METHOD = Method(
    title="AdaRound",
    summary="Learn which weights to round up and which down, so that errors cancel in the layer's output.",
    reference="Nagel et al. 2020, Up or Down? Adaptive Rounding for Post-Training Quantization, arXiv:2004.10568",
    survey="6.2",
    knobs=KNOBS,
    prepare=prepare,
    answer=answer,
    needs=("inputs",),
    terms=(("stretched sigmoid", "A curve from 0 to 1 that reaches both ends, so that what is learnt can settle on up or down."),),
    fails=Failure(
        "Up or down is all it may choose; at two bits the levels are so far apart that GPTQ, which may go further, does better.",
        "resnet-20", "stage1.0.conv1", (("bits", 2),), ("quantization.gptq", (("bits", 2),))),
)
