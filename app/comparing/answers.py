"""What A and B answer: cards of the examples on which they differ, and text that both write from the same start."""

from html import escape

import streamlit as st
import torch

from app import compute, gallery, state
from app.comparing.sides import Side
from compression.compare import BETTER, CHANGED, OTHER, WORSE, Comparison, places
from compression.data import Data
from compression.evaluate import Answers
from compression.score import changed
from compression.writing import encoded, parting, writing

SORTS = {WORSE: "✗ newly wrong", BETTER: "✓ newly right", OTHER: "≠ wrong both times", CHANGED: "≠ changed"}
WRITTEN, START, SEED = 160, 48, 0  # characters, and the dice of both
TEXT = """<style>
.written {white-space: pre-wrap; font-family: monospace; font-size: .9rem; line-height: 1.5; overflow-wrap: anywhere}
.written mark {background: #D55E00; color: #fff; padding: 0 .1em}
.written i {opacity: .6; font-style: normal}
</style>"""


def cards(found: Comparison, data: Data, a: Answers, b: Answers) -> None:
    """Cards of one sort of the answers that differ, the surest first."""
    there = [sort for sort in SORTS if found.count(sort)]
    if not there:
        st.markdown("No answer differs.")
        return
    sort = st.segmented_control("Sort of change", there, default=there[0], key="compare.sort", required=True, label_visibility="collapsed",
                                format_func=lambda s: f"{SORTS[s]} · {found.count(s):,}")
    chosen = places(found, a, b, sort if sort in there else there[0])
    rows = torch.arange(len(data))
    made, wide = gallery.cards(data, a, b, rows, chosen, gallery.CARDS)
    drawn = [gallery.text_card(*c) if wide else gallery.image_card(*c) for c in made]
    st.html(gallery.page(drawn, wide) if drawn else "All of these stand at the very beginning of their text, with too little before them.")
    st.markdown(":small[Each card: the truth, A’s answer and its confidence → B’s answer. Those first of which both are surest.]")


def texts(a: Side, b: Side, data: Data) -> None:
    """What both write after the same words with the same dice, and where they part."""
    first = "".join(data.classes[i] for i in data.inputs[0][:START].tolist())
    state.remember("compare.start", lambda: " ".join(first.split()))
    start = st.text_input("Let both go on from", key="compare.start", max_chars=200)
    try:
        prompt = encoded(start, data)
    except ValueError as error:
        st.warning(str(error))
        return
    wrote = [_written(side, data, prompt, start) for side in (a, b)]
    at = parting(*wrote)
    for column, letter, text in zip(st.columns(2), "AB", wrote, strict=True):
        column.markdown(f"**{letter}**")
        tail = escape(text) if at is None else f"{escape(text[:at])}<mark>{escape(text[at])}</mark>{escape(text[at + 1 :])}"
        column.html(f'{TEXT}<div class="written"><i>{escape(start)}</i>{tail}</div>')
    st.markdown(f":small[{'Both write the same' if at is None else f'They part at character {at + 1}, marked'}. Same start, same dice (seed {SEED}), "
                f"temperature 0.8, {WRITTEN} characters.]")


def _written(side: Side, data: Data, prompt: torch.Tensor, start: str) -> str:
    def write() -> str:
        done = compute.complete(side.net, side.recipe)
        symbols = writing(done.network, changed(done, done.weights()), prompt, WRITTEN, data.inputs.shape[1], seed=SEED)
        return "".join(data.classes[i] for i in symbols)

    return compute.kept(("written", side.net.digest, compute.fingerprint(side.net, side.recipe), data.digest, start), write)
