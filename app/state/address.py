"""The address is the document: what a session begins with is read from it, and what is on screen is written into it."""

import uuid
from urllib.parse import urlencode

import streamlit as st

from app import compute
from app.dials import complete, fitting, lean, opening
from app.history import History
from app.state.hand import by_hand
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
VERSION = "1"  # of what a link says and how
LONGEST = 1_900  # characters that every browser and messenger carries, with room for the machine's name


def begin(first: str | None, trouble: str | None) -> None:
    """Fill a new session from its link, or with what a first visit shows. Does nothing in a session that has begun.

    first: the network to show without a link, given on the command line; trouble: why there is none although one was asked for.
    """
    ss = st.session_state
    if "recipe" in ss:
        return
    words = {key: st.query_params[key] for key in st.query_params}
    ss.owner, ss.version, ss.notes, ss.above, ss.own = uuid.uuid4().hex, 0, [trouble] if trouble else [], [], [first] if first else []
    ss.history, ss.picks, ss.presenting = History(), (), words.get("present") == "1"
    ss.asked, ss.adds, ss.added = words, {}, {}
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
    if words.get("v", VERSION) != VERSION:
        ss.notes.append(f"The link is of version “{words['v'][:20]}”, and this is {VERSION}: what it says in the same words is shown.")
    if words.get("cut") == "1":
        ss.notes.append("This link was too long to hold every layer that was set by itself, so all layers follow the dials. "
                        "Ask for the recipe as a file.")
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


@by_hand
def chosen_hidden() -> None:
    """Parts to hide were picked."""
    st.session_state.hidden = tuple(word for word in HIDEABLE if word in st.session_state["hide"])


@by_hand
def chosen_presenting() -> None:
    """The switch of the presenter mode was used."""
    st.session_state.presenting = st.session_state["present"]


def asked(word: str) -> str:
    """What the link that the session began with asks of a page, told once; empty where it asks nothing."""
    return st.session_state.asked.pop(word, "")


def add(**words: str) -> None:
    """What the page on screen adds to the address, each time it is drawn."""
    st.session_state.adds = words


def publish() -> None:
    """Write what is on screen into the address."""
    ss = st.session_state
    ss.added, ss.adds = ss.adds, {}
    words, _ = _document()
    if {key: st.query_params[key] for key in st.query_params} != words:
        st.query_params.from_dict(words)


def link() -> tuple[str, bool]:
    """The address of exactly what is on screen, and whether it was too long and does without the layers that are set by themselves."""
    words, cut = _document()
    return f"{st.context.url or ''}?{urlencode(words)}", cut


def _document() -> tuple[dict[str, str], bool]:
    words = {"net": st.session_state.net, **to_link(lean(recipe())), "layer": focus(), "solo": solo(), "on": split(),
             "hide": "~".join(hidden()), "present": "1" if presenting() else "", "v": VERSION, **st.session_state.added, **st.session_state.adds}
    words = {key: text for key, text in words.items() if text}
    cut = len(urlencode(words)) > LONGEST
    return ({key: text for key, text in words.items() if key not in ("pin", "only")} | {"cut": "1"} if cut else words), cut
