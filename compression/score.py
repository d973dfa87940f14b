"""What a network costs and does under a recipe, in one frozen row."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from compression import export, measure
from compression.apply import Compressed, Memo, compress, smaller, up_to
from compression.evaluate import Answers, Quality, evaluate
from compression.network import Network
from compression.recipe import Recipe

STAGES = {"rank": "low rank", "sparsity": "pruned", "bits": "fewer bits", "coding": "coded"}


@dataclass(frozen=True)
class Score:
    """Every number says what it belongs to: recipe and network by name, quality with its data and n."""

    network: str  # digest of the original's weights
    recipe: Recipe
    file_bytes: int  # length of the packed file
    original_bytes: int  # length of the packed file of the untouched network
    multiply_adds: int | None
    original_multiply_adds: int | None
    error: measure.Error
    quality: Quality | None


def size_of(compressed: Compressed) -> int:
    """Length in bytes of the file that pack() writes."""
    return sum(export.file_size(compressed).values())


def stages(network: Network, recipe: Recipe, memo: Memo | None = None) -> dict[str, int]:
    """File bytes of the untouched network and after each kind of step, in order. The last is the recipe's own."""
    memo = {} if memo is None else memo  # each stage begins with what the one before it came to
    before = compress(network.reference, Recipe(), memo)
    size = size_of(before)
    sizes = {"original": size}
    for which, words in STAGES.items():
        now = compress(network, up_to(recipe, which), memo)
        if now.network is not before.network or any(form is not before.encoded[name] for name, form in now.encoded.items()):
            size = size_of(now)
        sizes[words], before = size, now
    return sizes


def score(network: Network, recipe: Recipe, split: str | None = "validation", memo: Memo | None = None,
          dense: MutableMapping[Any, Answers] | None = None) -> Score:
    """Everything at once, on all examples of a split: for scripts and studies. The screen asks for the parts as they come."""
    compressed = compress(network, recipe, memo)
    weights = compressed.weights()
    quality = None
    if split is not None:
        for progress in evaluate(compressed.network, changed(compressed, weights), network.data[split], dense):
            quality = progress.quality
    operations = original_operations = None
    if network.example is not None:
        operations = measure.multiply_adds(smaller(compressed), network.example)
        original_operations = measure.multiply_adds(network.reference.module, network.example)
    original = {layer.names[0]: layer.weight for layer in compressed.network.layers}
    return Score(network.digest, recipe, size_of(compressed), size_of(compress(network.reference, Recipe(), memo)), operations,
                 original_operations, measure.total_error(original, {name: weights[name] for name in original}), quality)


def changed(compressed: Compressed, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Only the weights that differ from the original's: with none, both networks are one and the answers are shared."""
    return {name: weights[name] for layer in compressed.network.layers for name in layer.names
            if weights[name] is not layer.weight}
