"""Scans and studies as jobs go through them: with the networks that are ready, and going on from what was measured before."""

import time
from collections.abc import Iterator
from typing import Any

from app import compute
from compression.cluster.scan import crew
from compression.cluster.study import study as spread_study
from compression.cluster.where import HERE, Where
from compression.crew import Crew
from compression.engine.sampling import Tolerance
from compression.network import Network
from compression.recipe import Recipe
from compression.search import Point, study
from compression.sensitivity import Scan, limits, restored, scan

KEEP = 3.0  # seconds of a scan that may be lost
Held = tuple[tuple[str, Any], ...]  # knobs of a method that a scan holds


def scanning(net: Network, name: str, knob: str, values: tuple[Any, ...], split: str, tolerance: Tolerance, strict: bool,
             held: Held = (), on: Where = HERE) -> Iterator[Scan | None]:
    """A sensitivity scan, going on from what was measured before, in this start or an earlier one, and kept every few seconds."""
    data, key = net.data[split], _scanned(net, name, knob, values, split, held)
    before = compute.kept_on_disk().get(key)
    last, told, kept = None, None, time.monotonic()
    try:
        for found in scan(compute.instrument(net), name, knob, values, data, tolerance, strict, before, _crew(on), **dict(held)):
            last = found or last
            if last is not None and last.state is not None and time.monotonic() > kept + KEEP:
                compute.kept_on_disk()[key] = last.arrays()
                told, kept = last, time.monotonic()
            yield found
    finally:
        if last is not None and last.state is not None and last is not told:
            compute.kept_on_disk()[key] = last.arrays()


def scanned(net: Network, name: str, knob: str, values: tuple[Any, ...], split: str, held: Held = ()) -> Scan | None:
    """What was measured before of a scan, if anything."""
    arrays = compute.kept_on_disk().get(_scanned(net, name, knob, values, split, held))
    return None if arrays is None else restored(net, name, knob, values, arrays, **dict(held))


def _scanned(net: Network, name: str, knob: str, values: tuple[Any, ...], split: str, held: Held) -> str:
    return f"scan-3-{net.digest}-{net.context.digest}-{name}-{knob}-{values}-{held}-{net.data[split].digest}"


def _crew(on: Where) -> Crew | None:
    return None if on == HERE else crew(on)


def limiting(net: Network, name: str, knob: str, split: str, allowed: float, strict: bool, held: Held = (),
             on: Where = HERE) -> Iterator[Scan | None]:
    """The search for each layer's limit."""
    return limits(compute.instrument(net), name, knob, net.data[split], allowed, strict, _crew(on), **dict(held))


def studying(net: Network, recipes: list[Recipe], split: str, close: float, on: Where = HERE) -> Iterator[Point | None]:
    """A study, with the networks that are ready; elsewhere, its points come as they are found."""
    if on == HERE:
        return study(net, recipes, net.data[split], close, compute.instrument, compute.memo())
    return (pair and pair[1] for pair in spread_study(compute.instrument(net), recipes, net.data[split], close, on))
