"""Train: what does training give back, or make possible? Watched while it goes on, beside its control."""

import streamlit as st

from app import bench, state
from app.training import ways
from app.training.wanted import FAMILY, families
from app.views import distil


def show() -> None:
    """The whole page."""
    st.title("Train", anchor=False)
    if ways.follow() == "distil":
        st.switch_page(st.Page(distil.show, title="Distil", url_path="distil"))
    there = families()
    ways.show(st.segmented_control("Family", there, format_func=FAMILY.get, key=bench.seeded("train.family", there[0]), width="stretch",
                                   required=True, **state.CHOICE))
