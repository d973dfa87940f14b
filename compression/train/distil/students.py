"""Students: the teacher's architecture with less of everything, by a few names, with weights as they are before any training."""

import copy
from collections.abc import Callable
from functools import partial
from types import MappingProxyType

import torch
from torch import nn

from compression.method import Knob
from compression.models import matching_architectures
from compression.network import Network
from compression.zoo.attention import CharGPT, ViT
from compression.zoo.catalogue import ZOO
from compression.zoo.convolutional import MOBILE, depthwise, digits_mlp, lenet_5, lenet_300_100, resnet_20, vgg_small
from compression.zoo.data import alphabet
from compression.zoo.recurrent import CharLSTM, RowLSTM

Build = Callable[[], nn.Module]
WIDTHS = MappingProxyType({"half width": 1 / 2, "quarter width": 1 / 4, "eighth width": 1 / 8})
DEPTH, SAME = "half depth", "same"
HEADS = 4  # of the Transformers, which divide their width
ANY = tuple(ZOO)  # an architecture that ships, by its name
STUDENT = Knob("student", "Student", (*WIDTHS, DEPTH, SAME), "quarter width",
               "The teacher's architecture with fewer units or channels in every layer, with fewer layers, or as it is.")


def _some(counts: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(max(1, round(n * share)) for n in counts)


def _mobile(share: float) -> Build:
    return partial(depthwise, *_some((24,), share), tuple((*_some((channels,), share), stride) for channels, stride in MOBILE))


# By architecture: what it is at a share of its width, and at about half its depth; None where it has no layers to spare.
_NARROW: MappingProxyType[str, Callable[[float], Build]] = MappingProxyType({
    "lenet-300-100": lambda share: partial(lenet_300_100, _some((300, 100), share)),
    "lenet-5": lambda share: partial(lenet_5, _some((20, 50), share), *_some((500,), share)),
    "vgg-small": lambda share: partial(vgg_small, _some((16, 32, 32, 64, 64), share)),
    "resnet-20": lambda share: partial(resnet_20, _some((16, 32, 64), share)),
    "depthwise": _mobile,
    "vit": lambda share: partial(ViT, HEADS * _some((64 // HEADS,), share)[0]),
    "row-lstm": lambda share: partial(RowLSTM, *_some((128,), share)),
    "char-lstm": lambda share: lambda: CharLSTM(len(alphabet()), *_some((64, 256), share)),
    "char-gpt": lambda share: lambda: CharGPT(len(alphabet()), HEADS * _some((128 // HEADS,), share)[0]),
    "digits-mlp": lambda share: partial(digits_mlp, _some((64,), share)),
})
_SHALLOW: MappingProxyType[str, Build] = MappingProxyType({
    "lenet-300-100": partial(lenet_300_100, (300,)),
    "lenet-5": partial(lenet_5, hidden=0),
    "vgg-small": partial(vgg_small, (16, 32, 64), (1, 2)),
    "resnet-20": partial(resnet_20, blocks=1),
    "depthwise": partial(depthwise, blocks=((48, 1), (96, 2), (192, 2))),
    "vit": partial(ViT, blocks=2),
    "char-gpt": lambda: CharGPT(len(alphabet()), blocks=2),
    "digits-mlp": partial(digits_mlp, ()),
})


def architecture(network: Network) -> str | None:
    """The shipped architecture a network has, by name; None where it is another."""
    if network.name in ZOO:
        return network.name
    return next(iter(matching_architectures(network.module.state_dict())), None)


def untrained(network: Network, which: str, seed: int) -> nn.Module:
    """A student of a network, by its name on the ladder, as a seed draws it. Raises ValueError where there is no such student."""
    known = architecture(network)
    if which != SAME and which not in ZOO and known is None:
        raise ValueError(f"{network.title} is no architecture that ships, so nothing smaller of its kind is known here; "
                         f"let the student be {SAME!r}, or distil into the compressed network")
    if which == DEPTH and known not in _SHALLOW:
        raise ValueError(f"{network.title} has one recurrent layer and cannot do with fewer; take a narrower student")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if which in ZOO:
            return _another(network, which)
        if which == SAME:
            return ZOO[known].build() if known else renewed(network.module)
        return _SHALLOW[known]() if which == DEPTH else _NARROW[known](WIDTHS[which])()


def _another(network: Network, which: str) -> nn.Module:
    """A shipped architecture that takes the network's examples and gives answers like its own. Raises ValueError where it does not."""
    student = ZOO[which].build()
    try:
        with torch.no_grad():
            fits = student.eval()(network.example).shape == network.module(network.example).shape
    except (RuntimeError, ValueError, IndexError, TypeError):
        fits = False
    if not fits:
        raise ValueError(f"{ZOO[which].title} cannot learn from {network.title}: it takes other examples or tells other classes apart; "
                         "let the student be a network for the same data")
    return student.train()


def narrowed(network: Network, share: float, seed: int) -> nn.Module:
    """A network's architecture at any share of its width, 0 to 1, as a seed draws it. Raises ValueError where none that ships is like it."""
    known = architecture(network)
    if known is None:
        raise ValueError(f"{network.title} is no architecture that ships, so nothing narrower of its kind is known here")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _NARROW[known](share)()


def words(which: str) -> str:
    """A student in the title of a run: "student of quarter width", "LeNet-5 as student"."""
    return "the same network" if which == SAME else f"{ZOO[which].title} as student" if which in ZOO else f"student of {which}"


def renewed(module: nn.Module) -> nn.Module:
    """A copy with new random weights: each part as torch begins it; parameters of parts that know no beginning are small."""
    fresh = copy.deepcopy(module)
    fresh.requires_grad_(True)
    for part in fresh.modules():
        reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if reset is not None:
            reset()
        else:
            for parameter in part.parameters(recurse=False):
                nn.init.normal_(parameter, std=0.02)
    return fresh
