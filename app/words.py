"""Numbers with their units, and the sentences on screen. Pure: plain values in, text out."""

import re
from collections.abc import Mapping, Sequence

FOOTNOTE = ("Zeros scattered over a layer, and fewer bits, do not save multiply-adds on ordinary hardware; "
            "a lower rank does where the layer becomes a chain of smaller ones.")


def plain(text: str) -> str:
    """Text that came from outside, so that none of it is read as markdown: no picture is fetched from it, nothing is styled."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def short(text: str, most: int) -> str:
    """Text that fits: its end is left out where it is longer."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def size(count: float) -> str:
    """Bytes as people read them: 917 B, 9.17 KB, 917 KB, 9.17 MB (1 KB = 1,000 bytes)."""
    for unit, scale in (("MB", 1e6), ("KB", 1e3)):
        if abs(count) >= scale * (10 if unit == "MB" else 1):
            return f"{_three(count / scale)} {unit}"
    return f"{count:,.0f} B"


def _three(x: float) -> str:
    """Three significant digits or more, never in powers of ten."""
    digits = 0 if abs(x) >= 100 else 1 if abs(x) >= 10 else 2
    return f"{x:,.{digits}f}"


def many(count: float) -> str:
    """A large count: 431 k, 2.29 M."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{_three(count / scale)} {unit}"
    return f"{count:,.0f}"


def share(x: float, digits: int = 1) -> str:
    """0.917 -> 91.7 %."""
    return f"{100 * x:.{digits}f} %"


def half_width(low: float, high: float) -> float:
    """Half of an interval, the figure behind ±."""
    return (high - low) / 2


def within(value: float, low: float, high: float) -> str:
    """A share with its interval: 91.7 % ± 0.8."""
    return f"{share(value)} ± {100 * half_width(low, high):.1f}"


def points(difference: float) -> str:
    """A difference of shares in words: down 0.5 points, up 0.2 points, unchanged."""
    shown = f"{abs(100 * difference):.1f}"
    if shown == "0.0":
        return "unchanged"
    return f"{'down' if difference < 0 else 'up'} {shown} points"


def signed(number: float) -> str:
    """A change in points: +0.2, −4.7, 0.0."""
    return f"{number:+.1f}".replace("-", "−") if abs(number) >= 0.05 else "0.0"


def tenths(number: float) -> str:
    """A number with one decimal: 0.3, −0.1, 0.0."""
    return f"{number:.1f}".replace("-", "−") if abs(number) >= 0.05 else "0.0"


def allowed(tolerance: float) -> str:
    """A tolerance: 1 point, 0.5 points."""
    return f"{tolerance:g} point{'' if tolerance == 1 else 's'}"


def smaller(new: float, old: float) -> str:
    """How sizes compare: 4.2× smaller, 1.04× smaller, the same size, 1.30× larger."""
    if new == old or not new:
        return "the same size"
    return f"{old / new:.{1 if old >= 1.1 * new else 2}f}× smaller" if new < old else f"{new / old:.2f}× larger"


def examples(kind: str, split: str, n: int, of: int, estimated: bool = False) -> str:
    """Which examples a figure is from: 5,000 validation images; 256 of 5,000 validation images so far.

    estimated: it is of all of them, but only n were asked.
    """
    noun = {"images": "images", "text": "text windows of 128 characters"}.get(kind, "examples")
    if estimated:
        return f"{of:,} {split} {noun}, estimated from {n:,}"
    return f"{of:,} {split} {noun}" if n == of else f"{n:,} of {of:,} {split} {noun} so far"


def settings(sparsity: float, bits: object, rank: float) -> str:
    """A layer's dials in a few words: 50 % zero, 8 bit, rank 40 %."""
    parts = []
    if rank < 1:
        parts.append(f"rank {share(rank, 0)}")
    if sparsity > 0:
        parts.append(f"{share(sparsity, 0)} zero")
    if bits != 32:
        parts.append(f"{bits} bit")
    return ", ".join(parts) or "original"


def milliseconds(seconds: float) -> str:
    """A short time: 0.42 ms, 13 ms."""
    ms = 1e3 * seconds
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:,.0f} ms"


def latency(batch: int, now: float, low: float, high: float, original: float, ratio: tuple[float, float, float]) -> str:
    """A timing beside the original's: Batch of 1: 0.42 ms (0.40 to 0.45), 1.3× as fast as the original's 0.55 ms.

    ratio: now ÷ original, with its quartiles; while 1 lies between these, neither is called faster.
    """
    middle, least, most = ratio
    against = (f"{1 / middle:.2f}× as fast as the original ({milliseconds(original)})" if most < 1 else
               f"{middle:.2f}× the time of the original ({milliseconds(original)})" if least > 1 else
               f"no different from the original ({milliseconds(original)})")
    return f"Batch of {batch}: **{milliseconds(now)}** ({milliseconds(low)} to {milliseconds(high)}), {against}."


