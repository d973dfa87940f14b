"""The Trade-off page's controls: what is swept and by which methods, how closely, and what stands beside it."""

from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from app import state
from app.dials import DIALS
from app.studying import plan, rows
from app.studying.plan import AIMS, MOST_RECIPES, MOST_STUDIES, Plan
from app.studying.rows import Wish
from compression.registry import method

UNTIL = {"± 1 point": 0.01, "± ½ point": 0.005, "all examples": 0.0}
LABELS = {"sparsity": "Sparsity by", "bits": "Bits by", "rank": "Rank by"}
CONTROLS = {"random": "Random pruning", "dense": "Smaller networks"}


class Asked(NamedTuple):
    """What a person has chosen."""

    wish: Wish
    trouble: str  # why it cannot be measured as it is


def show() -> Asked:
    """Draw them."""
    net, split = state.network(), state.split()
    chosen = []
    *columns, last = st.columns([13, 13, 11, 7])
    for column, which in zip(columns, DIALS, strict=True):
        mine = state.remember(f"study.first.{which}", lambda which=which: [] if which == "rank" else [state.dial_step(which).method])
        names = column.multiselect(LABELS[which], plan.offered(which), mine, key=f"study.{which}",
                                   format_func=lambda n: method(n).title, **state.CHOICE, placeholder="not swept",
                                   help="Several methods are several studies on one chart. Without one, this dial stays as it is on the left.")
        if names:
            chosen.append((which, tuple(names)))
    search = last.number_input("Layer by layer", 0, 400, 0, 20, key="study.search", **state.CHOICE,
                               help="So many more recipes, layer by layer, are bred from the front once the rest is measured (after NSGA-II).")
    first, second, third = st.columns([4, 6, 6])
    settings = first.segmented_control("Settings of each", AIMS, default="some", key="study.settings", **state.CHOICE, required=True,
                                       help="Of each dial, how many; a method takes those of its settings that are nearest.")
    until = second.segmented_control("Measure each until", UNTIL, default="± ½ point", key="study.until", **state.CHOICE, required=True,
                                     help="Half-width to which a recipe's accuracy on these examples is known.")
    beside = third.pills("Beside them", CONTROLS, default=list(CONTROLS), selection_mode="multi", key="study.beside", **state.CHOICE,
                         format_func=CONTROLS.get, help="Controls. Random pruning at the same settings: every method must beat it. And the other "
                         "networks here that weigh less and are judged on the same examples: trained small, not compressed.")
    swept = Plan(state.remember(f"study.base.{net.name}", state.recipe), tuple(chosen), settings)
    trouble = _trouble(swept)
    if trouble:
        swept = replace(swept, methods=())
    elif search and split == "test":
        trouble, search = "A search chooses, and choosing happens on validation examples: judge on them, or set “Layer by layer” to 0.", 0
    others = rows.smaller_networks(net, tuple(state.titles()), split) if "dense" in beside else ()
    return Asked(Wish(swept, UNTIL[until], "random" in beside, others, int(search)), trouble)


def _trouble(swept: Plan) -> str:
    if not swept.methods:
        return "Choose at least one method for a dial to sweep."
    studies, recipes = 1, 1
    for _, names in swept.methods:
        studies, recipes = studies * len(names), recipes * sum(len(plan.levels(n, swept.settings)) for n in names)
    if studies > MOST_STUDIES:
        return f"These are {studies} studies, and at most {MOST_STUDIES} can be told apart on one chart. Take methods out."
    if recipes > MOST_RECIPES:
        return f"These are {recipes} recipes; at most {MOST_RECIPES} are measured at a time. Take fewer settings of each, or sweep fewer dials."
    return ""


def other_base(swept: Plan) -> bool:
    """Whether the recipe on screen differs from what a study keeps in more than the dials that it sweeps."""
    return plan.sweeps(swept)[:1] != plan.sweeps(Plan(state.recipe(), swept.methods, swept.settings))[:1]


def take_base() -> None:
    """Let studies keep what the recipe on screen says of all else."""
    state.recall(f"study.base.{state.network().name}", state.recipe())
