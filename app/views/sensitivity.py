"""Sensitivity: which layers can take it? One layer at a time, the others untouched."""

import time

import streamlit as st

from app import after_scan, cells, jobs, long_work, scan_charts, scanning, state, workplace
from app.chart.ticker import tick
from app.part import part
from app.scanning import Varied
from compression.cluster.where import Where
from compression.engine.sampling import Tolerance
from compression.removal import groups
from compression.rewriting.merge_units import NOT_COUPLED
from compression.sensitivity import ALL, Scan, last_safe

UNTIL = {"± 1 point": Tolerance(), "± ½ point": Tolerance(0.005, 0.1), "all examples": ALL}
SPREAD, HALVING = "a few, spread out", "the limit of each layer"


def show() -> None:
    """The whole page."""
    st.title("Sensitivity", anchor=False)
    st.markdown("Each layer is compressed alone, all others stay as they were. Click a cell to set and pin that layer.")
    if not state.network().data:
        st.info("This network was opened without data, so there are no answers to compare. Open a data file beside it.")
        return
    varied = scanning.choose()
    if varied.coupled and not groups(state.network()):
        st.info(NOT_COUPLED)
        return
    first, second, third, fourth = st.columns([6, 9, 5, 5], vertical_alignment="bottom")
    look = first.selectbox("Look for", (SPREAD, HALVING) if varied.ordered else (SPREAD,), key="scan.look", **state.CHOICE,
                           help="A few settings for every layer, or by halving the harshest setting within the allowed drop.")
    until = second.segmented_control("Measure until", UNTIL, default="± 1 point", key="scan.until", **state.CHOICE,
                                     disabled=look == HALVING, help="Half-width of a cell's 95 % interval; a tenth of the drop where that is more.")
    allowed = third.number_input("Points allowed", 0.0, 50.0, 1.0, 0.5, "%.1f", key="scan.tolerance", **state.CHOICE)
    with fourth:
        on = workplace.choose()
    strict = st.toggle("Strict intervals", key="scan.strict", **state.CHOICE, help="Wider: they hold however often one looks.")
    _scan(varied, look, until or "± 1 point", float(allowed), strict, on)


@part
def _scan(varied: Varied, look: str, until: str, allowed: float, strict: bool, on: Where) -> None:
    net, split, owner = state.network(), state.split(), state.owner("scan")
    name, knob, held = varied
    values = varied.values if look == SPREAD else varied.ladder
    rows = f"{len(groups(net))} groups of coupled layers" if varied.coupled else f"{len(net.layers)} layers"
    key = (net.digest, name, knob.name, values, held, net.data[split].digest, strict, until if look == SPREAD else allowed)
    job = jobs.long.find(owner)
    mine = job is not None and job.key == key

    def start() -> None:
        if look == SPREAD:
            jobs.long.submit(owner, key, lambda: long_work.scanning(net, name, knob.name, values, split, UNTIL[until], strict, held, on), again=True)
        else:
            jobs.long.submit(owner, key, lambda: long_work.limiting(net, name, knob.name, split, allowed / 100, strict, held, on), again=True)

    left, right = st.columns([3, 1], vertical_alignment="center")
    running = mine and job.running  # asked before what there is, or the last cells could be missed
    found: Scan | None = job.latest if mine else long_work.scanned(net, name, knob.name, values, split, held) if look == SPREAD else None
    if running:
        left.progress(*cells.progress(found, job.seconds))
        right.button("Stop, keep what there is", on_click=job.stop, width="stretch")
    else:
        left.markdown(_state(found, job if mine else None, rows, len(values), look))
        again = found and (found.stage != "done" or not mine) and look == SPREAD
        right.button("Go on" if again else "Scan again" if mine else "Start scan", on_click=start, width="stretch")
    if found is not None and look == SPREAD:
        scan_charts.pictures(found, knob, values, allowed)
    elif found is not None:
        scan_charts.limits(found, knob, values, allowed)
    more = found is not None and after_scan.show(found, last_safe(found.cells, allowed / 100), knob, allowed)
    tick(running or more, time.monotonic_ns() % 10**9, 400, key="scan.tick")


def _state(found: Scan | None, job: jobs.Job | None, rows: str, settings: int, look: str) -> str:
    """What there is while no scan is running."""
    if job is not None and job.error:
        return job.error
    if found is None:
        if job is not None:
            return "Stopped before the first cell was measured."
        halving = f"No search yet: for each of {rows}, by halving {settings} settings."
        scan = f"No scan yet: {rows} × {settings} settings. A scan fills a map of what each loses alone: a ranking first, then measured drops."
        return scan if look == SPREAD else halving
    when = f"in {job.seconds:.0f} s" if job is not None else "before, and kept"
    return f"{found.settled} of {len(found.cells)} cells settled {when}."
