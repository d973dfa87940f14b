"""Learn for each weight whether to round it up or down, so that the loss feels the change of the layer's output least.

As AdaRound, but the squared error of each output for each example is weighed by how much the loss bends along it there, the diagonal
of the Fisher information of the output: the objective of BRECQ (Li et al. 2021). BRECQ learns the roundings of all layers of a block
together, against the output of the block, and rounds activations too; here a method sees one layer of the original network, so the
output is the layer's own. In the paper's words that is layer-wise reconstruction.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from compression.encoded import Codes, Dense, Encoded, Levels
from compression.method import Failure, Layer, Method, Piecewise, mapped
from compression.quantization import uniform
from compression.quantization.adaround import BITS, KNOBS, learning


class Learned(NamedTuple):
    """How much the loss feels each output, where 4 bits round the other way than to the nearest level, and the roundings."""

    weight: Tensor
    felt: Tensor  # (out,) nats, mean over the examples
    flipped: Tensor  # (out, d) -1: down where nearest is up, 1: up where it is down
    error: Tensor  # (out,) weighed squared error of each output relative to nearest rounding, 4 bits, over the examples
    roundings: dict[tuple[int, bool], Levels]  # (bits, learned)


class Weighed:
    """The squared error of outputs, mean over places, each weighed by its own Fisher information there."""

    def __init__(self, inputs: Tensor, fisher: Tensor) -> None:
        """inputs: (places, groups, d); fisher: (places, out)."""
        self.inputs = inputs.movedim(1, 0)  # (groups, places, d)
        self.fisher = (fisher / fisher.mean(0).clamp(min=1e-30)).T / len(fisher)  # (out, places), the same share for all outputs

    def outputs(self, change: Tensor) -> Tensor:
        """What a change of the weights (out, d) does to the outputs: (out, places)."""
        return (self._grouped(change) @ self.inputs.mT).flatten(0, 1)

    def times(self, change: Tensor) -> Tensor:
        return (self._grouped(self.outputs(change) * self.fisher) @ self.inputs).reshape(change.shape)

    def errors(self, change: Tensor) -> Tensor:
        return (self.outputs(change).square() * self.fisher).sum(1)

    def _grouped(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(self.inputs), -1, rows.shape[1])


def refuses(weight: Tensor, layer: Layer) -> str | None:
    prefix, _, _ = layer.names[0].rpartition(".")
    owner, above = (layer.context.module.get_submodule(name) for name in (prefix, prefix.rpartition(".")[0]))
    if not isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d) or isinstance(above, nn.MultiheadAttention):
        inside = above if isinstance(above, nn.MultiheadAttention) else owner
        return f"It weighs each output by how the loss bends along it, and the outputs of {layer.name} stay inside its {type(inside).__name__}."
    return None


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Learned]:
    fisher = layer.context.output_fisher(layer.name)
    weighed, rows = Weighed(layer.context.inputs(layer.name), fisher), weight.reshape(len(weight), -1)
    ranges = uniform.prepare(weight, layer)
    roundings: dict[tuple[int, bool], Levels] = {}
    flipped, error = torch.zeros(0), torch.zeros(0)
    for i, bits in enumerate(BITS):
        plain = uniform.answer(ranges, bits, False, "channel")
        work = learning(rows, plain, weighed.times, weighed.errors)
        codes, beside = yield from mapped(work, lambda share, i=i: (i + share) / len(BITS))
        if bits == 4:
            flipped, error = codes.int() - plain.codes.decode().reshape(codes.shape).int(), beside
        roundings[bits, False], roundings[bits, True] = plain, replace(plain, codes=Codes(codes.flatten(), bits))
    return Learned(weight, fisher.mean(0), flipped, error, roundings)


def answer(found: Learned, bits: int, learn: bool) -> Encoded:
    return Dense(found.weight) if bits == 32 else found.roundings[bits, learn]


METHOD = Method(
    title="Fisher-weighted rounding",
    summary="Learn which weights to round up and which down, so that errors cancel in those outputs and for those examples that the loss feels.",
    reference="After Li et al. 2021, BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction, arXiv:2102.05426; "
              "one layer at a time",
    survey="6.2",
    knobs=KNOBS,
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(("Fisher information", "The mean square of the loss's slopes, for labels as the network itself would give them: how the loss bends."),),
    fails=Failure(
        "Where pooling passes a neighbour on the loss feels nothing, so errors there count nothing, until they make that place the largest.",
        "lenet-5", "conv2", (("bits", 2),), ("quantization.adaround", (("bits", 2),))),
)
