"""The report: one page of HTML that stands alone. It opens without a network, fetches nothing, runs nothing, and prints on two sheets. Pure."""

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import NamedTuple

from app import words
from compression.search import front

A, B, OLD = "#0072B2", "#D55E00", "#767676"
STYLE = """
@page {size: A4; margin: 12mm}
body {font: 10.5pt/1.4 system-ui, sans-serif; color: #14171b; background: #fff; max-width: 186mm; margin: 6mm auto}
h1 {font-size: 17pt; margin: 0 0 2mm} h2 {font-size: 12pt; margin: 5mm 0 1.5mm} p {margin: 1.5mm 0}
table {border-collapse: collapse; width: 100%; font-size: 9pt} td, th {border-bottom: 1px solid #dadee3; padding: .6mm 1.5mm; text-align: right}
td:first-child, th:first-child {text-align: left} svg {display: block; width: 100%; height: auto} small, .small {font-size: 8.5pt; color: #444}
.two {display: grid; grid-template-columns: 1fr 1fr; gap: 6mm} section {break-inside: avoid}
table.facts td {text-align: left} code {font-size: 8pt; overflow-wrap: anywhere}
.cards {display: grid; grid-template-columns: repeat(6, 1fr); gap: 2mm}
.cards.wide {grid-template-columns: 1fr 1fr} .card {border: 1px solid #dadee3; border-radius: 1mm;
padding: 1mm 1.5mm; font-size: 8pt; line-height: 1.3}
.card img {width: 14mm; height: 14mm; image-rendering: pixelated; display: block}
"""


class Dot(NamedTuple):
    """A recipe that was measured, as a point of the trade-off."""

    title: str
    kb: float
    value: float  # a share
    low: float
    high: float
    color: str


class Bar(NamedTuple):
    """A layer's bytes before, in A and in B."""

    name: str
    before: int
    a: int
    b: int


class Report(NamedTuple):
    """All that a report says; text is escaped where it is written."""

    network: str
    claim: str
    sides: tuple[str, str]  # titles of A and B
    rows: Sequence[tuple[str, str, str, str]]  # what, A, B, B − A
    dots: Sequence[Dot]
    studied: Sequence[Dot]  # what a study of the same network on the same data measured
    measure: str  # of the dots: "accuracy on 5,000 validation images"
    bars: Sequence[Bar]
    cards: Sequence[str]  # HTML, as gallery writes it
    wide: bool
    recipes: tuple[str, str]  # JSON
    link: str
    facts: Sequence[tuple[str, str]]  # data, seeds, versions …


CAVEATS = (
    "Intervals are 95 %. They say how far a figure may be off for other examples of the same kind, and nothing about data of another kind.",
    "Sizes are the lengths of files that were written and decode back. Zeros and fewer bits save bytes; they save time only with kernels "
    "made for them, and nothing here was timed unless it says so.",
    "A recipe that was chosen by looking at these examples is judged too well by them: confirm it on test data that chose nothing.",
)


