"""About how long methods prepare: what assets/answers.json has measured of them, carried over to a layer's size."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from compression.method import Layer
from compression.registry import method

MEASURED = Path(__file__).parents[1] / "assets" / "answers.json"
AT_ONCE = 1.0  # CPU seconds to prepare a million weights, up to which a method counts as answering at once


@cache
def _measured() -> dict[str, Any]:
    return json.loads(MEASURED.read_text())


def _per_weight(name: str) -> dict[str, float]:
    """CPU seconds to prepare one weight, by the kind of layer on which that was measured."""
    rows = _measured()["methods"].get(name, {})
    return {kind: rows[kind]["prepare_s"] / count for kind, count in _measured()["weights"].items() if kind in rows}


def seconds(name: str, layer: Layer) -> float | None:
    """About how many CPU seconds a method prepares on a layer, on the machine that was measured; None where that is not known.

    One that looks at the whole network is taken to prepare on all of its weights. Time is taken to grow as the weights do.
    """
    rates = _per_weight(name)
    if not rates:
        return None
    whole = "network" in method(name).needs and layer.context is not None
    count = sum(each.weight.numel() for each in layer.context.layers) if whole else layer.weight.numel()  # type: ignore[union-attr]
    return count * rates.get("conv" if layer.weight.ndim > 2 else "linear", max(rates.values()))


def badge(name: str) -> str:
    """How soon a method answers, in a few words: answers at once, or prepares in about 37 to 80 s per million weights.

    What a pass over training examples takes comes on top, once for a network.
    """
    rates = [1e6 * rate for rate in _per_weight(name).values()]
    if not rates:
        return ""
    if max(rates) <= AT_ONCE:
        return "answers at once" + (" after one pass over training examples" if set(method(name).needs) - {"network"} else "")
    low, high = f"{min(rates):.0f}", f"{max(rates):.0f}"
    how = f"about {high}" if low == high else f"up to {high}" if low == "0" else f"about {low} to {high}"
    return f"prepares in {how} s per million weights, once"


def told(seconds: float) -> str:
    """A time that is not known well: 7 s, 40 s, 3 min.

    >>> told(7.4), told(43), told(187)
    ('7 s', '40 s', '3 min')
    """
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{max(1, round(seconds)) if seconds < 10 else 10 * round(seconds / 10)} s"
