"""A scan as charts: a heat map and curves, or a bar a layer; of a long network a page at a time."""

from typing import NamedTuple

import pandas as pd
import streamlit as st

from app import after_scan, cells, chart, explain, parts, plots, plots_cells, state, words
from app.explain import Try
from app.layer_table import find
from compression.method import Knob, Value
from compression.sensitivity import Scan, last_safe

PAGE = 30  # rows that are drawn at a time


class Row(NamedTuple):
    """A layer, or a group of coupled layers."""

    name: str


def _rows(found: Scan) -> list[str]:
    """The rows to be drawn: all, or of many those that are looked for, a page at a time."""
    rows = tuple(Row(name) for name in dict.fromkeys(c.layer for c in found.cells))
    if len(rows) > PAGE:
        left, right = st.columns([2, 3], vertical_alignment="bottom")
        with left:
            rows = find(rows, "scan.find")
        starts = range(0, len(rows), PAGE)
        if len(starts) > 1:
            start = right.selectbox("Layers", starts, format_func=lambda i: f"{i + 1} to {min(i + PAGE, len(rows))} of {len(rows)}: "
                                    f"{rows[i].name} to {rows[min(i + PAGE, len(rows)) - 1].name}", key=f"scan.page.{len(rows)}")
            rows = rows[start : start + PAGE]
    return [row.name for row in rows]


def pictures(found: Scan, knob: Knob, values: tuple[Value, ...], allowed: float) -> None:
    """The heat map and the curves."""
    layers, labels = _rows(found), [parts.shown(knob, v) for v in values]
    table = cells.tables(found, layers, values)
    settings = {} if table.ranked else last_safe(found.cells, allowed / 100)
    safe = {layer: values.index(v) for layer, v in settings.items() if layer in layers}
    left, right = st.columns([1, 1], gap="medium")
    with left:
        chart.show(plots_cells.heat(layers, labels, table.shown, table.notes, safe, table.ranked), key="scan.heat",
                   alt="Heat map: points lost, layer by setting", height=max(300, 26 * len(layers) + 110),
                   on_click=lambda at: after_scan.choose(found, layers[at["point"][0]], values[at["point"][1]]))
        caption = ("A first ranking: how far answers move (divergence, nats) on a few training examples of which the network is unsure. "
                   "It is not a drop in accuracy." if table.ranked else
                   f"Outlined: the last setting that loses at most {words.allowed(allowed)}. A dash: the method does not apply there. "
                   "Hatched: not measured yet. "
                   f"{cells.counted(found, state.split())}")
        explain.beside("sensitivity", caption, cells.seen(found, knob.label, settings, allowed), _attempt(found, settings), lambda: pd.DataFrame(
            [(c.layer, parts.shown(knob, c.value), cells.note(c, table.ranked), c.n, c.saved_bytes) for c in found.cells],
            columns=["layer", knob.label.lower(), "nats" if table.ranked else "points lost", "examples", "bytes saved"]))
    with right:
        baseline = 100 * (1.0 if found.original is None else found.original)
        measure = "agreement" if found.original is None else "accuracy"
        chance = 100 / max(len(state.network().data[state.split()].classes), 1)
        zoom = st.toggle("Zoom in", key="scan.zoom", persist_state="session", help="From the lowest value measured, instead of from chance.")
        chart.show(plots.curves(layers, labels, baseline - table.lost, table.half, baseline, chance, allowed, measure, zoom),
                   key="scan.curves", alt="Curves: accuracy along the settings, one chart for each layer",
                   height=max(300, 140 * -(-len(layers) // plots.narrowly(len(layers))) + 60))
        st.markdown(":small[Bars: 95 % intervals of the drop. Dashed: the original. Dotted: the allowed drop.]")
    st.markdown(cells.jointly(found, settings, state.network().name))


def _attempt(found: Scan, settings: dict[str, Value]) -> Try | None:
    """The outlined setting that saves most, to be set."""
    safe = [c for c in found.cells if settings.get(c.layer) == c.value and c.saved_bytes > 0]
    if not safe:
        return None
    best = max(safe, key=lambda c: c.saved_bytes)
    return Try(f"set {best.layer} to its last safe setting", after_scan.choose, (found, best.layer, best.value))


def limits(found: Scan, knob: Knob, values: tuple[Value, ...], allowed: float) -> None:
    """How far each layer can go, a bar a layer."""
    layers, safe = _rows(found), last_safe(found.cells, allowed / 100)
    at = {(c.layer, c.value): c for c in found.cells}
    told = [f"{parts.shown(knob, safe[x])}: {cells.said(at[x, safe[x]])}" if x in safe else "none so far" for x in layers]

    def clicked(spot: dict) -> None:
        layer = layers[spot["point"] if isinstance(spot["point"], int) else spot["point"][0]]
        if layer in safe:
            after_scan.choose(found, layer, safe[layer])

    reached = [values.index(safe[x]) + 1 if x in safe else 0 for x in layers]
    chart.show(plots.limits(layers, reached, [parts.shown(knob, v) for v in values], told), key="scan.limits",
               alt="Bars: how far each layer can go within the allowed drop", height=max(300, 26 * len(layers) + 110), on_click=clicked)
    st.markdown(f":small[How far each layer alone can go along {knob.label.lower()} and lose at most {words.allowed(allowed)}, if more never "
                f"helps. {cells.counted(found, state.split())}]")
