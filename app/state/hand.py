"""What widgets call once a person has set them."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from app.state.heard import press, settle
from app.state.mirror import astray

Asked = ParamSpec("Asked")


def by_hand(callback: Callable[Asked, None]) -> Callable[Asked, None]:
    """A widget's callback, which sees what a person has set, nothing that was overwritten, and nothing that a late beat takes back."""

    @wraps(callback)
    def settled(*given: Asked.args, **named: Asked.kwargs) -> None:
        settle()
        for key, before in astray():
            press(key, before)
        callback(*given, **named)

    return settled
