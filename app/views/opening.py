"""Which network is on screen, and the dialog that opens one's own."""

import streamlit as st

from app import compute, state, words


def header() -> None:
    """The sidebar's head: pick a network, see what it is."""
    net, titles = state.network(), compute.names()
    st.selectbox("Network", list(titles), key="pick", format_func=titles.get, on_change=state.chosen_network)
    st.markdown(f":small[{net.parameters:,} parameters in {len(net.layers)} layers; "
                f"{words.size(compute.costs(net, state.Recipe()).original_bytes)} as trained]")
    if len(net.data) > 1:
        st.segmented_control("Judge on", [s for s in ("validation", "test") if s in net.data], key="judge", on_change=state.chosen_split,
                             help="Choose by validation data; test data only reports.", width="stretch")
