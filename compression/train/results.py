"""What training gives: a network like any other, its layers stored as they were trained, compared with the network it began from."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from torch import nn

from compression.encoded import Encoded
from compression.network import Network, stored_as
from compression.network import network as as_network
from compression.recipe import Recipe
from compression.repair.repaired import put
from compression.train.made import Made
from compression.train.progress import Trained

NONE: Mapping[str, Encoded] = MappingProxyType({})


def result(origin: Network, module: nn.Module, words: str, forms: Mapping[str, Encoded] = NONE, recipe: Recipe | None = None) -> Trained:
    """A module that was trained, copied as it is now, under a title that begins with the origin's. forms: how its layers are stored."""
    reference = origin.reference
    plain = copy.deepcopy(module)
    fresh = as_network("trained", f"{reference.title}, {words}", plain, reference.data, reference.example)
    found = stored_as(replace(fresh, origin=reference), forms)
    return Trained(replace(found, name=f"trained-{found.digest[:12]}"), recipe or Recipe())


def baked(model: Made, forms: Mapping[str, Encoded] = NONE) -> nn.Module:
    """The network inside, with the weights it makes, or those that forms by layer name decode to, in their places."""
    module, weights = copy.deepcopy(model.body), {}
    for (layer, names), maker in zip(model.names.items(), model.makers, strict=True):
        weight = forms[layer].decode() if layer in forms else maker()
        weights |= dict.fromkeys(names, weight.detach().clone())
    put(module, weights)
    return module
