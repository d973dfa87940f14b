"""Distil: what does a teacher give a student beyond the labels? Its answers softened while a dial is dragged, and students beside each other."""

import streamlit as st

from app import state
from app.training import teacher, ways


def show() -> None:
    """The whole page."""
    st.title("Distil", anchor=False)
    ways.follow()
    st.markdown(f"**{state.network().reference.title}** is the teacher. A student learns from what it tells, beside the same student that learns "
                "from labels alone.")
    teacher.show()
    st.header("What a student learns from it", anchor=False)
    ways.show("distil")
