"""What a session holds: which network, which recipe, which layer in focus. The recipe is the one truth; widgets mirror it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from app import compute
from app.history import History
from compression.network import Network
from compression.recipe import Recipe, Step
from compression.registry import dial

NOTES, LONGEST_NOTE = 5, 300  # how many notes on a link are told, and the characters of each


def network() -> Network:
    """The network on screen."""
    return compute.network(st.session_state.net)


def recipe() -> Recipe:
    """The recipe that is being made."""
    return st.session_state.recipe


def shown() -> Recipe:
    """The recipe whose effect is on screen: that being made, or with a layer on solo what it does to that layer alone."""
    if not solo():
        return recipe()
    return replace(recipe(), locked=tuple(layer.name for layer in network().layers if layer.name != solo()), repairs=())


def solo() -> str:
    """The one layer that is shown compressed while all others are shown as trained; empty where all are."""
    return st.session_state.solo


def history() -> History:
    """What can be undone and done again."""
    return st.session_state.history


def split() -> str:
    """Which data judges: "validation" or "test"; empty where there is none."""
    return st.session_state.split


def focus() -> str:
    """The layer in focus."""
    return st.session_state.focus


def hidden() -> tuple[str, ...]:
    """Which parts of the screen a link keeps from the class, by the words of address.HIDEABLE."""
    return st.session_state.hidden


def presenting() -> bool:
    """Whether the screen is for the back row: larger letters, the sidebar folded."""
    return st.session_state.presenting


def picks() -> tuple[str, ...]:
    """The layers that are ticked in the table."""
    return st.session_state.picks


def owner(job: str) -> str:
    """Who a job belongs to: this session and this kind of work."""
    return f"{st.session_state.owner}.{job}"


def note(text: str) -> None:
    """Something to be told on the next page that is drawn."""
    st.session_state.notes.append(text)


def notes() -> list[str]:
    """What could not be read from a link or a file, told once."""
    told, st.session_state.notes = st.session_state.notes, []
    told = [note if len(note) <= LONGEST_NOTE else f"{note[:LONGEST_NOTE]} …." for note in told]
    return told if len(told) <= NOTES else [*told[:NOTES], f"The link has {len(told) - NOTES} more parts that could not be read."]


def version() -> int:
    """Counts the recipes that were set from outside the layer table, whose edits then no longer hold."""
    return st.session_state.version


def remember(name: str, make: Callable[[], Any]) -> Any:
    """A value of this session, made the first time it is asked for."""
    if name not in st.session_state:
        st.session_state[name] = make()
    return st.session_state[name]


def recall(name: str, value: Any) -> Any:
    """The value kept under a name until now; the new one is kept for next time."""
    before, st.session_state[name] = st.session_state.get(name), value
    return before


def write(key: str, value: Any) -> None:
    """What a widget is to show, before it is drawn."""
    if st.session_state.get(key) != value:
        st.session_state[key] = value


def value(key: str) -> Any:
    """What a widget was set to, for its callback."""
    return st.session_state.get(key)


def drawn() -> None:
    """The whole page is of what the session holds now: said when it begins, and again when it is done."""
    st.session_state.drawn = _held()


def outdated() -> bool:
    """Whether the page was drawn for something else than the session holds now; asked in a part that runs by itself.

    A beat of such a part and a person's change may reach the server as one message, of which Streamlit runs only the part.
    """
    return st.session_state.get("drawn", _held()) != _held()


def _held() -> tuple[Any, ...]:
    ss = st.session_state
    return ss.net, ss.recipe, ss.split, ss.focus, ss.solo, ss.hidden, ss.presenting, ss.version, len(history().past), len(history().future)


def shadow() -> bool:
    """Whether the plain path looks over the quick one's shoulder."""
    return bool(st.session_state.get("shadow"))


def dial_step(which: str) -> Step:
    """The default's step of one dial."""
    return next(s for s in recipe().default if dial(s.method) == which)
