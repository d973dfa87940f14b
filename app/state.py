"""The only user of session_state and query_params: which network, which recipe, which layer in focus, and the link.

The recipe is the one truth. Widgets mirror it: a widget's callback commits a new recipe, and only opening, reset and links write
widgets, before anything is drawn.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from app import compute
from app.dials import DIALS, FIRST, complete, fitting, folded, lean, nearest, opening
from compression.link import from_link, to_link
from compression.method import Value
from compression.network import Network
from compression.recipe import Override, Recipe, Step, step
from compression.registry import dial, known, method, repairs, rewrites
from compression.repair.click import suggested

OPENING = "lenet-5"
JUDGES = ("validation", "test")  # the data that can be picked to judge on
NOTES, LONGEST_NOTE = 5, 300  # how many notes on a link are told, and the characters of each


def begin(first: str | None, trouble: str | None) -> None:
    """Fill a new session from its link, or with what a first visit shows. Does nothing in a session that has begun.

    first: the network to show without a link, given on the command line; trouble: why there is none although one was asked for.
    """
    ss = st.session_state
    if "recipe" in ss:
        return
    words = {key: st.query_params[key] for key in st.query_params}
    ss.owner, ss.version, ss.notes, ss.own = uuid.uuid4().hex, 0, [trouble] if trouble else [], [first] if first else []
    compute.arrive(ss.owner)
    ss.net = _known(words.get("net", first or OPENING))
    ss.recipe = complete(opening())
    if any(key in words for key in ("first", "do", "pin", "only", "lock", "seed", "repair", "v")):  # "v" alone: a link in which every dial is off
        recipe, unread = from_link(words)
        recipe, unfit = fitting(recipe, [layer.name for layer in network().layers], network().title)
        ss.notes += unread + unfit
        ss.recipe = complete(recipe)
    ss.split = _asked(words.get("on", ""), [s for s in JUDGES if s in network().data], _first_split(), "data")
    ss.focus = _asked(words.get("layer", ""), [layer.name for layer in network().layers], _largest(), "layer")
    _mirror()


def _asked(wanted: str, there: list[str], otherwise: str, what: str) -> str:
    """What a link asks for where it is there; else something else, with a note."""
    if wanted in (*there, otherwise, ""):
        return wanted or otherwise
    st.session_state.notes.append(f"The link asks for the {what} “{wanted[:40]}”, which {network().title} does not have"
                                  f"{f'; {otherwise} is shown' if otherwise else ''}.")
    return otherwise


def _known(name: str) -> str:
    if compute.known(name):
        if name.startswith("own-") and name not in st.session_state.own:
            st.session_state.own.append(name)
        return name
    st.session_state.notes.append(
        f"The link asks for the network “{name[:40]}”, which is not open here; LeNet-5 is shown. If it is your own, open its file again.")
    return OPENING


def _first_split() -> str:
    splits = network().data
    return "validation" if "validation" in splits else next(iter(splits), "")


def _largest() -> str:
    return max(network().layers, key=lambda layer: layer.weight.numel()).name


def network() -> Network:
    """The network on screen."""
    return compute.network(st.session_state.net)


def recipe() -> Recipe:
    """The recipe on screen."""
    return st.session_state.recipe


def split() -> str:
    """Which data judges: "validation" or "test"; empty where there is none."""
    return st.session_state.split


def focus() -> str:
    """The layer in focus."""
    return st.session_state.focus


def owner(job: str) -> str:
    """Who a job belongs to: this session and this kind of work."""
    return f"{st.session_state.owner}.{job}"


def notes() -> list[str]:
    """What could not be read from the link, told once."""
    told, st.session_state.notes = st.session_state.notes, []
    told = [note if len(note) <= LONGEST_NOTE else f"{note[:LONGEST_NOTE]} …." for note in told]
    return told if len(told) <= NOTES else [*told[:NOTES], f"The link has {len(told) - NOTES} more parts that could not be read."]


def version() -> int:
    """Counts the recipes that were set from outside the layer table, whose edits then no longer hold."""
    return st.session_state.version


def remember(name: str, make: Callable[[], Any]) -> Any:
    """A value of this session, made the first time it is asked for."""
    if name not in st.session_state:
        st.session_state[name] = make()
    return st.session_state[name]


def recall(name: str, value: Any) -> Any:
    """The value kept under a name until now; the new one is kept for next time."""
    before, st.session_state[name] = st.session_state.get(name), value
    return before


def shadow() -> bool:
    """Whether the plain path looks over the quick one's shoulder."""
    return bool(st.session_state.get("shadow"))


def dial_step(which: str) -> Step:
    """The default's step of one dial."""
    return next(s for s in recipe().default if dial(s.method) == which)


def _mirror() -> None:
    """Write the recipe into the widgets."""
    ss = st.session_state
    ss["pick"], ss["judge"], ss["layer"] = ss.net, ss.split, ss.focus
    for which in DIALS:
        chosen = dial_step(which)
        ss[f"method.{which}"] = chosen.method
        for name, value in chosen.knobs:
            ss[_key(which, chosen.method, name)] = value
    for name, declared in rewrites().items():
        chosen = next((s for s in recipe().first if s.method == name), None)
        ss[f"first.{name}"] = chosen is not None
        for knob in declared.knobs:
            ss[f"first.{name}.{knob.name}"] = chosen[knob.name] if chosen else knob.default
    for name in repairs():
        ss[f"repair.{name}"] = name in recipe().repairs
    ss["huffman"] = any(dial(s.method) == "coding" for s in recipe().default)


