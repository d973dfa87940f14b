"""A long list in sections, as a real table whose rows can be read, searched by the browser, and opened by mouse or keyboard."""

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".listing")
  const make = (tag, text, name) => {
    const made = document.createElement(tag)
    if (text) made.textContent = text
    if (name) made.className = name
    return made
  }
  const line = entry => {
    const row = make("tr", "", entry.opens ? "opens" : "")
    const badge = make("td", "", "listing-badge")
    badge.append(make("span", entry.glyph, "listing-glyph"), make("span", entry.badge))
    const name = make("th", "", "listing-name")
    name.scope = "row"
    if (entry.opens) {
      const button = make("button", entry.name)
      button.type = "button"
      button.title = `Open ${entry.here}`
      name.append(button)
      row.onclick = () => setTriggerValue("opened", entry.opens)
    } else name.append(make("span", entry.name))
    name.append(make("small", entry.reference))
    const far = make("td")
    if (entry.here) far.append(make("b", entry.here))
    if (entry.soon) far.append(make("span", entry.soon, "listing-soon"))
    if (entry.why) far.append(make("span", entry.why))
    row.append(badge, name, make("td", entry.what), far)
    return row
  }
  root.replaceChildren(...data.sections.flatMap(section => {
    const table = make("table")
    const head = make("tr")
    head.append(...["Badge", "Technique", "What it is", "What runs here, or why not"].map(word => {
      const cell = make("th", word)
      cell.scope = "col"
      return cell
    }))
    table.append(make("caption", section.title), make("thead"), make("tbody"))
    table.tHead.append(head)
    table.tBodies[0].append(...section.entries.map(line))
    return table
  }))
}
"""

CSS = """
.listing { font-family: var(--st-font); color: var(--st-text-color); font-size: 0.875rem; line-height: 1.45; }
.listing table { width: 100%; border-collapse: collapse; table-layout: fixed; margin: 0 0 2rem; }
.listing caption { text-align: left; font-size: 1.125rem; font-weight: 600; padding: 0 0 0.5rem; }
.listing th, .listing td { text-align: left; vertical-align: top; padding: 0.5rem 0.75rem 0.5rem 0; border-bottom: 1px solid var(--st-border-color);
  overflow-wrap: anywhere; font-weight: 400; }
.listing thead th { font-size: 0.8125rem; color: var(--st-gray-text-color); }
.listing thead th:nth-child(1) { width: 8.5rem; }
.listing thead th:nth-child(2) { width: 24%; }
.listing thead th:nth-child(3) { width: 30%; }
.listing-name button { all: unset; cursor: pointer; font-weight: 600; color: var(--st-link-color); text-decoration: underline;
  text-underline-offset: 2px; }
.listing-name button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.listing-name span { font-weight: 600; }
.listing-name small { display: block; font-size: 0.8125rem; color: var(--st-gray-text-color); }
.listing-glyph { display: inline-block; width: 1.25rem; color: var(--st-primary-color); }
.listing td b { display: block; font-weight: 600; }
.listing-soon { display: block; font-size: 0.8125rem; color: var(--st-gray-text-color); }
.listing tr.opens { cursor: pointer; }
.listing tr.opens:hover td, .listing tr.opens:hover th { background: var(--st-secondary-background-color); }
@media (max-width: 760px) {
  .listing thead { position: absolute; clip-path: inset(50%); }
  .listing table, .listing tbody, .listing caption { display: block; }
  .listing tr { display: block; padding: 0.5rem 0; border-bottom: 1px solid var(--st-border-color); }
  .listing th, .listing td { display: block; border: 0; padding: 0.125rem 0; }
}
"""

_mount = st.components.v2.component("listing", html='<div class="listing"></div>', css=CSS, js=JS, isolate_styles=False)


class Entry(NamedTuple):
    """One row; opens: what is given back when it is clicked, empty where there is nothing to open."""

    glyph: str
    badge: str
    name: str
    reference: str
    what: str
    here: str
    soon: str  # how soon that answers
    why: str
    opens: str


def show(sections: Sequence[tuple[str, Sequence[Entry]]], key: str) -> str:
    """Draw titled sections of rows. Gives what the row that was just clicked opens; empty in every other run."""
    data = [{"title": title, "entries": [entry._asdict() for entry in entries]} for title, entries in sections]
    return str(_mount(key=key, data={"sections": data}, on_opened_change=lambda: None).opened or "")
