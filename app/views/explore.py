"""Explore: what does this setting do to the weights, the size, the answers?"""

import streamlit as st

from app import chart, compute, parts, plots, state, words
from compression.recipe import to_json

PER_PAGE = 12


def show() -> None:
    """The whole page."""
    net, recipe = state.network(), state.shown()
    st.title("Explore", anchor=False)
    top = st.container()
    pictures = compute.pictures(net, recipe)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _focused(pictures)
    with right:
        chart.show(plots.size_bars([p.name for p in pictures], [p.bytes_before for p in pictures], [p.bytes_after for p in pictures]),
                   key="sizes", alt="Bars: bytes of each layer before and after", height=max(320, 22 * len(pictures) + 100),
                   on_click=lambda at: state.set_focus(at["customdata"]))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _every_layer(pictures)
    with right:
        costs = compute.costs(net, recipe)
        chart.show(plots.waterfall(costs.stages), key="waterfall", alt="Waterfall: file size after each step of the recipe",
                   height=380)
        held = " · ".join(f"{name} {words.size(count)}" for name, count in costs.items.items() if count)
        st.markdown(f":small[The file holds: {held}]")
    st.header("Every layer's recipe", anchor=False)
    st.markdown("Edit a cell to pin it; the dials then leave it alone. Clear it to let it follow again.")
    parts.layer_table(pictures)
    st.header("Answers that changed", anchor=False)
    answers = st.empty()
    _take_away()
    with top:
        parts.results(answers)


def _focused(pictures: tuple[compute.Picture, ...]) -> None:
    names = [p.name for p in pictures]
    state.show_focus()
    st.selectbox("Layer in focus", names, key="layer", on_change=state.chosen_layer)
    p = pictures[names.index(state.focus())]
    chart.show(plots.histogram(p.edges, p.before, p.after, p.zeros, p.count, p.threshold), key="histogram",
               alt="Histogram of one layer's weights before and after", height=340)
    exact = "exact" if p.sqnr == float("inf") else f"{p.sqnr:.1f} dB SQNR"
    cut = f", all below |w| = {p.threshold:.4f} removed" if p.threshold else ""
    st.markdown(f":small[{p.name}: {p.count:,} weights, {words.size(p.bytes_before)} → {words.size(p.bytes_after)}, {exact}{cut}. "
                f"{' '.join(p.refused)}]")


def _every_layer(pictures: tuple[compute.Picture, ...]) -> None:
    pages = -(-len(pictures) // PER_PAGE)
    first = 0
    if pages > 1:
        chosen = st.segmented_control("Layers", range(pages), default=0, key="layer.page",
                                      format_func=lambda i: f"{PER_PAGE * i + 1}–{min(PER_PAGE * (i + 1), len(pictures))}")
        first = PER_PAGE * (chosen or 0)
    rows = [{"name": p.name, "said": _settings(p), "edges": p.edges, "before": p.before, "after": p.after}
            for p in pictures[first : first + PER_PAGE]]
    chart.show(plots.all_layers(rows), key="layers.histograms", alt="Histograms of the layers' weights before and after",
               height=170 * -(-len(rows) // plots.across(len(rows))) + 40, on_click=lambda at: state.set_focus(at["customdata"]))


def _settings(p: compute.Picture) -> str:
    knobs = {name: value for s in p.chain for name, value in s.knobs}
    return words.settings(knobs.get("sparsity", 0), knobs.get("bits", 32), knobs.get("rank", 1))


def _take_away() -> None:
    net, recipe = state.network(), state.recipe()
    left, right, _ = st.columns([1, 1, 2])
    left.download_button("Download the packed file", lambda: compute.packed(net, recipe), f"{net.name}.shrk", on_click="ignore", width="stretch")
    right.download_button("Download the recipe", lambda: to_json(recipe), f"{net.name}-recipe.json", on_click="ignore", width="stretch")
