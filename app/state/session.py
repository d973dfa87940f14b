"""What a session holds: which network, which recipe, which layer in focus. The recipe is the one truth; widgets mirror it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import streamlit as st

from app import compute
from app.history import History, Node, Tried
from app.state import heard
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


def wanted() -> Recipe:
    """The recipe whose effect is asked for: that being made, or with a layer on solo what it does to that layer alone."""
    if not solo():
        return recipe()
    return replace(recipe(), locked=tuple(layer.name for layer in network().layers if layer.name != solo()), repairs=())


def stand_in(other: Recipe, late: tuple[str, ...]) -> None:
    """Show another recipe in place of that which is asked for, which it gives to all layers but a few that are late."""
    st.session_state.standing = (st.session_state.net, wanted(), other, late)


def shown() -> Recipe:
    """The recipe whose effect is on screen: that which is asked for, or what stands in for it while methods prepare."""
    return _standing()[0]


def late() -> tuple[str, ...]:
    """The layers that are shown as they were before, because their methods have yet to prepare."""
    return _standing()[1]


def _standing() -> tuple[Recipe, tuple[str, ...]]:
    net, asked, other, late = st.session_state.get("standing", (None, None, None, ()))
    return (other, late) if (net, asked) == (st.session_state.net, wanted()) else (wanted(), ())


def solo() -> str:
    """The one layer that is shown compressed while all others are shown as trained; empty where all are."""
    return st.session_state.solo


def history() -> History:
    """What can be undone and done again."""
    return st.session_state.history


def tried() -> Tried:
    """All recipes that were on screen since this network was opened."""
    return remember("tried", lambda: Tried((Node(recipe(), None, "start"),)))


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


def page() -> str:
    """The path of the page on screen, without the slash: empty for the first one."""
    return st.session_state.get("page", "")


def note(text: str) -> None:
    """Something to be told above the page, until a person does something."""
    st.session_state.notes.append(text)


def told() -> list[str]:
    """What is told from the beginning of a run: all that was said since a person last did something."""
    if not recall("unasked", False):
        st.session_state.above = []
    notes()
    return st.session_state.above


def notes() -> list[str]:
    """What could not be read from a link or a file and is not told yet."""
    new, st.session_state.notes = st.session_state.notes, []
    new = [note if len(note) <= LONGEST_NOTE else f"{note[:LONGEST_NOTE]} …." for note in new]
    new = new if len(new) <= NOTES else [*new[:NOTES], f"The link has {len(new) - NOTES} more parts that could not be read."]
    st.session_state.above = [*st.session_state.above, *new]
    return new


def again() -> NoReturn:
    """Run the whole page, though no person asked for it."""
    st.session_state.unasked = True
    st.rerun()


def passing() -> str:
    """What is told in passing, once; empty where there is nothing."""
    return recall("passing", "") or ""


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


def value(key: str) -> Any:
    """What a widget was set to, for its callback."""
    heard.settle()
    return st.session_state.get(key)


def shadow() -> bool:
    """Whether the plain path looks over the quick one's shoulder."""
    return bool(st.session_state.get("shadow"))


def dial_step(which: str) -> Step:
    """The default's step of one dial."""
    return next(s for s in recipe().default if dial(s.method) == which)
