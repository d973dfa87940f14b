"""Every layer's recipe as a table: edit a cell to pin it, find layers by their names, set many at once."""

import re
from typing import Protocol, TypeVar

import pandas as pd
import streamlit as st

from app import parts, state, words
from app.dials import DIALS, pinned
from app.pictures import Picture
from compression.method import Value
from compression.recipe import Recipe
from compression.registry import answering, dial, method


class Layered(Protocol):
    """Whatever has a layer's name."""

    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=Layered)
LONGEST, REPEATS = 80, 4  # of a search: more could take for ever
WIDEST = 240  # pixels of the layers' names
TALL = 30  # rows that are shown without scrolling
COLUMNS = {"sparsity": ("sparsity", lambda v: round(v) / 100), "bits": ("bits", int), "rank": ("rank", lambda v: float(v) / 100)}


def find(pictures: tuple[Named, ...], key: str = "find") -> tuple[Named, ...]:
    """The layers whose names fit what is asked for; all where nothing is, or where it is no pattern."""
    asked = st.text_input("Find layers", key=key, placeholder="part of a name, or a pattern: conv|fc", **state.CHOICE)
    if not asked:
        return pictures
    try:
        pattern = sought(asked)
    except ValueError as error:
        st.markdown(f":small[{words.plain(str(error))} All layers are shown.]")
        return pictures
    there = tuple(p for p in pictures if pattern.search(p.name))
    if not there:
        st.markdown(f":small[No layer’s name fits “{words.plain(asked[:60])}”. All layers are shown.]")
    return there or pictures


def sought(asked: str) -> re.Pattern[str]:
    """A regular expression that cannot take long on a layer's name. Raises ValueError in a sentence.

    >>> bool(sought("conv|fc").search("fc1"))
    True
    """
    if len(asked) > LONGEST or sum(asked.count(sign) for sign in "*+{") > REPEATS or re.search(r"\)[*+{]", asked):
        raise ValueError(f"A search has at most {LONGEST} characters and {REPEATS} repeats, and repeats no group.")
    try:
        return re.compile(asked)
    except re.error as error:
        raise ValueError(f"“{asked}” is no regular expression: {error}.") from None


def show(pictures: tuple[Picture, ...]) -> None:
    """The table, and below it what can be done with the rows that are ticked."""
    recipe = state.recipe()
    picked = [p.name for p in pictures if p.name in state.picks()]
    key = f"layers.{state.network().name}.{state.version()}.{hash(tuple(p.name for p in pictures))}"
    names = [p.name for p in pictures]
    rows = [_row(p, recipe) for p in pictures]
    sparsities, bits, ranks = (sorted({rung for n in answering(w) for rung in method(n).knob(w).ladder}) for w in DIALS)
    with st.container(key="layers"):
        st.data_editor(
            pd.DataFrame(rows), key=key, hide_index=True, width="stretch", num_rows="fixed", alt="One row for each layer: its settings and sizes",
            height="content" if len(rows) <= TALL else 1100, on_change=state.fold_edits, args=(key, names, COLUMNS),
            disabled=["layer", "kind", "weights", "method", "before", "after", "sqnr", "note"],
            column_config={
                "pick": st.column_config.CheckboxColumn("Pick", help="Set all ticked layers together, below."),
                "layer": st.column_config.TextColumn("Layer", pinned=True, width=min(WIDEST, 24 + 8 * max(map(len, names)))),
                "weights": st.column_config.NumberColumn("Weights", format="localized"),
                "sparsity": st.column_config.NumberColumn("Sparsity %", min_value=0, max_value=round(100 * sparsities[-1]), step=1,
                                                          help="Editing pins this layer's sparsity."),
                "bits": st.column_config.SelectboxColumn("Bits", options=[str(b) for b in bits], help="32 is the original."),
                "rank": st.column_config.SelectboxColumn("Rank %", options=[f"{100 * r:.0f}" for r in ranks], help="100 is the original."),
                "method": st.column_config.TextColumn("Method", width="small"),
                "locked": st.column_config.CheckboxColumn("Lock", help="A locked layer stays as it was trained."),
                "before": st.column_config.NumberColumn("Before KB", format="%.2f"),
                "after": st.column_config.NumberColumn("After KB", format="%.2f"),
                "sqnr": st.column_config.TextColumn("SQNR dB", alignment="right"),
                "note": "Note",
                "kind": "Kind",
            },
        )
    _together(picked or names, bool(picked))


def _row(p: Picture, recipe: Recipe) -> dict[str, object]:
    now: dict[str, Value] = {}
    for s in recipe.chain(p.name):
        now |= {name: value for name, value in s.knobs if name in DIALS}
    own = recipe.override(p.name)
    late = ["still as before"] if p.name in state.late() else []
    note = "■ locked" if recipe.is_locked(p.name) else "◆ own steps" if own and own.whole else "● pinned" if own else "follows"
    return {
        "pick": p.name in state.picks(), "layer": p.name, "sparsity": round(100 * now.get("sparsity", 0)), "bits": str(now.get("bits", 32)),
        "rank": f"{100 * now.get('rank', 1):.0f}", "locked": recipe.is_locked(p.name), "note": "; ".join([note, *late, *p.refused]),
        "before": p.bytes_before / 1e3, "after": p.bytes_after / 1e3, "sqnr": parts.decibels(p.sqnr), "weights": p.count,
        "method": " · ".join(method(s.method).title for s in recipe.chain(p.name)) or "original", "kind": p.kind,
    }


def _together(names: list[str], ticked: bool) -> None:
    """One dial, the locks, or the pins of several layers as one step."""
    what = f"the {len(names)} ticked" if ticked else f"all {len(names)} listed"
    with st.popover(f"Set {what}", key="together", on_change=state.chosen, icon=":material/tune:") as opened:
        if not opened.open:
            return
        which = st.segmented_control("Dial", DIALS, default=DIALS[0], key="together.dial", required=True, format_func=str.capitalize,
                                     on_change=state.chosen)
        knob = method(state.dial_step(which).method).knob(which)
        value = st.select_slider(knob.label, knob.ladder, knob.default, key=f"together.{which}.{state.dial_step(which).method}",
                                 format_func=lambda v: parts.shown(knob, v), on_change=state.chosen)
        st.button(f"Pin {words.settings(**_said(which, value))} for {what}", key="together.pin", on_click=_pin, args=(names, which, value),
                  width="stretch")
        left, middle, right = st.columns(3)
        left.button("Lock", key="together.lock", on_click=_lock, args=(names, True), width="stretch")
        middle.button("Unlock", key="together.unlock", on_click=_lock, args=(names, False), width="stretch")
        right.button("Follow", key="together.follow", on_click=_follow, args=(names,), width="stretch", help="Take their pins off.")


def _said(which: str, value: Value) -> dict[str, Value]:
    return {"sparsity": 0.0, "bits": 32, "rank": 1.0} | {which: value}


def _pin(names: list[str], which: str, value: Value) -> None:
    new = state.recipe()
    now = next(s for s in new.default if dial(s.method) == which)
    for name in names:
        new = new.with_pin(name, pinned(now, which, value))
    state.set_recipe(new, f"{len(names)} layers: {words.settings(**_said(which, value))}")


def _lock(names: list[str], on: bool) -> None:
    new = state.recipe()
    for name in names:
        new = new.with_lock(name, on)
    state.set_recipe(new, f"{len(names)} layers {'locked' if on else 'unlocked'}")


def _follow(names: list[str]) -> None:
    new = state.recipe()
    for name in names:
        new = new.without_pin(name)
    state.set_recipe(new, f"{len(names)} layers follow the dials")
