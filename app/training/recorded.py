"""A recorded study: what came out when a way of training was run with several seeds, slid over at once, and run again by a button."""

import json
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import chart, plots_training, state, words
from app.training import wanted
from compression.recipe import Recipe, from_json
from compression.registry import procedures
from compression.train.record import begins_from, study
from compression.zoo.catalogue import ZOO

SHOWN = 40  # letters of one setting that a list shows whole, on a phone too
WIDE = 30  # letters of all settings that stand side by side


def show(name: str) -> None:
    """The study of a way of training, or that there is none."""
    found = study(name)
    if found is None:
        st.markdown(":small[No study of this way of training is recorded yet; what it does here is seen when it is started.]")
        return
    known, seeds = procedures()[name], found["seeds"]
    st.header("Recorded run of ours", anchor=False)
    net, usual = begins_from(name)
    rows = found["rows"]
    recipes = [from_json(json.dumps(row["recipe"])) if "recipe" in row else usual for row in rows]
    alike = len(set(recipes)) == 1
    under = recipe_words(recipes[0]) if alike else ""
    st.markdown(f"{ZOO[net].title}{f', {under}' if under else ''}; {len(seeds)} seeds; about {words.duration(found['seconds'])} each on one core "
                f"(torch {found['torch']}). {f'The literature: {known.finding}' if known.finding else ''}")
    said = [", ".join(([] if alike else [recipe_words(recipe)])
                      + [f"{known.knob(k).label.lower()} {wanted.rung(known.knob(k), v)}" for k, v in row["setting"].items()]) or "as usual"
            for row, recipe in zip(rows, recipes, strict=True)]
    common = dict(format_func=lambda i: said[i], key=f"train.recorded.{name}")
    if sum(map(len, said)) > WIDE:
        at = st.selectbox("Setting", range(len(rows)), **common)
        if len(said[at]) > SHOWN:
            st.markdown(f":small[{said[at][0].upper()}{said[at][1:]}.]")
    else:
        at = st.segmented_control("Setting", range(len(rows)), default=0, required=True, **common) if len(rows) > 1 else 0
    row = rows[at]
    chart.show(plots_training.curves([_band(run) for run in row["runs"]], "steps", "accuracy (%)"), key="train.recorded",
               height=plots_training.height(len(row["runs"]), 320),
               alt="Accuracy on validation examples in the recorded runs: mean and range over seeds")
    st.markdown(f":small[Lines: mean over seeds on {row['watched']:,} validation examples; bands: least to most of them.]")
    table(row["runs"], known.told)
    st.button("Run it again", key="train.again", on_click=again, args=(name, net, recipes[at], row["setting"]),
              help="Opens the network, sets the recipe and the dials as they were recorded, and begins with the first seed.")


def table(runs: list[dict[str, Any]], told: tuple[str, ...] = ()) -> None:
    """What came out of each run: mean and spread over seeds, on test examples that chose nothing, beside what was traced of told names."""
    lines = []
    for run in runs:
        out = [s for s in run["seeds"] if "test" in s]
        if not out:
            continue
        good = [100 * s["test"]["accuracy"] for s in out]
        lines.append({"run": run["title"] + (" (control)" if run["control"] else ""),
                      "test accuracy %": f"{np.mean(good):.1f} ({min(good):.1f}–{max(good):.1f})",
                      **{name: _traced(out, name) for name in told},
                      "file": words.size(float(np.mean([s["file_bytes"] for s in out]))),
                      "seconds": f"{np.mean([s['points'][-1][1] for s in out]):.1f}"})
    if lines:
        beside = " What stands between accuracy and file was traced at the last step, with the curves." if told else ""
        first = next(s for run in runs for s in run["seeds"] if "test" in s)["test"]
        st.dataframe(pd.DataFrame(lines), hide_index=True, width="stretch", alt="What came out of each recorded run")
        st.markdown(f":small[Mean (least–most) over seeds, on {first['n']:,} test examples, which chose nothing; one seed alone is known to "
                    f"± {50 * (first['high'] - first['low']):.1f} points. The original has {words.share(first['original'])}.{beside}]")


def _traced(out: list[dict[str, Any]], name: str) -> str:
    """A traced number at the last step: mean and spread over seeds; empty where a run has none of that name."""
    found = [s["points"][-1][4][name] for s in out if name in s["points"][-1][4]]
    if not found:
        return ""
    mean, *ends = (f"{x:,.0f}" if x >= 1000 else f"{x:.2f}" for x in (float(np.mean(found)), min(found), max(found)))
    return mean if ends[0] == ends[1] else f"{mean} ({ends[0]}–{ends[1]})"


def _band(run: dict[str, Any]) -> dict[str, Any]:
    """Mean, least and most accuracy over seeds, at the steps that all have."""
    curves = [{p[0]: 100 * p[3] for p in s["points"]} for s in run["seeds"]]
    steps = sorted(set.intersection(*map(set, curves)))
    values = np.array([[c[x] for x in steps] for c in curves])  # (seeds, points)
    return {"title": run["title"], "control": run["control"], "x": steps, "y": values.mean(0), "low": values.min(0), "high": values.max(0)}


def again(name: str, net: str, recipe: Recipe, setting: dict[str, Any]) -> None:
    """Everything as it was recorded, with the first seed."""
    state.open_network(net)
    state.set_recipe(recipe, "the recorded study's recipe")
    settings = procedures()[name].settings(**setting)
    wanted.put(name, settings, 0)
    wanted.Wanted(name, tuple(settings.items()), state.network(), state.recipe(), 0).begin()


def recipe_words(recipe: Recipe) -> str:
    """The default steps of a recipe, as people say them; of one with steps for single layers alone, their sparsities."""
    own = [s["sparsity"] for o in recipe.overrides for s in o.steps if "sparsity" in dict(s.knobs)]
    if own and not recipe.default:
        return f"{', '.join(f'{100 * s:.0f}' for s in own)} % zero by layer"
    knobs = {k: v for s in recipe.default if s.on and not s.off for k, v in s.knobs}
    there = {"sparsity", "bits", "rank"} & set(knobs)
    return words.settings(knobs.get("sparsity", 0.0), knobs.get("bits", 32), knobs.get("rank", 1.0)).lower() if there else ""
