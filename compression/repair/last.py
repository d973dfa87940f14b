"""Fit the last layer anew, so that from what now reaches it it gives the original's scores: ridge regression.

The unknowns are the last linear layer's weight and bias, the targets the original network's scores, and the ridge draws towards
the weight there is. If the recipe compresses that layer, the new weight is stored by the same steps, and the bias fitted again
to what they leave of it.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from compression.apply import encode
from compression.calibrate import Sample
from compression.encoded import Dense
from compression.layers import owners
from compression.repair.repaired import Repair, Repaired, judged, not_applicable, put, working
from compression.repair.walk import run

_RIDGE = 1e-2


def refit(start: Repaired, taken: Sample, ridge: float = _RIDGE) -> Repaired:
    """Weight and bias of the layer whose outputs are the network's answers."""
    network = start.compressed.network
    module = working(start)
    caught: dict[int, tuple[str, Tensor]] = {}
    hooks = []

    def watch(name: str):  # type: ignore[no-untyped-def]
        def after(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            caught[id(out)] = name, given[0]
            kept.append(out)
        return after

    kept: list[Tensor] = []  # so that no two outputs have one identity
    for layer in network.layers:
        if layer.kind == "linear" and not layer.tied:
            hooks += [owner.register_forward_hook(watch(layer.name)) for _, owner, _ in owners(module, layer) if isinstance(owner, nn.Linear)]
    answers = run(module, taken)
    for hook in hooks:
        hook.remove()
    if id(answers) not in caught:
        return not_applicable(start, "last", "The network's answers do not come straight from a linear layer of their own.")
    name, features = caught[id(answers)]
    layer = network.layer(name)
    _, owner, _ = next(iter(owners(module, layer)))
    x, target = features.reshape(-1, features.shape[-1]).double(), taken.scores.reshape(-1, answers.shape[-1]).double()
    now = owner.weight.double()
    bias = None if owner.bias is None else owner.bias.double()
    weight, shift = fitted(x, target, now, bias, ridge)
    new = weight.float()
    chain = start.compressed.recipe.chain(name)
    form = encode(replace(layer, weight=new), chain)[0] if chain else Dense(new)
    dense = {}
    if bias is not None:
        stored = form.decode().double()
        dense[layer.names[0].removesuffix("weight") + "bias"] = (shift if not chain else (target - x @ stored.T).mean(0)).float()
    put(module, dense)
    told = f"The last layer, {name}, fitted to the original's scores on {taken.described}."
    return judged(start, "last", told, taken, {name: form}, dense)


def fitted(x: Tensor, target: Tensor, weight: Tensor, bias: Tensor | None, ridge: float) -> tuple[Tensor, Tensor | None]:
    """Least squares of x @ weight.T + bias to target, drawn towards the weight and bias given. x: (n, in), target: (n, out)."""
    if bias is not None:
        x, weight = torch.cat([x, x.new_ones(len(x), 1)], 1), torch.cat([weight, bias[:, None]], 1)
    pull = ridge * len(x) * x.square().mean()
    a = x.T @ x + pull * torch.eye(x.shape[1], dtype=x.dtype)
    found = torch.linalg.solve(a, x.T @ target + pull * weight.T).T
    return (found, None) if bias is None else (found[:, :-1], found[:, -1])


REPAIR = Repair(
    title="Last layer fitted again",
    summary="The last layer gives the original's scores again from what now reaches it: ridge regression.",
    reference="Hoerl and Kennard 1970, Ridge Regression",
    turn=5,
    step=refit,
)
