"""A network whose weights are made, each time it is asked, from what is learnt: stored parts, quantized weights, masks, thin sides.

So every way of training with something held (a mask, a grid, a codebook, a rank) is one small module that gives a weight, and the
network around it stays as it is. Tied weights are made once; recurrent and attention layers need nothing of their own.
"""

import copy
from collections.abc import Mapping

from torch import Tensor, nn
from torch.func import functional_call

from compression.network import Network


class Made(nn.Module):
    """A copy of a network to be trained. makers: by layer name, a module whose forward() gives that layer's weight."""

    def __init__(self, network: Network, makers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.body = copy.deepcopy(network.module)
        self.body.requires_grad_(True)
        self.names = {layer.name: layer.names for layer in network.layers if layer.name in makers}
        self.makers = nn.ModuleList(makers[name] for name in self.names)
        replaced = {name for names in self.names.values() for name in names}
        for name, parameter in self.body.named_parameters(remove_duplicate=False):
            if name in replaced:
                parameter.requires_grad_(False)

    def weights(self) -> dict[str, Tensor]:
        """The made weights by parameter name, tied names included."""
        made = {}
        for names, maker in zip(self.names.values(), self.makers, strict=True):
            made |= dict.fromkeys(names, maker())
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        return functional_call(self.body, self.weights(), (inputs,)) if self.names else self.body(inputs)

    def learnt(self) -> dict[str, nn.Parameter]:
        """The parameters that training moves, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}
