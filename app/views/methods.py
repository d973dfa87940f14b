"""Methods: one method at work on one layer, with its dials, its picture and its price; and a stack of steps."""

import time

import streamlit as st

from app import chart, parts, plots, state, trial, words
from app.chart.ticker import tick
from compression.method import Method
from compression.recipe import Override, Recipe, Step, step
from compression.registry import FAMILIES, method, methods

FAMILY = {"lowrank": "Low rank", "pruning": "Pruning", "sharing": "Sharing", "quantization": "Quantization", "coding": "Coding"}
CODES = "quantization.uniform"  # a coder needs codes: on its own it gets those of this method at 4 bits


def show() -> None:
    """The whole page."""
    net = state.network()
    st.title("Methods", anchor=False)
    left, right = st.columns([1, 2], gap="large")
    with left:
        family = st.segmented_control("Family", FAMILIES, default="pruning", format_func=FAMILY.get, key="bench.family",
                                      width="stretch", persist_state="session") or "pruning"
        name = st.selectbox("Method", [n for n in methods() if n.startswith(f"{family}.")], format_func=lambda n: method(n).title,
                            key=f"bench.method.{family}", persist_state="session")
        known = method(name)
        st.markdown(f"{known.summary} :small[*{known.reference}.* O’Neill’s survey, section {known.survey}.]")
        layer = st.selectbox("On layer", [x.name for x in net.layers], index=[x.name for x in net.layers].index(state.focus()), key=f"bench.layer.{net.name}",
                             persist_state="session")
        own = step(name, **{k.name: _turn(name, k) for k in known.knobs})
        before = _stack(known, own)
        for term, meaning in known.terms:
            st.markdown(f":small[**{term}**: {meaning}]")
    with right:
        _bench(layer, (*before, own))


def _turn(name: str, knob: object) -> object:
    common = dict(key=f"bench.{name}.{knob.name}", help=knob.help, format_func=lambda v: parts.shown(knob, v), persist_state="session")
    if len(knob.ladder) > 10:
        return st.select_slider(knob.label, knob.ladder, value=knob.default, **common)
    if len(knob.ladder) == 1:
        return knob.default
    chosen = st.segmented_control(knob.label, knob.ladder, default=knob.default, **common)
    return knob.default if chosen is None else chosen


def _stack(known: Method, own: Step) -> tuple[Step, ...]:
    """The steps that come before the one in hand: those stacked by hand, or what a coder needs."""
    before: tuple[Step, ...] = state.remember("stack", tuple)
    left, right = st.columns(2)
    left.button("Add to the stack", on_click=state.recall, args=("stack", (*before, own)), width="stretch",
                help="Keep this step; the next one then works on what it stored.")
    right.button("Clear the stack", on_click=state.recall, args=("stack", ()), disabled=not before, width="stretch")
    return before or ((step(CODES, bits=4),) if known.consumes == "codes" else ())


def _bench(layer: str, chain: tuple[Step, ...]) -> None:
    net, known = state.network(), method(chain[-1].method)
    rows = trial.stack(net, layer, chain)
    if rows[-1].refused:
        st.info(f"{rows[-1].refused} Pick another layer or another method.")
        return
    p = trial.picture(net, layer, chain)
    _figures(layer, chain, p.bytes_before, p.bytes_after, p.sqnr, p.zeros)
    chart.show(plots.histogram(p.edges, p.before, p.after, p.zeros, p.count, p.threshold), key="bench.histogram",
               alt="Histogram of the layer's weights before and after", height=320)
    if len(chain) > 1:
        st.markdown("\n".join(["| step | before | after |", "| --- | ---: | ---: |"] + [
            f"| {r.title}{' — passed over: ' + r.refused if r.refused else ''} | {words.size(r.before)} | {words.size(r.after)} |" for r in rows]))
    if known.knobs:
        knob = known.knobs[0]
        rungs = trial.along(net, layer, chain, knob.name)
        here = next((i for i, r in enumerate(rungs) if r.value == chain[-1][knob.name]), None)
        chart.show(plots.ladder([parts.shown(knob, r.value) for r in rungs], [r.nbytes for r in rungs], [r.sqnr for r in rungs], here, knob.label),
                   key="bench.ladder", alt="Bytes against error along the method's first dial", height=320)
    said, drawn = trial.found(net, layer, chain)
    if drawn:
        st.markdown(f"**What was prepared once.** {said}")
        for column, part in zip(st.columns(len(drawn)), drawn, strict=True):
            with column:
                chart.show(plots.curve(part.name, part.values), key=f"bench.found.{part.name}", alt=f"What was prepared: {part.name}", height=260)
    st.button("Use this chain for the layer", on_click=state.set_recipe,
              args=(state.with_whole(layer, chain),), help="Pins the layer in the recipe on screen. Explore then shows it among the others.")


@st.fragment
def _figures(layer: str, chain: tuple[Step, ...], before: int, after: int, sqnr: float, zeros: float) -> None:
    size, error, accuracy = st.columns(3)
    size.metric("Layer", words.size(after), f"{words.size(before)}, {words.smaller(after, before)}", delta_color="off", delta_arrow="off", border=True)
    error.metric("SQNR", "exact" if sqnr == float("inf") else f"{sqnr:.1f} dB", f"{words.share(zeros)} zeros", delta_color="off", delta_arrow="off",
                 border=True)
    job, progress = parts.judgement(Recipe(overrides=(Override(layer, chain, whole=True),)), "bench")
    with accuracy:
        parts.accuracy_card(job, progress)
    tick(parts.more_to_come(job, progress), time.monotonic_ns() % 10**9, 100, key="bench.tick")
