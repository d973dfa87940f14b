"""A against B in words and as a table of numbers. Pure: what was measured in, text out."""

from collections.abc import Callable
from math import isfinite

from app import words
from app.comparing.sides import Known
from compression.compare import Comparison
from compression.evaluate import Quality

EXACT = "0"  # of a difference


def minus(text: str) -> str:
    """A number with a real minus sign."""
    return text.replace("-", "−")


def difference(x: float, digits: int = 2, unit: str = "") -> str:
    """A signed difference: "+0.34 points", "−1.20 dB", and "0" only where nothing differs.

    >>> difference(-0.5, 1, "points"), difference(0.0)
    ('−0.5 points', '0')
    """
    return f"{minus(f'{x:+,.{digits}f}')}{f' {unit}' if unit else ''}" if x else EXACT


def bytes_apart(a: int, b: int) -> str:
    """A difference of sizes with its sign, and how often one goes into the other: "−216 KB, 8.0× smaller"."""
    return EXACT if a == b else f"{'+' if b > a else '−'}{words.size(abs(b - a))}, {words.smaller(b, a)}"


def table(a: Known, b: Known, found: Comparison | None) -> list[tuple[str, str, str, str]]:
    """Rows of (what, A, B, B − A)."""
    rows = []
    if a.costs and b.costs:
        x, y = a.costs, b.costs
        rows.append(("Size of the file", words.size(x.file_bytes), words.size(y.file_bytes), bytes_apart(x.file_bytes, y.file_bytes)))
        if x.multiply_adds is not None and y.multiply_adds is not None:
            rows.append(("Multiply-adds", words.many(x.multiply_adds), words.many(y.multiply_adds), difference(y.multiply_adds - x.multiply_adds, 0)))
        rows.append(("Weights that are zero", words.share(x.zeros), words.share(y.zeros), difference(100 * (y.zeros - x.zeros), 1, "points")))
        noise = EXACT if x.sqnr == y.sqnr else difference(y.sqnr - x.sqnr, 1, "dB") if isfinite(y.sqnr - x.sqnr) else "one is exact"
        rows.append(("SQNR of all weights", _decibels(x.sqnr), _decibels(y.sqnr), noise))
    return rows + (_judged(a.quality, b.quality, found) if a.quality and b.quality else [])


def _judged(a: Quality, b: Quality, found: Comparison | None) -> list[tuple[str, str, str, str]]:
    rows, text = [], a.predictions != a.n
    if a.accuracy and b.accuracy:
        change = found and found.quality.change
        rows.append(("Next-character accuracy" if text else "Accuracy", _share(a, a.accuracy), _share(b, b.accuracy),
                     "measuring" if not change else EXACT if found.equal else
                     f"{difference(100 * change.value, 2, 'points')} (± {100 * words.half_width(change.low, change.high):.2f}, paired)"))
    if a.loss is not None and b.loss is not None and a.complete and b.complete:
        if text:
            rows.append(("Bits per character", f"{a.bits:.3f}", f"{b.bits:.3f}", difference(b.bits - a.bits, 3)))
            rows.append(("Perplexity per character", f"{2**a.bits:.3f}", f"{2**b.bits:.3f}", difference(2**b.bits - 2**a.bits, 3)))
        else:
            rows.append(("Loss (nats)", f"{a.loss:.4f}", f"{b.loss:.4f}", difference(b.loss - a.loss, 4)))
    if found and found.calibration:
        x, y = (c.error for c in found.calibration)
        rows.append(("Calibration error (ECE)", f"{100 * x:.2f} points", f"{100 * y:.2f} points", difference(100 * (y - x), 2, "points")))
    rows.append(("Answers as the original's", _share(a, a.agreement), _share(b, b.agreement),
                 difference(100 * (b.agreement.value - a.agreement.value), 2, "points")))
    return rows


def _share(q: Quality, of: tuple[float, float, float]) -> str:
    return words.within(*of) if q.complete else f"≈ {words.within(*of)}"


def _decibels(x: float) -> str:
    return f"{x:.1f} dB" if isfinite(x) else "exact"


def claim(a: Known, b: Known, found: Comparison | None, where: str, text: bool = False) -> str:
    """The comparison in two or three sentences; titles as they are, so escape them before they meet markdown."""
    return " ".join(part for part in (_sizes(a, b), _answers(found, where, text) if found else "") if part)


def _sizes(a: Known, b: Known) -> str:
    if not a.costs or not b.costs:
        return ""
    new, old = b.costs.file_bytes, a.costs.file_bytes
    return f"B takes {words.size(new)}, " + ("as A does." if new == old else f"{words.smaller(new, old)} than A ({words.size(old)}).")


def _answers(found: Comparison, where: str, text: bool) -> str:
    q, noun = found.quality, "next characters" if text else "answers"
    if found.equal:
        return f"No answers changed, on {where}."
    share = f"{q.changed:,} of {q.predictions:,} {noun} differ, on {where}"
    if q.change is None:
        return f"{share}."
    moved = words.points(q.change.value)
    counted = (f"{found.worse:,} windows of text worse, {found.better:,} better" if text else
               f"{found.worse:,} newly wrong, {found.better:,} newly right")
    return (f"{share}. Accuracy {'is the same' if q.change.value == 0 else moved} from A to B: "
            f"{counted}. {words.chance(found.chance, found.worse, found.better)}")


def markdown(rows: list[tuple[str, str, str, str]], escape: Callable[[str], str]) -> str:
    """The table for the screen."""
    lines = ["| | A | B | B − A |", "| --- | ---: | ---: | ---: |"]
    return "\n".join([*lines, *("| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows)])
