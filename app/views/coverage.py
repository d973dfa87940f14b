"""Coverage: every technique of the survey and after it, and honestly what of it runs here."""

import streamlit as st

from app import coverage, listing, pace, who_is_better
from app.coverage import GLYPHS, MEANING, Row
from app.listing import Entry
from app.training.wanted import put
from app.views import distil, methods, train
from compression.registry import procedures

HALVES = ("What runs here", "Who does better")
SECTION = {"after 2020": "", "beside": ", beside the survey"}


def show() -> None:
    """The whole page."""
    st.title("Coverage", anchor=False)
    half = st.segmented_control("Show", HALVES, key="coverage.half", default=HALVES[0], required=True, persist_state="session",
                                label_visibility="collapsed")
    if half == HALVES[0]:
        _list()
    else:
        who_is_better.show()


def _list() -> None:
    every = coverage.rows()
    counts = coverage.counts(every)
    runs = sum(n for badge, n in counts.items() if badge in coverage.RUNS)
    st.markdown(f"**{runs} of {len(every)}** techniques of O’Neill’s survey, of the years since, and a few beside run here on any trained network. "
                "Badges are worked out from what the library has; what is not built yet says so. Click a name to open its method.")
    with st.container(horizontal=True, gap="xsmall", key="badges"):
        for badge, count in counts.items():
            st.metric(f"{GLYPHS[badge]} {badge}", f"{count}", border=True, width=142)
    st.caption(" · ".join(f"{GLYPHS[badge]} {MEANING[badge]}" for badge in counts))
    badges = st.pills("Badge", list(counts), selection_mode="multi", key="coverage.badges", persist_state="session", width="stretch",
                      format_func=lambda b: f"{GLYPHS[b]} {b}")
    families = st.pills("Family", list(dict.fromkeys(row.family for row in every)), selection_mode="multi", key="coverage.families",
                        persist_state="session", width="stretch")
    shown = [row for row in every if (not badges or row.badge in badges) and (not families or row.family in families)]
    st.markdown(f":small[{len(shown)} of {len(every)} rows]")
    if not shown:
        st.info("No row has this badge in this family. Click a choice again to drop it.")
        return
    opened = listing.show(_sections(shown), key="coverage.list")
    if opened in procedures():
        put(opened, procedures()[opened].settings(), 0)
        if opened.startswith("distil."):
            st.switch_page(st.Page(distil.show, title="Distil", url_path="distil"))
        st.switch_page(st.Page(train.show, title="Train", url_path="train"))
    elif opened:
        methods.choose(opened)
        st.switch_page(st.Page(methods.show, title="Methods", url_path="methods"))


def _sections(shown: list[Row]) -> list[tuple[str, list[Entry]]]:
    """In the order of the list: family by family of the survey's sections, then what came after, then what is beside it."""
    known = coverage.known()
    sections: dict[str, list[Entry]] = {}
    for row in shown:
        title = f"{row.family}{SECTION.get(row.section, f', section {row.section} of the survey')}"
        here = ", ".join(dict.fromkeys(known[name] for name in row.ids if name in known))
        soon = pace.badge(row.opens)
        sections.setdefault(title, []).append(Entry(GLYPHS[row.badge], row.badge, row.name, row.reference, row.what, here, soon, row.why, row.opens))
    return list(sections.items())
