"""A recipe as a few short words for a link, and back.

first=fold_norms&do=magnitude-sparsity-0.5~uniform-bits-4&pin=conv2-magnitude-sparsity-0.7&lock=fc2

A step is its method's name, then knob and value for every knob that is not at its default, joined by "-"; steps are joined by "~".
A pin is a layer (or pattern) and one step. Letters, digits and . _ - ~ are carried by links unchanged.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from compression.method import Value
from compression.recipe import Override, Recipe, Step, step
from compression.registry import known, methods, repairs, rewrites

LONGEST = 2_000  # characters of one parameter that are read


def to_link(recipe: Recipe) -> dict[str, str]:
    """Parameters of a link: "first", "do", "pin", "only" (whole chains), "lock", "seed", "repair"; those that would be empty are left out."""
    pins = [f"{_safe(o.pattern)}-{_write(s)}" for o in recipe.overrides if not o.whole for s in o.steps]
    whole = ["-".join([_safe(o.pattern), *map(_write, o.steps)]) for o in recipe.overrides if o.whole]
    words = {
        "first": "~".join(map(_write, recipe.first)),
        "do": "~".join(map(_write, recipe.default)),
        "pin": "~".join(pins),
        "only": "~".join(whole),
        "lock": "~".join(map(_safe, recipe.locked)),
        "seed": str(recipe.seed) if recipe.seed else "",
        "repair": "~".join(recipe.repairs),
    }
    return {key: text for key, text in words.items() if text}


def from_link(words: Mapping[str, str]) -> tuple[Recipe, list[str]]:
    """The recipe a link describes, and a sentence for each part that could not be read and was left out."""
    trouble: list[str] = []

    def each(key: str) -> list[list[str]]:
        text = words.get(key, "")
        if len(text) > LONGEST:
            trouble.append(f"“{key}” in the link is {len(text):,} characters long; at most {LONGEST:,} are read, so it was left out.")
            return []
        return [part.split("-") for part in text.split("~") if part]

    def read(tokens: list[str], key: str) -> tuple[Step, ...]:
        try:
            return tuple(_read(tokens, rewrites() if key == "first" else methods()))
        except ValueError as error:
            trouble.append(f"“{'-'.join(tokens)[:80]}” in the link's “{key}” was left out: {error}.")
            return ()

    recipe = Recipe()
    for tokens in each("first"):
        for s in read(tokens, "first"):
            recipe = recipe.with_first(s)
    for tokens in each("do"):
        for s in read(tokens, "do"):
            recipe = recipe.with_default(s)
    for name, *tokens in each("pin"):
        if not tokens:
            trouble.append(f"“{name[:80]}” in the link's “pin” was left out: it does not say what to do there.")
        for s in read(tokens, "pin"):
            recipe = recipe.with_pin(unquote(name), s)
    whole = tuple(Override(unquote(name), read(tokens, "only"), whole=True) for name, *tokens in each("only"))
    locked = tuple(unquote(name) for name, *_ in each("lock"))
    seed = words.get("seed", "0")
    if not (seed.isdecimal() and len(seed) < 10):
        trouble.append(f"The link's seed “{seed[:20]}” is no whole number, so 0 is used.")
        seed = "0"
    asked = [tokens[0] for tokens in each("repair")]
    trouble += [f"“{name[:80]}” in the link's “repair” was left out: there is no such repair." for name in asked if name not in repairs()]
    return Recipe(recipe.default, recipe.overrides + whole, locked, int(seed), recipe.first, tuple(n for n in repairs() if n in asked)), trouble


def _safe(name: str) -> str:
    return quote(name, safe="").replace("-", "%2D").replace("~", "%7E")


def _short(name: str) -> str:
    """The method's own name where no other family has one like it, else family.name."""
    own = name.split(".")[1]
    return own if sum(other.split(".")[1] == own for other in (*methods(), *rewrites())) == 1 else name


def _write(s: Step) -> str:
    tokens = [_short(s.method)]
    for i, (name, value) in enumerate(s.knobs):
        knob = known(s.method).knob(name)
        if value != knob.default or i == 0:
            tokens += [name, {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)]
    return "-".join(tokens)


def _read(tokens: list[str], allowed: Iterable[str]) -> list[Step]:
    """Steps from "method knob value knob value method …"."""
    names = {_short(name): name for name in allowed} | {name: name for name in allowed}
    steps: list[Step] = []
    while tokens:
        head, *tokens = tokens
        if head not in names:
            raise ValueError(f"no method is called “{head[:40]}”")
        found, knobs = known(names[head]), {}
        while tokens and tokens[0] not in names:
            if len(tokens) < 2:
                raise ValueError(f"{found.title} has “{tokens[0][:40]}” without a value")
            name, text, *tokens = tokens
            knobs[name] = _value(found.knob(name).ladder, text)
        steps.append(step(names[head], **knobs))
    return steps


def _value(ladder: tuple[Value, ...], text: str) -> Value:
    for rung in ladder:
        if text == ({True: "yes", False: "no"}[rung] if isinstance(rung, bool) else str(rung)):
            return rung
    raise ValueError(f"{text[:40]} is not one of {', '.join(map(str, ladder[:6]))}{' …' if len(ladder) > 6 else ''}")