def html(r: Report, today: date) -> str:
    """The whole page."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in ("", f"A: {r.sides[0]}", f"B: {r.sides[1]}", "B − A"))
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in r.rows)
    parts = [
        f"<h1>{escape(r.network)}: {escape(r.sides[1])} against {escape(r.sides[0])}</h1>", f"<p><b>{escape(r.claim)}</b></p>",
        f"<section><table><tr>{head}</tr>{rows}</table></section>",
    ]
    studied = f" Small dots: the {len(r.studied)} recipes studied on Trade-off; line: the best of them up to each size." if r.studied else ""
    charts = [f"<section><h2>{title}</h2>{drawn}</section>" for title, drawn, there in (
        ("What does smaller cost?", f"{tradeoff(r.dots, r.studied)}<p class=small>{escape(r.measure)}; bars: 95 % intervals.{studied}</p>",
         len(r.dots) > 1),
        ("Where in the model?", layers(r.bars) if r.bars else "", r.bars)) if there]
    parts.append(f'<div class="two">{"".join(charts)}</div>')
    if r.cards:
        grid = f'<div class="cards{" wide" if r.wide else ""}">{"".join(r.cards)}</div>'
        parts.append(f"<section><h2>Answers that differ</h2>{grid}"
                     "<p class=small>Each: the truth, A’s answer and its confidence → B’s answer; the surest first.</p></section>")
    recipes = "".join(f"<p><b>{letter}</b> <code>{escape(recipe)}</code></p>" for letter, recipe in zip("AB", r.recipes, strict=True))
    facts = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in r.facts)
    caveats = "".join(f"<li>{escape(c)}</li>" for c in CAVEATS)
    parts += [f"<section><h2>Recipes</h2>{recipes}<p class=small>On screen again: <code>{escape(r.link)}</code></p></section>",
              f'<section><h2>How it was measured</h2><table class="facts">{facts}</table><ul class="small">{caveats}</ul></section>']
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
            f"<title>{escape(r.network)}: compression report</title><style>{STYLE}</style></head><body>{''.join(parts)}"
            f"<p class=small>Shrinkscope, {today.isoformat()}</p></body></html>")


def tradeoff(dots: Sequence[Dot], studied: Sequence[Dot] = ()) -> str:
    """Accuracy against the size of the file, both axes over what is shown, as SVG: dots by name, and the front of what was studied."""
    wide, high, left, bottom = 360, 230, 42, 34
    every = [*dots, *studied]
    top = 1.08 * max(d.kb for d in every)
    least, most = min(d.low for d in every), max(d.high for d in every)
    least, most = least - 0.05 * (most - least or 1), most + 0.08 * (most - least or 1)

    def x(kb: float) -> float:
        return left + (wide - left - 8) * kb / top

    def y(value: float) -> float:
        return 8 + (high - bottom - 8) * (most - value) / (most - least)

    lines = []
    for i in range(5):
        value, kb = least + (most - least) * i / 4, top * i / 4
        lines.append(f'<line x1="{left}" x2="{wide - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e6e8eb"/>'
                     f'<text x="{left - 4}" y="{y(value) + 3:.1f}" text-anchor="end">{100 * value:.1f}</text>'
                     f'<text x="{x(kb):.1f}" y="{high - bottom + 14}" text-anchor="middle">{kb:,.0f}</text>')
    best = front(studied, lambda d: d.kb, lambda d: d.value)
    steps = "".join(f"{f'H{x(d.kb):.1f}V' if i else f'M{x(d.kb):.1f} '}{y(d.value):.1f}" for i, d in enumerate(best))
    lines.append(f'<path d="{steps}" fill="none" stroke="{OLD}"/>' if best else "")
    lines += [f'<circle cx="{x(d.kb):.1f}" cy="{y(d.value):.1f}" r="2" fill="{d.color}"><title>{escape(d.title)}</title></circle>' for d in studied]
    for d in dots:
        near_end = d.kb > 0.7 * top
        lines.append(f'<line x1="{x(d.kb):.1f}" x2="{x(d.kb):.1f}" y1="{y(d.low):.1f}" y2="{y(d.high):.1f}" stroke="{d.color}"/>'
                     f'<circle cx="{x(d.kb):.1f}" cy="{y(d.value):.1f}" r="4" fill="{d.color}"/>'
                     f'<text x="{x(d.kb) + (-7 if near_end else 7):.1f}" y="{y(d.value) - 5:.1f}" '
                     f'text-anchor="{"end" if near_end else "start"}">{escape(d.title)}</text>')
    return _svg(wide, high, "Accuracy against the size of the file", "".join(lines) +
                f'<text x="{(left + wide) / 2}" y="{high - 4}" text-anchor="middle">size of the file (KB)</text>'
                f'<text transform="translate(9 {(high - bottom) / 2}) rotate(-90)" text-anchor="middle">per cent</text>')


def layers(bars: Sequence[Bar]) -> str:
    """Bytes of each layer before (outline), in A and in B, as SVG."""
    wide, row, left = 360, 20, 110
    top = max(1, *(max(b.before, b.a, b.b) for b in bars))
    lines = []
    for i, bar in enumerate(bars):
        at, scale = 6 + i * row, (wide - left - 62) / top
        lines.append(f'<text x="{left - 4}" y="{at + 11}" text-anchor="end">{escape(words.short(bar.name, 20))}</text>'
                     f'<rect x="{left}" y="{at}" width="{bar.before * scale:.1f}" height="15" fill="none" stroke="{OLD}"/>'
                     f'<rect x="{left}" y="{at + 1}" width="{bar.a * scale:.1f}" height="6" fill="{A}"/>'
                     f'<rect x="{left}" y="{at + 8}" width="{bar.b * scale:.1f}" height="6" fill="{B}"/>'
                     f'<text x="{left + max(bar.before, bar.a, bar.b) * scale + 4:.1f}" y="{at + 11}">{escape(words.size(bar.b))}</text>')
    height = 6 + len(bars) * row + 18
    lines.append(f'<text x="{left}" y="{height - 5}">outline: as trained · blue: A · vermilion, number: B</text>')
    return _svg(wide, height, "Bytes of each layer", "".join(lines))


def _svg(wide: int, high: int, title: str, inside: str) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" aria-label="{escape(title)}" '
            f'font-family="system-ui, sans-serif" font-size="9">{inside}</svg>')
