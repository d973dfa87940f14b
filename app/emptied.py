"""Does a layer run empty? Prunings with one threshold for the network, side by side: the layer that has least left, as sparsity rises."""

from typing import NamedTuple

import numpy as np
import streamlit as st

from app import chart, compute, drawings, waiting, words
from app.readiness import Wanted
from compression.apply import prepared
from compression.network import Network
from compression.pruning.ranking import LADDER
from compression.recipe import Step, step
from compression.registry import method

BESIDE = ("pruning.random", "pruning.global_magnitude", "pruning.gradient_weight", "pruning.synflow")  # Tanaka et al. 2020, figure 1


class Least(NamedTuple):
    """Of the layer that has least left at each rung: the share of its weights that is left, and its name."""

    left: np.ndarray  # (rungs,)
    layer: list[str]


def least(net: Network, layer: str, name: str) -> Least:
    """What a pruning leaves of the network's emptiest layer. One by lot takes the same share of all."""
    if name == "pruning.random":
        return Least(1 - np.array(LADDER), ["all alike"] * len(LADDER))
    table = prepared(net.layer(layer), (step(name),), compute.memo(), net.digest).densities.numpy()  # (layers, rungs)
    return Least(table.min(0), [net.layers[i].name for i in table.argmin(0)])


def show(net: Network, layer: str, own: Step) -> None:
    """The section, for a pruning that takes from the whole network at once."""
    if own.method != "pruning.random" and not hasattr(prepared(net.layer(layer), (own,), compute.memo(), net.digest), "densities"):
        return
    names = [n for n in dict.fromkeys((own.method, *BESIDE)) if method(n).why_not(net.layer(layer).weight, net.layer(layer)) is None]
    st.subheader("Does a layer run empty?", anchor=False)
    if not waiting.ready(net, [Wanted(layer, (step(n),)) for n in names], "bench.emptied"):
        return
    lines = {method(n).title: least(net, layer, n) for n in names}
    chart.show(drawings.emptied(LADDER, {title: line.left for title, line in lines.items()}, {title: line.layer for title, line in lines.items()},
                                float(own["sparsity"])),
               key="bench.emptied", alt="Share left of the emptiest layer as the network's sparsity rises, for several prunings", height=340)
    empty = [f"{title} empties {line.layer[at]} at {words.share(LADDER[at], 0)}" for title, line in lines.items()
             for at in np.flatnonzero(line.left <= 0)[:1]]
    others = "No way empties a layer" if not empty else "; ".join(empty)
    st.caption(f"With one threshold for the whole network, up to 99 % sparsity. {others}. An empty layer lets nothing through: where no residual "
               "link goes around it, every example then gets the same answer. By lot all layers lose alike.")
