"""Keep the weights of the few inputs that shout in 16 bits, and round those of all others."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import cheapest_places
from compression.quantization import uniform

SHARES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True, eq=False)
class Columns(Encoded):
    """A weight, some columns of which are stored apart, in 16 bits."""

    shape: tuple[int, ...]
    body: Encoded  # the other columns: (out, d less those apart)
    places: Encoded  # Bitmap or Gaps over the columns
    apart: Tensor  # (out, columns apart) float16, or bfloat16 where a value is beyond it

    def decode(self) -> Tensor:
        where = torch.zeros(torch.Size(self.shape[1:]).numel(), dtype=torch.bool)
        where[self.places.decode()] = True
        whole = torch.empty(self.shape[0], len(where))
        whole[:, where] = self.apart.float()
        whole[:, ~where] = self.body.decode().reshape(self.shape[0], -1)
        return whole.reshape(self.shape)


class Peaks(NamedTuple):
    """How far each input goes at most over the examples, and the inputs in that order, farthest first."""

    weight: Tensor
    peaks: Tensor  # (d,)
    order: Tensor  # (d,)


def prepare(weight: Tensor, layer: Layer) -> Peaks:
    peaks = layer.context.inputs(layer.name).abs().amax((0, 1))
    return Peaks(weight, peaks, peaks.argsort(descending=True, stable=True))


def answer(ready: Peaks, bits: int, columns: float) -> Encoded:
    weight, shape = ready.weight, tuple(ready.weight.shape)
    if bits == 32:
        return Dense(weight)
    d = len(ready.order)
    where = torch.zeros(d, dtype=torch.bool)
    where[ready.order[: min(d - 1, round(columns * d))]] = True
    rows = weight.reshape(len(weight), d)
    rest, short = rows[:, ~where], rows[:, where].half()
    low, high = rest.amin(1).clamp(max=0), rest.amax(1).clamp(min=0)
    per = uniform.sizes(tuple(rest.shape))["channel"]
    body = uniform.answer(uniform.Ranges(rest, {"channel": per}, {"channel": low}, {"channel": high}, {}), bits, True, "channel")
    apart = short if short.isfinite().all() else rows[:, where].bfloat16()
    return Columns(shape, body, cheapest_places(where), apart)


METHOD = Method(
    title="Columns of loud inputs apart (LLM.int8())",
    summary="The weights of the few inputs with the largest values stay in 16 bits, all others get a whole number; in large language "
            "models a handful of inputs shouts.",
    reference="Dettmers et al. 2022, LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale, arXiv:2208.07339",
    survey="6.2",
    knobs=(
        Knob("bits", "Bits per weight", (2, 3, 4, 5, 6, 7, 8, 32), 8, "Bits of the weights in the other columns; the paper has 8.", "rise", off=32),
        Knob("columns", "Columns apart", SHARES, 0.01,
             "Share of inputs, loudest first, whose weights stay in 16 bits; the paper takes those that ever exceed 6.", "rise"),
    ),
    prepare=prepare,
    answer=answer,
    needs=("inputs",),
    terms=(("outlier feature", "An input of a layer whose values are far larger than all others', for nearly every example."),),
    fails=Failure(
        "No input of a small network shouts: columns in 16 bits take bytes that a better range for all weights would use better.",
        "resnet-20", "stage1.0.conv1", (("bits", 3), ("columns", 0.05)), ("quantization.uniform", (("bits", 3), ("clip", "mse")))),
)
