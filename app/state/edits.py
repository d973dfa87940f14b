"""What changes the recipe. Every change goes through `commit`, which makes it one step that can be undone."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from app.changes import said
from app.dials import complete, folded, opening
from app.state.mirror import mirror, set_focus
from app.state.session import history, network, picks, recipe, solo, tried
from compression.method import Value
from compression.recipe import Override, Recipe, Step


def commit(new: Recipe, words: str = "") -> None:
    """Make a recipe the one on screen, as one step. words: what the step did; found out from both recipes where empty."""
    ss, new = st.session_state, complete(new)
    if new != ss.recipe:
        words = words or said(ss.recipe, new)
        ss.history, ss.tried = history().after(ss.recipe, words), tried().after(ss.recipe, new, words)
        ss.recipe = new


def set_recipe(new: Recipe, words: str = "") -> None:
    """Commit a recipe that comes from elsewhere than a widget of the sidebar or the layer table, which then follow it."""
    commit(new, words)
    _show()


def _show() -> None:
    st.session_state.version += 1
    mirror()


def undo() -> None:
    """Take back the last step."""
    if history().past:
        st.session_state.recipe, st.session_state.history = history().undone(recipe())
        _show()


def redo() -> None:
    """Do again what was taken back last."""
    if history().future:
        st.session_state.recipe, st.session_state.history = history().redone(recipe())
        _show()


def reset() -> None:
    """Back to what this network opens with. The network, the data and the layer in focus stay."""
    set_recipe(opening(), "reset")


def release_pins() -> None:
    """All layers follow the dials again; locks stay."""
    set_recipe(replace(recipe(), overrides=()), "pins released")


def pin(layer: str, *steps: Step) -> None:
    """Set dials of one layer, from outside the table, and look at it."""
    set_focus(layer)
    new = recipe()
    for each in steps:
        new = new.with_pin(layer, each)
    set_recipe(new)


def with_whole(layer: str, chain: tuple[Step, ...]) -> Recipe:
    """The recipe on screen with one layer's chain replaced by another."""
    return recipe().with_override(Override(layer, chain, whole=True))


def fold_edits(editor: str, names: list[str], columns: Mapping[str, tuple[str, Callable[[Any], Value]]]) -> None:
    """Edits in the layer table become pins and locks; see dials.folded. Each counts once, when it is made."""
    ss = st.session_state
    now = {row: dict(cells) for row, cells in ss[editor]["edited_rows"].items()}
    seen, ss["folded"] = ss.get("folded", ("", {})), (editor, now)
    known = seen[1] if seen[0] == editor else {}
    fresh = {row: {c: v for c, v in cells.items() if c not in known.get(row, {}) or known[row][c] != v} for row, cells in now.items()}
    for row, cells in fresh.items():
        if "pick" in cells:
            name = names[int(row)]
            ss.picks = tuple(sorted({*picks(), name} if cells["pick"] else {*picks()} - {name}))
    commit(folded(recipe(), fresh, names, columns))


def switch_solo(layer: str) -> None:
    """Show one layer compressed and all others as trained; asked again for the same layer, show all as they are."""
    st.session_state.solo = "" if layer == solo() or not any(layer == known.name for known in network().layers) else layer
