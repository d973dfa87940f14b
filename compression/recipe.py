"""How to compress a network, as plain data: it can be hashed, compared, put in a link, and read by a person.

First come rewritings of the whole network, if any. A layer's chain is empty where it is locked; else its override's steps, each
in place of the default's step of the same dial; else the default. Steps always run in the order decompose, prune, share or
quantize, code.
"""

import json
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from compression.method import Value
from compression.registry import FAMILIES, dial, known, repairs, rewrites

VERSION = 1


@dataclass(frozen=True)
class Step:
    """One method at one setting of its knobs."""

    method: str
    knobs: tuple[tuple[str, Value], ...]
    on: bool = True  # switched off, it keeps its place and its settings

    def __post_init__(self) -> None:
        for name, value in self.knobs:
            ladder = known(self.method).knob(name).ladder
            if not any(value == rung and type(value) is type(rung) for rung in ladder):
                raise ValueError(f"{self.method}: {name} = {value!r} is not on the ladder {_brief(ladder)}")

    def __getitem__(self, name: str) -> Value:
        return dict(self.knobs)[name]

    @property
    def off(self) -> bool:
        """Whether it does nothing: it is switched off, or at the setting at which its method does nothing."""
        return not self.on or any(known(self.method).knob(name).off == value for name, value in self.knobs)


def _brief(ladder: tuple[Value, ...]) -> str:
    shown = ladder if len(ladder) < 12 else (*ladder[:4], "…", *ladder[-3:])
    return ", ".join(map(str, shown))


def step(name: str, **knobs: Value) -> Step:
    """A step with defaults for the knobs not given. Raises ValueError for an unknown method, knob or rung."""
    declared = known(name)
    for given in knobs:
        declared.knob(given)
    return Step(name, tuple((k.name, _rung(k.ladder, knobs.get(k.name, k.default))) for k in declared.knobs))


def _rung(ladder: tuple[Value, ...], value: Value) -> Value:
    """The rung equal to a value, so that 1 finds 1.0 (but never True); the value itself where there is none."""
    return next((r for r in ladder if r == value and isinstance(r, bool) == isinstance(value, bool)), value)


@dataclass(frozen=True)
class Override:
    """Steps for the layers whose name fits the pattern (shell style: * and ?)."""

    pattern: str
    steps: tuple[Step, ...]
    whole: bool = False  # these steps and no others; else each takes the place of the default's step of its dial


