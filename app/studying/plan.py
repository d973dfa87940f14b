"""What a study measures: which dials are swept and by which methods, and the controls beside them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, product, zip_longest
from typing import NamedTuple

from app import words
from app.dials import DIALS, nearest
from compression.method import Knob, Value
from compression.recipe import Recipe, Step, step
from compression.registry import dial, method, methods
from compression.sensitivity import harsher

RANDOM = "pruning.random"
MOST_STUDIES, MOST_RECIPES = 3, 400  # on one chart
AIMS: dict[str, dict[str, tuple[Value, ...]]] = {  # what is aimed at, from mild to harsh; a method takes its nearest rungs
    "few": {"sparsity": (0.0, 0.5, 0.7, 0.9), "bits": (32, 8, 4, 3), "rank": (1.0, 0.5, 0.25)},
    "some": {"sparsity": (0.0, 0.3, 0.5, 0.7, 0.8, 0.9), "bits": (32, 8, 5, 4, 3, 2), "rank": (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)},
    "many": {"sparsity": (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95), "bits": (32, 16, 8, 7, 6, 5, 4, 3, 2, 1),
             "rank": (1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)},
}


@dataclass(frozen=True)
class Plan:
    """Which dials of a recipe are swept, each by one or several methods."""

    base: Recipe  # everything that is not swept stays as it is here
    methods: tuple[tuple[str, tuple[str, ...]], ...]  # dial and methods, in the order of DIALS; a dial that is not swept is left out
    settings: str  # of each dial: a word of AIMS


class Study(NamedTuple):
    """The recipes of one combination of methods, or of a control."""

    title: str
    kind: str  # "sweep", "search", "random" or "dense"
    recipes: tuple[Recipe, ...]


def offered(which: str) -> list[str]:
    """Ids of the methods that can sweep a dial."""
    return [name for name, known in methods().items() if dial(name) == which and known.knobs]


def main(name: str) -> Knob:
    """The dial of a method that a study turns: the one that its family shares, or else its first."""
    known = method(name)
    return next((k for k in known.knobs if k.name == dial(name)), known.knobs[0])


def levels(name: str, settings: str) -> tuple[Value, ...]:
    """The rungs of a method's dial that a study tries, from mild to harsh.

    >>> levels("quantization.ternary", "some"), levels("pruning.magnitude", "few")
    ((32, 2), (0.0, 0.5, 0.7, 0.9))
    """
    which, knob = dial(name), main(name)
    aims = AIMS[settings][which]
    if knob.name == which:
        return tuple(dict.fromkeys(nearest(name, which, aim) for aim in aims))
    ladder = harsher(name, knob.name)
    return tuple(dict.fromkeys(ladder[round(i * (len(ladder) - 1) / max(1, len(aims) - 1))] for i in range(len(aims))))


def steps(name: str, settings: str) -> tuple[Step, ...]:
    """A method at each of these rungs, its further dials as they open."""
    return tuple(step(name, **{main(name).name: value}) for value in levels(name, settings))


@lru_cache(maxsize=32)
def sweeps(plan: Plan) -> tuple[Study, ...]:
    """One study for each combination of methods, mildest recipes first."""
    found = []
    for names in product(*(names for _, names in plan.methods)):
        rows = product(*(steps(name, plan.settings) for name in reversed(names)))  # the first dial moves quickest
        found.append(Study(_title(plan, names), "sweep", tuple(_with(plan.base, row) for row in rows)))
    return tuple(found) if plan.methods else ()


def _with(base: Recipe, row: Iterable[Step]) -> Recipe:
    for each in row:
        base = base.with_default(each)
    return base


def _title(plan: Plan, names: Sequence[str]) -> str:
    """The methods in which studies differ; all of them where there is one."""
    apart = [name for name, (_, among) in zip(names, plan.methods, strict=True) if len(among) > 1]
    return " × ".join(method(name).title for name in (apart or names))


def at_random(studies: Iterable[Study]) -> Study | None:
    """The control of all that prune: random pruning at the same settings. None where nothing prunes."""
    twins = [twin(recipe) for study in studies for recipe in study.recipes]
    found = tuple(dict.fromkeys(t for t in twins if t is not None))
    return Study("Random pruning", "random", found) if found else None


def twin(recipe: Recipe) -> Recipe | None:
    """The same recipe with weights removed at random; None where the dials remove none, or not by such a share."""
    prunes = next((s for s in recipe.default if dial(s.method) == "sparsity"), None)
    if prunes is None or prunes.off or prunes.method == RANDOM or prunes["sparsity"] not in method(RANDOM).knob("sparsity").ladder:
        return None
    return recipe.with_default(step(RANDOM, sparsity=prunes["sparsity"]))


def in_turns(studies: Iterable[Study]) -> list[Recipe]:
    """All recipes once, one of each study after the other, so that all charts grow together."""
    rounds = zip_longest(*(study.recipes for study in studies))
    return list(dict.fromkeys(recipe for recipe in chain.from_iterable(rounds) if recipe is not None))


def told(recipe: Recipe) -> str:
    """What a recipe's dials say: 70 % zero, 4 bit; of one that was set layer by layer, from what to what."""
    single = [o for o in recipe.overrides if o.steps]
    if len(single) > 1 and len({o.steps for o in single}) > 1:
        return ", ".join(filter(None, (_span(which, [s[which] for o in single for s in o.steps if dial(s.method) == which and which in dict(s.knobs)])
                                       for which in DIALS))) or "per layer"
    knobs = {name: value for s in recipe.default if not s.off for name, value in s.knobs if name in DIALS}
    others = [f"{main(s.method).label.lower()} {s[main(s.method).name]:g}" for s in recipe.default
              if method(s.method).knobs and not s.off and main(s.method).name not in DIALS]
    said = words.settings(knobs.get("sparsity", 0), knobs.get("bits", 32), knobs.get("rank", 1))
    return ", ".join([*([said] if said != "original" or not others else []), *others])


def _span(which: str, values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    shown = {"sparsity": lambda v: f"{100 * v:.0f}", "bits": str, "rank": lambda v: f"{100 * v:.0f}"}[which]
    span = shown(low) if low == high else f"{shown(low)}–{shown(high)}"
    if low == high == {"sparsity": 0.0, "bits": 32, "rank": 1.0}[which]:
        return ""
    return {"sparsity": f"{span} % zero", "bits": f"{span} bit", "rank": f"rank {span} %"}[which] + (" by layer" if low != high else "")