def dialled(title: str, sparsity: float, bits: object, rank: float, besides: Mapping[str, int]) -> str:
    """What is done to a network, for one who does not know the dials: LeNet-5 with 50 % of its weights zero (1 layer pinned).

    besides: what the dials do not say, counted: {"layer pinned": 1}.
    """
    parts = [f"rank {share(rank, 0)}"] if rank < 1 else []
    parts += [f"{share(sparsity, 0)} of its weights zero"] if sparsity > 0 else []
    parts += [f"{bits} bit{'' if bits == 1 else 's'} a weight"] if bits != 32 else []
    counted = [_counted(n, noun) for noun, n in besides.items() if n]
    if not parts:
        return f"{title} with {', '.join(counted)}" if counted else f"{title} as trained"
    return f"{title} with {', '.join(parts)}" + (f" ({', '.join(counted)})" if counted else "")


def _counted(n: int, noun: str) -> str:
    """1 layer pinned, 2 layers pinned."""
    first, _, rest = noun.partition(" ")
    return f"{n} {first}{'s' if n > 1 else ''} {rest}".strip()


def layers(pinned: int, locked: int, late: int = 0) -> str:
    """How many layers do not follow the dials: with 1 layer pinned and 2 layers locked."""
    counts = ((pinned, "pinned"), (locked, "locked"), (late, "still as before"))
    parts = [f"{n} layer{'s' if n > 1 else ''} {word}" for n, word in counts if n]
    return f" (with {' and '.join(parts)})" if parts else ""


def as_before(late: Sequence[str]) -> str:
    """Which layers are shown as they were: conv1 and fc1 are shown as before; every figure here is of that."""
    some = ", ".join(late) if len(late) < 4 else f"{', '.join(late[:2])} and {len(late) - 2} more layers"
    return f"Until then {some} {'is' if len(late) == 1 else 'are'} shown as before, and every figure is of that."


def passed_over(refused: Mapping[str, Sequence[str]]) -> str:
    """What of a recipe was not carried out, and the first reason: A step was passed over on 2 of 22 layers. On conv1: …"""
    some = [(layer, reasons[0]) for layer, reasons in refused.items() if reasons]
    return f"A step was passed over on {len(some)} of {len(refused)} layers. On {some[0][0]}: {some[0][1]}" if some else ""


def sentence(start: str, new: int, old: int, quality: Mapping[str, str] | None) -> str:
    """The claim of the screen in one or two sentences; quality as `told` gives it, or None while nothing is measured."""
    text = f"{start}: **{size(new)}** (was {size(old)}, {smaller(new, old)})."
    return f"{text} {quality['claim']}" if quality else text


def told(accuracy: Sequence[float] | None, change: Sequence[float] | None, agreement: Sequence[float], changed: int,
         predictions: int, where: str, text_model: bool, estimated: bool = False) -> dict[str, str]:
    """An evaluation in words: "claim" for the sentence."""
    noun = "next characters" if text_model else "answers"
    flips = f"{'About ' if estimated else ''}{changed:,} of {predictions:,} {noun} changed."
    if accuracy is None or change is None:
        return {"claim": f"**{within(*agreement)}** of the {noun} are the original's, on {where}. {flips}"}
    name = "Next-character accuracy" if text_model else "Accuracy"
    spread = half_width(*change[1:])
    moved = points(change[0]) + (f" (±\u00a0{100 * spread:.1f})" if spread else "")
    return {"claim": f"{name} **{within(*accuracy)}** on {where}, {moved}. {flips}"}


def chance(p: float | None, wrong: int, right: int) -> str:
    """What an exact sign test says of the flips."""
    if p is None:
        return ""
    if wrong + right == 0:
        return "No answer turned right or wrong."
    if p > 0.05:
        return f"Could be chance: so uneven a split has probability {p:.2f} if both are equally good."
    return f"Not chance: probability {p:.3f}." if p >= 0.001 else "Not chance: probability below 0.001."


def remaining(seconds: float | None) -> str:
    """Time left: 26 s left, 3 min left."""
    return "" if seconds is None else f"{duration(seconds)} left"


def duration(seconds: float) -> str:
    """How long something takes: 26 s, 3 min."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def asked(counts: Sequence[int], of: int, split: str) -> str:
    """How many examples each cell was judged on: Each cell: 96 to 2,340 of 5,000 validation examples."""
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"Each cell: all {of:,} {split} examples." if low == of else f"Each cell: {each} of {of:,} {split} examples."


def repair(title: str, told: str, accepted: bool, before: float, after: float) -> str:
    """What came of a repair: ✓ Batch norms measured again: 1.24 → 0.05 nats from the original's answers. …"""
    if before != before:
        return f"– {title}: {told}"
    return f"{'✓' if accepted else '✗'} {title}: {before:.3g} → {after:.3g} nats from the original's answers. {told}"
