"""What was recorded of the networks that ship, shown before anything is run."""

from typing import Any

import pandas as pd
import streamlit as st

from app import chart, explain, plots_budget, state, words
from app.budgeting.proposal import NAMES
from compression.budget.plans import SOLVER
from compression.budget.recorded import recorded
from compression.searching.ways import WAYS

Rows = dict[str, dict[str, Any]]


def show() -> None:
    """The section; nothing where nothing was recorded."""
    found = recorded(state.network())
    if not found:
        return
    st.header("Recorded", anchor=False)
    budgets = {b["said"]: b for b in found["budgets"]}
    raced = next((said for said, budget in budgets.items() if budget["race"]), found["budgets"][-1]["said"])
    which = st.segmented_control("As many bytes as", list(budgets), default=raced, key="budget.recorded", persist_state="session", required=True)
    budget = budgets.get(which) or found["budgets"][-1]
    rows: Rows = {**budget["ways"], **budget["searches"]}
    st.markdown(said(rows))
    left, right = st.columns(2, gap="large")
    with left:
        _ways(rows, budget, found)
    with right:
        if budget["race"]:
            _race(rows, budget, found)
    made = found["made"]
    st.markdown(f":small[Recorded by `{made['command']}` with torch {made['torch']}. Options: uniform bits, magnitude pruning, SVD.]")


def _ways(rows: Rows, budget: dict[str, Any], found: Any) -> None:
    chart.show(plots_budget.ways([(NAMES[w], _lost(r.get("validation")), _lost(r["test"])) for w, r in rows.items()]), key="budget.recorded.ways",
               alt="Recorded: points lost by each way at the same bytes", height=34 * len(rows) + 130)
    counts = [f"{rows[SOLVER][split]['n']:,} {split}" for split in ("validation", "test")]
    explain.beside("budget.recorded.ways", f"Files of at most {words.size(budget['most_bytes'])}; the original takes "
                   f"{words.size(found['original_bytes'])}. {counts[0]} examples chose, {counts[1]} examples report.", said(rows), None,
                   lambda: table(rows))


def _race(rows: Rows, budget: dict[str, Any], found: Any) -> None:
    runs = {WAYS[name].title: seeds for name, seeds in budget["race"].items()}
    longest = max(len(run) for seeds in runs.values() for run in seeds)
    chart.show(plots_budget.race(runs, rows[SOLVER]["nats_raced"], longest), key="budget.recorded.race", height=34 * len(rows) + 130,
               alt="Recorded: best divergence so far against the number of recipes measured")
    ended = [run[-1] for seeds in runs.values() for run in seeds]
    seeds = len(next(iter(runs.values())))
    explain.beside("budget.recorded.race", f"Each search from {seeds} seed{'s' if seeds > 1 else ''}, {longest} recipes measured. Dashed across: "
                   f"the solver’s choice, which needed {found['options'] - found['layers']} options of single layers "
                   "measured instead, and a few whole recipes.",
                   f"The solver’s choice has {rows[SOLVER]['nats_raced']:.3g} nats; the searches ended between {min(ended):.3g} and "
                   f"{max(ended):.3g}.", None, lambda: pd.DataFrame(
                       [{"search": title, "run": i, "recipes measured": len(run), "best divergence (nats)": run[-1]}
                        for title, seeds in runs.items() for i, run in enumerate(seeds, start=1)]))


def _lost(row: dict[str, float] | None) -> tuple[float, float, float] | None:
    return row and tuple(100 * row[k] for k in ("drop", "drop_low", "drop_high"))


def said(rows: Rows) -> str:
    """How the solver did on test examples, way by way."""
    better, worse, even = [], [], []
    for name, row in rows.items():
        if name != SOLVER:
            clear = row["test"]["chance"] is not None and row["test"]["chance"] < 0.05
            gain = 100 * row["test"]["solver_gains"]
            (better if clear and gain > 0 else worse if clear else even).append(f"{NAMES[name]} {words.signed(gain)}")
    sides = (("clearly ahead of", better), ("clearly behind", worse), ("no clear difference from", even))
    parts = [f"{what} {', '.join(some)}" for what, some in sides if some]
    return (f"On test examples the solver loses **{100 * rows[SOLVER]['test']['drop']:.2f} points**: {'; '.join(parts)}. "
            ":small[Points that the solver is ahead, by the paired test.]")


def table(rows: Rows) -> pd.DataFrame:
    """The numbers of the recorded chart."""
    return pd.DataFrame([{
        "way": NAMES[name], "file": words.size(row["file_bytes"]), "≈ divergence, added up (nats)": row["nats_added"],
        "divergence together (nats)": row["nats_together"],
        **{f"lost on {s} (points)": f"{100 * row[s]['drop']:.2f} ± {50 * (row[s]['drop_high'] - row[s]['drop_low']):.2f}"
           for s in ("validation", "test") if s in row},
        "solver ahead on test (points)": 100 * row["test"].get("solver_gains", 0.0), "p": row["test"].get("chance"),
    } for name, row in rows.items()])
