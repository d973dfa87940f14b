"""Measuring a study, and timing its recipes: begun by a button, with how far it is, and stopped by another."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import streamlit as st

from app import compute, jobs, state, waiting, words, workplace
from app.readiness import Piece
from app.studying import rows
from app.studying.axes import Row
from app.studying.rows import Shown, Wish
from compression.measure import Latency
from compression.network import Network
from compression.recipe import Recipe
from compression.search import Point


class Task(NamedTuple):
    """What a job was asked for."""

    network: str  # digest
    data: str  # digest
    wish: Wish
    total: int  # recipes to be measured


def measuring(wish: Wish, found: Shown, trouble: str) -> bool:
    """The line that says how far a study is, with its button. Whether it is being measured."""
    net, split, owner = state.network(), state.split(), state.owner("study")
    job = jobs.long.find(owner)
    task = Task(net.digest, net.data[split].digest, wish, len(found.missing) + wish.search)
    mine = job is not None and job.key[:3] == task[:3]
    left, middle, right = st.columns([6, 3, 3], vertical_alignment="bottom")
    if job is not None and job.running:
        left.progress(*_progress(job))
        right.button(f"Stop, keep {_count(job)}", key="study.stop", on_click=job.stop, width="stretch")
        return True
    with middle:
        on = workplace.choose()

    def start() -> None:
        jobs.long.submit(owner, task, lambda: rows.studying(net, split, wish, found.missing, on), again=True)

    known = found.total - len(found.missing)
    if trouble:
        left.markdown(f":material/info: {trouble}")
    elif job is not None and mine and job.error:
        left.warning(f"{words.plain(job.error)} {known} of {found.total} recipes are measured and kept.")
    elif not known:
        left.markdown(f"No study yet: {told(found)}.{_about(task.total)}")
    elif found.missing:
        left.markdown(f"{known} of {found.total} recipes measured; {len(found.missing)} are not yet known so closely.{_about(task.total)}")
    else:
        left.markdown(f"{known} of {found.total} recipes measured.{f' {wish.search} more can be tried layer by layer.' if wish.search else ''}")
    more = bool(found.missing or wish.search)
    word = "Measure the recipes" if not known else "Go on" if found.missing else "Search layer by layer" if wish.search else "All measured"
    right.button(word, key="study.begin", on_click=start, width="stretch", disabled=bool(trouble) or not more,
                 help="Everything measured is kept, also between starts; nothing is measured twice.")
    return False


def told(found: Shown) -> str:
    """What a study is made of: 36 recipes in 1 study, 30 at random, 5 smaller networks."""
    of = {kind: sum(len(s.recipes) for s in found.studies if s.kind == kind) for kind in ("sweep", "search", "random", "dense")}
    count = sum(s.kind == "sweep" for s in found.studies)
    parts = [f"{of['sweep']} recipes{f' in {count} studies' if count > 1 else ''}"]
    parts += [f"{of['search']} layer by layer"] if of["search"] else []
    parts += [f"{of['random']} pruned at random"] if of["random"] else []
    parts += [f"{of['dense']} smaller network{'s' if of['dense'] > 1 else ''}"] if of["dense"] else []
    return ", ".join(parts)


def _count(job: jobs.Job) -> int:
    return sum(isinstance(item, Point) for item in job.items)


def _progress(job: jobs.Job) -> tuple[float, str]:
    total, done = job.key.total, _count(job)
    if isinstance(job.latest, Piece):
        return waiting.told(job.latest, job.seconds, None)
    if done:
        state.recall(PACE, job.seconds / done)
    return min(1.0, done / max(1, total)), f"Recipe {done} of {total} · {words.remaining(jobs.eta(done, total, job.seconds))}"


PACE = "study.pace"  # seconds a recipe took in this session's newest study


def _about(count: int) -> str:
    pace = state.remember(PACE, lambda: None)
    return f" That takes about {words.remaining(pace * count).removesuffix(' left')}." if pace and count else ""


def timing(these: Sequence[Row], what: str) -> bool:
    """The button that times rows on this machine. Whether they are being timed."""
    net, owner = state.network(), state.owner("study.timing")
    job = jobs.long.find(owner)
    todo = [row for row in these if not row.timed]
    left, right = st.columns([3, 1], vertical_alignment="center")
    if job is not None and job.running:
        total, done = job.key[1], job.count // len(compute.BATCHES)
        rest = words.remaining(jobs.eta(job.count, total * len(compute.BATCHES), job.seconds))
        left.progress(min(1.0, done / max(1, total)), f"Timing {done} of {total} · {rest}")
        right.button("Stop timing", key="study.timing.stop", on_click=job.stop, width="stretch")
        return True

    def start() -> None:
        asked = [(_network(row), row.recipe) for row in todo]
        jobs.long.submit(owner, (net.digest, len(asked)), lambda: _timed(asked, net), again=True)

    left.markdown(f":small[{job.error if job is not None and job.error else machine(these)}]")
    right.button(f"Time {what} ({len(todo)})" if todo else "All timed", key="study.timing.begin", on_click=start, width="stretch", disabled=not todo,
                 help="Each in turns with the original, on this machine, for batches of "
                      f"{' and '.join(map(str, compute.BATCHES))}. Zeros and fewer bits need special kernels to save time; here only fewer "
                      "multiply-adds can.")
    return False


def _network(row: Row) -> Network:
    return next(compute.network(n) for n in state.titles() if compute.network(n).title == row.network) if row.kind == "dense" else state.network()


def _timed(asked: Sequence[tuple[Network, Recipe]], beside: Network) -> Iterator[Latency | None]:
    for net, recipe in asked:
        yield from compute.timing(net, recipe, beside)


def machine(these: Sequence[Row]) -> str:
    """How the timings were made."""
    found = [x for row in these for x in row.timed]
    if not found:
        return "Latency: not timed."
    x = found[0]
    threads = f"{x.threads} thread{'s' if x.threads > 1 else ''}"
    return words.plain(f"Latency: medians and quartiles of {x.rounds} rounds in turns with the original, {threads}, {x.processor}.")
