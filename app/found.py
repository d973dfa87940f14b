"""What a method's preparation found, as pictures: which arrays are worth drawing, their axes, where the dial stands, and a caption.

Any NamedTuple can be drawn: a field's comment in the source gives its shape, "(out, d)", and with that the names of its axes. Of a
table by settings the entry of the present setting is drawn, or, where entries are single numbers, all of them along the dial.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.axes import comments, described
from app.drawn import POINTS, Drawn, Setting, asking, parts, stairs
from compression.method import Value

ROWS, COLUMNS, MOST = 96, 192, 4  # of a map; pictures of one preparation
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FEW = 64  # values that are drawn as a bar each
SKIPPED = {"weight", "shape", "size", "row", "order", "signs", "cuts", "groups", "digits", "grid", "block", "places"}
UNSAID = {"by", "fits", "snaps", "mixtures", "kernels", "how"}  # tables whose name says nothing beside that of what they hold
NAMES = {"books": "Codebook", "book": "Codebook", "errors": "Squared error", "input_sizes": "Sizes of inputs"}  # else the field's own


def pictures(ready: Any, setting: Setting) -> list[Drawn]:
    """The pictures of a preparation, at most MOST, those of which the dial decides first."""
    drawn = [picture for title, comment, value in _leaves(ready, setting) for picture in _draw(title, comment, value, setting)]
    drawn = [asking(d) for d in sorted(drawn, key=lambda d: d.mark is None and d.gone is None)]
    if not drawn and setting.family == "pruning":
        drawn = [asking(_fates("Magnitude", "", setting.weight.abs().flatten().numpy(), setting))]
    steps = [stairs(setting)] if setting.family in ("quantization", "sharing") and setting.weight.numel() else []
    return (steps + drawn)[:MOST]


def plain(ready: Any) -> list[Drawn]:
    """The pictures of a NamedTuple of arrays that belongs to no layer and no dial."""
    nothing = torch.zeros(1)
    return pictures(ready, Setting(nothing, nothing, (), {}, ""))


def _leaves(ready: Any, setting: Setting, within: str = "") -> Iterator[tuple[str, str, Any]]:
    """(title, comment, array or series) of everything in a preparation that might be drawn."""
    if not hasattr(ready, "_asdict"):
        return
    notes, order = comments(type(ready)), getattr(ready, "order", None)
    for name, value in ready._asdict().items():
        if name not in SKIPPED:
            if "in that order" in notes.get(name, "") and isinstance(order, Tensor) and not _steady(value.numpy()):
                value = torch.empty_like(value).scatter_(0, order, value).reshape(setting.weight.shape)
            title = NAMES.get(name, name.replace("_", " ").capitalize()) if name not in UNSAID else ""
            yield from _opened(f"{title}, {within}" if within else title, notes.get(name, ""), value, setting)


def _opened(title: str, comment: str, value: Any, setting: Setting) -> Iterator[tuple[str, str, Any]]:
    """What a field holds; of a table the entry of the present setting."""
    if isinstance(value, dict) and value:
        if all(isinstance(v, int | float) for v in value.values()):
            yield title, comment, _along(value, setting)
            return
        best = max(value, key=setting.at)
        if setting.at(best) or len(value) == 1:
            yield from _opened(title, f"{comment} @ {_named(best, setting)}", value[best], setting)
    elif hasattr(value, "_asdict"):
        yield from _leaves(value, setting, title[:1].lower() + title[1:])
    elif isinstance(value, list | tuple) and value and all(isinstance(v, float) for v in value):
        yield title, comment, {str(i): v for i, v in enumerate(value)}
    elif isinstance(value, list | tuple) and value and all(isinstance(v, Tensor) for v in value):
        for i, each in enumerate(value[:2], start=1):
            yield f"{title or 'Factor'} {i} of {len(value)}", comment, each
    elif isinstance(value, Tensor):
        yield title, comment, value


def _named(key: Any, setting: Setting) -> str:
    """The parts of a table's key with the words of the dials they are settings of."""
    words = []
    for part in parts(key):
        knob = next((k for k in setting.knobs if setting.values[k.name] == part and type(setting.values[k.name]) is type(part)), None)
        words.append(f"{knob.label.lower()} {_rung(part)}" if knob else _rung(part))
    return ", ".join(words)


