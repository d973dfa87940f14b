"""The state of a training as arrays by name, so that it can be kept without pickle and gone on from."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.train.progress import Point

Arrays = dict[str, NDArray[Any]]


class State(NamedTuple):
    """Everything that decides how a training goes on."""

    step: int
    points: tuple[Point, ...]
    model: Mapping[str, Tensor]  # a state dict
    best: Mapping[str, Tensor]  # that of the best point so far
    optimizers: Mapping[str, Tensor]
    dice: Tensor  # the state of the random numbers


def begin(seed: int) -> State:
    """Before the first step."""
    return State(0, (), {}, {}, {}, torch.Generator().manual_seed(seed).get_state())


def out_of(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What optimizers remember of each parameter: (optimizer, parameter, word) joined by dots."""
    return {f"{i}.{j}.{word}": torch.as_tensor(value) for i, o in enumerate(optimizers)
            for j, words in o.state_dict()["state"].items() for word, value in words.items() if value is not None}


def into(optimizers: list[torch.optim.Optimizer], remembered: Mapping[str, Tensor]) -> None:
    """Let optimizers of the same parameters remember that."""
    for i, o in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in remembered.items():
            which, j, word = name.split(".", 2)
            if int(which) == i:
                state.setdefault(int(j), {})[word] = value
        o.load_state_dict({"state": state, "param_groups": o.state_dict()["param_groups"]})


def arrays(state: State) -> Arrays:
    """All of it as arrays."""
    told = {"step": state.step, "points": [[*p[:-1], dict(p.traced)] for p in state.points]}
    found = {"told": np.frombuffer(json.dumps(told).encode(), dtype=np.uint8), "dice": state.dice.numpy()}
    for prefix, tensors in (("model", state.model), ("best", state.best), ("optimizer", state.optimizers)):
        found |= {f"{prefix}/{name}": x.detach().numpy().copy() for name, x in tensors.items()}
    return found


def read(kept: Arrays) -> State:
    """The state that arrays() wrote."""
    told = json.loads(kept["told"].tobytes())

    def tensors(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(f"{prefix}/"): torch.from_numpy(np.array(x)) for name, x in kept.items() if name.startswith(f"{prefix}/")}

    return State(told["step"], tuple(Point(*p) for p in told["points"]), tensors("model"), tensors("best"), tensors("optimizer"),
                 torch.from_numpy(kept["dice"].copy()))
