"""Open the networks that ship in assets/weights."""

import json
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from safetensors import safe_open

from compression.network import Network, network
from compression.zoo.catalogue import ZOO
from compression.zoo.data import ASSETS, CONTEXT

WEIGHTS, CARDS = ASSETS / "weights", ASSETS / "cards"


@cache
def load(name: str) -> Network:
    """A shipped network by name, such as "lenet-5". Raises ValueError with the names there are."""
    if name not in ZOO:
        raise ValueError(f"no network {name!r} ships with Shrinkscope; there are {', '.join(ZOO)}")
    entry = ZOO[name]
    with safe_open(WEIGHTS / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (a file is no mapping)
    module = entry.build()
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    tied = {key for key, tensor in module.state_dict(keep_vars=True).items() if any(
        tensor is module.state_dict(keep_vars=True)[other] for other in tensors)}
    if unexpected or set(missing) - tied:
        raise ValueError(f"the weights of {name} do not fit its architecture; train it again with compression.zoo.train")
    splits = MappingProxyType({split: entry.load(split) for split in ("train", "validation", "test")})
    example = torch.zeros(1, CONTEXT, dtype=torch.long) if entry.text else splits["test"].inputs[:1]
    return network(name, entry.title, module, splits, example)


@cache
def card(name: str) -> dict[str, Any]:
    """What is known of a shipped network: origin, licence, hash, parameters, how it was trained, accuracy with n."""
    return json.loads((CARDS / f"{name}.json").read_text())


@cache
def available() -> tuple[str, ...]:
    """Names of the networks whose weights are here, as they were when first asked for."""
    return tuple(name for name in ZOO if (WEIGHTS / f"{name}.safetensors").is_file())
