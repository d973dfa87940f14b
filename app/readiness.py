"""What still has to be prepared before a page can answer at once, and that work, piece by piece, for a job."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from app import compute, pace
from compression.apply import encoding, rewritten
from compression.method import Layer
from compression.network import Network
from compression.recipe import Override, Recipe, Step
from compression.registry import method

SLOW = 0.5  # CPU seconds: what takes less is prepared while the page is drawn
OFTEN = 0.2  # seconds from one piece that is told to the next


class Wanted(NamedTuple):
    """A chain of steps that a page wants carried out on a layer."""

    layer: str
    chain: tuple[Step, ...]


class Piece(NamedTuple):
    """How far the preparations are."""

    title: str  # of the method that is preparing
    layer: str
    done: float  # share of all the work
    can_tell: bool  # whether the method says how far it is


def wanted(net: Network, recipe: Recipe) -> tuple[Network, list[Wanted]]:
    """The network after the rewritings of a recipe, and what the recipe wants of its layers."""
    net = rewritten(net, recipe.first)[0]
    return net, [Wanted(layer.name, recipe.chain(layer.name)) for layer in net.layers]


def slow(name: str, layer: Layer) -> bool:
    """Whether a method may prepare for longer on a layer than a page can wait: one that asks the network always may."""
    about = pace.seconds(name, layer)
    return bool(set(method(name).needs) - {"network"}) or about is None or about > SLOW


def unready(net: Network, chains: Sequence[Wanted]) -> list[Wanted]:
    """The chains in which something slow has yet to be prepared. All that is quick is carried out on the way."""
    return [each for each in chains if _waits(net.layer(each.layer), each.chain, net.digest)]


def _waits(layer: Layer, chain: tuple[Step, ...], owner: str) -> bool:
    return any(slow(now.step.method, layer) for now in encoding(layer, chain, compute.memo(), owner))


def preparing(net: Network, chains: Sequence[Wanted]) -> Iterator[Piece | None]:
    """Carry the chains out, with what they prepare kept for later; None for pieces that follow the one told before closely."""
    costs = [max(seconds(net, [each]) or 0.0, 1e-3) for each in chains]
    told = -OFTEN
    for i, each in enumerate(chains):
        for now in encoding(net.layer(each.layer), each.chain, compute.memo(), net.digest):
            due = time.monotonic() - told >= OFTEN
            told = time.monotonic() if due else told
            done = (sum(costs[:i]) + now.share * costs[i]) / sum(costs)
            yield Piece(method(now.step.method).title, each.layer, done, now.share > 0) if due else None


def seconds(net: Network, chains: Sequence[Wanted]) -> float | None:
    """About how many CPU seconds the slow steps of some chains prepare; None where that is known of none of them."""
    known = [pace.seconds(s.method, net.layer(each.layer)) for each in chains for s in each.chain if slow(s.method, net.layer(each.layer))]
    return sum(s for s in known if s is not None) if any(s is not None for s in known) else None


def titles(net: Network, chains: Sequence[Wanted]) -> list[str]:
    """The methods that prepare slowly somewhere in the chains."""
    return list(dict.fromkeys(method(s.method).title for each in chains for s in each.chain if slow(s.method, net.layer(each.layer))))


def place(net: Network, chains: Sequence[Wanted]) -> tuple[Any, ...]:
    """What the slow preparations of some chains depend on, and nothing that may be turned meanwhile: equal for equal work."""
    found: list[Any] = [net.digest, net.context.digest]
    for each in chains:
        late = [i for i, s in enumerate(each.chain) if slow(s.method, net.layer(each.layer))]
        if late:
            found.append((each.layer, each.chain[: late[-1]], each.chain[late[-1]].method))
    return tuple(found)


def stand_in(net: Network, recipe: Recipe, before: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """A recipe that can be shown at once, and the layers that it shows as they were: those that wait for a slow preparation.

    Such a layer has the chain that another recipe, which was shown before, gives it; or none, where that would have to wait as well.
    Repairs, which belong to what is stored in the end, are left for then.
    """
    net, chains = wanted(net, recipe)
    late = tuple(each.layer for each in unready(net, chains))
    old = [Wanted(name, before.chain(name)) for name in late]
    gone = {each.layer for each in unready(net, old)}
    kept = tuple(Override(each.layer, () if each.layer in gone else each.chain, whole=True) for each in old)
    return replace(recipe, overrides=(*kept, *recipe.overrides), repairs=()) if late else recipe, late
