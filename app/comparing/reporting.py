"""The report of a comparison: everything it says is taken down when the page is drawn, since a download has no session to ask."""

import platform
import sys
from collections.abc import Callable, Sequence
from datetime import date

import torch

from app import compute, gallery, report, state, words
from app.comparing import said
from app.comparing.sides import Known
from app.report import Bar, Dot, Report
from app.studying.axes import Row
from compression.compare import WORSE, Comparison, places
from compression.data import Data
from compression.evaluate import Answers
from compression.link import to_link
from compression.presets import PRESETS, recorded

LAYERS, CARDS, LONGEST = 10, 12, 1_200


def prepared(a: Known, b: Known, found: Comparison, data: Data, told: tuple[Answers, Answers], claim: str, same_layers: bool) -> Callable[[], str]:
    """What writes the report when it is asked for."""
    link, _ = state.link()
    studied = _studied(b, data)

    def write() -> str:
        worse = places(found, *told, WORSE)
        made, wide = gallery.cards(data, *told, torch.arange(len(data)), worse if len(worse) else places(found, *told, None), CARDS)
        q = found.quality
        name = "accuracy" if q.accuracy else "agreement with the original"
        return report.html(Report(
            b.side.net.title, claim.replace("**", ""), (a.side.title, b.side.title), said.table(a, b, found), _dots(a, b, data), studied,
            f"{name.capitalize()} on {words.examples(data.kind, data.split, q.n, q.of)} of {data.name}", _bars(a, b) if same_layers else (),
            [gallery.text_card(*c) if wide else gallery.image_card(*c) for c in made], wide, (_recipe(a), _recipe(b)), link,
            _facts(a, b, found, data)), date.today())

    return write


def _recipe(known: Known) -> str:
    text = " ".join(f"{key}={value}" for key, value in to_link(known.side.recipe).items()) or "original: nothing is changed"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… (complete in the recipe file)"


def _dots(a: Known, b: Known, data: Data) -> list[Dot]:
    found, there = [], {(k.costs.file_bytes, (k.quality.accuracy or k.quality.agreement).value) for k in (a, b)}
    if b.quality.accuracy:
        for name, row in recorded(b.side.net).items():
            at = row.get(data.split)
            if at and (row["file_bytes"], at["accuracy"]) not in there:
                found.append(Dot(PRESETS[name].title, row["file_bytes"] / 1e3, at["accuracy"], at["low"], at["high"], report.OLD))
    for letter, known, color in (("A", a, report.A), ("B", b, report.B)):
        best = known.quality.accuracy or known.quality.agreement
        found.append(Dot(letter, known.costs.file_bytes / 1e3, *best, color))
    return found


def _studied(b: Known, data: Data) -> list[Dot]:
    """What the last study on Trade-off measured, where it was of B's network and these examples; its controls are left out."""
    rows: Sequence[Row] = state.remember("studied", dict).get((b.side.net.digest, data.digest), ())
    best = [(row, row.point.quality.accuracy or row.point.quality.agreement) for row in rows if not row.control]
    return [Dot(row.said, row.point.file_bytes / 1e3, *share, report.OLD) for row, share in best]


def _bars(a: Known, b: Known) -> list[Bar]:
    rows = zip(*(compute.pictures(k.side.net, k.side.recipe) for k in (a, b)), strict=True)
    bars = [Bar(p.name, p.bytes_before, p.bytes_after, q.bytes_after) for p, q in rows]
    largest = sorted(bars, key=lambda bar: -bar.before)[:LAYERS]
    return [bar for bar in bars if bar in largest]


def _facts(a: Known, b: Known, found: Comparison, data: Data) -> list[tuple[str, str]]:
    q = found.quality
    weights = {k.side.net.digest[:16]: k.side.net.title for k in (a, b)}
    return [
        ("Data", f"{data.name}, {words.examples(data.kind, data.split, q.n, q.of)}; the same for A and B, all of them"),
        ("Test", "exact paired sign test of the answers that became right or wrong (McNemar 1947), two-sided"),
        ("Weights", "; ".join(f"{title} {digest}…" for digest, title in weights.items())),
        ("Seeds", f"A {a.side.recipe.seed}, B {b.side.recipe.seed}"),
        ("Versions", f"torch {torch.__version__}, Python {sys.version.split()[0]}, {platform.machine()}"),
    ]
