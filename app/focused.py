"""The layer in focus: which it is, the lens on it, and its steps."""

import pandas as pd
import streamlit as st

from app import chain, explain, lens, state, words
from app.controls import shows
from app.explain import Try
from app.part import part
from app.pictures import Picture
from compression.recipe import Step, step


def show(pictures: tuple[Picture, ...]) -> None:
    """The lens on it, what it says in words, and its steps."""
    names = [p.name for p in pictures]
    state.show_focus()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        st.selectbox("Layer in focus", names, key="layer", on_change=state.chosen_layer)
        layer = state.focus()
        st.button("Exit solo" if state.solo() == layer else "Solo", key="solo.switch", on_click=state.switch_solo, args=(layer,),
                  icon=":material/headphones:", help="Show this layer compressed and all others as trained. The recipe stays as it is.")
        st.button("Unpin", key="unpin", on_click=_unpin, args=(layer,), disabled=state.recipe().override(layer) is None,
                  icon=":material/keep_off:", help="Let this layer follow the dials again.")
    p = pictures[names.index(layer)]
    _lens(layer)
    exact = "exact" if p.sqnr == float("inf") else f"{p.sqnr:.1f} dB SQNR"
    cut = f", all below |w| = {p.threshold:.4f} removed" if p.threshold else ""
    see = f"{p.name}: {p.count:,} weights, {words.size(p.bytes_before)} → {words.size(p.bytes_after)}, {exact}{cut}. {' '.join(p.refused)}"
    explain.beside("lens", see, see, Try(f"90 % sparsity for {layer}", state.pin, (layer, step("pruning.magnitude", sparsity=0.9))),
                   lambda: pd.DataFrame({"weight from": p.edges[:-1], "to": p.edges[1:], "before": p.before, "after": p.after}))
    if shows("chain"):
        with st.expander(f"Steps on {layer}", key="steps", on_change=state.chosen) as opened:
            if opened.open:
                chain.show(layer)


@part
def _lens(layer: str) -> None:
    def turned(new: Step) -> None:
        state.pin(layer, new)

    lens.show(state.network(), layer, state.recipe(), state.owner("lens"), "lens", turned)


def _unpin(layer: str) -> None:
    state.set_recipe(state.recipe().without_pin(layer))
