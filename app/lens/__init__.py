"""The lens: one layer's weights, levels, spectrum and entries, redrawn in the browser while one of its dials is dragged."""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import streamlit as st

from app import state
from app.dials import DIALS
from app.lens import work
from app.lens.ladder import Array
from app.lens.shipping import pack
from app.lens.steps import ladder, place, settings, turned
from compression.apply import rewritten
from compression.network import Network
from compression.recipe import Recipe, Step

HERE = Path(__file__).parent
SCRIPTS = ("words.js", "surface.js", "weights.js", "grid.js", "spectrum.js", "matrix.js", "facts.js",
           "../chart/settled.js", "../chart/leaving.js", "talk.js", "lens.js")
VIEWS = {"weights": ("sparsity",), "grid": ("bits",), "spectrum": ("rank",), "matrix": DIALS}  # and the dials that each answers

_mount = st.components.v2.component(
    "lens",
    html=(HERE / "lens.html").read_text("utf-8"),
    css=(HERE / "lens.css").read_text("utf-8"),
    js="\n".join((HERE / name).read_text("utf-8") for name in SCRIPTS),
)


def show(net: Network, layer: str, recipe: Recipe, owner: str, key: str, on_commit: Callable[[Step], None]) -> None:
    """The lens on one layer of a network under a recipe, under `key`, as wide as its container.

    To be called in a fragment, which the lens runs again while it finds more. While a dial is dragged nothing is sent. When it is let go
    `on_commit` is called once, before the next run, with the layer's step at its new rung. What Python says next is shown, whether it is
    what was dialled or not: undo, presets and other widgets move the dials so. `owner` names the job that finds what takes long, as
    state.owner does.
    """
    net = rewritten(net, recipe.first)[0]
    said = st.session_state.get(key) or {}
    view = said.get("view") if said.get("view") in VIEWS else "weights"
    steps = settings(recipe, layer)
    found = work.find(net, layer, steps, owner, VIEWS[view])
    read, numbers = pack(found.tables) if found.tables else ({"layer": layer}, None)
    read |= {"view": view, "heard": st.session_state.get(f"{key}.heard", 0), "busy": found.busy, "error": found.error,
             "locked": recipe.is_locked(layer), "largest": work.largest(net), "page": state.page()}

    def turn() -> None:
        asked = st.session_state[key]["turn"]
        if int(asked["n"]) <= st.session_state.get(f"{key}.heard", 0):
            return  # said twice
        which, at = asked["dial"], int(asked["rung"])
        here = place(steps, which)
        if asked["layer"] == layer and 0 <= at < len(ladder(steps[here])):
            on_commit(turned(steps, here, ladder(steps[here])[at])[here])
        st.session_state[f"{key}.heard"] = int(asked["n"])

    _mount(key=key, data={"read": read | {"serial": _serial(key, read, numbers)}, "numbers": numbers},
           on_turn_change=turn, on_view_change=lambda: None, on_more_change=lambda: None)


def _serial(key: str, read: dict[str, Any], numbers: Array | None) -> int:
    """A number that is another one whenever something else is sent than last time.

    Streamlit refers to a large message that it sent some runs ago instead of sending it again, and fails where runs follow each
    other so closely that the browser has let go of it meanwhile. With this number, only what was sent last is ever referred to.
    """
    digest = blake2b(json.dumps(read).encode() + (b"" if numbers is None else numbers.tobytes())).digest()
    before, count = st.session_state.get(f"{key}.sent", (b"", 0))
    st.session_state[f"{key}.sent"] = digest, count + (digest != before)
    return count + (digest != before)
