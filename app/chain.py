"""The steps of the layer in focus: each can be switched, set, moved and taken away, and any method can be added."""

from dataclasses import replace

import streamlit as st

from app import controls, parts, state
from compression.recipe import Step, step
from compression.registry import FAMILIES, known, method, methods

FAMILY = {"lowrank": "Low rank", "pruning": "Pruning", "sharing": "Sharing", "quantization": "Quantization", "coding": "Coding"}


def show(layer: str) -> None:
    """The list, and what can be added."""
    recipe = state.recipe()
    own = recipe.override(layer)
    whole = own is not None and own.whole
    chain = own.steps if whole else recipe.chain(layer)
    if recipe.is_locked(layer):
        st.markdown(f":small[{layer} is locked: it stays as it was trained.]")
        return
    says = "has steps of its own; the dials leave it alone." if whole else "follows the dials and its pins; any change here gives it its own steps."
    st.markdown(f":small[{layer} {says}]")
    for i, each in enumerate(chain):
        _row(layer, chain, i, each)
    names = sorted(methods(), key=lambda n: (FAMILIES.index(n.split(".")[0]), method(n).title))
    state.remember("chain.add", lambda: "pruning.magnitude")
    st.selectbox("Add a step", names, key="chain.add", format_func=lambda n: f"{FAMILY[n.split('.')[0]]} · {method(n).title}")
    left, right = st.columns(2, gap="small")
    left.button("Add", key="chain.added", on_click=_add, args=(layer, chain), width="stretch", icon=":material/add:")
    right.button("Follow the dials", key="chain.follow", on_click=_follow, args=(layer,), disabled=own is None, width="stretch")


def _row(layer: str, chain: tuple[Step, ...], i: int, each: Step) -> None:
    switch, title, up, down, gone = st.columns([1, 7, 1, 1, 1], gap="small", vertical_alignment="center")
    key = f"chain.{layer}.{i}"
    state.write(f"{key}.on", each.on)
    name = method(each.method).title
    switch.toggle(f"Step {i + 1}, {name}, is on", key=f"{key}.on", label_visibility="collapsed", on_change=_switch, args=(layer, chain, i))
    settings = "".join(f"{k.replace('_', ' ')} {parts.shown(known(each.method).knob(k), v)}" for k, v in each.knobs[:1])
    with title.popover(f"{i + 1}. {name}{f' · {settings}' if settings else ''}", width="stretch", key=f"{key}.more", on_change=state.chosen) as more:
        if more.open:
            st.markdown(method(each.method).summary)
            for knob in method(each.method).knobs:
                state.write(f"{key}.{knob.name}", each[knob.name])
                controls.widget(knob, key=f"{key}.{knob.name}", on_change=_set, args=(layer, chain, i, knob.name), help=knob.help)
    up.button("", icon=":material/arrow_upward:", key=f"{key}.up", on_click=_move, args=(layer, chain, i, -1), disabled=i == 0, help="Earlier")
    down.button("", icon=":material/arrow_downward:", key=f"{key}.down", on_click=_move, args=(layer, chain, i, 1), disabled=i == len(chain) - 1,
                help="Later")
    gone.button("", icon=":material/close:", key=f"{key}.gone", on_click=_replace, args=(layer, (*chain[:i], *chain[i + 1 :])), help="Take away")


def _replace(layer: str, chain: tuple[Step, ...]) -> None:
    state.set_recipe(state.with_whole(layer, chain))


@state.by_hand
def _switch(layer: str, chain: tuple[Step, ...], i: int) -> None:
    on = bool(state.value(f"chain.{layer}.{i}.on"))
    if on != chain[i].on:
        _replace(layer, (*chain[:i], replace(chain[i], on=on), *chain[i + 1 :]))


@state.by_hand
def _set(layer: str, chain: tuple[Step, ...], i: int, knob: str) -> None:
    value = state.value(f"chain.{layer}.{i}.{knob}")
    if value not in (None, chain[i][knob]):  # a segmented control clicked off keeps its value
        knobs = tuple((k, value if k == knob else v) for k, v in chain[i].knobs)
        _replace(layer, (*chain[:i], Step(chain[i].method, knobs, chain[i].on), *chain[i + 1 :]))


def _move(layer: str, chain: tuple[Step, ...], i: int, by: int) -> None:
    moved = list(chain)
    moved[i], moved[i + by] = moved[i + by], moved[i]
    _replace(layer, tuple(moved))


def _add(layer: str, chain: tuple[Step, ...]) -> None:
    name = state.value("chain.add")
    _replace(layer, (*chain, step(name)))


def _follow(layer: str) -> None:
    state.set_recipe(state.recipe().without_pin(layer))
