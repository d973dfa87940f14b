"""Recipes of the literature, ready to be opened on the networks that ship, and what their papers report beside them.

A paper's figure is a quotation: it belongs to its data set and to the retraining its authors did, and none of ours is a claim to it.
"""

from types import MappingProxyType
from typing import NamedTuple

from compression.recipe import Override, Recipe, Step, step


class Quoted(NamedTuple):
    """What a paper reports of a network."""

    ratio: float  # size before by size after
    before: int  # kB of 1,000 bytes
    after: int
    error_before: float  # share of the test examples
    error_after: float
    data: str
    retrained: bool  # between the steps
    source: str


def three_steps(sparsity: float, bits: int, index: int | None = None) -> tuple[Step, ...]:
    """Deep Compression of one layer: prune, share values by k-means from a linear start, Huffman-code values and places.

    index: bits of the paper's relative index with fillers; None for a bitmap or a relative index without, whichever is shorter.
    """
    place = {} if index is None else {"index": index}
    pruned = step(f"pruning.{'magnitude' if index is None else 'relative_index'}", sparsity=sparsity, **place)
    return pruned, step("sharing.lloyd", bits=bits, start="linear"), step("coding.huffman")


def _recipe(layers: dict[str, tuple[Step, ...]]) -> Recipe:
    return Recipe(overrides=tuple(Override(name, steps, whole=True) for name, steps in layers.items()))


# Sparsities: Han et al. 2015 (arXiv:1506.02626), tables 3 and 4; bits: Han et al. 2016 (arXiv:1510.00149), tables 2 and 3. Places are
# stored in whichever way is shortest after coding, which tests/test_deep_compression.py finds out. Nothing is retrained here, so most
# of the accuracy goes, which the paper's authors won back by training on after each step.
DEEP_COMPRESSION = MappingProxyType({
    "lenet-300-100": _recipe({"fc1": three_steps(0.92, 6, 8), "fc2": three_steps(0.91, 6), "fc3": three_steps(0.74, 6)}),
    "lenet-5": _recipe({"conv1": three_steps(0.34, 8), "conv2": three_steps(0.88, 8), "fc1": three_steps(0.92, 5, 8), "fc2": three_steps(0.81, 5)}),
})

# The same three steps as far as they go without retraining: of each layer as much is pruned as costs one point on our validation
# examples in all, in steps of 3 % of the layer that saves most bytes for what it costs.
WITHOUT_RETRAINING = MappingProxyType({
    "lenet-300-100": _recipe({"fc1": three_steps(0.54, 6, 7), "fc2": three_steps(0.30, 6, 8), "fc3": three_steps(0.36, 6)}),
    "lenet-5": _recipe({"conv1": three_steps(0.33, 8), "conv2": three_steps(0.33, 8), "fc1": three_steps(0.54, 5, 5), "fc2": three_steps(0.30, 5)}),
})

_TABLE_1 = "Han et al. 2016, Deep Compression, arXiv:1510.00149, table 1"
PAPER = MappingProxyType({
    "lenet-300-100": Quoted(40, 1070, 27, 0.0164, 0.0158, "MNIST", True, _TABLE_1),
    "lenet-5": Quoted(39, 1720, 44, 0.0080, 0.0074, "MNIST", True, _TABLE_1),
})
