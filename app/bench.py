"""Pieces of the Methods page: a dial, the cards, the pictures with their captions, the steps, and where a method fails."""

import time
from collections.abc import Callable

import pandas as pd
import streamlit as st

from app import chart, contrast, drawings, jobs, parts, plots, state, trial, waiting, words
from app.chart.ticker import tick
from app.drawn import Drawn
from app.part import part
from app.readiness import Wanted
from compression.evaluate import Progress
from compression.method import Failure, Knob, Method, Value
from compression.network import Network
from compression.recipe import Override, Recipe, Step, step
from compression.registry import known as known_of
from compression.registry import method

FAMILY = {"rewriting": "Whole network", "lowrank": "Low rank", "pruning": "Pruning", "sharing": "Sharing", "quantization": "Quantization",
          "coding": "Coding", "papers": "Deep Compression"}
FIRST = {"lowrank": "lowrank.svd", "pruning": "pruning.magnitude", "sharing": "sharing.kmeans", "quantization": "quantization.uniform",
         "coding": "coding.huffman"}
WIDE = 20  # characters of all rungs together, with three more for each, that fit beside one another in the narrow column


def explained(known: Method, soon: str = "") -> None:
    """What it does, who wrote it, where the survey has it, and how soon it answers."""
    st.markdown(f"{known.summary} :small[*{known.reference}.* O’Neill’s survey, section {known.survey}.]"
                + (f" :blue-badge[{soon[0].upper()}{soon[1:]}]" if soon else ""))


def terms(known: Method) -> None:
    """What its words mean, for those who ask."""
    if known.terms:
        with st.expander("Words"):
            for term, meaning in known.terms:
                st.markdown(f":small[**{term}**: {meaning}]")


def turn(name: str, knob: Knob) -> Value:
    """One dial of a method; what it is set to."""
    if len(knob.ladder) == 1:
        return knob.default
    shown = [parts.shown(knob, v) for v in knob.ladder]
    key = seeded(f"bench.{name}.{knob.name}", knob.default)
    common = dict(key=key, help=knob.help, format_func=lambda v: parts.shown(knob, v), **state.CHOICE)
    if len(knob.ladder) > 10:
        return st.select_slider(knob.label, knob.ladder, **common)
    if sum(map(len, shown)) + 3 * len(shown) > WIDE:
        return st.selectbox(knob.label, knob.ladder, **common)
    return st.segmented_control(knob.label, knob.ladder, width="stretch", required=True, **common)


def seeded(key: str, value: Value) -> str:
    """The key of a widget that begins with a value. As it may also be set from elsewhere, it takes no default of its own."""
    state.remember(key, lambda: value)
    return key


@part
def cards(net: Network, layer: str, chain: tuple[Step, ...]) -> None:
    """Bytes, error, and the accuracy when only this layer is changed."""
    p = trial.picture(net, layer, chain)
    size, error, accuracy = st.columns(3)
    size.metric("This layer", words.size(p.bytes_after), words.smaller(p.bytes_after, p.bytes_before),
                delta_color="off", delta_arrow="off", border=True,
                help=f"{8 * p.bytes_after / p.count:.2f} bits a weight, places, scales and tables included." if p.count else None)
    off = trial.relative(net, layer, chain)
    error.metric("Weight error", "exact" if p.sqnr == float("inf") else f"{p.sqnr:.1f} dB", f"error {100 * off:.1f} %", delta_color="off",
                 delta_arrow="off", border=True, help="SQNR, signal to noise of the layer’s weights: 6 dB is about one bit, and higher is closer. "
                 "Below it ‖W − Ŵ‖ beside ‖W‖.")
    job, progress = parts.judgement(Recipe(overrides=(Override(layer, chain, whole=True),)), "bench")
    with accuracy:
        answers(job, progress)
    st.caption(f"Only {layer} is changed, which took {words.size(p.bytes_before)}; all others are as trained.")
    tick(parts.more_to_come(job, progress), time.monotonic_ns() % 10**9, 300, key="bench.tick")


def answers(job: jobs.Job | None, progress: Progress | None) -> None:
    """The accuracy of what is on the bench, not of the recipe on screen: what it was before is never shown in its place."""
    data = state.network().data.get(state.split())
    title = "Next character" if data is not None and data.kind == "text" else "Accuracy"
    plain = dict(delta_color="off", delta_arrow="off", border=True)
    if progress is None:
        value, why = ("no data", "give data to measure") if job is None else ("failed", "see the note") if job.error else ("…", "measuring")
        st.metric(title, value, why, help=job.error if job is not None and job.error else None, **plain)
        return
    q = progress.quality
    best = q.accuracy or q.agreement
    moved = f"{q.bits:.2f} bits/char" if title != "Accuracy" else words.signed(100 * q.change.value) if q.change else "to the original"
    st.metric(title if q.accuracy else "Agreement", words.share(best.value), f"± {100 * words.half_width(*best[1:]):.1f} · {moved}", **plain,
              help=f"95 % interval, on {words.examples(data.kind, q.split, q.n, q.of, q.estimated)}. The original has "
                   f"{words.within(*q.original) if q.original else 'no labels to be judged by'}; the difference is paired.")


