"""What a browser says belongs to the page it shows, which may be older than what was written into its widgets since.

With each message a browser sends the values of all its widgets. A message that left before the newest page arrived (a beat, or a quick
second click) brings values that a button, an undo or a link has overwritten in the meantime: taken for a person's choice they would take
that back. So each page carries its number in a hidden widget, and a value that was overwritten after the page a message comes from is put
back to what was written.

A beat may also be heard after a press that left later, as Streamlit hears both at once, and is no press that takes it back. Where the page
for the press was drawn with what the beat put back, the next beat tells of the press again.
"""

from typing import Any, NamedTuple

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

STAMP = "seen"  # the key of the hidden widget


class Overwritten(NamedTuple):
    """A value that a widget had before another was written or pressed, and the first page that shows the other."""

    value: Any
    number: int
    pressed: bool = False


def write(key: str, value: Any) -> None:
    """What a widget is to show from the next page on, where it shows something else."""
    if st.session_state.get(key) != value:
        put(key, value)


def put(key: str, value: Any) -> None:
    """The same, also for a widget that is new on the page and would else begin with its first option."""
    ss = st.session_state
    if key in ss and ss[key] != value:
        _log(key, ss[key])
    ss[key] = value
    _written()[key] = value


def press(key: str, before: Any) -> None:
    """A person has set a widget that showed something else before."""
    _log(key, before, pressed=True)
    _written()[key] = st.session_state[key]


def _log(key: str, before: Any, pressed: bool = False) -> None:
    _overwritten().setdefault(key, []).append(Overwritten(before, drawing() + (not half_drawn()), pressed))


def settle() -> None:
    """Put back what was written into widgets since the page that the newest message comes from, and what only a late beat takes back."""
    ss, log, now = st.session_state, _overwritten(), _written()
    seen, beat = int(ss.get(STAMP) or 0), _is_beat()
    for key in list(log):
        log[key] = [old for old in log[key] if old.number > seen]
        if not log[key]:
            del log[key], now[key]
        elif key in ss and ss[key] != now[key] and any(ss[key] == old.value and (beat or not old.pressed) for old in log[key]):
            ss[key] = now[key]


def draw() -> None:
    """The whole page is about to be drawn."""
    settle()
    st.session_state.drawing = drawing() + 1
    st.session_state.at_work = True


def stamp() -> str:
    """The key of the widget that tells which page a message comes from: to be drawn last on the page, out of sight."""
    st.session_state[STAMP] = str(drawing())
    return STAMP


def rest() -> None:
    """The whole page has been drawn."""
    st.session_state.at_work = False


def _is_beat() -> bool:
    """Whether the newest message asks for a part of the page only, as no widget does whose values are written here."""
    context = get_script_run_ctx()
    return context is not None and bool(context.fragment_ids_this_run)


def half_drawn() -> bool:
    """Whether the whole page is being drawn, or was left half drawn for something newer."""
    return st.session_state.get("at_work", False)


def drawing() -> int:
    """Counts the times that the whole page was drawn; a part that runs by itself keeps the number of the time it was drawn in."""
    return st.session_state.get("drawing", 0)


def _overwritten() -> dict[str, list[Overwritten]]:
    return st.session_state.setdefault("overwritten", {})


def _written() -> dict[str, Any]:
    return st.session_state.setdefault("written", {})
