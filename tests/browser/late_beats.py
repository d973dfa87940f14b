"""Streamlit on a machine with other work: a beat of a part is heard up to half a second late, and right after what was pressed meanwhile."""

import sys
import threading

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state import SessionState
from streamlit.web.cli import main

hear, pressed = SessionState.on_script_will_rerun, threading.Condition()


def late(self, *given, **named):
    with pressed:
        if get_script_run_ctx().fragment_ids_this_run:
            pressed.wait(0.5)
        hear(self, *given, **named)
        pressed.notify_all()


SessionState.on_script_will_rerun = late
sys.exit(main())
