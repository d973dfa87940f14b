"""Explore: what does this setting do to the weights, the size, the answers?"""

import pandas as pd
import streamlit as st

from app import changed, chart, compute, explain, focused, latency, layer_table, parts, plots, sizes, state, waiting, words
from app.controls import shows
from app.explain import Try
from app.views import compare
from compression.recipe import to_json
from compression.takeaway import layers_csv

PER_PAGE = 12


def ahead() -> None:
    """What is slow, before anything is drawn: elements that reach the browser in one go cost it half of what they cost one by one."""
    net, recipe = state.network(), state.shown()
    compute.compressed(net, recipe)
    parts.judge()
    compute.costs(net, recipe)


def show() -> None:
    """The whole page."""
    net, recipe = state.network(), state.shown()
    st.title("Explore", anchor=False)
    top = st.container()
    pictures = compute.pictures(net, recipe)
    if shows("lens") or shows("sizes"):
        left, right = st.columns([3, 2], gap="medium")
        with left:
            if shows("lens"):
                focused.show(pictures)
        with right:
            if shows("sizes"):
                sizes.bars(pictures)
            if shows("waterfall"):
                sizes.waterfall()
    with top:  # what is first on screen comes before what is scrolled to, and after the charts, beside which the first estimate is made
        _solo()
        waiting.recipe_box()
        parts.results()
        latency.show()
    found = pictures
    if shows("layers") or shows("table"):
        st.header("Every layer", anchor=False)
        found = layer_table.find(pictures) if len(pictures) > 1 else pictures
    if shows("layers"):
        _every_layer(found)
    if shows("table"):
        st.markdown("Edit a cell to pin it; the dials then leave it alone. Clear it to let it follow again.")
        layer_table.show(found)
    if shows("examples"):
        st.header("Answers that changed", anchor=False)
        below = st.container()
        changed.explained(lambda: parts.judgement()[1])
        if net.data and st.button("All of them, and by class, on Compare", key="examples.all", icon=":material/arrow_forward:", type="tertiary"):
            st.switch_page(st.Page(compare.show, title="Compare", url_path="compare"))
    if shows("files"):
        _take_away()
    if shows("examples"):
        with below:
            parts.answers()


def _solo() -> None:
    if state.solo():
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.info(f"Solo: {state.solo()}. All other layers are shown as trained; the recipe is as it was.", icon=":material/headphones:")
        right.button("Exit solo", key="solo.exit", on_click=state.switch_solo, args=(state.solo(),), width="stretch")


def _every_layer(pictures: tuple[compute.Picture, ...]) -> None:
    pages = -(-len(pictures) // PER_PAGE)
    first = 0
    if pages > 1:
        chosen = st.segmented_control("Layers", range(pages), default=0, key=f"layer.page.{pages}", label_visibility="collapsed",
                                      on_change=state.chosen, format_func=lambda i: f"{PER_PAGE * i + 1}–{min(PER_PAGE * (i + 1), len(pictures))}")
        first = PER_PAGE * (chosen or 0)
    there = pictures[first : first + PER_PAGE]
    rows = [{"name": p.name, "said": _settings(p), "edges": p.edges, "before": p.before, "after": p.after} for p in there]
    wide, narrow = (150 * -(-len(rows) // columns) + 54 for columns in (plots.across(len(rows)), plots.NARROW))
    chart.show(plots.all_layers(rows), key="layers.histograms", alt="Histograms of the layers' weights before and after",
               height=wide, narrow=narrow, on_click=lambda at: state.set_focus(at["customdata"]))
    wide = max(there, key=lambda p: float(p.edges[-1]))
    explain.beside("layers", "Weights per bin, each layer with scales of its own. Grey outline: before. Blue: after, ▲ where it goes on above. "
                   "Click one to focus it.",
                   f"{wide.name} reaches furthest, to |w| = {wide.edges[-1]:.2f}; {words.share(wide.zeros, 0)} of it is zero now.",
                   Try(f"focus on {wide.name}", state.set_focus, (wide.name,)), lambda: pd.DataFrame({
                       "layer": [p.name for p in pictures], "largest |w|": [float(p.edges[-1]) for p in pictures],
                       "zeros": [words.share(p.zeros) for p in pictures], "SQNR (dB)": [parts.decibels(p.sqnr) for p in pictures]}))


def _settings(p: compute.Picture) -> str:
    knobs = {name: value for s in p.chain for name, value in s.knobs}
    return words.settings(knobs.get("sparsity", 0), knobs.get("bits", 32), knobs.get("rank", 1))


def _take_away() -> None:
    """Files to take along, of the recipe that is being made: each is written when it is asked for, when there is no session to ask."""
    net, recipe, split = state.network(), state.recipe(), state.split()
    files = {
        "the packed file": (f"{net.name}.shrk", lambda: compute.packed(net, recipe)),
        "the recipe": (f"{net.name}-recipe.json", lambda: to_json(recipe)),
        "the layers (CSV)": (f"{net.name}-layers.csv", lambda: layers_csv(compute.complete(net, recipe), recipe)),
        "apply.py": ("apply.py", lambda: compute.script(net, recipe, split)),
    }
    told = {"apply.py": "A script that makes the same file again, and judges it, with this project’s library and without the app."}
    with st.container(horizontal=True):
        for what, (name, make) in files.items():
            st.download_button(f"Download {what}", make, name, on_click="ignore", disabled=bool(state.late()),
                               help="Can be written once all methods are prepared." if state.late() else told.get(what))
