"""One click: the repairs that fit a recipe. Each is kept only if it brings the answers nearer to the original's."""

from torch import nn

from compression.network import Network
from compression.recipe import Recipe
from compression.registry import dial


def suggested(network: Network, recipe: Recipe) -> tuple[str, ...]:
    """Names for Recipe.repairs.

    Normalisations first, which takes a fraction of a second; then, layer by layer, least squares on what pruning left, or error
    compensation after quantization alone; where there are no normalisations, also bias correction and the last layer (where there
    are, these were refused or changed next to nothing: tests/bench/repair.py).
    """
    normalised = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.module.modules())
    dials = {dial(step.method) for layer in network.layers for step in recipe.chain(layer.name)}
    if not dials and not recipe.first:
        return ()
    return tuple(name for name, wanted in (
        ("norms", normalised),
        ("survivors", "sparsity" in dials),
        ("compensate", dials & {"sparsity", "bits"} == {"bits"}),
        ("biases", dials & {"sparsity", "bits"} == {"bits"} and not normalised),
        ("last", not normalised),
    ) if wanted)
