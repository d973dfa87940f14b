"""The sidebar's controls: the dials for all layers, what is done to the whole network first, pins, and how things are measured."""

from typing import Any

import streamlit as st

from app import compute, parts, state
from app.dials import DIALS, FIRST
from compression.method import Knob
from compression.registry import answering, method, repairs, rewrites


def shows(part: str) -> bool:
    """Whether a part of the screen is not hidden by the link."""
    return part not in state.hidden()


def dials() -> None:
    """The three dials for all layers, each with its method and its further knobs."""
    st.markdown("**Set all layers**")
    for which in filter(shows, DIALS):
        chosen = state.dial_step(which).method
        _knob(which, method(chosen).knob(which), prominent=True)
        with st.popover(method(chosen).title, width="stretch", key=f"more.{which}", on_change=state.chosen) as more:
            if more.open:
                _method(which, chosen)
    if shows("coding"):
        st.toggle("Huffman coding", key="huffman", on_change=state.switch_coding, help=method(FIRST["coding"]).summary)


def _method(which: str, chosen: str) -> None:
    """The choice of a method for a dial, and the method's further knobs."""
    state.write(f"method.{which}", chosen)
    st.selectbox("Method", answering(which), key=f"method.{which}", format_func=lambda n: method(n).title, on_change=state.change_method,
                 args=(which,))
    st.markdown(f"{method(chosen).summary} *{method(chosen).reference}.* Survey section {method(chosen).survey}.")
    for knob in method(chosen).knobs:
        if knob.name != which:
            state.write(state.knob_key(which, knob.name), state.dial_step(which)[knob.name])
            _knob(which, knob)


def _knob(which: str, knob: Knob, prominent: bool = False) -> None:
    widget(knob, prominent, key=state.knob_key(which, knob.name), on_change=state.turn, args=(which,), help=knob.help)


def widget(knob: Knob, prominent: bool = False, **common: Any) -> None:
    """The widget that fits a knob's ladder."""
    if len(knob.ladder) > 10:
        st.select_slider(knob.label, knob.ladder, format_func=lambda v: parts.shown(knob, v), **common)
    elif prominent or len(knob.ladder) <= 3:
        st.segmented_control(knob.label, knob.ladder, format_func=lambda v: parts.shown(knob, v), width="stretch", **common)
    else:
        st.selectbox(knob.label, knob.ladder, format_func=lambda v: parts.shown(knob, v), **common)


def pins() -> None:
    """How many layers follow the dials, with the gestures that change it."""
    pinned, locked = parts.apart()
    st.markdown(f":small[{len(state.network().layers) - pinned - locked} layers follow the dials, {pinned} pinned, {locked} locked]")
    if pinned:
        st.button("Release pins", on_click=state.release_pins, width="stretch", help="Let all layers follow the dials again; locks stay.")


def first() -> None:
    """What is done to the whole network before its layers are compressed, and what did not apply to this one."""
    net, recipe = state.network(), state.recipe()
    on = {s.method for s in recipe.first}
    titles = [known.title for name, known in rewrites().items() if name in on]
    with st.popover(f"First: {', '.join(titles)}" if titles else "First, to the whole network", width="stretch", key="more.first",
                    on_change=state.chosen) as more:
        for name, known in rewrites().items() if more.open else ():
            state.write(f"first.{name}", name in on)
            st.toggle(known.title, key=f"first.{name}", on_change=state.turn_first, args=(name,),
                      help=f"{known.summary} {known.reference}. {'Keeps the answers.' if known.exact else 'Changes the answers.'}")
            for knob in known.knobs if name in on else ():
                state.write(f"first.{name}.{knob.name}", next(s for s in recipe.first if s.method == name)[knob.name])
                widget(knob, key=f"first.{name}.{knob.name}", on_change=state.turn_first, args=(name,), help=knob.help)
            for also in [s for s in recipe.first if s.method == name][1:]:
                told = ", ".join(f"{k.label.lower()} {parts.shown(k, also[k.name])}" for k in known.knobs)
                st.markdown(f":small[And with {told}; switched off, all of it goes.]")
    for sentence in compute.compressed(net, state.shown()).passed_over:
        st.markdown(f":small[Passed over: {sentence}]")


def repairing() -> None:
    """Repairs without training, after all layers are stored: each is kept only if it helps on held-out training examples."""
    net, recipe = state.network(), state.recipe()
    if "train" not in net.data:
        return
    on = len(recipe.repairs)
    st.button("Repair in one click" if not on else "Take the repairs off", on_click=state.suggest_repairs, width="stretch",
              help="Seconds, and no training: what fits this recipe is switched on, and kept if held-out training examples agree.")
    with st.popover(f"Repairs: {on} on" if on else "Repairs", width="stretch", key="more.repairs", on_change=state.chosen) as more:
        for name, known in repairs().items() if more.open else ():
            state.write(f"repair.{name}", name in recipe.repairs)
            st.toggle(known.title, key=f"repair.{name}", on_change=state.turn_repair, args=(name,), help=f"{known.summary} {known.reference}.")


def measuring() -> None:
    """How answers are measured."""
    net = state.network()
    if len(net.data) > 1:
        st.segmented_control("Judge on", [s for s in state.JUDGES if s in net.data], key="judge", on_change=state.chosen_split,
                             help="Choose by validation data; test data only reports.", width="stretch")
    st.toggle("Shadow check", key="shadow", on_change=state.chosen, help="Asks the plain path as well, for every twentieth piece of work, and "
              "throws a result away with a sentence if any answer differs.")
    if state.shadow():
        st.markdown(f":small[{compute.instrument(net, parts.SHADOW).checked:,} answers compared so far, none different.]")
