"""Two things measured side by side: where a method fails and what does better there, and a network before and after a rewriting."""

from typing import NamedTuple

import torch
from torch.nn import functional as F

from app import compute
from compression import measure
from compression.apply import compress, rewritten
from compression.evaluate import skeleton
from compression.method import Failure
from compression.network import Network
from compression.recipe import Override, Recipe, Step, step
from compression.registry import method, rewrites
from compression.repair.repaired import put
from compression.rewrite import Relation, difference
from compression.score import size_of

EXAMPLES = {"images": 256, "vectors": 256, "text": 16}  # that the two sides of a failure are compared on


class Side(NamedTuple):
    """One setting on one layer, all others as trained."""

    step: Step
    file_bytes: int
    distance: float  # mean divergence of the answers from the original's, nats
    same: float  # share of answers that are the original's


def failure(net: Network, name: str) -> tuple[Side, Side]:
    """The setting at which a method says it fails, and what it says does better, measured now on validation examples."""
    layer = method(name).fails.layer
    return compute.kept(("failure", net.digest, name), lambda: tuple(_side(net, layer, chain) for chain in chains(name)))


def chains(name: str) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """All steps of the setting at which a method fails, and of what does better there. Raises ValueError where it names none."""
    told = method(name).fails
    if told is None:
        raise ValueError(f"{name} names no setting at which it fails")
    return (*before(told), step(name, **dict(told.knobs))), (*before(told), step(told.instead[0], **dict(told.instead[1])))


def is_there(net: Network, name: str, layer: str, chain: tuple[Step, ...]) -> bool:
    """Whether a chain on a layer is the very setting at which its last method says it fails."""
    told = method(name).fails
    return told is not None and (told.network, told.layer, chains(name)[0]) == (net.name, layer, chain)


def before(told: Failure) -> tuple[Step, ...]:
    """The steps after which a method fails, where it works only after others."""
    return tuple(step(name, **dict(knobs)) for name, knobs in told.after)


def _side(net: Network, layer: str, chain: tuple[Step, ...]) -> Side:
    done = compress(net, Recipe(overrides=(Override(layer, chain, whole=True),)), compute.memo())
    data = net.data["validation"]
    x = data.inputs[: EXAMPLES[data.kind]]
    module = skeleton(net.module)
    put(module, done.weights())
    with torch.inference_mode():
        old, new = (F.log_softmax(m(x).float(), -1) for m in (skeleton(net.module), module))
    distance = float((old.exp() * (old - new)).sum(-1).mean())
    return Side(chain[-1], size_of(done), distance, float((old.argmax(-1) == new.argmax(-1)).float().mean()))


def examples(net: Network) -> int:
    """How many validation examples the two sides of a failure are compared on."""
    return min(EXAMPLES[net.data["validation"].kind], len(net.data["validation"]))


class Moved(NamedTuple):
    """One layer before and after a rewriting."""

    layer: str
    before: int  # weights
    after: int  # 0 where it now takes another layer's
    change: float | None  # ‖W − W'‖ / ‖W‖; None where it has another shape
    peak_before: float  # largest magnitude, beside the root of the mean square
    peak_after: float | None

    @property
    def same(self) -> bool:
        return self.change == 0.0


class Rewriting(NamedTuple):
    """A network before and after a rewriting."""

    why: str  # why it does not apply; empty where it does
    layers: tuple[Moved, ...]
    difference: float  # largest change of a score, as a share of the largest score
    file_before: int
    file_after: int


def rewriting(net: Network, chosen: Step) -> Rewriting:
    """A rewriting tried on a whole network: which layers it changes, how far the answers move, what the file weighs."""
    return compute.kept(("rewriting", net.digest, net.context.digest, chosen), lambda: _rewriting(net, chosen))


def relation(net: Network, name: str) -> Relation | None:
    """What a rewriting compares before it decides, where it compares anything."""
    return compute.kept(("relation", net.digest, net.context.digest, name), lambda: rewrites()[name].looks(net))


def _rewriting(net: Network, chosen: Step) -> Rewriting:
    new, passed_over = rewritten(net, (chosen,))
    if passed_over:
        return Rewriting(passed_over[0], (), 0.0, 0, 0)
    now = {layer.name: layer.weight for layer in new.layers}
    layers = tuple(_moved(layer.name, layer.weight, now.get(layer.name)) for layer in net.layers)
    sizes = (size_of(compress(net, recipe, compute.memo())) for recipe in (Recipe(), Recipe(first=(chosen,))))
    return Rewriting("", layers, difference(net, new.module), *sizes)


def _moved(name: str, old: torch.Tensor, new: torch.Tensor | None) -> Moved:
    if new is None:
        return Moved(name, old.numel(), 0, None, _peak(old), None)
    change = measure.error(old, new).relative if old.shape == new.shape else None
    return Moved(name, old.numel(), new.numel(), change, _peak(old), _peak(new))


def _peak(weight: torch.Tensor) -> float:
    return float(weight.abs().max() / weight.square().mean().sqrt().clamp(min=1e-30))