def stacked(rows: list[trial.Stacked]) -> None:
    """The bytes before and after each step."""
    st.dataframe(pd.DataFrame({
        "step": [f"{i}. {r.title}" for i, r in enumerate(rows, start=1)], "before": [words.size(r.before) for r in rows],
        "after": [words.size(r.after) for r in rows], "effect": [r.refused or words.smaller(r.after, r.before) for r in rows],
    }), hide_index=True, width="stretch", alt="Steps with the layer's bytes before and after each",
        column_config={"step": "Step", "before": "Before", "after": "After", "effect": st.column_config.TextColumn("Effect", width="large")})


def places(net: Network, layer: str, chain: tuple[Step, ...]) -> None:
    """What each way to store which weights were kept would take, where one of them is in use."""
    sizes = trial.places(net, layer, chain)
    if sizes:
        (used, least), *others = sizes.items()
        st.caption(f"Where the kept weights belong: **{used}**, {words.size(least)}. "
                   f"Instead: {', '.join(f'{name} {words.size(count)}' for name, count in others)}.")


def histogram(net: Network, layer: str, chain: tuple[Step, ...]) -> None:
    """How the layer's weights are spread before and after."""
    p = trial.picture(net, layer, chain)
    chart.show(plots.histogram(p.edges, p.before, p.after, p.zeros, p.count, p.threshold), key="bench.histogram",
               alt="Histogram of the layer's weights before and after", height=320)


def along(net: Network, layer: str, chain: tuple[Step, ...]) -> None:
    """The method's first dial from end to end, where it has one, and a corner of the weight entry by entry."""
    known = method(chain[-1].method)
    places = st.columns(2 if known.knobs else 1, gap="large")
    corner = trial.corner(net, layer, chain)
    rows, columns = corner.before.shape
    off = float(abs(corner.after - corner.before).max())
    with places[-1]:
        chart.show(drawings.matrices(*corner), key="bench.corner", alt="A corner of the weight as trained, as stored, and the difference", height=300)
        st.caption(f"The first {rows} outputs by {columns} inputs, weight by weight; blue is negative, orange positive, "
                   f"grey exactly zero. The difference reaches {off:.2g} and has a scale of its own.")
    if not known.knobs:
        return
    knob = known.knobs[0]
    with places[0], st.spinner(f"Trying {known.title} along its dial…"):
        rungs = trial.along(net, layer, chain, knob.name)
        here = next((i for i, r in enumerate(rungs) if r.value == chain[-1][knob.name]), None)
        chart.show(plots.ladder([parts.shown(knob, r.value) for r in rungs], [r.nbytes for r in rungs], [r.sqnr for r in rungs], here, knob.label,
                                4 * net.layer(layer).weight.numel()),
                   key="bench.ladder", alt="Bytes against error along the method's first dial", height=300)
        st.caption("Orange: where the dial stands. Left of the dotted line, where there is one, the layer takes fewer bytes than as trained.")


def found(net: Network, layer: str, chain: tuple[Step, ...]) -> None:
    """What the method worked out once, before any dial was turned."""
    said, drawn = trial.found(net, layer, chain)
    if not drawn:
        return
    st.subheader("What it found", anchor=False)
    st.markdown(f"Worked out once for all settings of the dials: {said[0].lower()}{said[1:]}")
    edges = trial.picture(net, layer, chain)
    for start in range(0, len(drawn), 2):
        pair = drawn[start : start + 2]
        for column, (i, each) in zip(st.columns(len(pair), gap="large"), enumerate(pair, start=start), strict=True):
            with column:
                _drawn(each, (edges.edges, edges.before), i)


def _drawn(each: Drawn, outline: tuple, number: int) -> None:
    chart.show(drawings.found(each.kind, each.title, each.values, each.x, each.y, each.at, each.mark, each.gone, outline,
                              each.along, each.down),
               key=f"bench.found.{number}", alt="What the method found before any dial was turned", height=280)
    st.caption(each.said)


