"""Compare: what exactly changes between A and B?"""

import time

import streamlit as st

from app import state, words
from app.chart.ticker import tick
from app.comparing import answers, charts, reporting, said, sides
from app.comparing.sides import Known, Side
from app.part import part


def show() -> None:
    """The whole page."""
    st.title("Compare", anchor=False)
    there = sides.offered()
    chosen = sides.chosen(there)
    state.show_sides(chosen)
    left, middle, right = st.columns([6, 2, 6], vertical_alignment="bottom")
    for which, column in enumerate((left, right)):
        column.selectbox("AB"[which], list(there), key=f"side.{'ab'[which]}", format_func=lambda side: there[side].title,
                         on_change=state.chosen_side, args=(which,))
    middle.button("Swap", on_click=state.swap, icon=":material/swap_horiz:", width="stretch", help="A becomes B and B becomes A.")
    state.add(a=state.side_word(chosen[0]), b=state.side_word(chosen[1]))
    a, b = (there[side] for side in chosen)
    if all([sides.ready("a", a), sides.ready("b", b)]):
        _compared(a, b)


@part
def _compared(a: Side, b: Side) -> None:
    one, two = sides.known("a", a), sides.known("b", b)
    for letter, known in (("A", one), ("B", two)):
        if known.error:
            st.warning(words.plain(f"{letter}: {known.error}"))
    together = sides.together(one, two)
    found = together[0] if together else None
    data = a.net.data.get(state.split())
    where = words.examples(data.kind, state.split(), len(data), len(data)) if data else ""
    with st.container(key="compared"):
        claim = said.claim(one, two, found, where, data is not None and data.kind == "text")
        st.markdown(claim or "Measuring…")
    if found:
        same = charts.same_layers(a, b)
        write = reporting.prepared(one, two, found, data, together[1:], claim, same)
        st.download_button("Download the report", write, "compression-report.html", "text/html", on_click="ignore", icon=":material/description:",
                           help="One page that opens without a network and prints on two sheets.")
    if data is None:
        st.info("This network was opened without data, so there are no answers to compare. Open a data file beside it.")
    elif found is None:
        st.markdown(f":small[{_waiting(one, two)}]")
    left, right = st.columns([4, 3], gap="large")
    with left:
        st.markdown(said.markdown(said.table(one, two, found), words.plain))
    with right:
        if found and found.by_class:
            charts.classes(found, data)
    if found:
        st.header("Answers that differ", anchor=False)
        answers.cards(found, data, *together[1:])
    if charts.same_layers(a, b) and one.costs and two.costs:
        _model(a, b)
    if found and found.confusion is not None:
        left, right = st.columns(2, gap="large")
        with left:
            charts.mixups(found, data)
        with right:
            charts.sure(found)
    if found and data.kind == "text":
        st.header("Text that both write", anchor=False)
        answers.texts(a, b, data)
    tick(one.coming or two.coming, time.monotonic_ns() % 10**9, 300, key="compare.tick")


def _model(a: Side, b: Side) -> None:
    st.header("Where in the model", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        charts.layers(a, b)
    with right:
        charts.weights(a, b)


def _waiting(a: Known, b: Known) -> str:
    """How many examples each side has answered."""
    return "Measuring: " + ", ".join(f"{letter} has answered {known.quality.n if known.quality else 0:,} examples"
                                     for letter, known in (("A", a), ("B", b)) if known.coming) + "."
