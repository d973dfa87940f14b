"""Where long work runs: in this process, in several, or where the program was told to when it was started."""

import os

import streamlit as st

from app import compute, state
from compression.cluster.where import HERE, Where, where

HELP = ("The results are the same everywhere. Several processes take seconds to start; for more machines start the program with "
        "--run-on dask:tcp://10.0.0.5:8786.")


def named(text: str) -> str | None:
    """Offer the place that was named when the program was started before this process and several here; a sentence where the words name none."""
    cores, trouble = os.cpu_count() or 1, None
    places = [HERE, *([Where("processes", cores)] if cores > 1 else [])]
    try:
        places = [where(text), *places] if text else places
    except ValueError as error:
        trouble = f"--run-on was left out: {error}."
    compute.workplaces()[:] = dict.fromkeys(places)
    return trouble


def choose() -> Where:
    """What was picked on this page, the same on all pages."""
    places = compute.workplaces()
    return places[0] if len(places) == 1 else st.selectbox("Run on", places, key="run.on", format_func=str, **state.CHOICE, help=HELP)
