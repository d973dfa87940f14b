"""A recipe as a few short words for a link, and back.

first=fold_norms&do=magnitude-sparsity-0.5~uniform-bits-4&pin=conv2..fc1-sparsity-0.7~fc2-kmeans-bits-4&lock=fc2

A step is its method's name, then knob and value for every knob that is not at its default, joined by "-"; steps are joined by "~".
A pin is one or more layers (or patterns), joined by "..", and one step; a dial's name in place of a method's is the default's method
at another value. "only" gives layers a whole chain. "off." before a method's name: the step is switched off. Letters, digits and
. _ - ~ are carried by links unchanged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

from compression.method import Value
from compression.recipe import Override, Recipe, Step, is_pattern, step
from compression.registry import dial, known, methods, repairs, rewrites

KEYS = ("first", "do", "pin", "only", "lock", "seed", "repair")
OFF = "off."
LONGEST = 2_000  # characters of one parameter that are read


def to_link(recipe: Recipe) -> dict[str, str]:
    """Parameters of a link: "first", "do", "pin", "only" (whole chains), "lock", "seed", "repair"; those that would be empty are left out."""
    pins = [(o.pattern, _short_pin(s, recipe.default)) for o in recipe.overrides if not o.whole for s in o.steps]
    whole = [(o.pattern, chain_text(o.steps)) for o in recipe.overrides if o.whole]
    words = {
        "first": "~".join(map(_write, recipe.first)),
        "do": "~".join(map(_write, recipe.default)),
        "pin": _together(pins),
        "only": _together(whole),
        "lock": "~".join(map(_safe, recipe.locked)),
        "seed": str(recipe.seed) if recipe.seed else "",
        "repair": "~".join(recipe.repairs),
    }
    return {key: text for key, text in words.items() if text}


def chain_text(steps: Iterable[Step]) -> str:
    """Steps in the words of a link: magnitude-sparsity-0.9-kmeans-bits-5-huffman."""
    return "-".join(map(_write, steps))


def chain_of(text: str) -> tuple[Step, ...]:
    """The steps, or rewritings, that chain_text wrote. Raises ValueError with what could not be read."""
    if len(text) > LONGEST:
        raise ValueError(f"it is {len(text):,} characters long, and at most {LONGEST:,} are read")
    return tuple(_read(text.split("-"), (*rewrites(), *methods())))


def _together(pairs: Iterable[tuple[str, str]]) -> str:
    """Layers with the same text are named once, before it; patterns stand alone, as their order counts."""
    by_text: dict[tuple[str, str], list[str]] = {}
    for name, text in pairs:
        by_text.setdefault((text, name if is_pattern(name) else ""), []).append(_safe(name))
    return "~".join("-".join(part for part in ("..".join(names), text) if part) for (text, _), names in by_text.items())


def _short_pin(s: Step, default: Iterable[Step]) -> str:
    """The dial and its value where all else is as the default has it; else the whole step."""
    which = dial(s.method)
    like = next((d for d in default if d.method == s.method and d.on and s.on), None)
    if like and [k for k, v in s.knobs if like[k] != v] == [which]:
        return f"{which}-{s[which]}"
    return _write(s)


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

    def named(names: str, key: str) -> bool:
        if "" in names.split(".."):
            trouble.append(f"A part of the link's “{key}” was left out: it names no layer.")
        return "" not in names.split("..")

    recipe = Recipe()
    for tokens in each("first"):
        for s in read(tokens, "first"):
            recipe = recipe.with_first(s)
    for tokens in each("do"):
        for s in read(tokens, "do"):
            recipe = recipe.with_default(s)
    dials = {dial(s.method): s for s in recipe.default}
    for names, *tokens in each("pin"):
        if not named(names, "pin"):
            continue
        if not tokens:
            trouble.append(f"“{names[:80]}” in the link's “pin” was left out: it does not say what to do there.")
        if tokens[:1] and tokens[0] in dials and len(tokens) == 2:
            like = dials[tokens[0]]
            tokens = [like.method, *(t for k, v in like.knobs for t in (k, tokens[1] if k == tokens[0] else _text(v)))]
        for s in read(tokens, "pin"):
            for name in names.split(".."):
                recipe = recipe.with_pin(unquote(name), s)
    for names, *tokens in each("only"):
        if not named(names, "only"):
            continue
        known_before = len(trouble)
        steps = read(tokens, "only")
        for name in names.split("..") if len(trouble) == known_before else ():
            recipe = recipe.with_override(Override(unquote(name), steps, whole=True))
    locked = tuple(unquote(name) for name, *_ in each("lock") if name)
    seed = words.get("seed", "0")
    if not (seed.isdecimal() and len(seed) < 10):
        trouble.append(f"The link's seed “{seed[:20]}” is no whole number, so 0 is used.")
        seed = "0"
    asked = [tokens[0] for tokens in each("repair")]
    trouble += [f"“{name[:80]}” in the link's “repair” was left out: there is no such repair." for name in asked if name not in repairs()]
    return Recipe(recipe.default, recipe.overrides, locked, int(seed), recipe.first, tuple(n for n in repairs() if n in asked)), trouble


def _safe(name: str) -> str:
    safe = quote(name, safe="").replace("-", "%2D").replace("~", "%7E")
    return safe.replace(".", "%2E") if f".{safe}.".count("..") else safe


def _short(name: str) -> str:
    """The method's own name where no other family has one like it, else family.name."""
    own = name.split(".")[1]
    return own if sum(other.split(".")[1] == own for other in (*methods(), *rewrites())) == 1 else name


def _write(s: Step) -> str:
    tokens = [_short(s.method) if s.on else f"{OFF}{_short(s.method)}"]
    for i, (name, value) in enumerate(s.knobs):
        knob = known(s.method).knob(name)
        if value != knob.default or i == 0:
            tokens += [name, _text(value)]
    return "-".join(tokens)


def _text(value: Value) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _read(tokens: list[str], allowed: Iterable[str]) -> list[Step]:
    """Steps from "method knob value knob value method …"."""
    names = {_short(name): name for name in allowed} | {name: name for name in allowed}
    heads = {f"{OFF}{name}" for name in names} | set(names)
    steps: list[Step] = []
    while tokens:
        head, *tokens = tokens
        if head not in heads:
            raise ValueError(f"no method is called “{head[:40]}”")
        on, head = head in names, head.removeprefix(OFF)
        found, knobs = known(names[head]), {}
        while tokens and tokens[0] not in heads:
            if len(tokens) < 2:
                raise ValueError(f"{found.title} has “{tokens[0][:40]}” without a value")
            name, text, *tokens = tokens
            knobs[name] = _value(found.knob(name).ladder, text)
        steps.append(replace(step(names[head], **knobs), on=on))
    return steps


def _value(ladder: tuple[Value, ...], text: str) -> Value:
    for rung in ladder:
        if text == _text(rung):
            return rung
    raise ValueError(f"{text[:40]} is not one of {', '.join(map(str, ladder[:6]))}{' …' if len(ladder) > 6 else ''}")
