"""A time in which work beside the pages waits for a page that is drawn."""

import threading
import time

DRAWING = 0.5  # seconds that work waits for a page at most


class Pause:
    """While a page is drawn work waits: two threads of Python at once take turns, and the page is there a third later.

    It ends by itself after a while, as a page may be left half drawn.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._listening: list[threading.Condition] = []

    @property
    def left(self) -> float:
        """Seconds that it may still last."""
        return max(0.0, self._until - time.monotonic())

    def begin(self, seconds: float = DRAWING) -> None:
        """Let work wait, at most so long."""
        self._until = time.monotonic() + seconds

    def end(self) -> None:
        """Let it go on."""
        self._until = 0.0
        for wake in self._listening:
            with wake:
                wake.notify()

    def told_to(self, wake: threading.Condition) -> None:
        """Whom to wake when it ends."""
        self._listening.append(wake)


drawing = Pause()
