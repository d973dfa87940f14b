"""Which network, which data and which layer: picks that are not part of a recipe."""

from dataclasses import replace

import streamlit as st

from app import compute
from app.history import History
from app.state.edits import set_recipe
from app.state.hand import by_hand
from app.state.heard import put
from app.state.mirror import mirror
from app.state.session import network, recipe, split


@by_hand
def chosen() -> None:
    """Something was chosen that its page looks up by itself, and that the whole page is to show."""
    st.session_state.choices = st.session_state.get("choices", 0) + 1


CHOICE = {"persist_state": "session", "on_change": chosen}  # of a widget whose value the page looks up and that outlives the page


@by_hand
def chosen_layer() -> None:
    """The layer picker was used."""
    st.session_state.focus = st.session_state["layer"]


@by_hand
def chosen_split() -> None:
    """The data picker was used; clicked off, it keeps its value."""
    st.session_state.split = st.session_state["judge"] or st.session_state.split
    put("judge", st.session_state.split)


@by_hand
def chosen_network() -> None:
    """The network picker was used."""
    open_network(st.session_state["pick"])


def titles() -> dict[str, str]:
    """Titles of the networks this person can pick, by name."""
    return compute.names(st.session_state.own)


def add_own(name: str) -> None:
    """Put a network that was just opened among those to pick, and show it."""
    st.session_state.own = [*(n for n in st.session_state.own if n != name), name]
    open_network(name)


def open_network(name: str) -> None:
    """Show another network. The dials stay where they are; pins and locks belonged to the other's layers and go, and so does the history."""
    ss = st.session_state
    if name == ss.net:
        return
    ss.net, ss.solo, ss.picks = name, "", ()
    ss.focus = largest()
    if split() not in network().data:
        ss.split = first_split()
    set_recipe(replace(recipe(), overrides=(), locked=()))
    if ss.history.past or ss.history.future:
        ss.passing = "Another network is open; the steps made before can no longer be undone."
    ss.history = History()
    ss.pop("tried", None)
    mirror()


def first_split() -> str:
    """The data a network is judged on when nothing else is asked for."""
    splits = network().data
    return "validation" if "validation" in splits else next(iter(splits), "")


def largest() -> str:
    """The layer with most weights."""
    return max(network().layers, key=lambda layer: layer.weight.numel()).name
