"""What a scan varies: any method, along any of its dials, while the others are held. The page's controls, and their place in the link."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import streamlit as st

from app import controls, parts, state
from app.dials import DIALS, FIRST
from compression.link import chain_of, chain_text
from compression.method import Knob, Value
from compression.recipe import step
from compression.registry import answering, known, methods, rewrites
from compression.sensitivity import harsher, rungs

GROUP = "group"


class Varied(NamedTuple):
    """A method or a rewriting, and what it is asked to do."""

    name: str
    knob: Knob
    held: tuple[tuple[str, Value], ...]

    @property
    def coupled(self) -> bool:
        """Whether its rows are groups of coupled layers instead of layers."""
        return self.name in rewrites()

    @property
    def values(self) -> tuple[Value, ...]:
        """A few settings, from harmless to harsh."""
        return rungs(self.name, self.knob.name)

    @property
    def ladder(self) -> tuple[Value, ...]:
        """All settings, from harmless to harsh."""
        return tuple(harsher(self.name, self.knob.name))

    @property
    def ordered(self) -> bool:
        """Whether more of it means fewer bytes, so that a limit can be found by halving."""
        return self.knob.name in DIALS or self.knob.bytes_along != "any" or self.coupled


def offered() -> list[str]:
    """What has a dial to vary: those of the three dials first, then all others, then rewritings that take one group of layers at a time.

    Coders keep every weight, so no layer is sensitive to them.
    """
    first = [n for which in DIALS for n in answering(which)]
    rest = [n for n, m in methods().items() if n not in first and m.knobs and m.consumes == "values" and not m.lossless]
    return [*first, *rest, *(n for n, r in rewrites().items() if any(k.name == GROUP for k in r.knobs))]


def choose() -> Varied:
    """The controls, as a link or a person set them."""
    there = offered()
    _follow(state.asked("scan"), state.asked("along"), there)
    first, second = st.columns([3, 2])
    name = first.selectbox("Vary", there, key=_seeded("scan.method", FIRST["sparsity"]), format_func=lambda n: known(n).title,
                           **state.CHOICE, help="Any method with a dial, or units taken from one group of coupled layers at a time.")
    dials = {k.name: k for k in known(name).knobs if k.name != GROUP and len(harsher(name, k.name)) > 1}
    along = dials[second.selectbox("Along", list(dials), key=_seeded(f"scan.along.{name}", next((n for n in dials if n in DIALS), next(iter(dials)))),
                                   format_func=lambda n: dials[n].label, **state.CHOICE)]
    others = list(_others(name, along))
    held = tuple((k.name, state.remember(f"scan.held.{name}.{k.name}", lambda k=k: k.default)) for k in others)
    if others:
        told = ", ".join(f"{k.label.lower()} {parts.shown(k, value)}" for k, (_, value) in zip(others, held, strict=True))
        with st.popover(f"Held: {told}", key="scan.held", on_change=state.chosen) as more:
            for k in others if more.open else ():
                controls.widget(k, key=f"scan.held.{name}.{k.name}", help=k.help, **state.CHOICE)
    found = Varied(name, along, held)
    state.add(scan=chain_text((step(name, **dict(held)),)), along=along.name)
    return found


def _others(name: str, along: Knob) -> Iterator[Knob]:
    """The further knobs, without the setting at which the method does nothing."""
    for k in known(name).knobs:
        if k.name not in (along.name, GROUP):
            ladder = tuple(v for v in k.ladder if v != k.off)
            usual = k.default if k.default in ladder else ladder[len(ladder) // 2]
            yield replace(k, ladder=ladder, default=usual, off=None)


def _seeded(key: str, value: Any) -> str:
    """The key of a widget that begins with a value; it may also be set by a link, so it takes no default of its own."""
    state.remember(key, lambda: value)
    return key


def _follow(link: str, along: str, there: list[str]) -> None:
    """Have what a link asks for picked."""
    if not link:
        return
    try:
        (asked,) = chain_of(link)
        if asked.method not in there:
            raise ValueError("it has no dial to vary")
    except ValueError as error:
        state.note(f"The link asks for a scan of “{link[:60]}”, which could not be read: {error}.")
        return
    state.write("scan.method", asked.method)
    declared = known(asked.method)
    if any(k.name == along and k.name != GROUP for k in declared.knobs):
        state.write(f"scan.along.{asked.method}", along)
    for name, value in asked.knobs:
        if value != declared.knob(name).off:
            state.write(f"scan.held.{asked.method}.{name}", value)
