"""What is seen of a training: its curves, what is special to each run, and what came out, judged on all examples."""

from dataclasses import dataclass
from math import sqrt

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import chart, compute, drawings, explain, found, jobs, plots_training, state, words
from app.training.wanted import Wanted
from compression.evaluate import Progress, Z
from compression.train.dial import Dial
from compression.train.progress import Progress as Training
from compression.train.progress import Run, Trained

FIRST_WAIT = 0.05  # seconds a page waits for a first estimate
ALONG = {"seconds": "Seconds", "steps": "Steps"}


@dataclass(frozen=True)
class Outcome:
    """What came out of a run: what its file weighs, and how it answers so far."""

    trained: Trained
    bytes: int
    original_bytes: int
    progress: Progress | None
    coming: bool


def curves(training: Training, key: str) -> None:
    """Accuracy on the watched validation examples, and the loss, of all runs."""
    along = st.segmented_control("Along", ALONG, default="seconds", key=f"{key}.along", format_func=ALONG.get, required=True,
                                 label_visibility="collapsed")
    rows = [_line(run, along, training.watched) for run in training.runs if run.points]
    total = max((run.steps for run in training.runs), default=1) if along == "steps" else None
    left, right = _pairs(2)
    with left:
        chart.show(plots_training.curves(rows, along, "accuracy (%)", total), key=f"{key}.accuracy", height=plots_training.height(len(rows), 340),
                   alt="Accuracy on validation examples while it trains, a line for each run")
        explain.beside("train.accuracy", f"On {training.watched:,} validation examples that teach nothing; bands: 95 % intervals. "
                       "Seconds are of processor time on one core.", lambda: _told(training), None, lambda: _table(training))
    with right:
        losses = [row | {"y": row["loss"], "low": None} for row in rows if any(x == x for x in row["loss"])]
        chart.show(plots_training.curves(losses, along, "loss", total), key=f"{key}.loss", height=plots_training.height(len(losses), 340),
                   alt="Training loss, a line for each run")
        st.markdown(":small[Mean loss of the batches since the last point, on training examples; runs with other losses cannot be compared.]")
    traced = sorted({name for run in training.runs for p in run.points for name in p.traced})
    for name, place in zip(traced, _pairs(len(traced)), strict=True):
        with place:
            lines = [{"title": r.title, "control": r.control, "x": [_x(p, along) for p in r.points if name in p.traced],
                      "y": [p.traced[name] for p in r.points if name in p.traced]} for r in training.runs if any(name in p.traced for p in r.points)]
            chart.show(plots_training.curves(lines, along, name, total), key=f"{key}.traced.{name}",
                       height=plots_training.height(len(lines), 280), alt=f"{name} while it trains")
    for i, run in enumerate(training.runs):
        if run.picture is not None:
            pictures(run, f"{key}.picture.{i}")


