"""How what a session holds is written into its widgets, before anything is drawn."""

from collections.abc import Iterator
from typing import Any

import streamlit as st

from app.dials import DIALS
from app.state.heard import put
from app.state.session import dial_step, focus, network, recipe
from compression.registry import dial, repairs, rewrites


def mirror() -> None:
    """Write the recipe into the widgets."""
    for widget, value in _held():
        put(widget, value)


def astray() -> list[tuple[str, Any]]:
    """The widgets that show something else than the session holds, and what it holds: a late beat may bring old values after a press."""
    ss = st.session_state
    return [(widget, value) for widget, value in _held() if ss.get(widget, value) != value]


def _held() -> Iterator[tuple[str, Any]]:
    ss, now = st.session_state, recipe()
    yield from (("pick", ss.net), ("judge", ss.split), ("layer", ss.focus), ("preset", ss.get("preset.shown")))
    for which in DIALS:
        chosen = dial_step(which)
        yield f"method.{which}", chosen.method
        for name, value in chosen.knobs:
            yield key(which, chosen.method, name), value
    for name, declared in rewrites().items():
        chosen = next((s for s in now.first if s.method == name), None)
        yield f"first.{name}", chosen is not None
        for knob in declared.knobs:
            yield f"first.{name}.{knob.name}", chosen[knob.name] if chosen else knob.default
    for name in repairs():
        yield f"repair.{name}", name in now.repairs
    yield "huffman", any(dial(s.method) == "coding" for s in now.default)


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
