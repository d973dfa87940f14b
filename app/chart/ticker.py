"""A heartbeat for a fragment whose work runs elsewhere: the browser asks again only after it got the last answer."""

from pathlib import Path

import streamlit as st

from app import state

HERE = Path(__file__).parent
SCRIPTS = HERE / "settled.js", HERE / "leaving.js", HERE / "ticker.js"  # joined in this order
# An empty component would still take one gap of the column it stands in.
CSS = """
[data-testid="stElementContainer"]:has(.ticker) {
  position: absolute;
  visibility: hidden;
}
"""

HTML = '<i class="ticker"\nhidden></i>'

_mount = st.components.v2.component("ticker", html=HTML, css=CSS, js="\n".join(script.read_text("utf-8") for script in SCRIPTS), isolate_styles=False)


def tick(live: bool, seq: int, ms: int, key: str) -> None:
    """While `live`, run the fragment this stands in again `ms` milliseconds after each answer; send nothing when not.

    `seq` must differ from one run to the next (a counter of runs, for example): it is what wakes the browser. Once more it asks, live or
    not, on a page that was drawn right after a question: what was pressed then may have been missed, and the next message tells of it.
    """
    _mount(key=key, data={"live": live, "seq": seq, "ms": ms, "page": state.page(), "number": state.drawing()}, on_tick_change=lambda: None)