def _pairs(count: int) -> list[DeltaGenerator]:
    """Places for so many small charts, two side by side: in less width their titles would be cut."""
    return [place for _ in range(-(-count // 2)) for place in st.columns(2, gap="medium")][:count]


def pictures(run: Run, key: str) -> None:
    """What is special to a run, as the page of methods draws what was prepared."""
    st.subheader(run.title[0].upper() + run.title[1:], anchor=False)
    if isinstance(run.picture, Dial):
        chart.show(plots_training.dial(run.picture), key=f"{key}.dial", alt=run.picture.question, height=440)
        explain.beside("train.dial", "Move the dial: nothing is trained again.", f"{run.picture.name} {run.picture.settings[run.picture.begins]}: "
                       f"{run.picture.told[run.picture.begins]}.", None, lambda: _dialled(run.picture))
        return
    drawn = found.plain(run.picture)
    for i, (picture, place) in enumerate(zip(drawn, _pairs(len(drawn)), strict=True)):
        with place:
            chart.show(drawings.found(picture.kind, picture.title, picture.values, picture.x, picture.y, picture.at), key=f"{key}.{i}",
                       alt=picture.title, height=300)
            st.markdown(f":small[{picture.said}]")


def _dialled(picture: Dial) -> pd.DataFrame:
    return pd.DataFrame({picture.name: picture.settings, "what comes of it": picture.told})


def _x(p, along: str) -> float:
    return p.seconds if along == "seconds" else p.step


def _line(run: Run, along: str, watched: int) -> dict:
    half = [100 * Z * sqrt(max(p.accuracy * (1 - p.accuracy), 0) / watched) for p in run.points]
    good = [100 * p.accuracy for p in run.points]
    return {"title": run.title, "control": run.control, "x": [_x(p, along) for p in run.points], "y": good, "loss": [p.loss for p in run.points],
            "low": [g - h for g, h in zip(good, half, strict=True)], "high": [g + h for g, h in zip(good, half, strict=True)]}


def _told(training: Training) -> str:
    said = [f"{run.title} went from {words.share(run.points[0].accuracy)} to {words.share(run.best.accuracy)} in {run.points[-1].seconds:.1f} s"
            for run in training.runs if run.best]
    return f"{'; '.join(said)}." if said else "Nothing was trained yet."


def _table(training: Training) -> pd.DataFrame:
    return pd.DataFrame([{"run": run.title, "step": p.step, "seconds": p.seconds, "accuracy %": 100 * p.accuracy, "loss": p.loss, **p.traced}
                         for run in training.runs for p in run.points])


def outcomes(wanted: Wanted, training: Training) -> bool:
    """What came out of each run, with buttons to look at it elsewhere. Whether more will be known of them."""
    rows = [(run, judged(wanted, i, run.trained)) for i, run in enumerate(training.runs) if run.trained is not None]
    if not rows:
        return False
    st.header("What came out", anchor=False)
    for i, (run, out) in enumerate(rows):
        with st.container(border=True):
            left, right, third, opening = st.columns([4, 2, 7, 3], vertical_alignment="center")
            left.markdown(f"**{run.title[0].upper()}{run.title[1:]}**{' (control)' if run.control else ''}")
            right.markdown(f"{words.size(out.bytes)}  \n:small[was {words.size(out.original_bytes)}]")
            third.markdown(_accuracy(wanted, out))
            opening.button("Open it", key=f"train.open.{i}", on_click=_open, args=(out.trained,), width="stretch",
                           help="Shows it in Explore as a network of its own, stored as it was trained; from there it can be kept as a snapshot, "
                                "compared, and compressed further.")
    return any(out.coming for _, out in rows)


def judged(wanted: Wanted, number: int, trained: Trained) -> Outcome:
    """What came out, its judging begun where it was not."""
    net, recipe, split = trained.network, trained.recipe, state.split()
    key = (net.digest, compute.fingerprint(net, recipe), net.data[split].digest)
    job = jobs.quick.submit(state.owner(f"train.judge.{number}"), key, lambda: compute.judging(net, recipe, split))
    job.wait(FIRST_WAIT)
    running, progress = job.running, job.latest
    costs = compute.costs(net, recipe)
    return Outcome(trained, costs.file_bytes, costs.original_bytes, progress, running)


def _accuracy(wanted: Wanted, out: Outcome) -> str:
    if out.progress is None:
        return "Accuracy: measuring…"
    q = out.progress.quality
    data = wanted.network.reference.data[q.split]
    return (f"{words.within(*q.accuracy)}, {words.points(q.change.value)} from the original  \n"
            f":small[{words.examples(data.kind, q.split, q.n, q.of, q.estimated)}; ✗ {q.newly_wrong:,} newly wrong, ✓ {q.newly_right:,} newly right]")


def _open(trained: Trained) -> None:
    compute.keep(trained.network)
    state.add_own(trained.network.name)
    state.set_recipe(trained.recipe)
