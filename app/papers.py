"""Deep Compression on the Methods page: three steps, what each does to the file, what the file holds, and what the paper reports."""

import time

import pandas as pd
import streamlit as st

from app import bench, chart, compute, drawings, parts, plots, state, words
from app.chart.ticker import tick
from app.part import part
from app.written import Written, written
from compression.network import Network
from compression.recipe import Recipe
from compression.zoo.recipes import DEEP_COMPRESSION, PAPER, WITHOUT_RETRAINING

LINK = "deep-compression"
HOW = {"As pruned in the paper": DEEP_COMPRESSION, "As far as one point goes": WITHOUT_RETRAINING}


def show() -> None:
    """The section."""
    state.add(method=LINK)
    net = state.network()
    st.markdown("Prune the smallest weights, let the rest share a few values, and write values and places in Huffman’s code. "
                ":small[*Han et al. 2016, Deep Compression, arXiv:1510.00149.* O’Neill’s survey, section 6.4.]")
    titles = {name: title for name, title in state.titles().items() if name in PAPER}
    if net.name not in titles:
        st.info(f"The paper’s recipes are for {' and '.join(titles.values())}. Open one of them.")
    with st.container(horizontal=True):
        for name, title in titles.items():
            if name != net.name:
                st.button(f"Open {title}", on_click=state.open_network, args=(name,))
    if net.name not in titles:
        return
    how = st.segmented_control("How much is pruned", HOW, key=bench.seeded("papers.how", next(iter(HOW))), required=True, **state.CHOICE,
                               help="With the paper’s sparsities; or as much of each layer as costs one point on our validation examples in all.")
    recipe = HOW[how][net.name]
    with st.spinner("Writing the file and reading it back…"):
        file = written(net, recipe)
    _cards(net, recipe)
    _beside(net)
    left, right = st.columns([2, 3], gap="large")
    with left:
        chart.show(plots.waterfall(file.stages), key="papers.stages", alt="Waterfall: bytes of the file after each of three steps", height=380)
    with right:
        chart.show(drawings.slices(file.slices), key="papers.slices", alt="Waterfall: what the file holds, slice by slice", height=380)
    total = sum(file.slices.values())
    st.markdown(f"The slices add up to {total:,} bytes, the length of the file. It was read back: {file.read_back:,} of {file.numbers:,} stored "
                f"numbers are the same, bit for bit." if file.read_back == file.numbers else
                f"**The file does not give back what was stored:** {file.read_back:,} of {file.numbers:,} numbers are the same. Please report it.")
    _layers(file)
    left, right, _ = st.columns([2, 2, 1])
    left.download_button("Download the file", lambda: compute.packed(net, recipe), f"{net.name}-{LINK}.shrk", on_click="ignore", width="stretch")
    right.button("Use this recipe", on_click=state.set_recipe, args=(recipe,), width="stretch", help="Explore then shows it, layer by layer.")


@part
def _cards(net: Network, recipe: Recipe) -> None:
    file, quoted = written(net, recipe), PAPER[net.name]
    size, accuracy, paper, error = st.columns(4)
    last, first = file.stages["coded"], file.stages["original"]
    size.metric("Size of the file", words.size(last), words.smaller(last, first), delta_color="off", delta_arrow="off", border=True,
                help=f"{last:,} bytes, was {first:,}: the length of the file that is written, everything in it included.")
    job, progress = parts.judgement(recipe, "papers")
    with accuracy:
        bench.answers(job, progress)
    paper.metric("The paper’s file", f"{quoted.after} KB", f"{quoted.ratio:g}× smaller", delta_color="off", delta_arrow="off", border=True,
                 help=f"Was {quoted.before:,} KB. {quoted.source}. A quotation, not a measurement of ours.")
    error.metric("The paper’s error", words.share(quoted.error_after, 2), f"{quoted.data}, was {words.share(quoted.error_before, 2)}",
                 delta_color="off", delta_arrow="off", border=True, help=f"{quoted.source}. Of the {quoted.data} test examples, after retraining.")
    tick(parts.more_to_come(job, progress), time.monotonic_ns() % 10**9, 300, key="papers.tick")


def _beside(net: Network) -> None:
    quoted, data = PAPER[net.name], next(iter(net.data.values())).name
    st.caption(f"The first two are measured here, on {data}, with nothing retrained between the steps. The other two are what the paper reports "
               f"on {quoted.data}, trained on after each step, which won its accuracy back. Sizes can be compared; accuracies cannot.")


def _layers(file: Written) -> None:
    kinds = [word for word in file.slices if any(word in part.slices for part in file.parts)]
    st.dataframe(pd.DataFrame({
        "layer": [p.layer for p in file.parts], "weights": [p.weights for p in file.parts],
        "sparsity": [words.share(p.sparsity, 0) for p in file.parts], "bits": [p.bits for p in file.parts], "stored": [p.places for p in file.parts],
        **{word: [p.slices.get(word, 0) for p in file.parts] for word in kinds}, "total": [sum(p.slices.values()) for p in file.parts],
    }), hide_index=True, width="stretch", alt="The layers of the file, with the bytes of each slice", column_config={
        "layer": "Layer", "weights": st.column_config.NumberColumn("Weights", format="localized"), "sparsity": "Sparsity", "bits": "Bits",
        "stored": "Places stored as", **{word: st.column_config.NumberColumn(f"{word.capitalize()} (B)", format="localized") for word in kinds},
        "total": st.column_config.NumberColumn("Total (B)", format="localized")})
