"""Rewritings of the whole network on the Methods page: what they change, whether the answers stay, and what quantization gains by them."""

import time

import pandas as pd
import streamlit as st

from app import bench, bit_grid, chart, contrast, drawings, parts, state, words
from app.chart.ticker import tick
from app.part import part
from compression.link import chain_text
from compression.network import Network
from compression.recipe import Recipe, Step, step
from compression.registry import rewrites
from compression.rewrite import CLOSE, Setback

THEN = {0: "nothing", 8: "8 bit", 4: "4 bit", 3: "3 bit", 2: "2 bit"}
MOST = 40  # layers drawn


def show() -> None:
    """One rewriting, tried on the network on screen."""
    net = state.network()
    left, right = st.columns(2, gap="large")
    name = left.selectbox("Rewriting", list(rewrites()), format_func=lambda n: rewrites()[n].title, key="bench.method.rewriting",
                          **state.CHOICE)
    then = right.segmented_control("Then quantize all layers, one scale each", THEN, default=4, format_func=THEN.get, key="bench.then",
                                   width="stretch", required=True, **state.CHOICE, help="Round all weights, with it and without.")
    known = rewrites()[name]
    bench.explained(known)
    left, right = st.columns([1, 3], gap="large")
    with left:
        chosen = step(name, **{k.name: bench.turn(name, k) for k in known.knobs})
        st.markdown(":small[Keeps the answers, rounding apart.]" if known.exact else ":small[Changes the answers; measure before you keep it.]")
        bench.terms(known)
    state.add(method=chain_text((chosen,)))
    with right:
        with st.spinner(f"Rewriting {net.title}…"):
            tried = contrast.rewriting(net, chosen)
        if tried.why:
            st.info(f"{tried.why} Pick another network in the sidebar.", icon=":material/block:")
        else:
            _tried(net, chosen, tried, then)
            if name == "rewriting.activations":
                bit_grid.show(chosen)
        _fails(name)


def _tried(net: Network, chosen: Step, tried: contrast.Rewriting, then: int) -> None:
    cards(net, chosen, then)
    changed = sum(not m.same for m in tried.layers)
    kept = ("The answers stay as they are, rounding apart." if tried.difference <= CLOSE else
            f"The answers move: on a few examples a score by up to {words.share(tried.difference)} of the largest.")
    st.markdown(f"**{changed} of {len(tried.layers)} layers change.** {kept} "
                f"The file takes {words.size(tried.file_after)}, was {words.size(tried.file_before)}.")
    shown = tried.layers[:MOST]
    chart.show(drawings.rewritten([m.layer for m in shown], [m.peak_before for m in shown], [m.peak_after for m in shown]), key="bench.whole",
               alt="How far each layer's largest weight stands out, before and after", height=150 + 22 * len(shown))
    st.dataframe(pd.DataFrame({
        "layer": [m.layer for m in tried.layers], "change": [_change(m) for m in tried.layers], "before": [m.before for m in tried.layers],
        "after": [m.after for m in tried.layers],
    }), hide_index=True, width="stretch", height="auto" if len(tried.layers) <= 10 else 390, alt="Layers before and after the rewriting",
        column_config={"layer": "Layer", "change": st.column_config.TextColumn("Its weights", width="medium"),
                       "before": st.column_config.NumberColumn("Weights before", format="localized"),
                       "after": st.column_config.NumberColumn("Weights after", format="localized")})
    _related(net, chosen.method)
    st.button("Begin the recipe with it", on_click=state.set_recipe, args=(state.recipe().with_first(chosen),),
              help="It then comes before all that is done to the layers. Explore shows what becomes of it.")


def _related(net: Network, name: str) -> None:
    found = contrast.relation(net, name)
    if found is not None:
        chart.show(drawings.relation(found.question, found.names, found.values.numpy()), key="bench.related",
                   alt="How layers or units stand to one another, as the rewriting sees it", height=min(620, 260 + 18 * len(found.names)))
        st.caption(f"{found.said[0].upper()}{found.said[1:]}.")


def _fails(name: str) -> None:
    """The rewriting's own example of failing, set by a button; the cards above then measure it."""
    told: Setback | None = rewrites()[name].fails
    if told is None:
        return
    st.subheader("When it fails", anchor=False)
    st.markdown(told.why)
    where = state.titles().get(told.network, told.network)
    settings = ", ".join(f"{rewrites()[name].knob(k).label.lower()} {parts.shown(rewrites()[name].knob(k), v)}" for k, v in told.knobs)
    st.button("See it fail", on_click=_set, args=(name, told), icon=":material/trending_down:",
              help=f"Opens {where}{f', sets {settings}' if settings else ''}, then quantizes with {THEN[told.bits]}.")
    st.caption(f"On {where}{f', {settings}' if settings else ''}, then {THEN[told.bits]}: the cards above measure it beside the network as trained.")


def _set(name: str, told: Setback) -> None:
    """Open the network and the setting at which a rewriting fails."""
    if state.network().name != told.network:
        state.open_network(told.network)
    bench.put(step(name, **dict(told.knobs)))
    state.write("bench.then", told.bits)


def _change(moved: contrast.Moved) -> str:
    if moved.change is None:
        return "another shape" if moved.after else "takes another layer’s weights"
    return f"moved by {words.share(moved.change)}" if moved.change else "as they were"


@part
def cards(net: Network, chosen: Step, then: int) -> None:
    """The accuracy with the rewriting and without it, both after the same quantization."""
    default = (step("quantization.uniform", bits=then, per="tensor"),) if then else ()
    jobs = [parts.judgement(recipe, f"bench.{which}") for which, recipe in (("without", Recipe(default)), ("with", Recipe(default, first=(chosen,))))]
    after = f", then {THEN[then]}" if then else ""
    for column, (job, progress), label in zip(st.columns(2), jobs, (f"As trained{after}", f"Rewritten{after}"), strict=True):
        with column:
            st.markdown(f":small[{label}]")
            bench.answers(job, progress)
    more = any(parts.more_to_come(job, progress) for job, progress in jobs)
    tick(more, time.monotonic_ns() % 10**9, 300, key="bench.whole.tick")
