"""Methods: one method at work on one layer, or one rewriting on the whole network, with its dials, its pictures and its price."""

import streamlit as st

from app import bench, contrast, emptied, pace, papers, state, trial, waiting, whole
from app.bench import FAMILY, FIRST
from app.readiness import Wanted
from compression.link import chain_of, chain_text
from compression.method import Method
from compression.recipe import Step, step
from compression.registry import method, methods, rewrites


def choose(name: str) -> None:
    """Have this method or rewriting picked when the page is drawn next."""
    family = name.split(".")[0]
    state.write("bench.family", family)
    state.write(f"bench.method.{family}", name)


def show() -> None:
    """The whole page."""
    st.title("Methods", anchor=False)
    _follow(state.asked("method"))
    family = st.segmented_control("Family", FAMILY, format_func=FAMILY.get, key=bench.seeded("bench.family", "pruning"),
                                  width="stretch", required=True, **state.CHOICE)
    if family == "rewriting":
        whole.show()
        return
    if family == "papers":
        papers.show()
        return
    net = state.network()
    left, right = st.columns(2, gap="large")
    ids = [n for n in methods() if n.startswith(f"{family}.")]
    name = left.selectbox("Method", ids, format_func=lambda n: method(n).title, key=bench.seeded(f"bench.method.{family}", FIRST[family]),
                          **state.CHOICE)
    state.show_focus()
    layer = right.selectbox("On layer", [x.name for x in net.layers], key="layer", on_change=state.chosen_layer)
    known = method(name)
    bench.explained(known, pace.badge(name))
    left, right = st.columns([1, 3], gap="large")
    with left:
        own = step(name, **{k.name: bench.turn(name, k) for k in known.knobs})
        before = _stack(own)
        bench.terms(known)
    state.add(method=chain_text((*before, own)))
    chain = (*before, own) if before else trial.alone(name, own)
    with right:
        if known.fails and contrast.is_there(net, name, layer, (*before, own)):
            st.warning(known.fails.why, icon=":material/trending_down:")
        there = waiting.ready(net, [Wanted(layer, chain)], "bench.ready")
        applies = there and _tried(layer, chain)
    if applies:
        bench.along(net, layer, chain)
        bench.found(net, layer, chain)
        bench.opposed(net, layer, chain)
        if family == "pruning" and not before:
            emptied.show(net, layer, own)
    if known.fails:
        bench.fails(name, choose, there)


def _follow(link: str) -> None:
    """Have what a link asks for picked: the last of its steps with its settings, and those before it stacked."""
    if not link:
        return
    if link == papers.LINK:
        state.write("bench.family", "papers")
        return
    try:
        *before, last = chain_of(link)
        if before and any(s.method in rewrites() for s in (*before, last)):
            raise ValueError("a rewriting of the whole network stands alone")
        if not all(s.on for s in (*before, last)):
            raise ValueError("a step that is switched off has nothing to show")
    except ValueError as error:
        state.note(f"The link asks for the method “{link[:60]}”, which could not be read: {error}.")
        return
    state.recall("stack", tuple(before))
    bench.put(last)
    choose(last.method)


def _stack(own: Step) -> tuple[Step, ...]:
    """The steps that come before the one in hand, as they were stacked by hand."""
    before: tuple[Step, ...] = state.remember("stack", tuple)
    st.button("Add to stack", on_click=state.recall, args=("stack", (*before, own)), width="stretch",
              help="Keep this step; the next one then works on what it stored.")
    if before:
        st.button("Clear stack", on_click=state.recall, args=("stack", ()), width="stretch",
                  help=f"Stacked by now: {', '.join(method(s.method).title for s in before)}.")
    return before


def _tried(layer: str, chain: tuple[Step, ...]) -> bool:
    """The cards and the histogram of the chain on the layer; False, and why, where its last step does not apply."""
    net, known = state.network(), method(chain[-1].method)
    rows = trial.stack(net, layer, chain)
    if rows[-1].refused:
        _refused(known, chain[-1].method, rows[-1].refused)
        return False
    bench.cards(net, layer, chain)
    if len(chain) > 1:
        bench.stacked(rows)
    bench.places(net, layer, chain)
    bench.histogram(net, layer, chain)
    st.button("Use this chain for the layer", on_click=state.set_recipe, args=(state.with_whole(layer, chain),),
              help="Pins the layer in the recipe on screen. Explore then shows it among the others.")
    return True


def _refused(known: Method, name: str, why: str) -> None:
    st.info(why, icon=":material/block:")
    fitting = trial.fitting(state.network(), name)
    if state.remember("stack", tuple):
        st.markdown("The steps stacked before it may be the reason: clear the stack to try it alone.")
    elif fitting:
        some = ", ".join(fitting[:8]) + (f" and {len(fitting) - 8} more" if len(fitting) > 8 else "")
        st.markdown(f"On {state.network().title} {known.title} applies to {some}.")
    else:
        st.markdown(f"{known.title} applies to no layer of {state.network().title}. Pick another network in the sidebar.")
