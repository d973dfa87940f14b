"""What was tried in this session, as a tree: each step coloured by how well its recipe answers, its area the size of the file."""

from math import nan

import pandas as pd
import streamlit as st

from app import chart, compute, explain, plots_tradeoff, readiness, state, words
from app.explain import Try
from app.plots_tradeoff import Node
from app.studying.known import known
from app.studying.plan import told
from compression.recipe import Recipe
from compression.score import size_of
from compression.search import Point


def show() -> None:
    """The chart; a click brings a recipe back."""
    net, tree = state.network(), state.tried()
    nodes = [_node(i, *place) for i, place in enumerate(tree.lanes())]
    here = tree.place(state.recipe())
    st.header("What was tried", anchor=False)
    if len(nodes) < 2 or here is None:
        st.markdown("Nothing yet but the recipe this network opened with. Turn a dial or load a recipe: every step is kept here, "
                    "also what is undone.")
        return
    measure = "accuracy" if net.data[state.split()].labels is not None else "agreement"
    values = [n.value for n in nodes if n.value == n.value]
    figure = plots_tradeoff.tried(nodes, here, measure, (min(values, default=0.0), max([*values, min(values, default=0.0) + 0.1])))

    def clicked(at: dict) -> None:
        if isinstance(at["customdata"], int):
            back(at["customdata"])

    chart.show(figure, key="study.tried", height=150 + 70 * (1 + max(n.lane for n in nodes)), on_click=clicked,
               alt="Tree of the recipes tried, coloured by accuracy")
    best = max((n for n in nodes if n.value == n.value), key=lambda n: n.value, default=None)
    explain.beside("tried", "Click a step to bring its recipe back, as a step that can be undone. Hollow: not measured.",
                   f"{len(nodes)} recipes were on screen; {len(values)} of them are measured.",
                   Try("back to the most accurate", back, (best.number,)) if best and best.number != here else None, lambda: pd.DataFrame(
                       [{"step": n.step, "change": n.change, "recipe": n.said, "file (KB)": None if n.kb != n.kb else n.kb,
                         f"{measure} (%)": None if n.value != n.value else n.value, "on screen": n.number == here} for n in nodes]))


def back(number: int) -> None:
    """Bring a recipe of the tree back."""
    nodes = state.tried().nodes
    if 0 <= number < len(nodes):
        state.set_recipe(nodes[number].recipe, f"back to: {words.short(nodes[number].words, 40)}")


def _node(number: int, step: int, lane: int) -> Node:
    net, made = state.network(), state.tried().nodes[number]
    point = known(net, made.recipe, state.split())
    best = point and (point.quality.accuracy or point.quality.agreement)
    return Node(number, step, lane, made.parent, words.short(made.words, 22), told(made.recipe), _kb(made.recipe, point),
                100 * best.value if best else nan)


def _kb(recipe: Recipe, point: Point | None) -> float:
    net = state.network()
    if point is not None:
        return point.file_bytes / 1e3
    if readiness.unready(*readiness.wanted(net, recipe)) or compute.waits_for_repairs(net, recipe):
        return nan
    return size_of(compute.compressed(net, recipe)) / 1e3
