"""Named recipes to start from, from mild to harsh, with what was measured of them on the networks that ship."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from compression.network import Network
from compression.recipe import Override, Recipe, from_json, step
from compression.zoo.recipes import DEEP_COMPRESSION, three_steps

RECORDED = Path(__file__).parents[1] / "assets" / "presets.json"  # written by tests/bench/presets.py
CODED = step("coding.huffman")
ALLOWED = MappingProxyType({"balanced": 0.01, "extreme": 0.10})  # accuracy that may be lost on validation examples, as a share of the answers
UNKNOWN = MappingProxyType({"balanced": (0.3, 6), "extreme": (0.6, 4)})  # for networks where nothing was measured


class Preset(NamedTuple):
    """A named recipe."""

    title: str
    summary: str


PRESETS: Mapping[str, Preset] = MappingProxyType({
    "original": Preset("Original", "The network as it was trained."),
    "light": Preset("Light", "8 bits a weight, a scale for each output channel."),
    "balanced": Preset("Balanced", "Of 56 pairs of a sparsity and a bit width, Huffman-coded, the smallest file that loses at most "
                                   "1 point on validation examples."),
    "extreme": Preset("Extreme", "Too far on purpose: of the same pairs the smallest file that loses at most 10 points."),
    "deep": Preset("Deep Compression", "Han et al. 2016: prune, share values, Huffman-code. Without the retraining of the paper."),
})


def coded(sparsity: float, bits: int) -> Recipe:
    """What "Balanced" and "Extreme" are made of.

    >>> [s.method for s in coded(0.3, 6).default]
    ['pruning.magnitude', 'quantization.uniform', 'coding.huffman']
    """
    return Recipe((step("pruning.magnitude", sparsity=sparsity), step("quantization.uniform", bits=bits), CODED))


def preset(name: str, network: Network) -> Recipe:
    """A named recipe for a network. Raises ValueError with the names there are."""
    if name == "light":
        return Recipe((step("quantization.uniform", bits=8),))
    if name in ALLOWED:
        found = recorded(network).get(name)
        return from_json(json.dumps(found["recipe"])) if found else coded(*UNKNOWN[name])
    if name == "deep":
        return DEEP_COMPRESSION.get(network.name) or _deep(network)
    if name == "original":
        return Recipe()
    raise ValueError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")


def _deep(network: Network) -> Recipe:
    """The paper's densities and widths for AlexNet and VGG-16: about a third of convolutions at 8 bits, a tenth of all else at 5."""
    found = Recipe()
    for layer in network.layers:
        found = found.with_override(Override(layer.name, three_steps(0.65, 8) if layer.kind == "conv" else three_steps(0.9, 5), whole=True))
    return found


def recorded(network: Network) -> Mapping[str, Any]:
    """What was measured of the presets on a network that ships: name -> file_bytes, for each split accuracy, low,
    high, n and changed, and the recipe where it was chosen by measuring.

    Empty for any other network, also for other weights of the same architecture.
    """
    found = _all().get(network.name, {})
    return found["presets"] if found and found["digest"] == network.digest else {}


@cache
def _all() -> Mapping[str, Any]:
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
