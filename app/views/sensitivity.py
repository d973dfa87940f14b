"""Sensitivity: which layers can take it? One layer at a time, the others untouched."""

import time

import streamlit as st

from app import after_scan, cells, chart, compute, jobs, parts, plots, state, words
from app.chart.ticker import tick
from app.dials import DIALS, FIRST
from app.part import part
from compression.engine.sampling import Tolerance
from compression.method import Knob, Value
from compression.recipe import step
from compression.registry import answering, method
from compression.sensitivity import ALL, Scan, harsher, last_safe, rungs

UNTIL = {"± 1 point": Tolerance(), "± ½ point": Tolerance(0.005, 0.1), "all examples": ALL}
SPREAD, HALVING = "a few, spread out", "the limit of each layer"


def show() -> None:
    """The whole page."""
    st.title("Sensitivity", anchor=False)
    st.markdown("Each layer is compressed alone, all others stay as they were. Click a cell to set and pin that layer.")
    if not state.network().data:
        st.info("This network was opened without data, so there are no answers to compare. Open a data file beside it.")
        return
    first, second, third, fourth = st.columns([5, 5, 8, 4])
    known = [n for which in DIALS for n in answering(which)]
    name = first.selectbox("Vary", known, known.index(FIRST["sparsity"]), key="scan.method", format_func=lambda n: method(n).title,
                           persist_state="session")
    look = second.selectbox("Look for", (SPREAD, HALVING), key="scan.look", persist_state="session",
                            help="A few settings for every layer, or by halving the harshest setting within the allowed drop.")
    until = third.segmented_control("Measure until", UNTIL, default="± 1 point", key="scan.until", persist_state="session",
                                    disabled=look == HALVING, help="Half-width of a cell's 95 % interval; a tenth of the drop where that is more.")
    allowed = fourth.number_input("Points allowed", 0.0, 50.0, 1.0, 0.5, "%.1f", key="scan.tolerance", persist_state="session")
    strict = st.toggle("Strict intervals", key="scan.strict", persist_state="session", help="Wider: they hold however often one looks.")
    _scan(name, look, until or "± 1 point", float(allowed), strict)


@part
def _scan(name: str, look: str, until: str, allowed: float, strict: bool) -> None:
    net, split, owner = state.network(), state.split(), state.owner("scan")
    knob = next(k for k in method(name).knobs if k.name in DIALS)
    values = rungs(name, knob.name) if look == SPREAD else tuple(harsher(name, knob.name))
    key = (net.digest, name, values, net.data[split].digest, strict, until if look == SPREAD else allowed)
    job = jobs.long.find(owner)
    mine = job is not None and job.key == key

    def start() -> None:
        if look == SPREAD:
            jobs.long.submit(owner, key, lambda: compute.scanning(net, name, knob.name, values, split, UNTIL[until], strict), again=True)
        else:
            jobs.long.submit(owner, key, lambda: compute.limiting(net, name, knob.name, split, allowed / 100, strict), again=True)

    left, right = st.columns([3, 1], vertical_alignment="center")
    if not mine:
        left.markdown(f"No scan yet: {len(net.layers)} layers × {len(values)} settings." if look == SPREAD else
                      f"No search yet: for each of {len(net.layers)} layers, by halving {len(values)} settings.")
        right.button("Start scan", on_click=start, width="stretch")
        return
    running = job.running  # asked before what there is, or the last cells could be missed
    found: Scan | None = job.latest
    if running:
        left.progress(*cells.progress(found, job.seconds))
        right.button("Stop, keep what there is", on_click=job.stop, width="stretch")
    else:
        left.markdown(job.error or (f"{found.settled} of {len(found.cells)} cells settled in {job.seconds:.0f} s." if found else "Stopped."))
        right.button("Go on" if look == SPREAD and found and found.stage != "done" else "Scan again", on_click=start, width="stretch")
    if found is not None and look == SPREAD:
        _pictures(found, knob, values, allowed, name)
    elif found is not None:
        _limits(found, knob, values, allowed, name)
    more = found is not None and after_scan.show(found, last_safe(found.cells, allowed / 100), knob, allowed)
    tick(running or more, time.monotonic_ns() % 10**9, 400, key="scan.tick")


def _pictures(found: Scan, knob: Knob, values: tuple[Value, ...], allowed: float, name: str) -> None:
    layers, labels = [layer.name for layer in state.network().layers], [parts.shown(knob, v) for v in values]
    table = cells.tables(found, layers, values)
    settings = {} if table.ranked else last_safe(found.cells, allowed / 100)
    safe = {layer: values.index(v) for layer, v in settings.items()}

    def clicked(at: dict) -> None:
        row, column = at["point"]
        state.pin(layers[row], step(name, **{knob.name: values[column]}))

    left, right = st.columns([1, 1], gap="medium")
    with left:
        chart.show(plots.heat(layers, labels, table.shown, table.notes, safe, table.ranked), key="scan.heat",
                   alt="Heat map: points lost, layer by setting", height=max(300, 26 * len(layers) + 110), on_click=clicked)
        st.markdown(":small[A first ranking from a few examples: the divergence of the answers in nats. It is not a drop in accuracy.]"
                    if table.ranked else f":small[Outlined: the last setting that loses at most {words.allowed(allowed)}. "
                    f"A dash: the method does not apply there. {cells.counted(found, state.split())}]")
    with right:
        baseline = 100 * (1.0 if found.original is None else found.original)
        measure = "agreement" if found.original is None else "accuracy"
        classes = len(state.network().data[state.split()].classes)
        chart.show(plots.curves(layers, labels, baseline - table.lost, table.half, baseline, 100 / max(classes, 1), allowed, measure),
                   key="scan.curves", alt="Curves: accuracy along the settings, one chart for each layer",
                   height=max(300, 140 * -(-len(layers) // plots.across(len(layers))) + 60))
        st.markdown(":small[Bars: 95 % intervals of the drop. Dashed: the original. Dotted: the allowed drop.]")
    st.markdown(cells.jointly(found, settings, state.network().name))


def _limits(found: Scan, knob: Knob, values: tuple[Value, ...], allowed: float, name: str) -> None:
    layers, safe = [layer.name for layer in state.network().layers], last_safe(found.cells, allowed / 100)
    at = {(c.layer, c.value): c for c in found.cells}
    told = [f"{parts.shown(knob, safe[x])}: {cells.said(at[x, safe[x]])}" if x in safe else "none so far" for x in layers]

    def clicked(spot: dict) -> None:
        layer = layers[spot["point"] if isinstance(spot["point"], int) else spot["point"][0]]
        if layer in safe:
            state.pin(layer, step(name, **{knob.name: safe[layer]}))

    reached = [values.index(safe[x]) + 1 if x in safe else 0 for x in layers]
    chart.show(plots.limits(layers, reached, [parts.shown(knob, v) for v in values], told), key="scan.limits",
               alt="Bars: how far each layer can go within the allowed drop", height=max(300, 26 * len(layers) + 110), on_click=clicked)
    st.markdown(f":small[How far each layer alone can go along {knob.label.lower()} and lose at most {words.allowed(allowed)}, if more never "
                f"helps. {cells.counted(found, state.split())}]")
