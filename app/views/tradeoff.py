"""Trade-off: what is the best deal? Recipes measured one by one, accuracy against the size of the file."""

import time

import pandas as pd
import streamlit as st

from app import chart, compute, jobs, parts, plots, state, words
from app.chart.ticker import tick
from app.part import part
from compression.evaluate import Estimate
from compression.recipe import Recipe
from compression.search import Point, front, grid, knee

SPARSITIES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9)
BITS = (32, 8, 5, 4, 3, 2)
UNTIL = {"± 1 point": 0.01, "± ½ point": 0.005, "all examples": 0.0}


def show() -> None:
    """The whole page."""
    net = state.network()
    st.title("Trade-off", anchor=False)
    st.markdown("Every pair of a sparsity and a bit width, with your pins, locks and other settings kept. Click a dot to load its recipe.")
    if not net.data:
        st.info("This network was opened without data, so there are no answers to compare. Open a data file beside it.")
        return
    first, second = st.columns([3, 1])
    with first:
        until = st.segmented_control("Measure each until", UNTIL, default="± ½ point", key="study.until", persist_state="session",
                                     help="Half-width to which a recipe's accuracy on these examples is known.") or "± ½ point"
    tolerance = second.number_input("Allowed drop (points)", 0.0, 50.0, 1.0, 0.5, key="study.tolerance", persist_state="session")
    _study(until, float(tolerance))


@part
def _study(until: str, tolerance: float) -> None:
    net, split, owner = state.network(), state.split(), state.owner("study")
    job = jobs.long.find(owner)
    mine = job is not None and job.key[0] == (net.digest, net.data[split].digest, until)
    total = len(SPARSITIES) * len(BITS)

    def start() -> None:
        recipes = grid(state.recipe(), SPARSITIES, BITS, state.dial_step("sparsity").method, "quantization.uniform")
        key = ((net.digest, net.data[split].digest, until), tuple(recipes))
        jobs.long.submit(owner, key, lambda: compute.studying(net, recipes, split, UNTIL[until]), again=True)

    left, right = st.columns([3, 1], vertical_alignment="center")
    running = mine and job.running  # asked before what there is, or the last points could be missed
    points: list[Point] = job.items if mine else []
    if not mine:
        left.markdown(f"No study yet: {len(SPARSITIES)} sparsities × {len(BITS)} bit widths.")
        right.button("Measure the recipes", on_click=start, width="stretch")
    elif running:
        left.progress(len(points) / total, f"Recipe {len(points)} of {total} · {words.remaining(jobs.eta(len(points), total, job.seconds))}")
        right.button(f"Stop, keep {len(points)}", on_click=job.stop, width="stretch")
    else:
        left.markdown(job.error or f"{len(points)} of {total} recipes measured in {job.seconds:.0f} s.")
        right.button("Measure again", on_click=start, width="stretch")
    _picture(points, tolerance)
    if mine or parts.judging():
        tick(running or parts.judging(), time.monotonic_ns() % 10**9, 400, key="study.tick")


def _picture(points: list[Point], tolerance: float) -> None:
    net, recipe = state.network(), state.shown()
    best = front(points)
    middle = knee(best)
    dots = [_dot(p) for p in points]
    costs = compute.costs(net, recipe)
    quality = parts.judged()
    original = here = None
    if quality:
        good = quality.accuracy or quality.agreement
        here = _star(good, costs.file_bytes, f"the recipe on screen{words.layers(0, 0, len(state.late()))}")
        original = _star(quality.original, costs.original_bytes, "the original") if quality.original else None
    measure = "accuracy" if quality is None or quality.accuracy else "agreement"

    def clicked(at: dict) -> None:
        number = at["customdata"]
        if isinstance(number, int) and 0 <= number < len(points):
            state.set_recipe(points[number].recipe)
        elif number == -2:
            state.set_recipe(Recipe())

    chart.show(plots.tradeoff(dots, [points.index(p) for p in best], points.index(middle) if middle else None, here, original, tolerance, measure),
               key="study.chart", alt="Scatter: accuracy against file size, with the Pareto front", height=460, on_click=clicked)
    st.markdown(":small[Front: nothing measured is smaller without being worse. Ring: the knee, the point of the front farthest from the "
                "straight line between its ends when both axes are scaled to 0–1; a landmark, not an optimum. Bars: 95 % intervals.]")
    if points:
        table = pd.DataFrame({
            "recipe": [d["said"] for d in dots], "size KB": [d["kb"] for d in dots], f"{measure} %": [100 * d["good"] for d in dots],
            "± points": [50 * (d["high"] - d["low"]) for d in dots], "on the front": [p in best for p in points],
        })
        st.dataframe(table, hide_index=True, width="stretch", column_config={
            "size KB": st.column_config.NumberColumn(format="%.1f"), f"{measure} %": st.column_config.NumberColumn(format="%.1f"),
            "± points": st.column_config.NumberColumn(format="%.1f")})
        st.markdown(f":small[{words.asked([p.quality.n for p in points], points[0].quality.of, state.split()).replace('cell', 'recipe')}]")


def _star(good: Estimate, count: int, said: str) -> dict:
    return {"good": good.value, "low": good.low, "high": good.high, "kb": count / 1e3, "said": said}


def _dot(p: Point) -> dict:
    knobs = {name: value for s in p.recipe.default for name, value in s.knobs}
    good = p.quality.accuracy or p.quality.agreement
    return _star(good, p.file_bytes, words.settings(knobs.get("sparsity", 0), knobs.get("bits", 32), knobs.get("rank", 1)))
