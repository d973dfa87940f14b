"""The race: searches on equal numbers of measured recipes, beside the solver; and the report on test examples."""

import pandas as pd
import streamlit as st

from app import chart, explain, jobs, plots_budget, state, words
from app.budgeting import work
from app.budgeting.work import Raced
from compression.budget.joint import EXAMPLES
from compression.budget.plans import Plan, Proposal
from compression.searching.ways import WAYS

COUNTS, SEEDS = (30, 60, 120), (1, 3, 5)


def race(found: Proposal, key: str, split: str) -> tuple[tuple[Plan, ...], bool]:
    """The section. The searches' measured choices so far, and whether more is to come."""
    net = state.network()
    st.header("Searches, on equal numbers of measurements", anchor=False)
    left, middle, right = st.columns([3, 3, 3], vertical_alignment="bottom")
    count = left.segmented_control("Recipes each may measure", COUNTS, default=COUNTS[1], key="budget.count", persist_state="session", required=True)
    seeds = middle.segmented_control("Seeds", SEEDS, default=SEEDS[0], key="budget.seeds", persist_state="session", required=True)
    asked = jobs.known_as("race", key, count, seeds)
    job = jobs.lasting.find(asked)
    running = job is not None and job.running
    if running:
        right.button("Stop the race", on_click=job.stop, width="stretch", key="budget.race.stop")
    else:
        right.button("Race again" if job else "Race", key="budget.race.start", width="stretch", on_click=jobs.lasting.submit,
                     args=(asked, asked, lambda: work.racing(net, found, count, seeds, split), True))
    raced: Raced | None = job.latest if job else None
    if running:
        done, total = sum(map(len, raced.runs.values())) if raced else 0, len(WAYS) * seeds * count
        left = words.remaining(jobs.eta(done, total, job.seconds))
        doing = f"{done} of {total} recipes measured{f' · {left}' if left else ''}"
        st.progress(min(1.0, done / total), "Measuring what the searches found, on all examples" if raced and raced.plans else doing)
    elif job and job.error:
        st.warning(words.plain(job.error))
    if raced is not None and raced.runs:
        picture(raced, split)
    elif not running:
        options = sum(len(row) - 1 for row in found.table.rows)  # the original is one of them and was not measured
        st.markdown(f"{len(WAYS)} searches try whole recipes within the limits and are told only how far each moved the answers. They begin "
                    f"with the uniform choice. The solver had {options:,} options measured instead, one layer at a time, and a few whole recipes.")
    return (raced.plans if raced else ()), bool(running)


def picture(raced: Raced, split: str) -> None:
    """Best so far against measurements."""
    runs = {WAYS[name].title: [r for (n, _), r in raced.runs.items() if n == name] for name in WAYS if any(n == name for n, _ in raced.runs)}
    chart.show(plots_budget.race(runs, raced.target, raced.evaluations), key="budget.race", height=440,
               alt="Lines: best divergence so far against the number of recipes measured, for each search")
    kind = state.network().data[split].kind
    explain.beside("budget.race", f"Each search had {raced.evaluations} recipes measured on {EXAMPLES[kind]} {split} examples. "
                   "Dashed across: the solver’s choice, measured on the same.", ended(runs, raced), None, lambda: table(runs, raced))


def ended(runs: dict[str, list[tuple[float, ...]]], raced: Raced) -> str:
    """Which search came nearest."""
    last = {title: min(r[-1] for r in seeds) for title, seeds in runs.items()}
    best = min(last, key=last.get)
    beaten = sum(value < raced.target for value in last.values())
    return (f"{best} found the least, {last[best]:.3g} nats; the solver’s choice has {raced.target:.3g}. "
            f"{beaten or 'None'} of {len(last)} searches found{' ' if beaten else ' a '}better{'' if beaten else ' one'}.")


def table(runs: dict[str, list[tuple[float, ...]]], raced: Raced) -> pd.DataFrame:
    """Where every run ended."""
    return pd.DataFrame([{"search": title, "run": i, "recipes measured": len(r), "best divergence (nats)": r[-1]}
                         for title, seeds in runs.items() for i, r in enumerate(seeds, start=1)])


def report(found: Proposal, more: tuple[Plan, ...], key: str, split: str) -> tuple[dict[str, Plan], bool]:
    """The button that asks test examples about every way. What they said so far by way, and whether more is to come."""
    net, asked = state.network(), jobs.known_as("report", key, split, [p.recipe for p in (*found.plans, *more)])
    job = jobs.lasting.find(asked)
    if job is None:
        st.button(f"Report on {split} examples", key="budget.report", on_click=jobs.lasting.submit, icon=":material/fact_check:",
                  args=(asked, asked, lambda: work.reporting(net, found, more, split), True),
                  help=f"{split.capitalize()} examples chose nothing, so what they say is not flattered by choosing.")
        return {}, False
    running = job.running
    if running:
        st.markdown(f":small[Asking {split} examples: {len(job.latest or ())} of {len(found.plans) + len(more)} ways…]")
    elif job.error:
        st.warning(words.plain(job.error))
    return {plan.way: plan for plan in job.latest or ()}, running
