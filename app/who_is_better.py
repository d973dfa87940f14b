"""The second half of the Coverage page: whether what the literature says of two methods held on our networks, and where it did not."""

import pandas as pd
import streamlit as st

from app import orderings, state
from app.orderings import FAMILY, VERDICTS, Ordering


def show() -> None:
    """A table of all orderings of a family, and the trials of one of them."""
    family = st.segmented_control("Of methods of", list(FAMILY), format_func=FAMILY.get, default="pruning", key="coverage.ordering.family",
                                  required=True, persist_state="session")
    every = orderings.orderings(family)
    if not every:
        st.info("Nothing was recorded. The benchmark tests/bench/orderings.py with --record makes the table.")
        return
    titles = state.titles()
    st.markdown(_said(every))
    st.dataframe(pd.DataFrame({
        "claim": [f"{o.better} over {o.worse}" for o in every], "who": [o.who for o in every],
        **{v: [o.count(v) for o in every] for v in VERDICTS}, "where": [_named(o.differs, titles) for o in every],
    }), hide_index=True, width="stretch", alt="Orderings of the literature, and how often each held on our networks", column_config={
        "claim": st.column_config.TextColumn("Said to do better", width="medium"), "who": st.column_config.TextColumn("By", width="medium"),
        **{v: st.column_config.NumberColumn(title.capitalize()) for v, title in VERDICTS.items()},
        "where": st.column_config.TextColumn("Where ours differs", width="large")})
    chosen = st.selectbox("Its trials", every, format_func=lambda o: f"{o.better} over {o.worse} ({o.who})", key=f"coverage.ordering.{family}",
                          persist_state="session")
    _trials(chosen, titles)
    tried = [f"{titles.get(name, name)} ({s.draws} draws, {s.examples:,} validation examples, {s.untouched:.1f} % untouched)"
             for name, s in orderings.sources(family).items()]
    st.caption(f"On {', '.join(tried)}. A draw is another choice of the training examples that teach. Nothing is trained or repaired. "
               + ("As it says: at least a point of accuracy apart in the mean, and no draw the other way." if family == "pruning" else
                  "No difference: divergences from the original’s answers within 5 % of each other.")
               + " These networks are small and so are their images: an order found here need not hold for large ones.")


def _said(every: tuple[Ordering, ...]) -> str:
    total = sum(len(o.trials) for o in every)
    counts = {v: sum(o.count(v) for o in every) for v in VERDICTS}
    return (f"**{len(every)} orderings of the literature, tried {total} times: {counts['holds']} came out as it says, {counts['as good']} show no "
            f"difference, {counts['differs']} the other way.**")


def _trials(chosen: Ordering, titles: dict[str, str]) -> None:
    st.dataframe(pd.DataFrame({
        "network": [titles.get(t.network, t.network) for t in chosen.trials], "setting": [t.setting for t in chosen.trials],
        "better": [t.better for t in chosen.trials], "worse": [t.worse for t in chosen.trials],
        "verdict": [VERDICTS[t.verdict] for t in chosen.trials],
    }), hide_index=True, width="stretch", alt="The trials of one ordering", column_config={
        "network": "Network", "setting": "Setting", "better": f"{chosen.better}: {chosen.numbers}", "worse": f"{chosen.worse}: {chosen.numbers}",
        "verdict": "It came out"})


def _named(words: str, titles: dict[str, str]) -> str:
    for name, title in titles.items():
        words = words.replace(f"{name}:", f"{title}:")
    return words
