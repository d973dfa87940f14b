"""Trade-off: what is the best deal? Recipes measured one by one, by what they cost and how well they answer."""

import time

import streamlit as st

from app import parts, state
from app.chart.ticker import tick
from app.part import part
from app.studying import card, controls, picture, run, table, tried
from app.studying.controls import Asked
from app.studying.rows import shown


def show() -> None:
    """The whole page."""
    st.title("Trade-off", anchor=False)
    st.markdown("Sweep dials over the whole network, by one method or several, beside controls. Your pins, locks and other settings are kept. "
                "Click a mark to see its recipe.")
    if not state.network().data:
        st.info("This network was opened without data, so there are no answers to compare. Open a data file beside it.")
        return
    _study(controls.show())


@part
def _study(asked: Asked) -> None:
    found = shown(state.network(), state.split(), asked.wish)
    running = run.measuring(asked.wish, found, asked.trouble)
    if running:
        found = shown(state.network(), state.split(), asked.wish)  # also what came since
    if asked.wish.plan.methods and controls.other_base(asked.wish.plan):
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.markdown(":small[These recipes keep the pins, locks and other settings there were when this page was first opened. "
                      "The recipe on screen has others now.]")
        right.button("Study what is on screen", key="study.rebase", on_click=controls.take_base, width="stretch")
    state.recall("studied", {(state.network().digest, state.network().data[state.split()].digest): found.rows})  # for a report
    seen = picture.view(found, *picture.pickers())
    rows = table.lines(seen)
    rulers = table.rulers(rows, seen) if len(rows) > 1 else []
    kept = table.brushed(rows, rulers)
    row, better, why = card.selected(found, seen)
    left, right = st.columns([7, 3], gap="medium")
    with left:
        picture.show(found, seen, kept, row, better)
    with right:
        card.show(row, why, found, seen)
    timing = False
    if seen.rows:
        these = [r for r in rows if r.number in kept] if kept else [*seen.front, *(r for r in found.rows if r.kind == "dense")]
        timing = run.timing(these, "what is brushed" if kept else "the front")
    if rulers:
        table.show(found, seen, rows, rulers, kept)
    tried.show()
    tick(running or timing or parts.judging(), time.monotonic_ns() % 10**9, 400, key="study.tick")
