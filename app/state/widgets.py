"""The sidebar's widgets: what their callbacks commit."""

from dataclasses import replace

import streamlit as st

from app.dials import FIRST, nearest
from app.state.edits import commit, set_recipe
from app.state.hand import by_hand
from app.state.mirror import key, mirror
from app.state.session import dial_step, network, recipe
from compression.recipe import step
from compression.registry import dial, known, method
from compression.repair.click import suggested


@by_hand
def turn(which: str) -> None:
    """A dial or one of its knobs was moved: commit what the widgets say. Pins stay."""
    ss = st.session_state
    name, known_one = dial_step(which).method, method(dial_step(which).method)
    knobs = {k.name: ss.get(key(which, name, k.name)) for k in known_one.knobs}
    knobs = {k: dial_step(which)[k] if v is None else v for k, v in knobs.items()}
    commit(recipe().with_default(step(name, **knobs)))
    if any(ss.get(key(which, name, k)) is None for k in knobs):
        mirror()  # a segmented control was clicked off: it keeps its value


@by_hand
def change_method(which: str) -> None:
    """Another method answers a dial: it takes over the dial's value, or the nearest rung it has."""
    name = st.session_state[f"method.{which}"]
    commit(recipe().with_default(step(name, **{which: nearest(name, which, dial_step(which)[which])})))
    mirror()


@by_hand
def turn_first(name: str) -> None:
    """A rewriting of the whole network was switched on or off, or one of its knobs was moved."""
    ss = st.session_state
    if not ss[f"first.{name}"]:
        set_recipe(recipe().without_first(name))
        return
    knobs = {k.name: ss.get(f"first.{name}.{k.name}") for k in known(name).knobs}
    now = step(name, **{k: v for k, v in knobs.items() if v is not None})
    old = next((s for s in recipe().first if s.method == name), None)
    kept = tuple(now if s is old else s for s in recipe().first)
    set_recipe(replace(recipe(), first=kept).with_first(now))


@by_hand
def turn_repair(name: str) -> None:
    """A repair was switched on or off."""
    commit(recipe().with_repair(name, st.session_state[f"repair.{name}"]))


def suggest_repairs() -> None:
    """The repairs that fit what is on screen, or none."""
    set_recipe(replace(recipe(), repairs=() if recipe().repairs else suggested(network(), recipe())))


@by_hand
def switch_coding() -> None:
    """Huffman coding was switched on or off."""
    on = st.session_state["huffman"]
    commit(recipe().with_default(step(FIRST["coding"])) if on else recipe().without_default("coding"))


def toggle_coding() -> None:
    """Huffman coding on where it is off, and off where it is on, from elsewhere than its switch."""
    on = any(dial(s.method) == "coding" for s in recipe().default)
    set_recipe(recipe().without_default("coding") if on else recipe().with_default(step(FIRST["coding"])))