def opposed(net: Network, layer: str, chain: tuple[Step, ...]) -> None:
    """Which weights another criterion would keep instead, where one is tried by itself."""
    own, others = chain[-1], trial.rivals(chain[-1].method)
    if not others or len(chain) > 1:
        return
    st.subheader("Who disagrees?", anchor=False)
    first = next(n for n in ("pruning.magnitude", "pruning.random") if n in others)
    other = st.selectbox("Compare with", others, format_func=lambda n: method(n).title, key=seeded(f"bench.rival.{own.method}", first),
                         **state.CHOICE)
    if not waiting.ready(net, [Wanted(layer, (trial.opposing(own, other),))], "bench.rival"):
        return
    d = trial.opposed(net, layer, own, other)
    mine, theirs = method(own.method).title, method(other).title
    if d.refused:
        st.info(f"{theirs}: {d.refused}")
        return
    neither, second, one, both = d.counts
    total = max(1, sum(d.counts))
    at = words.share(own["sparsity"], 0) + ("" if d.at == own["sparsity"] else f" and {words.share(d.at, 0)}")
    st.markdown(f"At {at} sparsity, of {total:,} weights both keep "
                f"{words.share(both / total)}, only {mine} {words.share(one / total)}, only {theirs} {words.share(second / total)}, "
                f"neither {words.share(neither / total)}. "
                f"They disagree on {words.share(d.share)}; drawing lots they would on {words.share(d.by_chance)}.")
    names = ("neither", f"only {theirs}", f"only {mine}", "both")
    left, right = st.columns(2, gap="large")
    with left:
        chart.show(drawings.choices(d.corner, mine, theirs), key="bench.choices", alt="Which of two prunings keeps which weight", height=300)
        st.caption(f"The first {d.corner.shape[0]} outputs by {d.corner.shape[1]} inputs. Light grey: neither · orange: only {theirs} · "
                   f"light blue: only {mine} · dark green: both.")
    with right:
        chart.show(drawings.by_size(d.edges, dict(zip(names, d.sizes, strict=True))), key="bench.sizes",
                   alt="Weights by magnitude, stacked by which pruning keeps them", height=300)
        st.caption("The same colours: where along the magnitudes the two part ways.")


def fails(name: str, choose: Callable[[str], None], measure: bool) -> None:
    """The method's own example of failing, set by a button, and what does better there; both measured, where that is asked for."""
    told: Failure = method(name).fails
    net = state.network()
    st.subheader("When it fails", anchor=False)
    better, where = known_of(told.instead[0]), state.titles().get(told.network, told.network)
    after = "".join(f" after {method(first).title} with {_settings(first, knobs)}" for first, knobs in told.after)
    st.markdown(told.why)
    left, right, _ = st.columns([2, 2, 1])
    left.button("See it fail", on_click=_set, args=(choose, told, name, told.knobs), width="stretch", icon=":material/trending_down:",
                help=f"Opens {where}, layer {told.layer}, and sets {_settings(name, told.knobs)}.")
    right.button(f"See {better.title} instead", on_click=_set, args=(choose, told, *told.instead), width="stretch",
                 help=f"The same layer, with {_settings(*told.instead)}.")
    if net.name != told.network:
        st.caption(f"On {where}, layer {told.layer}{after}. Both are measured as soon as that network is open.")
        return
    if not measure or not waiting.ready(net, [Wanted(told.layer, chain) for chain in contrast.chains(name)], "bench.failure"):
        return
    with st.spinner("Measuring both…"):
        sides = contrast.failure(net, name)
    st.dataframe(pd.DataFrame({
        "method": [method(s.step.method).title for s in sides], "file": [words.size(s.file_bytes) for s in sides],
        "distance": [f"{s.distance:.3g}" for s in sides], "same": [words.share(s.same) for s in sides],
        "setting": [_settings(name, told.knobs), _settings(*told.instead)],
    }), hide_index=True, width="stretch", alt="Where the method fails, beside what does better",
        column_config={"method": "Method", "setting": "Setting", "file": "Whole file", "same": "Same answers",
                       "distance": st.column_config.TextColumn("Divergence (nats)", help="Kullback and Leibler’s, mean; 0 is identical.")})
    st.caption(f"Only {told.layer} of {net.title} is changed{after}. Divergence and same answers: beside the original’s, measured now "
               f"on {contrast.examples(net)} validation examples.")


def _settings(name: str, knobs: tuple[tuple[str, Value], ...]) -> str:
    """Knobs in words: Sparsity 50 %, Block 4x4."""
    known = known_of(name)
    return ", ".join(f"{known.knob(k).label.lower()} {parts.shown(known.knob(k), v)}" for k, v in knobs) or "its only setting"


def _set(choose: Callable[[str], None], told: Failure, name: str, knobs: tuple[tuple[str, Value], ...]) -> None:
    """Open the network, the layer and the setting of a failure."""
    if state.network().name != told.network:
        state.open_network(told.network)
    state.set_focus(told.layer)
    state.recall("stack", contrast.before(told))
    choose(name)
    put(step(name, **dict(knobs)))


def put(chosen: Step) -> None:
    """Set the dials of a method, before they are drawn."""
    for knob, value in chosen.knobs:
        state.write(f"bench.{chosen.method}.{knob}", value)
