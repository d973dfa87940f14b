"""The sidebar's pieces for keeping and coming back: undo, presets, snapshots, and the link."""

from base64 import b64encode
from html import escape

import streamlit as st

from app import compute, parts, state, words
from app.dials import complete, opening
from app.snapshots import MOST, Snapshot, judged, place, to_file
from compression.evaluate import Quality
from compression.presets import PRESETS, recorded

OPENS = "Half of the weights removed"


def steps() -> None:
    """Undo, with what it would take back, redo, and reset."""
    past, future = state.history().past, state.history().future
    st.button(words.short(past[-1].words, 26) if past else "Undo", key="undo", icon=":material/undo:", on_click=state.undo, disabled=not past,
              width="stretch", shortcut="Alt+Z", help=f"Take back: {past[-1].words}. Alt+Z" if past else "Nothing to take back yet.")
    with st.container(horizontal=True, gap="small"):
        st.button("Redo", key="redo", icon=":material/redo:", on_click=state.redo, disabled=not future, width="stretch", shortcut="Alt+Y",
                  help=f"Do again: {future[-1].words}. Alt+Y" if future else "Nothing to do again.")
        st.button("Reset", key="reset", on_click=state.reset, width="stretch", help="Back to what this network opens with. Snapshots are kept.")


def presets() -> None:
    """Named recipes, and what was measured of the one on screen."""
    now = state.show_preset()
    st.pills("Preset", list(PRESETS), key="preset", format_func=lambda name: PRESETS[name].title, on_change=state.chosen_preset, width="stretch",
             help=" ".join(f"**{known.title}**: {known.summary}" for known in PRESETS.values()))
    net, last = state.network(), state.last_preset()
    found = recorded(net).get(now or "", {}).get(state.split())
    if found:
        said = f"Recorded: {words.within(found['accuracy'], found['low'], found['high'])} of {found['n']:,} {state.split()} examples"
    else:
        opens = state.recipe() == complete(opening())
        said = PRESETS[now].title if now else OPENS if opens else f"{PRESETS[last].title}, changed" if last else "A recipe of your own"
    st.markdown(f":small[{said}]")


def snapshots() -> None:
    """Take one, and those there are: a press on its key brings one back."""
    shelf = state.shelf()
    st.button("Snapshot", icon=":material/photo_camera:", key="snapshot", on_click=_take, width="stretch",
              disabled=place(shelf) is None or bool(state.late()),
              help=f"Keeps this recipe with its results. Keys 1 to {MOST} bring them back." if len(shelf) < MOST else
              f"All {MOST} places are taken; remove one first.")
    for number, kept in shelf.items():
        state.learn(number, _known(kept))
        kept = state.shelf()[number]
        a, b = (side == number for side in state.sides())
        left, right = st.columns([7, 2], gap="small", vertical_alignment="center")
        name = f"{number} {'· A ' if a else ''}{'· B ' if b else ''}· {words.size(kept.file_bytes)}"
        left.button(f"{name}{f' · {words.share(kept.judged.value)}' if kept.judged else ''}", key=f"snapshot.{number}", on_click=state.restore,
                    args=(number,), shortcut=str(number), width="stretch", help=_told(kept))
        right.menu_button("", ["Make it A", "Make it B", "Remove"], key=f"snapshot.menu.{number}", on_click=_menu, args=(number,),
                                   width="stretch", help="A and B are what the Compare page sets side by side.")
        st.html(thumbnail(kept))
    if shelf:
        st.download_button("Save snapshots", lambda: to_file(state.shelf()), "snapshots.json", "application/json", on_click="ignore", width="stretch")


def _menu(number: int) -> None:
    choice = state.value(f"snapshot.menu.{number}")
    if choice == "Remove":
        state.remove(number)
    elif choice is not None:
        state.choose_side(0 if choice.endswith("A") else 1, number)


def _take() -> None:
    net, recipe = state.network(), state.recipe()
    quality = parts.judged()
    costs = compute.costs(net, recipe)
    shares = tuple(p.bytes_after / max(1, p.bytes_before) for p in compute.pictures(net, recipe))
    state.take(Snapshot(net.name, net.title, net.digest, recipe, costs.file_bytes, costs.original_bytes, shares,
                        judged(quality) if quality and not state.solo() else None))


def _known(kept: Snapshot) -> Quality | None:
    """The newest finished judgement of a snapshot of the network on screen."""
    net = state.network()
    return compute.found(net, kept.recipe, state.split()) if kept.digest == net.digest and state.split() else None


def _told(kept: Snapshot) -> str:
    if kept.judged is None:
        return f"{kept.title}. Not judged when it was taken."
    j = kept.judged
    return (f"{kept.title}: {words.size(kept.file_bytes)}, {words.smaller(kept.file_bytes, kept.original_bytes)}; {j.measure} "
            f"{words.within(j.value, j.low, j.high)} on {'an estimate from ' if j.estimated else ''}{j.n:,} of {j.of:,} {j.split} examples.")


def thumbnail(kept: Snapshot) -> str:
    """What is left of each layer's bytes, as a row of small bars."""
    width = 100 / max(1, len(kept.shares))
    bars = "".join(f'<rect x="{i * width:.2f}" y="{10 - 10 * min(1, share):.2f}" width="{width * 0.8:.2f}" height="{10 * min(1, share):.2f}"/>'
                   for i, share in enumerate(kept.shares))
    said = escape(f"Bytes left of each of {len(kept.shares)} layers")
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 10" preserveAspectRatio="none" width="200" height="14">'
           f'<rect width="100" height="10" fill="#767676" fill-opacity=".25"/><g fill="#0072B2">{bars}</g></svg>')
    return f'<img alt="{said}" src="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}" style="width:100%;height:14px;display:block">'


def share() -> None:
    """The link, what it hides from a class, and a larger screen."""
    with st.popover("Share", icon=":material/link:", width="stretch", key="share", on_change=state.chosen) as opened:
        if not opened.open:
            return
        link, cut = state.link()
        st.markdown("**Link to exactly this**")
        st.code(link, language=None, wrap_lines=True)
        st.markdown(f":small[{len(link):,} characters.{' Pins did not fit and are left out; download the recipe to keep them.' if cut else ''}]")
        state.remember("hide", lambda: list(state.hidden()))
        st.multiselect("Hide from a class", list(state.HIDEABLE), key="hide", format_func=state.HIDEABLE.get, on_change=state.chosen_hidden,
                       help="Whoever opens the link does not see these.")
        state.remember("present", state.presenting)
        st.toggle("Presenter mode", key="present", on_change=state.chosen_presenting, help="Larger letters and lines, for the back row.")
        st.file_uploader("Open saved snapshots", ["json"], key="shelf.file", on_change=_open, help="They take the place of those there are.")


def _open() -> None:
    file = state.value("shelf.file")
    if file is not None:
        trouble = state.load(file.getvalue().decode("utf-8", "replace"))
        if trouble:
            state.note(trouble)
