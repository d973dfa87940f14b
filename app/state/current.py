"""Of what the page on screen is, and whether it still is."""

from typing import Any

import streamlit as st

from app.state import heard
from app.state.mirror import astray
from app.state.session import history


def draw() -> None:
    """The whole page is about to be drawn, for what the session holds now."""
    heard.draw()
    for key, value in astray():
        heard.put(key, value)
    st.session_state.drawn = _held()


def drawn() -> None:
    """The whole page is of what the session holds now, also where drawing it has changed that."""
    st.session_state.drawn = _held()
    heard.rest()


def outdated(number: int) -> bool:
    """Whether a part of that number belongs to a page that is no longer the newest, or is for something else than the session holds now.

    A beat of such a part and a person's change may reach the server as one message, of which Streamlit runs only the part; both may be
    heard at once, and the page drawn with what was before; and a page may be left half drawn for a newer one, its parts then being those
    of the page before.
    """
    if not heard.half_drawn():  # while it is drawn, no widget may be written into
        heard.settle()
    return number != heard.drawing() or st.session_state.drawn != _held() or (not heard.half_drawn() and bool(astray()))


def _held() -> tuple[Any, ...]:
    ss = st.session_state
    return (ss.net, ss.recipe, ss.split, ss.focus, ss.solo, ss.hidden, ss.presenting, ss.version, ss.get("choices", 0), len(history().past),
            len(history().future))
