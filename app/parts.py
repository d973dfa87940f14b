"""Shared pieces of the pages: the sentence and the cards of results."""

import time

import streamlit as st

from app import changed, compute, jobs, state, words
from app.chart.ticker import tick
from app.dials import DIALS
from app.part import part
from compression.evaluate import Progress, Quality
from compression.method import Knob, Value
from compression.recipe import Recipe

SHADOW = 0.05  # share of the calls that the shadow check looks at
CARD = {"delta_color": "off", "delta_arrow": "off", "border": True, "height": "stretch"}
FIRST_WAIT = 0.02  # seconds a page waits for the first estimate before it is drawn without; waiting holds back the sentence


def shown(knob: Knob, value: Value) -> str:
    """A rung as people read it: shares in per cent, the rung that does nothing by name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return words.share(value, 0) if isinstance(value, float) else str(value)


def apart() -> tuple[int, int]:
    """How many layers are pinned, and how many locked."""
    net, recipe = state.network(), state.recipe()
    locked = sum(recipe.is_locked(layer.name) for layer in net.layers)
    return sum(recipe.override(layer.name) is not None and not recipe.is_locked(layer.name) for layer in net.layers), locked


def judge(of: Recipe | None = None, name: str = "accuracy") -> jobs.Job | None:
    """The evaluation of a recipe (that on screen), started where it is not; None without data."""
    net, recipe, split = state.network(), of or state.shown(), state.split()
    if not split:
        return None
    key = (net.digest, compute.fingerprint(net, recipe), net.data[split].digest)
    shadow = SHADOW if state.shadow() else 0.0
    return jobs.quick.submit(state.owner(name), (*key, shadow), lambda: compute.judging(net, recipe, split, shadow))


def judgement(of: Recipe | None = None, name: str = "accuracy") -> tuple[jobs.Job | None, Progress | None]:
    """The same, waited for just long enough for a first estimate."""
    job = judge(of, name)
    if job is None:
        return None, None
    job.wait(FIRST_WAIT)
    return job, job.latest


def more_to_come(job: jobs.Job | None, shown: Progress | None) -> bool:
    """Whether there is, or will be, something newer than what is shown: a job may end while a page is being drawn."""
    return job is not None and (job.running or job.latest is not shown)


def judging() -> bool:
    """Whether the recipe on screen is still being judged."""
    job, progress = judgement()
    return more_to_come(job, progress)


def judged() -> Quality | None:
    """The newest judgement of the recipe on screen."""
    _, progress = judgement()
    return progress.quality if progress else None


@part
def results() -> None:
    """The sentence and the cards. Runs by itself again while the evaluation goes on."""
    net, recipe = state.network(), state.shown()
    waits = compute.waits_for_repairs(net, recipe)
    if state.remember("drawn.waiting", lambda: waits) and not waits:
        state.recall("drawn.waiting", False)
        state.again()  # the repairs are made: the whole page shows them
    state.recall("drawn.waiting", waits)
    costs = compute.costs(net, recipe)
    job, progress = judgement()
    told = None
    if progress is not None:
        q = progress.quality
        told = words.told(q.accuracy, q.change, q.agreement, q.changed, q.predictions, changed.asked(progress), net.data[q.split].kind == "text",
                          q.estimated)
    claim = words.sentence(_start(), costs.file_bytes, costs.original_bytes, told)
    with st.container(key="claim"):
        st.markdown(claim if told or job is None else f"{claim} {_pending(job)}")
    with st.container(key="cards", horizontal=True, gap="xsmall"):
        st.metric("Size of the file", words.size(costs.file_bytes), words.smaller(costs.file_bytes, costs.original_bytes), **CARD)
        accuracy_card(job, progress)
        _flips(progress)
        if costs.multiply_adds is not None:
            saved = costs.multiply_adds / costs.original_multiply_adds - 1
            st.metric("Multiply-adds", words.many(costs.multiply_adds), f"{100 * saved:+.0f} %".replace("-", "−") if saved else "as before",
                      help=words.FOOTNOTE, **CARD)
        st.metric("Weight error", "exact" if costs.sqnr == float("inf") else f"{decibels(costs.sqnr)} dB", f"{words.share(costs.zeros, 0)} zero",
                  help="SQNR, signal to noise of all weights together: 6 dB is about one bit. Higher is closer to the original.", **CARD)
    if said := words.passed_over(compute.compressed(net, recipe).refused):
        st.markdown(f":small[{said}]")
    for note in compute.compressed(net, recipe).notes:
        st.markdown(f":small[{words.repair(note.title, note.told, note.accepted, note.before, note.after)}]")
    tick(more_to_come(job, progress), time.monotonic_ns() % 10**9, 60, key="results.tick")


@part
def answers() -> None:
    """The answers that changed. A part of its own: one that writes into a place outside itself takes the page apart when it is overtaken."""
    job, progress = judgement()
    if job is not None and job.error and progress is None:
        st.markdown(job.error)
    else:
        changed.cards(job is not None, progress, _dialled())
    tick(more_to_come(job, progress), time.monotonic_ns() % 10**9, 350, key="answers.tick")


def _pending(job: jobs.Job) -> str:
    waits = compute.waits_for_repairs(state.network(), state.shown())
    before = _before()
    return job.error or ("Repairing…" if waits else f"Accuracy: measuring…{f' It was {before}.' if before else ''}")


def _before() -> str:
    """The accuracy that was last told of this network on these examples, and for which setting."""
    whose, said = state.remember("told", lambda: (None, ""))
    return said if whose == _whose() else ""


def _whose() -> tuple[str, str]:
    return state.network().digest, state.split()


def accuracy_card(job: jobs.Job | None, progress: Progress | None) -> None:
    """The accuracy with its interval, or what is known while it is measured."""
    net = state.network()
    title = "Next character" if net.data and net.data[state.split()].kind == "text" else "Accuracy"
    if progress is None:
        before = _before()
        stale = f"was {before}" if before else "measuring"
        value = "no data" if job is None else "failed" if job.error else "…"
        st.metric(title, value, stale if job else "give data to measure", **CARD)
        return
    q = progress.quality
    best = q.accuracy or q.agreement
    state.recall("told", (_whose(), f"{words.within(*best)} for {_dialled()}"))
    moved = f"{q.bits:.2f} bits/char" if title != "Accuracy" else f"{words.signed(100 * q.change.value)} points" if q.change else "to the original"
    st.metric(title if q.accuracy else "Agreement", words.share(best.value), f"± {100 * words.half_width(*best[1:]):.1f} · {moved}", **CARD,
              help=f"95 % interval, on {changed.asked(progress)}. The original has "
                   f"{words.within(*q.original) if q.original else 'no labels to be judged by'}; the difference is paired.")


def _start() -> str:
    """What the sentence is about: the network, and what is done to it."""
    net, recipe = state.network(), state.recipe()
    if state.solo():
        return f"{net.title} with only {words.plain(state.solo())} compressed"
    pinned, locked = apart()
    besides = {"layer pinned": pinned, "layer locked": locked, "layer still as before": len(state.late()), "rewriting": len(recipe.first),
               "repair": len(recipe.repairs)}
    return words.plain(words.dialled(net.title, *(state.dial_step(which)[which] for which in DIALS), besides))


def _dialled() -> str:
    sparsity, bits, rank = (state.dial_step(which)[which] for which in DIALS)
    said = words.settings(sparsity, bits, rank)
    return "as trained" if said == "original" and state.network().origin else said


def _flips(progress: Progress | None) -> None:
    if progress is None:
        st.metric("Answers changed", "…", "measuring", **CARD)
        return
    q = progress.quality
    split = f"{q.newly_wrong:,} worse · {q.newly_right:,} better" if q.accuracy else f"of {q.predictions:,}"
    st.metric("Answers changed", f"{'≈ ' if q.estimated else ''}{q.changed:,}", split, **CARD,
              help="Worse: newly wrong. Better: newly right. The rest were wrong before and are wrong otherwise now. "
                   f"{words.chance(q.chance, q.newly_wrong, q.newly_right)}")


def decibels(sqnr: float) -> str:
    """A ratio of signal to noise as it is shown."""
    return "exact" if sqnr == float("inf") else f"{sqnr:.1f}"
