"""How few bits for weights and activations together: every pair measured, beside the rewriting that rounds activations."""

import time

import numpy as np
import streamlit as st

from app import chart, drawings, jobs, long_work, state, words
from app.chart.ticker import tick
from app.part import part
from compression.recipe import Recipe, Step
from compression.search import Point, bit_pairs

BITS = (32, 8, 6, 4, 3, 2)
CLOSE = 0.01  # half-width to which each pair's accuracy is measured


@part
def show(chosen: Step) -> None:
    """The grid, with the range and the rotation that the dials are set to; a click on a cell begins a recipe with it."""
    net, split, owner = state.network(), state.split(), state.owner("bench.bits")
    if not net.data:
        return
    recipes = bit_pairs(BITS, BITS, chosen)
    key, job = (net.digest, net.data[split].digest, tuple(recipes)), jobs.long.find(owner)
    mine = job is not None and job.key == key
    running = mine and job.running  # asked before what there is, or the last points could be missed
    points: list[Point] = job.items if mine else []

    def start() -> None:
        jobs.long.submit(owner, key, lambda: long_work.studying(net, recipes, split, CLOSE), again=True)

    st.subheader("Weights and activations together", anchor=False)
    left, right = st.columns([3, 1], vertical_alignment="center")
    if running:
        left.progress(len(points) / len(recipes), f"Pair {len(points)} of {len(recipes)} · "
                      f"{words.remaining(jobs.eta(len(points), len(recipes), job.seconds))}")
        right.button(f"Stop, keep {len(points)}", on_click=job.stop, width="stretch", key="bench.bits.stop")
    else:
        told = f"{len(points)} of {len(recipes)} pairs measured in {job.seconds:.0f} s." if mine else f"{len(recipes)} pairs, none measured yet."
        left.markdown((mine and job.error) or told)
        right.button("Measure again" if mine else "Measure the pairs", on_click=start, width="stretch", key="bench.bits.start")
    if points:
        _picture(recipes, points)
    tick(running, time.monotonic_ns() % 10**9, 400, key="bench.bits.tick")


def _picture(recipes: list[Recipe], points: list[Point]) -> None:
    good = np.full((len(BITS), len(BITS)), np.nan)
    for recipe, point in zip(recipes, points, strict=False):
        good.flat[recipes.index(recipe)] = 100 * point.good

    def clicked(at: dict) -> None:
        weights, activations = BITS.index(int(at["y"].split()[0])), BITS.index(int(at["x"].split()[0]))
        state.set_recipe(recipes[weights * len(BITS) + activations])

    measure = "accuracy" if points[0].quality.accuracy else "agreement"
    chart.show(drawings.pairs_of_bits(BITS, good, measure), key="bench.bits", height=360, on_click=clicked,
               alt="Heat map: accuracy by bits of weights and of activations")
    st.caption(f"Weights with one scale for each channel, activations with the range the dial has; 32 bits are as trained. "
               f"{words.asked([p.quality.n for p in points], points[0].quality.of, state.split()).replace('cell', 'pair')} "
               "Each is known to ± 1 point or closer. Click a cell to make it the recipe on screen.")