def _rung(value: Value) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{100 * value:.0f} %" if isinstance(value, float) else str(value)


def _number(x: float) -> str:
    """Three or four digits; tiny ones as 5.1·10⁻⁸."""
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    if x == 0 or abs(x) >= 1e-4:
        return f"{x:.4g}"
    digits, power = f"{x:.1e}".split("e")
    return f"{digits}·10{str(int(power)).translate(SUPERSCRIPT)}"


def _along(table: dict[Any, float], setting: Setting) -> dict[Any, float]:
    """Single numbers along the first dial, the others as they are set."""
    if not setting.knobs or not isinstance(next(iter(table)), tuple):
        return table
    ladder = set(setting.knobs[0].ladder)
    place = next((i for i in range(len(next(iter(table)))) if {key[i] for key in table} <= ladder), None)
    if place is None:
        return {}
    return {key[place]: v for key, v in table.items() if setting.at(key[:place] + key[place + 1:]) == len(key) - 1}


def _draw(title: str, comment: str, value: Any, setting: Setting) -> Iterator[Drawn]:
    comment, _, there = comment.partition(" @ ")
    axes, told = described(comment)
    told = f"{told[:1].upper()}{told[1:]}. " if told else ""
    told = f"At {there.replace(' @ ', ', ')}: {told[:1].lower()}{told[1:]}" if there else told
    title = title or "Found"
    if isinstance(value, dict):
        key = comment.partition("->")[0].strip() if "->" in comment else ""
        yield from _series(title, told, value, setting, key if key and "(" not in key and ":" not in key else "step")
        return
    if value.is_complex() or value.numel() < 2 or not bool(value.isfinite().all()):
        return
    if value.numel() >= setting.weight.numel() > 1 and setting.family != "pruning" and not _moves(value):
        return  # the whole weight in other words, which the picture of the weight shows
    flat = [n for n in value.shape if n > 1]
    names = [a for a, n in zip(axes, value.shape, strict=False) if n > 1] if len(axes) == value.ndim else []
    x = value.detach().reshape(flat).numpy()
    whole = value.numel() == setting.weight.numel()
    if not value.is_floating_point():
        yield from _counted(title, told, names, x, whole, setting)
    elif whole and not _steady(x):
        if x[(setting.decoded == 0).reshape(x.shape).numpy()].any():
            yield _fates(title, told, x.ravel(), setting)
        yield _map(title, told, names or ["output", "input"], x.reshape(len(setting.weight), -1), setting)
    elif x.ndim == 1:
        yield from _line(title, told, names[0] if names else "place", x, setting)
    elif x.ndim == 2:
        yield _map(title, told, names, x, setting)


def _moves(value: Tensor) -> bool:
    """Whether it says of each entry of a matrix how far up or down it went, in whole steps."""
    return value.ndim == 2 and not value.is_floating_point() and bool((value < 0).any())


def _series(title: str, told: str, table: dict[Any, float], setting: Setting, step: str = "step") -> Iterator[Drawn]:
    if len(table) < 2:
        return
    keys, values = list(table), np.array(list(table.values()), dtype=float)
    dial = setting.knobs[0] if setting.knobs and set(keys) <= set(setting.knobs[0].ladder) else None
    if not dial and np.allclose(values, values[0]):
        return
    here = keys.index(setting.values[dial.name]) if dial and setting.values[dial.name] in keys else None
    now = f" Here, at {_rung(keys[here])}, it is {_number(values[here])}." if here is not None else ""
    said = f"{told}From {_number(values[0])} to {_number(values[-1])} along the {'dial' if dial else _many(step)}.{now}"
    yield Drawn(title, "curve", values, dial.label if dial else step, title.lower(), said, tuple(map(_rung, keys)), here)


