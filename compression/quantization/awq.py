"""Scale weights up where the layer's input is loud before rounding them, so that these are hit most exactly."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method, Piecewise
from compression.quantization import uniform
from compression.surgeon import output_error

BITS, WAYS = (2, 3, 4, 5, 6, 7, 8), ("channel", "group")
POWERS = tuple(i / 10 for i in range(11))


@dataclass(frozen=True, eq=False)
class Rescaled(Encoded):
    """A weight whose input channels were multiplied before it was stored."""

    shape: tuple[int, ...]
    body: Encoded  # the multiplied weight
    by: Tensor  # (groups, in / groups) float16 or float32

    def decode(self) -> Tensor:
        whole = self.body.decode().reshape(len(self.by), -1, self.by.shape[1], torch.Size(self.shape[2:]).numel())
        return (whole / self.by.float()[:, None, :, None]).reshape(self.shape)


class Searched(NamedTuple):
    """How loud each input channel is, the output's error along the powers tried, and the best scales for every setting."""

    weight: Tensor
    loudness: Tensor  # (groups, in / groups) mean magnitude of each channel's inputs
    curve: dict[str, float]  # power of the loudness -> squared error of the output relative to plain rounding: 3 bits, a scale per channel
    best: dict[tuple[int, str], float]  # (bits, per) -> power
    roundings: dict[tuple[int, str, bool], Encoded]  # (bits, per, searched)


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Searched]:
    products = layer.context.products(layer.name)  # (groups, d, d)
    x = layer.context.inputs(layer.name)  # (places, groups, d)
    shape, groups = tuple(weight.shape), x.shape[1]
    loudness = x.abs().mean(0).reshape(groups, shape[1], -1).mean(2)
    plain = uniform.prepare(weight, layer)
    best: dict[tuple[int, str], float] = {}
    roundings: dict[tuple[int, str, bool], Encoded] = {}
    errors = {(bits, per): [] for bits in BITS for per in WAYS}
    for i, power in enumerate(POWERS):
        yield i / len(POWERS)
        by = scales(loudness, power)
        ready = plain if power == 0 else uniform.prepare(_multiplied(weight, by), layer)
        for (bits, per), tried in errors.items():
            body = uniform.answer(ready, bits, False, per)
            form = body if power == 0 else Rescaled(shape, body, by)
            error = _error(form.decode() - weight, products)
            if not tried or error < min(tried):
                best[bits, per], roundings[bits, per, True] = power, Rescaled(shape, body, by)
            if power == 0:
                roundings[bits, per, False] = body
            tried.append(error)
    told = errors[3, "channel"]
    return Searched(weight, loudness, {f"{p:.1f}": e / max(told[0], 1e-30) for p, e in zip(POWERS, told)}, best, roundings)


def answer(found: Searched, bits: int, per: str, search: bool) -> Encoded:
    return Dense(found.weight) if bits == 32 else found.roundings[bits, per, search]


def scales(loudness: Tensor, power: float) -> Tensor:
    """Loudness to a power, with the largest as far above 1 as the least is below it, as it is stored. Both (groups, in / groups)."""
    by = loudness.clamp(min=1e-4 * float(loudness.max()) + 1e-30).pow(power)
    return (by / (by.max() * by.min()).sqrt()).half()


def _multiplied(weight: Tensor, by: Tensor) -> Tensor:
    whole = weight.reshape(len(by), -1, by.shape[1], weight[0, 0].numel())
    return (whole * by.float()[:, None, :, None]).reshape(weight.shape)


def _error(change: Tensor, products: Tensor) -> float:
    rows = change.reshape(len(products), -1, products.shape[1])
    return sum(float(output_error(rows[g], products[g]).sum()) for g in range(len(rows)))


METHOD = Method(
    title="AWQ",
    summary="Weights on loud inputs are multiplied up before rounding and divided after, so that they err less; how much is searched.",
    reference="Lin et al. 2023, AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration, arXiv:2306.00978",
    survey="6.2",
    knobs=(
        Knob("bits", "Bits per weight", (*BITS, 32), 3, "How many levels there are: two to this power.", "rise", off=32),
        Knob("per", "One scale per", WAYS, "group", "Which weights share a scale: those of one output channel, or about 64 neighbours."),
        Knob("search", "Scale loud inputs", (False, True), True, "If not, weights are rounded as they are: the gain is the difference.", "rise"),
    ),
    prepare=prepare,
    answer=answer,
    needs=("inputs",),
    terms=(("salient channel", "An input whose weights matter much because it is loud."),),
    fails=Failure(
        "An image with one channel is equally loud wherever a kernel looks: all nine inputs share one scale, and nothing is gained.",
        "resnet-20", "stem.conv", (("bits", 3), ("per", "channel")), ("quantization.gptq", (("bits", 3),))),
)
