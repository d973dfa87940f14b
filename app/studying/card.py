"""The recipe that was clicked: what it is, its numbers, why it is or is not on the front, and what can be done with it."""

import streamlit as st

from app import compute, parts, readiness, state, words
from app.snapshots import Snapshot, judged, place
from app.studying import said
from app.studying.axes import Row
from app.studying.picture import View
from app.studying.rows import Shown, original_bytes
from app.studying.table import SELECTED
from compression.evaluate import Quality
from compression.recipe import Recipe
from compression.takeaway import as_python


def selected(found: Shown, seen: View) -> tuple[Row | None, list[Row], str]:
    """The row that was clicked, the rows that beat it, and why it is not on the front, or that it is."""
    title, recipe = state.remember(SELECTED, lambda: (None, None))
    row = next((r for r in found.rows if r.network == title and r.recipe == recipe), None)
    if row is None or seen.x.read(row) is None or seen.y.read(row) is None:
        return row, [], ""
    why, better = said.beaten(row, [r for r in seen.rows if r.kind != "random"], seen.x, seen.y)
    return row, better, why


def show(row: Row | None, why: str, found: Shown, seen: View) -> None:
    """The card."""
    net = state.network()
    title, recipe = state.remember(SELECTED, lambda: (None, None))
    with st.container(border=True, key="study.card"):
        plain = title == net.title and next((said for said, it in (("The recipe on screen", state.recipe()), ("The original", Recipe()))
                                             if _same(recipe, it)), "")
        if row is None and not plain:
            st.markdown("**No recipe selected.** Click a mark: its numbers, what beats it, and buttons to load or compare it stand here.")
            return
        if row is not None and row.kind == "dense":
            _numbers(row.network, row, net.title)
            st.markdown(f":small[Trained small and not compressed; not a recipe for {net.title}. {why}]")
            return
        if row is None:
            quality = compute.found(net, recipe, state.split()) or (parts.judged() if _same(recipe, state.shown()) else None)
            st.markdown(f"**{plain}.**")
        else:
            quality = row.point.quality
            _numbers(row.said, row, found.studies[row.study].title)
            st.markdown(f":small[{why}]")
        _buttons(recipe, row.said if row else plain.lower(), quality)


def _numbers(title: str, row: Row, of: str) -> None:
    net, q = state.network(), row.point.quality
    best, about = q.accuracy or q.agreement, "≈ " if q.estimated else ""
    whole = original_bytes(net)
    st.markdown(f"**{words.plain(title)}**  \n:small[{words.plain(of)}]")
    lines = [f"{words.size(row.point.file_bytes)}, {words.smaller(row.point.file_bytes, whole)}",
             f"{'accuracy' if q.accuracy else 'agreement'} {about}{words.within(*best)}",
             f"{8 * row.point.file_bytes / row.parameters:.2f} bits per weight"]
    lines += [f"{words.many(row.point.multiply_adds)} multiply-adds"] if row.point.multiply_adds is not None else []
    lines += [f"{words.within(*q.agreement)} agree with the original"] if q.accuracy and row.kind != "dense" else []
    lines += [f"loss {about}{q.loss:.3f} nats"] if q.loss is not None else []
    lines += [f"{words.milliseconds(x.seconds)} for a batch of {x.batch} ({words.milliseconds(x.low)} to {words.milliseconds(x.high)})"
              for x in row.timed]
    st.markdown("\n".join(f"- {line}" for line in lines))
    asked = f"estimated from {q.n:,} of {q.of:,}" if q.estimated else f"all {q.of:,}" if q.complete else f"{q.n:,} of {q.of:,}"
    st.markdown(f":small[On {words.plain(q.data)}, {asked} {q.split} examples. 95 % intervals.]")


def _buttons(recipe: Recipe, title: str, quality: Quality | None) -> None:
    net = state.network()
    there = not readiness.unready(*readiness.wanted(net, recipe)) and not compute.waits_for_repairs(net, recipe)
    st.button("Load", key="study.load", on_click=state.set_recipe, args=(recipe, f"loaded: {words.short(title, 40)}"), width="stretch",
              disabled=_same(recipe, state.recipe()), help="Make it the recipe on screen, as one step that can be undone.")
    for which in range(2):
        full = place(state.shelf()) is None and _kept(recipe) is None
        st.button(f"Snapshot as {'AB'[which]}", key=f"study.side.{'ab'[which]}", on_click=_as_side, args=(which, recipe, quality),
                      width="stretch", disabled=full or not there,
                      help="All nine places for snapshots are taken; remove one first." if full else "Keep it, for the Compare page.")
    with st.popover("Copy as Python", icon=":material/code:", width="stretch", key="study.python", on_change="rerun") as opened:
        if opened.open:
            st.code(as_python(net, recipe, state.split()), language="python")


def _same(one: Recipe, other: Recipe) -> bool:
    net = state.network()
    return compute.fingerprint(net, one) == compute.fingerprint(net, other)


def _kept(recipe: Recipe) -> int | None:
    """The snapshot that has this recipe already."""
    net = state.network()
    return next((number for number, kept in state.shelf().items() if kept.digest == net.digest and kept.recipe == recipe), None)


def _as_side(which: int, recipe: Recipe, quality: Quality | None) -> None:
    net, number = state.network(), _kept(recipe)
    if number is None:
        number = place(state.shelf())
        shares = tuple(p.bytes_after / max(1, p.bytes_before) for p in compute.pictures(net, recipe))
        costs = compute.costs(net, recipe)
        state.take(Snapshot(net.name, net.title, net.digest, recipe, costs.file_bytes, costs.original_bytes, shares, quality and judged(quality)))
    state.choose_side(which, number)
