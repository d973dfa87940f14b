"""How what a session holds is written into its widgets, before anything is drawn."""

import streamlit as st

from app.dials import DIALS
from app.state.heard import put
from app.state.session import dial_step, focus, network, recipe
from compression.registry import dial, repairs, rewrites


def mirror() -> None:
    """Write the recipe into the widgets."""
    ss = st.session_state
    put("pick", ss.net)
    put("judge", ss.split)
    put("layer", ss.focus)
    for which in DIALS:
        chosen = dial_step(which)
        put(f"method.{which}", chosen.method)
        for name, value in chosen.knobs:
            put(key(which, chosen.method, name), value)
    for name, declared in rewrites().items():
        chosen = next((s for s in recipe().first if s.method == name), None)
        put(f"first.{name}", chosen is not None)
        for knob in declared.knobs:
            put(f"first.{name}.{knob.name}", chosen[knob.name] if chosen else knob.default)
    for name in repairs():
        put(f"repair.{name}", name in recipe().repairs)
    put("huffman", any(dial(s.method) == "coding" for s in recipe().default))


def key(which: str, name: str, knob: str) -> str:
    """A widget's key. The dial itself has one key whatever its method; further knobs have one for each method."""
    return f"dial.{which}" if knob == which else f"knob.{name}.{knob}"


def knob_key(which: str, knob: str) -> str:
    """The key of the widget for one knob of a dial's present method."""
    return key(which, dial_step(which).method, knob)


def set_focus(layer: str) -> None:
    """Bring a layer into focus."""
    if any(found.name == layer for found in network().layers):
        st.session_state.focus = layer
        put("layer", layer)


def show_focus() -> None:
    """Write the layer in focus into its picker, which forgets it while another page is on screen."""
    put("layer", focus())
