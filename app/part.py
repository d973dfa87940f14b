"""A part of a page that runs by itself, between the runs of the whole page, and asks for the whole page where that is out of date."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec

import streamlit as st

from app import state

Asked = ParamSpec("Asked")
_with_the_page = ContextVar("_with_the_page", default=False)


def part(draw: Callable[Asked, None]) -> Callable[Asked, None]:
    """st.fragment, but after a change that the rest of the page is to show too, the whole page runs instead."""

    @st.fragment
    @wraps(draw)
    def by_itself(number: int, *given: Asked.args, **named: Asked.kwargs) -> None:
        if state.outdated(number) or (state.half_drawn() and not _with_the_page.get()):
            state.again()
        draw(*given, **named)

    @wraps(draw)
    def drawn(*given: Asked.args, **named: Asked.kwargs) -> None:
        before = _with_the_page.set(True)
        try:
            by_itself(state.drawing(), *given, **named)
        finally:
            _with_the_page.reset(before)

    return drawn
