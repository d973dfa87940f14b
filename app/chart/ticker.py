"""A heartbeat for a fragment whose work runs elsewhere: the browser asks again only after it got the last answer."""

import streamlit as st

JS = """
const timers = new WeakMap()
const busy = () => !["notRunning", undefined].includes(document.querySelector("[data-testid=stApp]")?.dataset.testScriptState)
export default function ({ data, parentElement, setTriggerValue }) {
  clearTimeout(timers.get(parentElement))
  let asked = 0
  // Not while a page is being drawn: the beat would run a part of it that may be gone by then. Asked again after a while: of two fragments
  // that ask in one moment, Streamlit may run only one.
  const ask = () => {
    if (busy()) return timers.set(parentElement, setTimeout(ask, 50))
    setTriggerValue("tick", `${data.seq}.${asked++}`)
    timers.set(parentElement, setTimeout(ask, 1500 + data.ms))
  }
  if (data.live) timers.set(parentElement, setTimeout(ask, data.ms))
  return () => clearTimeout(timers.get(parentElement))
}
"""
# An empty component would still take one gap of the column it stands in.
CSS = """
[data-testid="stElementContainer"]:has(.ticker) {
  position: absolute;
  visibility: hidden;
}
"""

HTML = '<i class="ticker"\nhidden></i>'

_mount = st.components.v2.component("ticker", html=HTML, css=CSS, js=JS, isolate_styles=False)


def tick(live: bool, seq: int, ms: int, key: str) -> None:
    """While `live`, run the fragment this stands in again `ms` milliseconds after each answer; send nothing when not.

    `seq` must differ from one run to the next (a counter of runs, for example): it is what wakes the browser.
    """
    _mount(key=key, data={"live": live, "seq": seq, "ms": ms}, on_tick_change=lambda: None)
