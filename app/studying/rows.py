"""A plan as rows: which of its recipes are known, which are still to be measured, and the controls that stand beside them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app import compute
from app.dials import DIALS
from app.readiness import Piece
from app.studying import per_layer
from app.studying.axes import Row
from app.studying.known import close_enough, known, measuring
from app.studying.plan import Plan, Study, at_random, in_turns, sweeps, told
from compression.apply import compress
from compression.cluster.where import HERE, Where
from compression.network import Network
from compression.recipe import Recipe
from compression.score import size_of
from compression.search import Point
from compression.zoo import shipped

OFF = {"sparsity": 0.0, "bits": 32, "rank": 1.0}


class Wish(NamedTuple):
    """What is to be on the chart."""

    plan: Plan
    close: float  # half-width to which each is judged
    random: bool  # beside it random pruning
    others: tuple[str, ...]  # and smaller networks, by the names under which they are open
    search: int  # more recipes to try layer by layer


class Shown(NamedTuple):
    """What is known of that."""

    studies: tuple[Study, ...]
    rows: tuple[Row, ...]
    total: int  # recipes, the controls among them
    missing: tuple[tuple[Network, Recipe], ...]  # of these the ones that are not known closely enough


def smaller_networks(net: Network, names: Sequence[str], split: str) -> tuple[str, ...]:
    """Names of the open networks that weigh less than this one and are judged on the same data: trained small, not compressed.

    Networks trained at other widths stand here as soon as they are open, as any other does.
    """
    if not split:
        return ()
    digest, found = net.data[split].digest, []
    for name in names:
        if name == net.name or not _same_data(net, name, split, digest):
            continue
        other = compute.network(name)
        if other.digest != net.digest and original_bytes(other) < original_bytes(net):
            found.append((original_bytes(other), name))
    return tuple(name for _, name in sorted(found))


def _same_data(net: Network, name: str, split: str, digest: str) -> bool:
    """Whether another network is judged on the same examples; told without opening it where it ships."""
    entry, own = shipped.ZOO.get(name), shipped.ZOO.get(net.name)
    if entry is not None:
        return entry.load is own.load if own is not None else entry.load(split).digest == digest
    data = compute.network(name).data.get(split)
    return data is not None and data.digest == digest


def original_bytes(net: Network) -> int:
    """Length of the packed file of an untouched network."""
    return compute.kept(("original bytes", net.digest), lambda: size_of(compress(net, Recipe())))


def shown(net: Network, split: str, wish: Wish) -> Shown:
    """Everything about a wish that is known by now."""
    studies, control, found = sweeps(wish.plan), None, per_layer.tried(net, wish.plan, split)
    if wish.random:
        control = at_random(studies)
    every = (*studies, *([found] if found else []), *([control] if control else []))
    others = [compute.network(name) for name in wish.others]
    rows, missing = [], []
    for number, study in enumerate(every):
        for recipe in study.recipes:
            point = known(net, recipe, split)
            if point is not None:
                rows.append(Row(len(rows), number, told(recipe), net.title, point, net.parameters, study.kind, settings(net, recipe),
                                compute.timed(net, recipe)))
    for recipe in in_turns(every):
        if not close_enough(known(net, recipe, split), wish.close):
            missing.append((net, recipe))
    for other in others:
        point = known(other, Recipe(), split)
        if point is None:
            missing.append((other, Recipe()))
        else:
            rows.append(Row(len(rows), len(every), other.title, other.title, point, net.parameters, "dense", settings(other, Recipe()),
                            compute.timed(other, Recipe(), net)))
    dense = [Study("Smaller networks, not compressed", "dense", (Recipe(),) * len(others))] if others else []
    return Shown((*every, *dense), tuple(rows), len(in_turns(every)) + len(others), tuple(missing))


def settings(net: Network, recipe: Recipe) -> tuple[float, ...]:
    """What a recipe sets each of DIALS to, as the mean over all weights; off where it has no such dial."""
    def mean() -> tuple[float, ...]:
        total = sum(layer.weight.numel() for layer in net.layers)
        each = [(layer.weight.numel() / total, {name: v for s in recipe.chain(layer.name) for name, v in s.knobs}) for layer in net.layers]
        return tuple(round(sum(share * float(knobs.get(which, OFF[which])) for share, knobs in each), 6) for which in DIALS)

    return compute.kept(("settings", net.digest, recipe), mean)


def studying(net: Network, split: str, wish: Wish, missing: Sequence[tuple[Network, Recipe]], on: Where = HERE) -> Iterator[Point | Piece | None]:
    """Measure what is missing, there or elsewhere, then search on: that goes one by one, here."""
    yield from measuring(net, [recipe for there, recipe in missing if there is net], split, wish.close, on)
    for other, recipe in missing:
        if other is not net:
            yield from measuring(other, [recipe], split, wish.close)
    if wish.search:
        yield from per_layer.searching(net, wish.plan, split, wish.close, wish.search)