def _counted(title: str, told: str, names: Sequence[str], x: np.ndarray, whole: bool, setting: Setting) -> Iterator[Drawn]:
    """Whole numbers: counts are drawn; orders, signs and codes of every weight say nothing to the eye."""
    if x.ndim == 2 and x.shape[1] == 2:
        said = f"{told}{len(x)} of them; most often {x[x[:, 1].argmax(), 0]}."
        yield Drawn(title, "bars", x[:FEW, 1], "length", "how many", said, tuple(map(str, x[:FEW, 0])))
    elif x.ndim == 2 and (x < 0).any() if whole else x.ndim == 2 and x.size <= 4096:
        yield _map(title, told, names, x.astype(np.float32), setting)
    elif x.ndim == 1 and setting.knobs and len(x) == len(setting.knobs[0].ladder):
        yield from _series(title, told, dict(zip(setting.knobs[0].ladder, x.tolist(), strict=True)), setting)
    elif x.ndim == 1 and len(x) <= 256 and not whole and (np.sort(x) != np.arange(len(x))).any():
        yield Drawn(title, "bars", x, names[0] if names else "code", title.lower(), f"{told}{len(x)} numbers, from {x.min():,} to {x.max():,}.")


def _line(title: str, told: str, axis: str, x: np.ndarray, setting: Setting) -> Iterator[Drawn]:
    """One axis: levels that weights share, a curve in order, a bar for each, or how the values are spread."""
    n = len(x)
    if setting.knobs and n == len(setting.knobs[0].ladder) and axis not in ("output", "input", "part", "rank"):
        yield from _series(title, told, dict(zip(setting.knobs[0].ladder, x.tolist(), strict=True)), setting)
        return
    if setting.family == "sharing" and n <= 256 and _levels(x, setting):
        there, often = np.unique(setting.decoded.numpy(), return_counts=True)
        most = f"{100 * often.max() / often.sum():.0f} % of the weights share {_number(there[often.argmax()])}"
        said = f"{told}{n} levels that weights share, on the weights as trained; {most}."
        yield Drawn(title, "levels", x, "weight value", "weights near that value", said)
        return
    if n > 8 and _steady(x):
        mark, words = _cut(x, setting)
        said = f"{told}{n:,} in order, from {_number(x[0])} to {_number(x[-1])}.{words}"
        kept = np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(int))
        yield Drawn(title, "curve", x[kept], f"{axis}, in order", title.lower(), said, tuple(f"{i + 1:,}" for i in kept), _nearest(kept, mark))
        return
    gone = _gone(n, setting)
    if n <= FEW:
        said = f"{told}One bar for each {axis}: from {_number(x.min())} to {_number(x.max())}, the largest at {axis} {int(x.argmax()) + 1}."
        yield Drawn(title, "bars", x, axis, title.lower(), said + _removed(gone), gone=gone)
        return
    low, high = np.quantile(x, (0.25, 0.75))
    said = f"{told}{n:,} values, one for each {axis}; half of them lie between {_number(low)} and {_number(high)}."
    yield Drawn(title, "spread", x, title.lower(), f"{_many(axis)} per bin", said + _removed(gone), gone=gone)


def _fates(title: str, told: str, x: np.ndarray, setting: Setting) -> Drawn:
    gone = (setting.decoded == 0).flatten().numpy()
    middles = [_number(float(np.median(x[which]))) if which.any() else "none" for which in (gone, ~gone)]
    said = f"{told}Of the removed weights half are below {middles[0]}, of the kept ones half are below {middles[1]}."
    return Drawn(title, "spread", x, title.lower(), "weights per bin", said, gone=gone)


