"""Which network is on screen, and the dialog that opens one's own."""

import pandas as pd
import streamlit as st

from app import compute, state, words
from app.opened import CHAIN, Opening, open_files
from compression.recipe import Recipe
from compression.zoo.catalogue import ZOO

FIND = "the one that fits"
OPEN = "opening.open"  # whether the dialog is: it stays while the page behind it is drawn anew


def header() -> None:
    """The sidebar's head: pick a network, see what it is, open another."""
    net, titles = state.network(), state.titles()
    st.selectbox("Network", list(titles), key="pick", format_func=lambda name: titles.get(name, name), on_change=state.chosen_network)
    plain = compute.costs(net, Recipe())
    before = f", from {words.size(plain.original_bytes)}" if net.origin else ""
    st.markdown(f":small[{net.parameters:,} parameters in {len(net.layers)} layers; {words.size(plain.file_bytes)} as trained{before}]")
    st.button("Open your own…", on_click=state.recall, args=(OPEN, True), width="stretch")
    if state.remember(OPEN, bool):
        _dialog()


def _close() -> None:
    state.recall(OPEN, False)


@st.dialog("Open your own network", width="large", on_dismiss=_close)
def _dialog() -> None:
    st.markdown("Nothing in a file is executed. Files stay on the machine that runs this app.")
    weights = st.file_uploader("Weights: .safetensors, or a state dict saved by torch.save", ["safetensors", "pt", "pth", "bin"], key="own.weights")
    options = [FIND, *ZOO, CHAIN]
    architecture = st.selectbox("Architecture", options, format_func=lambda n: ZOO[n].title if n in ZOO else n, key="own.architecture",
                                help="A plain chain is read off names and shapes: Linear, Conv and Norm layers in order.")
    examples = st.file_uploader("Data, if you have it: an .npz with “inputs” and “labels”", ["npz"], key="own.data",
                                help="Without labels, agreement with the original takes the place of accuracy.")
    typed = st.text_input("Shape of one example, for a plain chain without data", placeholder="1 28 28", key="own.shape")
    if st.button("Open the files", disabled=weights is None):
        state.recall("opening", None)
        try:
            shape = tuple(int(n) for n in typed.replace("×", " ").replace(",", " ").split()) or None
            if shape and not (1 <= len(shape) <= 3 and all(0 < n < 10_000 for n in shape)):
                raise ValueError
        except ValueError:
            st.error(f"“{typed[:40]}” is no shape. Write one to three whole numbers, such as 1 28 28.")
            return
        try:
            with st.spinner("Opening…"):
                state.recall("opening", open_files(
                    (weights.name, weights.getvalue()), None if architecture == FIND else architecture,
                    (examples.name, examples.getvalue()) if examples else None, shape))
        except ValueError as error:
            st.error(str(error))
            return
    found = state.remember("opening", lambda: None)
    if found:
        _card(found)


def _card(found: Opening) -> None:
    net = found.network
    data = ", ".join(f"{len(d):,} {split}" for split, d in net.data.items()) or "none"
    st.success(f"{net.title}: {net.parameters:,} parameters, {len(net.layers)} layers that can be compressed. Examples: {data}.")
    for note in found.notes:
        st.markdown(f"- {note}")
    if net.skipped:
        with st.expander(f"{len(net.skipped)} parameters stay as they are"):
            st.dataframe(pd.DataFrame(net.skipped, columns=["name", "values", "why"]), hide_index=True, width="stretch")
    if not net.layers:
        st.warning("No layer of this network can be compressed here, so there is nothing to show.")
    elif st.button("Use this network", on_click=_use, args=(net.name,)):
        st.rerun()


def _use(name: str) -> None:
    _close()
    state.add_own(name)
