"""What the layer-by-layer repairs share: one forward pass in which each layer is repaired just before it runs."""

import torch
from torch import Tensor, nn

from compression.calibrate import Calibration, Sample
from compression.encoded import Dense
from compression.layers import owners
from compression.repair.repaired import Repaired


def run(module: nn.Module, taken: Sample) -> Tensor:
    """One pass of all calibration examples, in one batch, so that a layer sees all of its inputs before it runs."""
    with torch.no_grad():
        return module(taken.inputs)


def changed_owners(start: Repaired, module: nn.Module, known: Calibration) -> dict[str, list[tuple[nn.Module, str]]]:
    """Of the layers that the recipe changes and whose inputs are known: layer name -> (module, parameter name)."""
    found = {}
    for layer in start.compressed.network.layers:
        form = start.compressed.encoded[layer.name]
        if layer.name in known.statistics and not (isinstance(form, Dense) and form.values is layer.weight):
            found[layer.name] = [(owner, name) for _, owner, name in owners(module, layer)]
    return found

