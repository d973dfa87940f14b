"""Snapshots of this session, which two of them are A and B, and presets: recipes that are kept and come back as one step."""

from dataclasses import replace

import streamlit as st

from app import compute
from app.dials import complete
from app.snapshots import MOST, Snapshot, from_file, place
from app.state.address import asked
from app.state.edits import set_recipe
from app.state.hand import by_hand
from app.state.heard import put
from app.state.picking import open_network
from app.state.session import network, recipe, remember
from compression.evaluate import Quality
from compression.presets import PRESETS, preset
from compression.recipe import Recipe

ORIGINAL, SCREEN = "the original", "on screen"  # sides of a comparison that are no snapshots
PICKERS = ("side.a", "side.b")
SIDES: dict[str, int | str] = {  # in a link: what can be compared
    "original": ORIGINAL, "screen": SCREEN, **{name: name for name in PRESETS if name != "original"}, **{str(i): i for i in range(1, MOST + 1)}}


def shelf() -> dict[int, Snapshot]:
    """Snapshots by their keys 1 to 9."""
    return remember("shelf", dict)


def sides() -> tuple[int | str, int | str]:
    """What is A and what is B: a snapshot's key, the original, what is on screen, or a preset's name."""
    kept = remember("sides", lambda: (_asked_side("a", ORIGINAL), _asked_side("b", SCREEN)))
    return tuple(side if isinstance(side, str) or side in shelf() else other for side, other in zip(kept, (ORIGINAL, SCREEN), strict=True))


def _asked_side(letter: str, otherwise: str) -> int | str:
    """What the link that the session began with compares; what it cannot, with a note."""
    word = asked(letter)
    found = SIDES.get(word) if word else otherwise
    if found is None or (isinstance(found, int) and found not in shelf()):
        st.session_state.notes.append(f"The link compares “{word[:40]}” as {letter.upper()}, which is not kept here; {otherwise} takes its place. "
                                      "Snapshots travel as a file.")
        return otherwise
    return found


def side_word(side: int | str) -> str:
    """A side's word in a link."""
    return next(word for word, known in SIDES.items() if known == side)


def show_sides(shown: tuple[int | str, int | str]) -> None:
    """Write into both pickers what is A and what is B."""
    for key, side in zip(PICKERS, shown, strict=True):
        put(key, side)


@by_hand
def chosen_side(which: int) -> None:
    """One of the pickers was used."""
    choose_side(which, st.session_state[PICKERS[which]])


def take(shown: Snapshot) -> None:
    """Keep a snapshot under the first free key; does nothing when all are taken."""
    number = place(shelf())
    if number is not None:
        st.session_state.shelf = dict(sorted((shelf() | {number: shown}).items()))


def learn(number: int, quality: Quality | None) -> None:
    """A snapshot was judged on more examples since."""
    shelf()[number] = shelf()[number].better_known(quality)


def restore(number: int) -> None:
    """Bring a snapshot back; its network, too, where that is open."""
    if number not in shelf():
        return
    kept = shelf()[number]
    if not compute.known(kept.network) or compute.network(kept.network).digest != kept.digest:
        st.session_state.notes.append(f"Snapshot {number} was taken of {kept.title}, which is not open here. Open its file again.")
        return
    open_network(kept.network)
    set_recipe(kept.recipe, f"snapshot {number}")


def remove(number: int) -> None:
    """Take a snapshot off the shelf."""
    st.session_state.shelf = {key: kept for key, kept in shelf().items() if key != number}


def choose_side(which: int, side: int | str) -> None:
    """Make something A (0) or B (1)."""
    now = list(sides())
    now[which] = side
    st.session_state.sides = tuple(now)


def swap() -> None:
    """A becomes B and B becomes A."""
    st.session_state.sides = sides()[::-1]


def side_recipe(side: int | str) -> Recipe:
    """The recipe of one side of a comparison."""
    if isinstance(side, int):
        return shelf()[side].recipe
    return Recipe() if side == ORIGINAL else recipe() if side == SCREEN else preset(side, network())


def load(text: str) -> str:
    """Snapshots from a file take the place of those there are. A sentence about what was wrong with it, or nothing."""
    try:
        st.session_state.shelf = dict(sorted(from_file(text).items()))
    except ValueError as error:
        return str(error)
    return ""


@by_hand
def chosen_preset() -> None:
    """A preset was picked; clicked off, it stays picked."""
    name, shown = st.session_state["preset"], st.session_state.get("preset.shown")
    if name in PRESETS and name != shown:
        st.session_state["preset.last"] = st.session_state["preset.shown"] = name
        set_recipe(replace(preset(name, network()), seed=recipe().seed), f"preset {PRESETS[name].title}")


def show_preset() -> str | None:
    """Write into its picker the preset that the recipe on screen is, if it is one; that preset."""
    now = next((name for name in PRESETS if complete(preset(name, network())) == replace(recipe(), seed=0)), None)
    st.session_state["preset.shown"] = now
    put("preset", now)
    return now


def last_preset() -> str | None:
    """The preset that was picked last on this network's recipe, though it may have been changed since."""
    return st.session_state.get("preset.last")
