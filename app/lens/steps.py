"""The steps of one layer with all three of its dials, on or off, in the order in which they run."""

from app.dials import DIALS, FIRST, complete
from compression.method import Value
from compression.recipe import Recipe, Step, step
from compression.registry import FAMILIES, dial, method

Steps = tuple[Step, ...]


def settings(recipe: Recipe, layer: str) -> Steps:
    """What a recipe says of a layer, a step for every dial among it: at the rung that does nothing where the recipe says nothing.

    Without the steps that do nothing it is the recipe's chain for the layer. A locked layer has its dials, all off.
    """
    full = complete(recipe)
    own = full.override(layer)
    if full.is_locked(layer):
        chosen: Steps = tuple(_off(s) for s in full.default if dial(s.method) in DIALS)
    elif own is not None and own.whole:
        chosen = own.steps
    else:
        chosen = tuple(({dial(s.method): s for s in full.default} | {dial(s.method): s for s in (own.steps if own else ())}).values())
        chosen = tuple(sorted(chosen, key=_family))
    for which in DIALS:
        if not any(dial(s.method) == which for s in chosen):
            new = _off(step(FIRST[which]))
            here = next((i for i, s in enumerate(chosen) if _family(s) > _family(new)), len(chosen))
            chosen = (*chosen[:here], new, *chosen[here:])
    return chosen


def _family(some: Step) -> int:
    return FAMILIES.index(some.method.split(".")[0])


def _off(some: Step) -> Step:
    """The step at the rung at which it does nothing; the first method's where its own has no such rung."""
    which = dial(some.method)
    if not any(k.name == which and k.off is not None for k in method(some.method).knobs):
        some = step(FIRST[which])
    return Step(some.method, tuple((k, method(some.method).knob(k).off if k == which else v) for k, v in some.knobs))


def place(steps: Steps, which: str) -> int:
    """Where the step stands that a dial turns: the last of its kind."""
    return max(i for i, s in enumerate(steps) if dial(s.method) == which)


def turned(steps: Steps, at: int, value: Value) -> Steps:
    """The same steps with one dial at another value, and switched on."""
    which = dial(steps[at].method)
    new = Step(steps[at].method, tuple((k, value if k == which else v) for k, v in steps[at].knobs))
    return (*steps[:at], new, *steps[at + 1 :])


def running(steps: Steps) -> Steps:
    """Those that do something: the chain that is carried out."""
    return tuple(s for s in steps if not s.off)


def ladder(some: Step) -> tuple[Value, ...]:
    """The rungs of a step's dial; none where its method has no such dial."""
    which = dial(some.method)
    return next((k.ladder for k in method(some.method).knobs if k.name == which), ())


def rung(some: Step) -> int:
    """Which rung a step stands on; for one that is switched off that at which it would do nothing, where it has one."""
    which, values = dial(some.method), ladder(some)
    off = method(some.method).knob(which).off
    return values.index(some[which] if some.on or off is None else off)
