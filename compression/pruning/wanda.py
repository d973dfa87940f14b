"""Remove the weights that matter least where they stand: a weight's magnitude times the usual size of its input."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import sparse


class Weighed(NamedTuple):
    """Each weight's magnitude times the size of its input, and the order of these in each row of the weight."""

    weight: Tensor
    scores: Tensor  # (out, d)
    input_sizes: Tensor  # (groups, d), root of the mean square over the examples
    order: Tensor  # (out, d), least first


def prepare(weight: Tensor, layer: Layer) -> Weighed:
    x = layer.context.inputs(layer.name)  # (places, groups, d)
    sizes = x.square().mean(0).sqrt()
    rows = weight.reshape(len(sizes), -1, sizes.shape[1])  # (groups, out / groups, d)
    scores = (rows.abs() * sizes[:, None]).reshape(len(weight), -1)
    return Weighed(weight, scores, sizes, scores.argsort(dim=1, stable=True))


def answer(weighed: Weighed, sparsity: float) -> Encoded:
    kept = torch.ones(weighed.order.shape, dtype=torch.bool)
    kept.scatter_(1, weighed.order[:, : round(sparsity * weighed.order.shape[1])], False)
    return sparse(weighed.weight, kept.flatten())


METHOD = Method(
    title="Wanda",
    summary="A small weight on a loud input matters more than a large one on a silent input; the least of each output's are set to zero.",
    reference="Sun et al. 2023, A Simple and Effective Pruning Approach for Large Language Models, arXiv:2306.11695",
    survey="3.1",
    knobs=(
        Knob("sparsity", "Sparsity", tuple(i / 100 for i in range(100)), 0.5, "Share of each output's weights set to zero.", "fall", off=0.0),
    ),
    prepare=prepare,
    answer=answer,
    needs=("inputs",),
    terms=(("calibration", "Running some training examples through a network to learn how its layers are used, without training it."),),
    fails=Failure(
        "Each output has to give up the same share, although some need more of their weights than others; in one ranking they would not.",
        "resnet-20", "stage2.0.conv2", (("sparsity", 0.8),), ("pruning.magnitude", (("sparsity", 0.8),))),
)
