"""The answers that changed: cards of the first of them, and what they show in words and as a table."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from app import explain, gallery, state, words
from app.explain import Try
from compression.evaluate import Progress
from compression.recipe import Recipe

IN_TABLE = 200


def asked(progress: Progress) -> str:
    """Which examples a judgement is from, in words."""
    q = progress.quality
    return words.examples(state.network().data[q.split].kind, q.split, q.n, q.of, q.estimated)


def cards(measuring: bool, progress: Progress | None, of: str) -> None:
    """Cards of answers that changed, the newly wrong first: those of the first examples at once, then those of all.

    of: the setting on screen. Until its answers arrive those of the setting before stay, faded, and say whose they are.
    """
    whose = (state.network().digest, state.split())
    if progress is None:
        before = state.remember("gallery", lambda: None)
        if measuring and before and before[0] == whose:
            st.html(gallery.faded(before[1], f"Answers for {before[2]}. Those for {of} are being measured…"))
        else:
            st.markdown("Measuring…" if measuring else "Without data there are no answers to compare. Open a data file beside the network.")
        return
    found, wide = gallery.changed_cards(state.network().data[progress.quality.split], progress, gallery.CARDS)
    made = [gallery.text_card(*c) if wide else gallery.image_card(*c) for c in found]
    shown = gallery.page(made, wide, f"Answers for {of}.") if found else f"No answer changed on {asked(progress)}."
    state.recall("gallery", (whose, gallery.page(made, wide), of) if found else None)
    st.html(shown)


def explained(newest: Callable[[], Progress | None]) -> None:
    """What the cards are, and beside it what the newest judgement shows."""
    explain.beside("examples", "Each card: the truth, the original’s answer and its confidence → the answer now.", lambda: _seen(newest()),
                   Try("the original", state.set_recipe, (Recipe(),)), lambda: _table(newest()))


def _seen(progress: Progress | None) -> str:
    if progress is None:
        return "Nothing is measured yet."
    q = progress.quality
    split = f", {q.newly_wrong:,} newly wrong and {q.newly_right:,} newly right" if q.accuracy else ""
    return f"{'About ' if q.estimated else ''}{q.changed:,} of {q.predictions:,} answers changed{split}, on {asked(progress)}."


def _table(progress: Progress | None) -> pd.DataFrame:
    if progress is None:
        return pd.DataFrame()
    found, wide = gallery.changed_cards(state.network().data[progress.quality.split], progress, IN_TABLE)
    return pd.DataFrame([{**({"before it": shown[-24:]} if wide else {}), "what": said, "truth": truth, "original": old,
                          "confidence": words.share(p), "now": new, "its confidence": words.share(q)}
                         for shown, truth, (old, p), (new, q), said in found])