@dataclass(frozen=True)
class Recipe:
    """What is done to each layer of a network."""

    default: tuple[Step, ...] = ()
    overrides: tuple[Override, ...] = ()  # the first that fits wins
    locked: tuple[str, ...] = ()  # patterns of layers left as they are
    seed: int = 0
    first: tuple[Step, ...] = ()  # rewritings of the whole network, in order, before any layer is stored
    repairs: tuple[str, ...] = ()  # without training, after all layers are stored

    def __post_init__(self) -> None:
        unknown = next((name for name in self.repairs if name not in repairs()), None)
        if unknown is not None:
            raise ValueError(f"no repair is called {unknown!r}; there are {', '.join(repairs())}")
        for s in self.first:
            if s.method not in rewrites():
                raise ValueError(f"{s.method} is no rewriting of a whole network, and only those come first; set it for the layers")
        for s in (*self.default, *(s for o in self.overrides for s in o.steps)):
            if s.method in rewrites():
                raise ValueError(f"{s.method} rewrites the whole network and cannot be set for layers; put it first")

    def is_locked(self, layer: str) -> bool:
        return any(fnmatchcase(layer, p) for p in self.locked)

    def override(self, layer: str) -> Override | None:
        return next((o for o in self.overrides if fnmatchcase(layer, o.pattern)), None)

    def chain(self, layer: str) -> tuple[Step, ...]:
        """The steps that run on a layer, in order, without those that do nothing."""
        if self.is_locked(layer):
            return ()
        own = self.override(layer)
        steps = {dial(s.method): s for s in self.default}
        if own is not None:
            if own.whole:
                return tuple(s for s in own.steps if not s.off)
            steps |= {dial(s.method): s for s in own.steps}
        ordered = sorted(steps.values(), key=lambda s: FAMILIES.index(s.method.split(".")[0]))
        return tuple(s for s in ordered if not s.off)

    def with_default(self, new: Step) -> "Recipe":
        """The same recipe with the default's step of the new step's dial replaced."""
        kept = {dial(s.method): s for s in self.default} | {dial(new.method): new}
        return replace(self, default=_in_order(kept.values()))

    def with_first(self, new: Step) -> "Recipe":
        """The same recipe with one rewriting of the whole network set, in its place or after those there are.

        One that works on a group of coupled layers stands beside the same rewriting of other groups, or of all.
        """
        def place(s: Step) -> tuple[str, Value]:
            return s.method, dict(s.knobs).get("group", "")

        kept = {place(s): s for s in self.first} | {place(new): new}
        return replace(self, first=tuple(kept.values()))

    def without_first(self, name: str) -> "Recipe":
        """The same recipe without one rewriting."""
        return replace(self, first=tuple(s for s in self.first if s.method != name))

    def with_repair(self, name: str, on: bool) -> "Recipe":
        """The same recipe with one repair switched on or off."""
        return replace(self, repairs=tuple(n for n in repairs() if (n == name and on) or (n != name and n in self.repairs)))

    def without_default(self, which: str) -> "Recipe":
        """The same recipe with the default's step of one dial left out."""
        return replace(self, default=tuple(s for s in self.default if dial(s.method) != which))

    def with_pin(self, layer: str, new: Step) -> "Recipe":
        """The same recipe with one dial of one layer set, whatever the default does."""
        own = next((o for o in self.overrides if o.pattern == layer), Override(layer, ()))
        if own.whole:  # a chain may hold several steps of one dial, in an order of its own
            same = [i for i, s in enumerate(own.steps) if dial(s.method) == dial(new.method)]
            steps = (*own.steps[: same[-1]], new, *own.steps[same[-1] + 1 :]) if same else _in_order((*own.steps, new))
        else:
            steps = _in_order(({dial(s.method): s for s in own.steps} | {dial(new.method): new}).values())
        return self.with_override(replace(own, steps=steps))

    def with_override(self, new: Override) -> "Recipe":
        """The same recipe with what is set for one layer or pattern replaced.

        Single layers stand before patterns, so that a pattern never hides them, and in the order of their names.
        """
        kept = {o.pattern: o for o in self.overrides} | {new.pattern: new}
        single = sorted((o for o in kept.values() if not is_pattern(o.pattern)), key=lambda o: o.pattern)
        return replace(self, overrides=(*single, *(o for o in kept.values() if is_pattern(o.pattern))))

    def without_pin(self, layer: str, which: str | None = None) -> "Recipe":
        """The same recipe with a layer's pins, or only that of one dial, taken off; a whole chain goes as a whole."""
        found = []
        for o in self.overrides:
            if o.pattern == layer:
                o = replace(o, steps=tuple(s for s in o.steps if which is not None and not o.whole and dial(s.method) != which))
            if o.steps or o.pattern != layer:
                found.append(o)
        return replace(self, overrides=tuple(found))

    def with_lock(self, layer: str, on: bool) -> "Recipe":
        """The same recipe with a layer locked, or free."""
        others = tuple(p for p in self.locked if p != layer)
        return replace(self, locked=(*others, layer) if on else others)


def is_pattern(name: str) -> bool:
    """Whether a name may stand for several layers."""
    return any(sign in name for sign in "*?[")


def _in_order(steps: Any) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda s: FAMILIES.index(s.method.split(".")[0])))


def to_json(recipe: Recipe) -> str:
    """Readable JSON that from_json reads back to an equal recipe."""
    plain = asdict(recipe)
    for steps in (plain["default"], plain["first"], *(o["steps"] for o in plain["overrides"])):
        for s in steps:
            s["knobs"] = dict(s["knobs"])
            if s.pop("on") is False:
                s["on"] = False
    return json.dumps({"shrinkscope": VERSION} | plain, indent=1)


def from_json(text: str) -> Recipe:
    """Raises ValueError saying what was found and what was expected."""
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is not JSON: {error.msg} in line {error.lineno}; expected a recipe saved by Shrinkscope") from None
    if not isinstance(plain, dict) or plain.get("shrinkscope") != VERSION:
        raise ValueError(f'this JSON is no recipe of version {VERSION}: it needs "shrinkscope": {VERSION} at the top')

    def steps(rows: list[dict[str, Any]]) -> tuple[Step, ...]:
        return tuple(replace(step(row["method"], **row["knobs"]), on=row.get("on", True) is True) for row in rows)

    try:
        overrides = tuple(Override(str(o["pattern"]), steps(o["steps"]), bool(o["whole"])) for o in plain["overrides"])
        locked = tuple(map(str, plain["locked"]))
        repaired = tuple(map(str, plain.get("repairs", [])))
        return Recipe(steps(plain["default"]), overrides, locked, int(plain["seed"]), steps(plain.get("first", [])), repaired)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this recipe is incomplete or has a part of the wrong kind: {error}") from None
