"""One way of training on a page: its dials, its job while it goes on, what came out, and its recorded study."""

import time

import streamlit as st

from app import bench, jobs, state, words
from app.chart.ticker import tick
from app.part import part
from app.training import recorded, shown
from app.training.wanted import FIRST, SEEDS, Wanted, from_words, put, rung, to_words
from compression.method import Knob, Value
from compression.registry import procedures
from compression.train.record import study


def show(family: str) -> None:
    """A way of training of a family, picked and turned on the left, at work on the right, as it was recorded below."""
    ids = [name for name in procedures() if name.startswith(f"{family}.")]
    left, right = st.columns([3, 7], gap="large")
    with left:
        key = bench.seeded(f"train.of.{family}", FIRST[family])
        name = st.selectbox("Way of training", ids, format_func=lambda n: procedures()[n].title, key=key, **state.CHOICE)
        known = procedures()[name]
        settings = {knob.name: _turn(name, knob) for knob in known.knobs}
        seed = st.segmented_control("Seed", SEEDS, key=bench.seeded("train.seed", 0), required=True, **state.CHOICE,
                                    help="Decides the order of the examples and all else that is drawn. The same seed gives the same network.")
        bench.terms(known)
    state.add(train=to_words(name, settings, seed))
    with right:
        st.markdown(f"{known.summary} :small[*{known.reference}.* O’Neill’s survey, section {known.survey}.]")
        asked = Wanted(name, tuple(settings.items()), state.network(), state.recipe(), seed)
        why = known.why_not(asked.task)
        if why:
            st.info(words.plain(why))
        else:
            _training(asked)
        recorded.show(name)


def _turn(name: str, knob: Knob) -> Value:
    """One dial; what it is set to."""
    key = bench.seeded(f"train.{name}.{knob.name}", knob.default)
    common = dict(key=key, help=knob.help, format_func=lambda v: rung(knob, v), **state.CHOICE)
    if len(knob.ladder) > 5 or sum(len(rung(knob, v)) + 3 for v in knob.ladder) > bench.WIDE:
        return st.selectbox(knob.label, knob.ladder, **common)
    return st.segmented_control(knob.label, knob.ladder, width="stretch", required=True, **common)


def follow() -> str:
    """Have the training that a link asks for picked: its family, empty where there is none."""
    link = state.asked("train")
    if not link:
        return ""
    try:
        put(*from_words(link))
        return link.split(".")[0]
    except ValueError as error:
        state.note(f"The link asks for the training “{link[:60]}”, which could not be read: {error}.")
        return ""


@part
def _training(asked: Wanted) -> None:
    job = asked.find()
    uses = asked.procedure.uses_recipe
    begins = f"{asked.network.title}, {recorded.recipe_words(asked.recipe) or 'as it is'}" if uses else asked.network.reference.title
    left, right = st.columns([3, 1], vertical_alignment="center")
    if job is None:
        left.markdown(f"Takes the network {'and the recipe ' if uses else ''}on screen, **{begins}**. "
                      f"Learns from {asked.procedure.learns_from or f'{len(asked.task.teach):,} training examples'}{_expected(asked.name)}.")
        right.button("Start training", key="train.start", on_click=asked.begin, width="stretch")
        return
    running = job.running  # asked before what there is, or the last points could be missed
    training = job.latest
    if running:
        done = training.share if training else 0.0
        going = [r.title for r in training.runs if r.points and r.points[-1].step < r.steps] if training else []
        left.progress(done, f"Training{f': {going[-1]}' if going else ''} · {words.remaining(jobs.eta(int(1000 * done), 1000, job.seconds))}")
        right.button("Stop, keep the best", key="train.stop", on_click=job.stop, width="stretch")
    else:
        left.markdown(job.error or f"Trained from **{begins}** in {job.seconds:.0f} s.")
        right.button("Go on" if training and training.share < 1 else "Train again", key="train.start", on_click=asked.begin, width="stretch")
    more = False
    if training is not None and any(run.points for run in training.runs):
        shown.curves(training, "train")
        more = shown.outcomes(asked, training) if not running else False
    tick(running or more, time.monotonic_ns() % 10**9, 500, key="train.tick")


def _expected(name: str) -> str:
    """How long it took when it was recorded, on the network of the study."""
    found = study(name)
    return f"; the recorded study took {words.duration(found['seconds'])} on one core" if found else ""
