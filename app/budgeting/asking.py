"""What is asked for on the Budget page: limits, and the dials that may be used."""

from typing import NamedTuple

import streamlit as st

from app import compute, parts, state, words
from app.dials import DIALS, FIRST
from compression.budget.plans import Wish
from compression.network import Network
from compression.recipe import Recipe, Step, step
from compression.registry import dial, method

SMALL = 0.12  # of the original file: what a first visit asks for
CODED = step(FIRST["coding"])


class Asked(NamedTuple):
    """A wish, and what may be done for it."""

    wish: Wish
    chosen: tuple[Step, ...]  # one for each dial; its value does not count
    then: tuple[Step, ...]
    locked: tuple[str, ...]


def splits(net: Network) -> tuple[str, str]:
    """Which data chooses and which reports; empty where there is none."""
    judging = [name for name in net.data if name != "train"]
    chooses = "validation" if "validation" in judging else next(iter(judging), "")
    return chooses, next((name for name in judging if name != chooses), "")


WORDS = ("kb", "lose", "adds")  # in the link


def show() -> Asked:
    """The form."""
    net, recipe = state.network(), state.recipe()
    original = compute.costs(net, Recipe())
    kb, points, millions = f"budget.kb.{net.digest}", "budget.points", f"budget.adds.{net.digest}"
    linked = dict(zip((kb, points, millions), map(_linked, WORDS), strict=True))
    small = None if any(value is not None for value in linked.values()) else float(f"{SMALL * original.original_bytes / 1e3:.2g}")
    for key, value in linked.items():
        state.remember(key, lambda value=small if key == kb and small is not None else value: value)
    size, lose, adds = st.columns(3)
    most_kb = size.number_input("File at most (KB)", 0.0, None, None, 1.0, format="%.1f", key=kb, **state.CHOICE, placeholder="any size",
                                help=f"Of the written file; the original takes {words.size(original.original_bytes)}. Empty it for any size.")
    most_lost = lose.number_input("Lose at most (points)", 0.0, 100.0, None, 0.5, format="%.1f", key=points, **state.CHOICE,
                                  placeholder="any number", help="The upper end of the measured 95 % interval keeps within it. The smallest such "
                                                                 "file is looked for.")
    counted = original.original_multiply_adds
    most_adds = adds.number_input("Multiply-adds at most (M)", 0.0, None, None, 0.1, format="%.2f", key=millions,
                                  **state.CHOICE, placeholder="any number", disabled=counted is None,
                                  help="Only a lower rank saves them." + (f" The original takes {words.many(counted)}." if counted else
                                                                          " They cannot be counted without an example of the inputs."))
    state.remember("budget.dials", _dials)
    state.remember("budget.coded", lambda: state.asked("coded") == "1")
    which = st.pills("Dials that may be used", DIALS, selection_mode="multi", key="budget.dials", **state.CHOICE, width="stretch",
                     format_func=lambda w: f"{method(state.dial_step(w).method).knob(w).label}: {method(state.dial_step(w).method).title}",
                     help="With the methods set in the sidebar. Each layer gets one of them, or stays as it is.")
    picked = [w for w in DIALS if w in (which or ())]
    coded = st.toggle("Huffman-code the bits", key="budget.coded", **state.CHOICE)
    locked = [layer.name for layer in net.layers if recipe.is_locked(layer.name)]
    if locked:
        st.markdown(f":small[Left as trained, as locked: {words.plain(', '.join(locked))}.]")
    state.add(**{word: "" if value is None else f"{value:.10g}" for word, value in zip(WORDS, (most_kb, most_lost, most_adds), strict=True)},
              dials="~".join(picked) if len(picked) < len(DIALS) else "", coded="1" if coded else "")
    wish = Wish(None if most_kb is None else round(1e3 * most_kb), None if most_adds is None else 1e6 * most_adds,
                None if most_lost is None else most_lost / 100)
    return Asked(wish, tuple(_anywhere(state.dial_step(w)) for w in picked), (CODED,) if coded else (), recipe.locked)


def _linked(word: str) -> float | None:
    """A number that the link asks for."""
    text = state.asked(word)
    try:
        value = float(text or "nan")
    except ValueError:
        value = -1.0
    if value < 0 or value == float("inf"):
        state.note(f"The link asks for {word}={text[:20]}; expected a number that is not below 0, so it was left out.")
        return None
    return value if value == value else None


def _dials() -> list[str]:
    """The dials that the link asks for; all where it asks for none."""
    asked = [word for word in state.asked("dials").split("~") if word]
    if unknown := [word for word in asked if word not in DIALS]:
        state.note(f"The link asks for the dial “{unknown[0][:20]}”; there are {', '.join(DIALS)}.")
    return [which for which in DIALS if which in asked] or list(DIALS)


def _anywhere(s: Step) -> Step:
    """A dial's step without the value it happens to be set to."""
    which = dial(s.method)
    return step(s.method, **{**dict(s.knobs), which: method(s.method).knob(which).ladder[0]})


def why_not(asked: Asked) -> str:
    """Why nothing can be looked for, in a sentence; empty where it can."""
    if asked.wish == Wish():
        return "Say what the network may cost: a file size, points, or multiply-adds."
    if not asked.chosen:
        return "Choose at least one dial that may be used."
    if all(dial(s.method) != "rank" for s in asked.chosen) and asked.wish.most_adds is not None:
        return "Only a lower rank saves multiply-adds; allow the rank dial, or leave that limit out."
    return ""


def setting(s: Step | None) -> str:
    """One layer's setting in a few words: 3 bit, 50 % zero, rank 40 %."""
    if s is None or s.off:
        return "original"
    which = dial(s.method)
    return f"{s[which]} bit" if which == "bits" else f"{words.share(s[which], 0)} zero" if which == "sparsity" else (
        f"rank {parts.shown(method(s.method).knob(which), s[which])}")


def kind(s: Step | None) -> str:
    """Which dial it is of."""
    return "original" if s is None else dial(s.method)
