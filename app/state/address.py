"""The address is the document: what a session begins with is read from it, and what is on screen is written into it."""

import uuid

import streamlit as st

from app import compute
from app.dials import complete, fitting, lean, opening
from app.history import History
from app.state.mirror import mirror
from app.state.picking import first_split, largest
from app.state.session import focus, hidden, network, presenting, recipe, solo, split
from compression.link import KEYS, from_link, to_link

OPENING = "lenet-5"
JUDGES = ("validation", "test")  # the data that can be picked to judge on
HIDEABLE = {  # word in the link: what it hides
    "network": "network", "presets": "presets", "sparsity": "sparsity dial", "bits": "bits dial", "rank": "rank dial", "coding": "Huffman switch",
    "first": "rewritings", "repair": "repairs", "snapshots": "snapshots", "lens": "lens", "layers": "all layers", "sizes": "size bars",
    "waterfall": "waterfall", "table": "layer table", "chain": "chain of steps", "examples": "changed answers", "files": "downloads",
}
LONGEST = 2_000  # characters of a whole link that every browser and messenger carries


def begin(first: str | None, trouble: str | None) -> None:
    """Fill a new session from its link, or with what a first visit shows. Does nothing in a session that has begun.

    first: the network to show without a link, given on the command line; trouble: why there is none although one was asked for.
    """
    ss = st.session_state
    if "recipe" in ss:
        return
    words = {key: st.query_params[key] for key in st.query_params}
    ss.owner, ss.version, ss.notes, ss.own = uuid.uuid4().hex, 0, [trouble] if trouble else [], [first] if first else []
    ss.history, ss.presenting = History(), words.get("present") == "1"
    compute.arrive(ss.owner)
    ss.net = _known(words.get("net", first or OPENING))
    ss.recipe = complete(opening())
    if any(key in words for key in (*KEYS, "v")):  # "v" alone: a link in which every dial is off
        found, unread = from_link(words)
        found, unfit = fitting(found, [layer.name for layer in network().layers], network().title)
        ss.notes += unread + unfit
        ss.recipe = complete(found)
    layers = [layer.name for layer in network().layers]
    ss.split = _asked(words.get("on", ""), [s for s in JUDGES if s in network().data], first_split(), "data")
    ss.focus = _asked(words.get("layer", ""), layers, largest(), "layer")
    ss.solo = _asked(words.get("solo", ""), layers, "", "layer")
    asked = [word for word in words.get("hide", "").split("~") if word]
    ss.hidden = tuple(word for word in HIDEABLE if word in asked)
    ss.notes += [f"The link asks to hide “{word[:40]}”; what can be hidden is {', '.join(HIDEABLE)}." for word in asked if word not in HIDEABLE][:1]
    mirror()


def _asked(wanted: str, there: list[str], otherwise: str, what: str) -> str:
    """What a link asks for where it is there; else something else, with a note."""
    if wanted in (*there, otherwise, ""):
        return wanted or otherwise
    st.session_state.notes.append(f"The link asks for the {what} “{wanted[:40]}”, which {network().title} does not have"
                                  f"{f'; {otherwise} is shown' if otherwise else ''}.")
    return otherwise


def _known(name: str) -> str:
    if compute.known(name):
        if name.startswith("own-") and name not in st.session_state.own:
            st.session_state.own.append(name)
        return name
    st.session_state.notes.append(
        f"The link asks for the network “{name[:40]}”, which is not open here; LeNet-5 is shown. If it is your own, open its file again.")
    return OPENING


def hide(words: list[str]) -> None:
    """Choose what is kept from the class."""
    st.session_state.hidden = tuple(word for word in HIDEABLE if word in words)


def present(on: bool) -> None:
    """Make the screen one for the back row, or not."""
    st.session_state.presenting = on


def publish() -> None:
    """Write what is on screen into the address."""
    words = {"net": st.session_state.net, **to_link(lean(recipe())), "layer": focus(), "solo": solo(), "on": split(),
             "hide": "~".join(hidden()), "present": "1" if presenting() else "", "v": "1"}
    words = {key: text for key, text in words.items() if text}
    if {key: st.query_params[key] for key in st.query_params} != words:
        st.query_params.from_dict(words)
