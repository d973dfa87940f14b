"""What is said of a trade-off: the knee, the cheapest within a drop, who beats whom, and whether pruning beats chance. Pure."""

from collections.abc import Sequence

from app import words
from app.studying.axes import Axis, Row
from app.studying.plan import twin
from compression.search import dominating, front

NAMED = 3  # recipes that are named one by one
LETTERS = "abcdefghijklmnopqrstuvwxyz"  # on the marks of networks that are not compressed, from left to right


def knee(row: Row | None, x: Axis, y: Axis, logarithmic: bool) -> str:
    """Which recipe is the knee, and by which definition."""
    scale = f"both axes scaled to 0–1{f', {x.word} logarithmic, as drawn' if logarithmic else ', as drawn'}"
    if row is None:
        return f"The knee is the point of the front farthest from the straight line between its ends ({scale}); it takes three points."
    return (f"**Knee** (ring): {row.said}, {at(row, x, y)}. It is the point of the front farthest from the straight line between its ends, {scale}: "
            "another scaling moves it, so it is a landmark and not an optimum.")


def cheapest(row: Row | None, x: Axis, y: Axis, tolerance: float) -> str:
    """The first recipe on the axis that keeps to the allowed drop."""
    if row is None:
        return f"No recipe measured so far loses at most {words.allowed(tolerance)}."
    return f"**Best within {words.allowed(tolerance)}**: {row.said}, {at(row, x, y)}."


def at(row: Row, x: Axis, y: Axis) -> str:
    """Where a row is: 21.0 KB at 91.2 % ± 0.8."""
    ends = y.spread(row)
    about = f" ± {(ends[1] - ends[0]) / 2:.{y.digits}f}" if ends else ""
    return f"{x.shown(x.read(row))} at {y.shown(y.read(row))}{about}"


def beaten(row: Row, among: Sequence[Row], x: Axis, y: Axis) -> tuple[str, list[Row]]:
    """Why a row is not on the front, or that it is; and the rows that beat it."""
    better = [r for r in dominating(row, among, x.read, y.good) if r is not row]
    if not better:
        return f"On the front: nothing measured is {x.better} without being worse, or {y.better} without costing more.", []
    strictly = [r for r in better if x.read(r) < x.read(row) and y.good(r) > y.good(row)]
    count = f"{len(better)} recipe{'s are' if len(better) > 1 else ' is'}"
    how = f"{x.better} and {y.better}" if len(strictly) == len(better) else f"{x.no_worse} and {y.no_worse}, and better in one of the two"
    named = "; ".join(f"{_named(r, row)} ({at(r, x, y)})" for r in better[:NAMED])
    rest = f"; and {len(better) - NAMED} more" if len(better) > NAMED else ""
    doubt = "" if any(apart(r, row, y) for r in better) else f" Their {y.word} differs by less than the intervals, so it could be chance."
    return f"Not on the front: {count} {how}: {named}{rest}.{doubt}", better


def _named(row: Row, beside: Row) -> str:
    return f"{row.said}, not compressed" if row.kind == "dense" else row.said if row.study == beside.study else f"{row.said} of another study"


def apart(one: Row, other: Row, y: Axis) -> bool:
    """Whether two rows differ by more than their intervals; always where there are none."""
    a, b = y.spread(one), y.spread(other)
    return a is None or b is None or a[0] > b[1] or b[0] > a[1]


def against_chance(rows: Sequence[Row], titles: Sequence[str], x: Axis, y: Axis) -> list[str]:
    """For each study that prunes, how its recipes stand to random pruning at the same settings, and its front at the same cost."""
    chance = {r.recipe: r for r in rows if r.kind == "random" and x.read(r) is not None and y.read(r) is not None}
    found = []
    for number, title in enumerate(titles):
        pairs = [(r, chance[t]) for r in rows if r.study == number and not r.control and (t := twin(r.recipe)) in chance]
        pairs = [(r, t) for r, t in pairs if y.read(r) is not None and y.read(t) is not None]
        if not pairs:
            continue
        won = sum(y.good(r) > y.good(t) and apart(r, t, y) for r, t in pairs)
        lost = sum(y.good(r) < y.good(t) and apart(r, t, y) for r, t in pairs)
        gain = sorted(y.good(r) - y.good(t) for r, t in pairs)[len(pairs) // 2]
        sure = "clearly " if y.spread(pairs[0][0]) else ""
        verdict = f"{sure}{y.better} at {won} of {len(pairs)} settings"
        verdict += f", worse at {lost}" if lost else ""
        verdict += f", no clear difference at {len(pairs) - won - lost}" if len(pairs) > won + lost else ""
        middle = f"{abs(gain):.{y.digits}f} {'points' if y.unit == '%' else y.unit} {'better' if gain >= 0 else 'worse'}"
        line = front([r for r in rows if r.study == number], x.read, y.good)
        beaten_by = sum(bool(dominating(r, chance.values(), x.read, y.good)) for r in line)
        found.append(f"{title} against random pruning at the same settings: {verdict}; in the middle {middle}. Random pruning beats "
                     f"{beaten_by or 'none'} of the {len(line)} on its front.")
    return found


def smaller_dense(rows: Sequence[Row], best: Sequence[Row], x: Axis, y: Axis) -> list[str]:
    """Which letter is which network that was not compressed, and what they say of the front."""
    others = sorted((r for r in rows if r.kind == "dense"), key=x.read)
    if not others:
        return []
    letters = {r.number: letter for r, letter in zip(others, LETTERS, strict=False)}
    key = "; ".join(f"{letters[r.number]} {words.plain(r.said)} ({at(r, x, y)})" for r in others)
    free = [letters[r.number] for r in others if not dominating(r, best, x.read, y.good)]
    verdict = ("" if not best else " A recipe here beats every one of them." if not free else
               f" No recipe here beats {' and '.join([', '.join(free[:-1]), free[-1]] if len(free) > 1 else free)}: "
               "a network trained small can be the better deal.")
    return [f"**Smaller networks, not compressed**: {key}.{verdict}"]
