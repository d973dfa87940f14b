"""What a step did, in a few words: the difference of two recipes. Pure."""

from collections.abc import Callable

from app import words
from compression.method import Value
from compression.recipe import Recipe, Step
from compression.registry import dial, known, method, repairs

UNITS = {"sparsity": "sparsity", "rank": "rank"}
LISTED = 2  # layers that are named one by one


def said(before: Recipe, after: Recipe) -> str:
    """The difference in words: "sparsity 50 % → 70 %", "conv2: 8 → 4 bit", "fc1 locked", "5 layers changed".

    >>> from compression.recipe import step
    >>> said(Recipe(), Recipe((step("quantization.uniform", bits=4),)))
    '32 → 4 bit'
    """
    found = [*_steps(before, after), *_layers(before, after), *_locks(before, after), *_switches(before, after)]
    if before.seed != after.seed:
        found.append(f"seed {before.seed} → {after.seed}")
    return found[0] if len(found) == 1 else f"{len(found)} changes" if found else "order changed"


def _steps(before: Recipe, after: Recipe) -> list[str]:
    """What became of the default's steps."""
    old, new = ({dial(s.method): s for s in r.default} for r in (before, after))
    return [_step(which, old.get(which), new.get(which)) for which in {**old, **new} if old.get(which) != new.get(which)]


def _step(which: str, old: Step | None, new: Step | None) -> str:
    if which == "coding":
        return f"{method((new or old).method).title} {'off' if new is None else 'on'}"
    if old is None or new is None or old.method != new.method:
        titles = [known(s.method).title if s else "nothing" for s in (old, new)]
        if old is None or new is None:
            value = (new or old)[which]
            return _value(which, 32 if which == "bits" else 0.0 if which == "sparsity" else 1.0, value) if new else _value(which, value, None)
        return f"{which}: {titles[0]} → {titles[1]}"
    moved = [(k, old[k], v) for k, v in new.knobs if old[k] != v]
    if len(moved) != 1:
        return f"{len(moved)} dials of {known(new.method).title}"
    name, a, b = moved[0]
    return _value(which, a, b) if name == which else f"{known(new.method).knob(name).label.lower()} {_shown(a)} → {_shown(b)}"


def _value(which: str, a: Value, b: Value | None) -> str:
    if b is None:
        return f"{which} off"
    return f"{a} → {b} bit" if which == "bits" else f"{which} {words.share(a, 0)} → {words.share(b, 0)}"


def _shown(value: Value) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _layers(before: Recipe, after: Recipe) -> list[str]:
    """What became of the layers that are set by themselves."""
    old, new = ({o.pattern: o for o in r.overrides} for r in (before, after))
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if len(changed) > LISTED:
        return [f"{len(changed)} layers changed"]
    return [f"{name}: {_layer(before, after, name)}" for name in changed]


def _layer(before: Recipe, after: Recipe, name: str) -> str:
    whole = [o is not None and o.whole for o in (before.override(name), after.override(name))]
    if any(whole):
        return "follows the dials again" if after.override(name) is None else _chain(before.chain(name), after.chain(name))
    now = {dial(s.method): s for s in after.chain(name)}
    was = {dial(s.method): s for s in before.chain(name)}
    own = {dial(s.method) for o in (before.override(name), after.override(name)) if o for s in o.steps}
    moved = [_own(which, was.get(which), now.get(which)) for which in was | now if which in own and was.get(which) != now.get(which)]
    if after.override(name) is None:
        return "follows the dials again"
    return moved[0] if len(moved) == 1 else "pinned" if before.override(name) is None else "pins changed"


def _own(which: str, old: Step | None, new: Step | None) -> str:
    if (old is None and new is None) or (old and new and old.method != new.method) or which == "coding":
        return _step(which, old, new)
    off: Callable[[Step | None], Value] = lambda s: s[which] if s else {"bits": 32, "sparsity": 0.0, "rank": 1.0}[which]  # noqa: E731
    return _value(which, off(old), off(new)) if off(old) != off(new) else _step(which, old, new)


def _chain(old: tuple[Step, ...], new: tuple[Step, ...]) -> str:
    """What became of a chain of steps."""
    if len(new) > len(old):
        extra = [s for s in new if s not in old]
        return f"{method(extra[0].method).title} added" if len(new) == len(old) + 1 and len(extra) == 1 else "steps added"
    if len(new) < len(old):
        gone = [s for s in old if s not in new]
        return f"without {method(gone[0].method).title}" if len(gone) == 1 else "steps removed"
    moved = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    if len(moved) == 1 and moved[0][0].method == moved[0][1].method:
        return _step("", *moved[0])
    return "order of steps changed" if sorted(map(str, old)) == sorted(map(str, new)) else "chain changed"


def _locks(before: Recipe, after: Recipe) -> list[str]:
    on = [name for name in after.locked if name not in before.locked]
    off = [name for name in before.locked if name not in after.locked]
    if len(on) + len(off) > LISTED:
        return [f"{len(on) + len(off)} locks changed"]
    return [f"{name} locked" for name in on] + [f"{name} unlocked" for name in off]


def _switches(before: Recipe, after: Recipe) -> list[str]:
    """Rewritings of the whole network, and repairs."""
    old, new = ({name: [s for s in r.first if s.method == name] for name in dict.fromkeys(s.method for s in r.first)} for r in (before, after))
    found = [f"{known(name).title}: {'off' if name not in new else 'on' if name not in old else 'set'}"
             for name in {**old, **new} if old.get(name) != new.get(name)]
    moved = [name for name in repairs() if (name in before.repairs) != (name in after.repairs)]
    if len(moved) > 1:
        return [*found, f"{len(moved)} repairs {'on' if moved[0] in after.repairs else 'off'}"]
    return found + [f"{repairs()[name].title}: {'on' if name in after.repairs else 'off'}" for name in moved]
