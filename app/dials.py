"""What the three dials mean for a recipe. Pure: a recipe in, a recipe out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from compression.method import Value
from compression.recipe import Recipe, Step, step
from compression.registry import answering, dial, method

DIALS = ("sparsity", "bits", "rank")
FIRST = {"sparsity": "pruning.magnitude", "bits": "quantization.uniform", "rank": "lowrank.svd", "coding": "coding.huffman"}  # of a first visit
HALF = 0.5  # sparsity on a first visit, so that there is something to see


def opening() -> Recipe:
    """What a network opens with: half of the weights removed."""
    return Recipe((step(FIRST["sparsity"], sparsity=HALF),))


def complete(some: Recipe) -> Recipe:
    """The same recipe with a step for every dial, off where there was none, so that each dial knows its method."""
    have = {dial(s.method) for s in some.default}
    for which in DIALS:
        if which not in have:
            some = some.with_default(step(FIRST[which], **{which: method(FIRST[which]).knob(which).off}))
    return some


def lean(some: Recipe) -> Recipe:
    """The same recipe without the steps that complete() would add: what is worth writing into a link."""
    for s in some.default:
        if s.off and s == step(FIRST[dial(s.method)], **{dial(s.method): s[dial(s.method)]}):
            some = some.without_default(dial(s.method))
    return some


def pinned(now: Step, which: str, value: Value) -> Step:
    """The dial's present method at another value, its further knobs as they are; another method where it lacks that rung."""
    if value in method(now.method).knob(which).ladder:
        return Step(now.method, tuple((k, value if k == which else v) for k, v in now.knobs))
    name = next(n for n in (FIRST[which], *answering(which)) if value in method(n).knob(which).ladder)
    return step(name, **{which: value})


def nearest(name: str, which: str, value: Value) -> Value:
    """The rung of another method's dial that is nearest to a value."""
    return min(method(name).knob(which).ladder, key=lambda rung: abs(float(rung) - float(value)))


def folded(some: Recipe, edits: Mapping[int, Mapping[str, Any]], names: list[str],
           columns: Mapping[str, tuple[str, Callable[[Any], Value]]]) -> Recipe:
    """Edits of the layer table, row by row, as pins and locks. columns: table column -> (dial, what a cell means on its ladder)."""
    for row, cells in edits.items():
        layer = names[int(row)]
        for column, value in cells.items():
            if column == "locked":
                some = some.with_lock(layer, bool(value))
            elif column in columns:
                which, read = columns[column]
                now = next(s for s in some.default if dial(s.method) == which)
                some = some.without_pin(layer, which) if value is None else some.with_pin(layer, pinned(now, which, read(value)))
    return some


def fitting(some: Recipe, layers: list[str], title: str) -> tuple[Recipe, list[str]]:
    """A link's recipe without what it sets for layers that a network does not have, and a sentence for each."""
    unfit: list[str] = []

    def fits(pattern: str) -> bool:
        known = any(fnmatchcase(layer, pattern) for layer in layers)
        if not known:
            unfit.append(f"{title} has no layer “{pattern[:40]}”, so what the link sets for it was left out.")
        return known

    overrides, locked = tuple(o for o in some.overrides if fits(o.pattern)), tuple(p for p in some.locked if fits(p))
    return replace(some, overrides=overrides, locked=locked), unfit
