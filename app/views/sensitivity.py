"""Sensitivity: which layers can take it? One layer at a time, the others untouched."""

import time

import numpy as np
import streamlit as st

from app import chart, compute, jobs, parts, plots, state, words
from app.chart.ticker import tick
from app.dials import DIALS, FIRST
from compression.method import Knob, Value
from compression.recipe import step
from compression.registry import answering, method
from compression.sensitivity import Cell, last_safe, lost, rungs


def show() -> None:
    """The whole page."""
    net = state.network()
    st.title("Sensitivity", anchor=False)
    st.markdown("Each layer is compressed alone, all others stay as they were. Click a cell to set and pin that layer.")
    if not net.data:
        st.info("This network was opened without data, so there are no answers to compare. Open a data file beside it.")
        return
    first, second, third = st.columns([2, 2, 1])
    known = [n for which in DIALS for n in answering(which)]
    name = first.selectbox("Vary", known, known.index(FIRST["sparsity"]), key="scan.method",
                           format_func=lambda n: f"{method(n).title}", persist_state="session")
    with second:
        count = parts.examples("Examples in each cell", "scan.count")
    tolerance = third.number_input("Allowed drop (points)", 0.0, 50.0, 1.0, 0.5, key="scan.tolerance", persist_state="session")
    _scan(name, count, float(tolerance))


@st.fragment
def _scan(name: str, count: int, tolerance: float) -> None:
    if state.recall("clicked", False):
        st.rerun()  # the dials and the address stand outside this fragment
    net, split = state.network(), state.split()
    knob = next(k for k in method(name).knobs if k.name in DIALS)
    values = rungs(name, knob.name)
    key, owner = (net.digest, name, values, net.data[split].digest, count), state.owner("scan")
    total = len(values) * len(net.layers)
    job = jobs.long.find(owner)
    mine = job is not None and job.key == key

    def start() -> None:
        jobs.long.submit(owner, key, lambda: compute.scanning(net, name, knob.name, values, split, count), again=True)

    left, right = st.columns([3, 1], vertical_alignment="center")
    if not mine:
        left.markdown(f"No scan yet: {len(net.layers)} layers × {len(values)} settings, {min(count, len(net.data[split])):,} {split} examples each.")
        right.button("Start scan", on_click=start, width="stretch")
        return
    running = job.running  # asked before what there is, or the last cells could be missed
    cells: list[Cell] = job.items
    if running:
        at = f"{cells[-1].layer} at {parts.shown(knob, cells[-1].value)} · " if cells else ""
        left.progress(len(cells) / total, f"Cell {len(cells)} of {total} · {at}{words.remaining(jobs.eta(len(cells), total, job.seconds))}")
        right.button(f"Stop, keep {len(cells)}", on_click=job.stop, width="stretch")
    else:
        said = job.error or f"{len(cells)} of {total} cells measured in {job.seconds:.0f} s."
        left.markdown(said)
        right.button("Scan again", on_click=start, width="stretch")
    if cells:
        _pictures(cells, knob, values, tolerance, name)
    tick(running, time.monotonic_ns() % 10**9, 400, key="scan.tick")


def _pictures(cells: list[Cell], knob: Knob, values: tuple[Value, ...], tolerance: float, name: str) -> None:
    net = state.network()
    layers, labels = [layer.name for layer in net.layers], [parts.shown(knob, v) for v in values]
    table = {(c.layer, c.value): c for c in cells}
    measured = [[table.get((layer, v)) for v in values] for layer in layers]
    qualities = [[c.quality if c else None for c in row] for row in measured]
    points = np.array([[100 * lost(q) if q else np.nan for q in row] for row in qualities])
    notes = [[f"{x:.1f}" if q else ("–" if c else "") for x, q, c in zip(*rows, strict=True)]
             for rows in zip(points, qualities, measured, strict=True)]
    safe = last_safe(cells, tolerance / 100)
    judged = next((q for row in qualities for q in row if q), None)

    def clicked(at: dict) -> None:
        row, column = at["point"]
        state.recall("clicked", True)
        state.pin(layers[row], step(name, **{knob.name: values[column]}))

    height = max(300, 26 * len(layers) + 110)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        chart.show(plots.heat(layers, labels, points, notes, {layer: values.index(v) for layer, v in safe.items()}), key="scan.heat",
                   alt="Heat map: points lost, layer by setting", height=height, on_click=clicked)
        st.markdown(f":small[Outlined: the last setting that loses at most {words.allowed(tolerance)}. A dash: the method does not apply there. "
                    f"Each cell: {judged.n if judged else 0:,} {state.split()} examples, the same in all.]")
    with right:
        best = [[(q.accuracy or q.agreement) if q else None for q in row] for row in qualities]
        value, low, high = (100 * np.array([[e[i] if e else np.nan for e in row] for row in best]) for i in range(3))
        baseline = 100 * (judged.original.value if judged and judged.original else 1.0)
        classes = len(net.data[state.split()].classes)
        measure = "accuracy" if judged and judged.accuracy else "agreement"
        chart.show(plots.curves(layers, labels, value, low, high, baseline, 100 / max(classes, 1), tolerance, measure), key="scan.curves",
                   alt="Curves: accuracy along the settings, one chart for each layer", height=max(300, 140 * -(-len(layers) // plots.across(len(layers))) + 60))
        st.markdown(":small[Bars: 95 % intervals. Dashed: the original. Dotted: the allowed drop.]")
