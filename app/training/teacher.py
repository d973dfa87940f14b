"""What a teacher tells beside its answer: its probabilities for one example, which a temperature softens while its dial is dragged."""

import pandas as pd
import streamlit as st
import torch

from app import chart, compute, explain, gallery, plots_training, state, words
from compression.data import Data
from compression.network import Network
from compression.train.distil.losses import softened
from compression.train.loop import watched

TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)
SHARES = {"surest": 1.0, "sure": 0.5, "wavering": 0.1, "least sure": 0.0}  # of the examples that the teacher is less sure of
MOST = 20  # classes that have a bar


def show() -> None:
    """The teacher's bars for one validation example, beside the example."""
    net = state.network().reference
    data = net.data.get("validation")
    if data is None or data.labels is None:
        return
    data = watched(data)
    st.header("What the teacher tells", anchor=False)
    left, right = st.columns([3, 7], gap="large")
    with left:
        how = st.selectbox("An example of which it is", list(SHARES), list(SHARES).index("wavering"), key="train.example", persist_state="session")
        scores, at = _scores(net, data), _places(net, data)
        row = int(at[round(SHARES[how] * (len(at) - 1))])
        st.html(_example(data, row))
    names, values = _bars(data, scores[row])
    chances = [softened(values, t).tolist() for t in TEMPERATURES]
    with right:
        chart.show(plots_training.softened(names, chances, TEMPERATURES), key="train.teacher", height=400,
                   alt="The teacher's probabilities for one example, with a dial for the temperature")
        explain.beside("train.teacher", "Drag the dial: at T = 1 the teacher's own probabilities, above it what it holds to be alike shows. "
                       f"{net.title} on one validation example of {data.name}.",
                       f"At T = 1 it gives {words.share(max(chances[0]))} to {names[0]}, at T = 4 {words.share(max(chances[4]))}; the rest shows "
                       "what else it could have been.", None,
                       lambda: pd.DataFrame({"class": names, **{f"T = {t:g}": c for t, c in zip(TEMPERATURES, chances, strict=True)}}))


def _scores(net: Network, data: Data) -> torch.Tensor:
    """The teacher's scores: (n, classes), of text those after the last character of each window."""
    def ask() -> torch.Tensor:
        with torch.inference_mode():
            found = torch.cat([net.module(part) for part in data.inputs.split(100)])
        return found[:, -1] if found.ndim == 3 else found

    return compute.kept(("teacher's scores", net.digest, data.digest), ask)


def _places(net: Network, data: Data) -> torch.Tensor:
    """The examples, those first of which the teacher is least sure."""
    return _scores(net, data).softmax(-1).amax(-1).argsort()


def _bars(data: Data, scores: torch.Tensor) -> tuple[list[str], torch.Tensor]:
    """Names and scores of the likeliest classes, the likeliest first."""
    order = scores.argsort(descending=True)[:MOST]
    shown = {" ": "space", "\n": "new line"}
    return [shown.get(data.classes[i], data.classes[i]) if i < len(data.classes) else str(i) for i in order.tolist()], scores[order]


def _example(data: Data, row: int) -> str:
    """The example itself, and its truth."""
    if data.kind == "text":
        text = "".join(data.classes[i] for i in data.inputs[row, -gallery.READABLE :].tolist())
        return gallery.plain_card("", f"<code>…{gallery.escape(text)}</code>", data.classes[int(data.labels[row, -1])])
    pixels = (data.inputs[row] * data.std + data.mean).squeeze(0).numpy() if data.kind == "images" else None
    label = int(data.labels[row])
    return gallery.plain_card("" if pixels is None else gallery.picture(pixels), f"Example {row + 1:,}",
                              data.classes[label] if label < len(data.classes) else str(label))