def _key(which: str, name: str, knob: str) -> str:
    """A widget's key. The dial itself has one key whatever its method; further knobs have one for each method."""
    return f"dial.{which}" if knob == which else f"knob.{name}.{knob}"


def knob_key(which: str, knob: str) -> str:
    """The key of the widget for one knob of a dial's present method."""
    return _key(which, dial_step(which).method, knob)


def set_recipe(new: Recipe, outside_table: bool = True) -> None:
    """Commit a recipe. outside_table: not from an edit in the layer table, so the table starts afresh."""
    st.session_state.recipe = complete(new)
    if outside_table:
        st.session_state.version += 1
        _mirror()


def turn(which: str) -> None:
    """A dial or one of its knobs was moved: commit what the widgets say. Pins stay."""
    ss = st.session_state
    name, known = dial_step(which).method, method(dial_step(which).method)
    knobs = {k.name: ss.get(_key(which, name, k.name)) for k in known.knobs}
    knobs = {k: dial_step(which)[k] if v is None else v for k, v in knobs.items()}
    st.session_state.recipe = recipe().with_default(step(name, **knobs))
    if any(ss.get(_key(which, name, k)) is None for k in knobs):
        _mirror()  # a segmented control was clicked off: it keeps its value


def change_method(which: str) -> None:
    """Another method answers a dial: it takes over the dial's value, or the nearest rung it has."""
    name = st.session_state[f"method.{which}"]
    set_recipe(recipe().with_default(step(name, **{which: nearest(name, which, dial_step(which)[which])})), False)
    _mirror()


def turn_first(name: str) -> None:
    """A rewriting of the whole network was switched on or off, or one of its knobs was moved."""
    ss = st.session_state
    if not ss[f"first.{name}"]:
        set_recipe(recipe().without_first(name))
        return
    knobs = {k.name: ss.get(f"first.{name}.{k.name}") for k in known(name).knobs}
    set_recipe(recipe().with_first(step(name, **{k: v for k, v in knobs.items() if v is not None})))


def turn_repair(name: str) -> None:
    """A repair was switched on or off."""
    set_recipe(recipe().with_repair(name, st.session_state[f"repair.{name}"]), False)


def suggest_repairs() -> None:
    """The repairs that fit what is on screen, or none."""
    set_recipe(replace(recipe(), repairs=() if recipe().repairs else suggested(network(), recipe())))


def switch_coding() -> None:
    """Huffman coding was switched on or off."""
    on = st.session_state["huffman"]
    set_recipe(recipe().with_default(step(FIRST["coding"])) if on else recipe().without_default("coding"), False)


def reset() -> None:
    """Back to what this network opens with. The network, the data and the layer in focus stay."""
    set_recipe(opening())


def release_pins() -> None:
    """All layers follow the dials again; locks stay."""
    set_recipe(replace(recipe(), overrides=()))


def pin(layer: str, new: Step) -> None:
    """Set one dial of one layer, from outside the table, and look at it."""
    set_focus(layer)
    set_recipe(recipe().with_pin(layer, new))


def with_whole(layer: str, chain: tuple[Step, ...]) -> Recipe:
    """The recipe on screen with one layer's chain replaced by another."""
    others = tuple(o for o in recipe().overrides if o.pattern != layer)
    return replace(recipe(), overrides=(Override(layer, chain, whole=True), *others))


def set_focus(layer: str) -> None:
    """Bring a layer into focus."""
    if any(found.name == layer for found in network().layers):
        st.session_state.focus = st.session_state["layer"] = layer


def show_focus() -> None:
    """Write the layer in focus into its picker, which forgets it while another page is on screen."""
    st.session_state["layer"] = focus()


def chosen_layer() -> None:
    """The layer picker was used."""
    st.session_state.focus = st.session_state["layer"]


def chosen_split() -> None:
    """The data picker was used; clicked off, it keeps its value."""
    st.session_state.split = st.session_state["judge"] or st.session_state.split
    st.session_state["judge"] = st.session_state.split


def chosen_network() -> None:
    """The network picker was used."""
    open_network(st.session_state["pick"])


def titles() -> dict[str, str]:
    """Titles of the networks this person can pick, by name."""
    return compute.names(st.session_state.own)


def add_own(name: str) -> None:
    """Put a network that was just opened among those to pick, and show it."""
    st.session_state.own = [*(n for n in st.session_state.own if n != name), name]
    open_network(name)


def open_network(name: str) -> None:
    """Show another network. The dials stay where they are; pins and locks belonged to the other's layers and go."""
    st.session_state.net = name
    st.session_state.focus = _largest()
    if split() not in network().data:
        st.session_state.split = _first_split()
    set_recipe(replace(recipe(), overrides=(), locked=()))


def fold_edits(editor: str, names: list[str], columns: Mapping[str, tuple[str, Callable[[Any], Value]]]) -> None:
    """Edits in the layer table become pins and locks; see dials.folded."""
    set_recipe(folded(recipe(), st.session_state[editor]["edited_rows"], names, columns), outside_table=False)


def publish() -> None:
    """Write what is on screen into the address, so that the address is the document."""
    words = {"net": st.session_state.net, **to_link(lean(recipe())), "layer": focus(), "on": split(), "v": "1"}
    words = {key: text for key, text in words.items() if text}
    if {key: st.query_params[key] for key in st.query_params} != words:
        st.query_params.from_dict(words)