def _map(title: str, told: str, names: Sequence[str], x: np.ndarray, setting: Setting) -> Drawn:
    down, right = names if len(names) == 2 else ("row", "column")
    dial = setting.knobs[0] if setting.knobs and x.shape[1] == len(setting.knobs[0].ladder) and right == "place" else None
    said = f"{told}{x.shape[0]:,} {_many(down)} by {x.shape[1]:,} {_many(right)}, from {_number(x.min())} to {_number(x.max())}."
    sides = [np.unique(np.linspace(0, n - 1, min(n, most)).astype(int)) for n, most in zip(x.shape, (ROWS, COLUMNS), strict=True)]
    thin = " Rows and columns are thinned out evenly." if x.shape[0] > ROWS or x.shape[1] > COLUMNS else ""
    at = tuple(_rung(dial.ladder[i]) for i in sides[1]) if dial else ()
    here = float(np.searchsorted(sides[1], dial.ladder.index(setting.values[dial.name]))) if dial else None
    names_down = tuple(setting.layers[i] for i in sides[0]) if down == "layer" and len(setting.layers) == x.shape[0] else ()
    return Drawn(title, "map", x[np.ix_(*sides)], dial.label if dial else right, down, said + thin, at, here, down=names_down)


def _cut(x: np.ndarray, setting: Setting) -> tuple[int | None, str]:
    """Where the present setting cuts values in order: (place, words), or None where it does not."""
    if setting.family == "pruning" and len(x) == setting.weight.numel():
        count = int((setting.decoded == 0).sum())
        return count, f" The {count:,} left of the line are removed." if x[0] <= x[-1] else ""
    if setting.family == "lowrank" and x[0] >= x[-1]:
        share = np.cumsum(np.square(x, dtype=float)) / np.square(x, dtype=float).sum()
        if setting.rank is not None and 0 < setting.rank <= len(x):
            return setting.rank, _kept(setting.rank, share)
        left = np.concatenate([np.cumsum(np.square(x, dtype=float)[::-1])[::-1], [0.0]])  # squared error when the first k are kept
        wrong = float((setting.weight - setting.decoded).double().square().sum())
        kept = int(np.abs(left - wrong).argmin())
        if kept and abs(left[kept] - wrong) <= 2e-5 * left[0]:
            return kept, _kept(kept, share)
    return None, ""


def _kept(count: int, share: np.ndarray) -> str:
    return f" The first {count:,}, left of the line, are kept, with {100 * share[count - 1]:.1f} % of the squares."


def _nearest(kept: np.ndarray, mark: int | None) -> float | None:
    return None if mark is None else float(np.searchsorted(kept, mark)) - 0.5


def _gone(count: int, setting: Setting) -> np.ndarray | None:
    """Which outputs, where there are that many values, have no weight left; None where none was removed as a whole."""
    if setting.family != "pruning" or count != len(setting.decoded):
        return None
    gone = (setting.decoded == 0).flatten(1).all(1).numpy() if setting.decoded.ndim > 1 else (setting.decoded == 0).numpy()
    return gone if gone.any() else None


def _removed(gone: np.ndarray | None) -> str:
    return "" if gone is None else f" {int(gone.sum()):,} are removed."


def _levels(x: np.ndarray, setting: Setting) -> bool:
    low, high = float(setting.weight.min()), float(setting.weight.max())
    return bool((x >= low - 1e-6).all() and (x <= high + 1e-6).all() and (np.diff(x) >= 0).all())


def _steady(x: np.ndarray) -> bool:
    return x.ndim == 1 and bool((np.diff(x) >= 0).all() or (np.diff(x) <= 0).all())


def _many(axis: str) -> str:
    head, _, tail = axis.partition(" ")
    head = "bases" if head == "basis" else head if head == "kept" or head.endswith("s") else f"{head}s"
    return f"kept {tail}s" if head == "kept" else f"{head} {tail}".strip()
