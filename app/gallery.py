"""Examples whose answer changed, as small cards: a picture or a piece of text, the truth, both answers with their confidence."""

import base64
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from compression.data import Data
from compression.evaluate import Answers, Progress

CARDS = 12
READABLE = 32  # characters before the one in question
STYLE = """<style>
.cards {display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem}
.card {border: 1px solid var(--st-border-color, #8884); border-radius: .4rem; padding: .5rem .6rem; font-size: .85rem; line-height: 1.35}
.card img {width: 72px; height: 72px; image-rendering: pixelated; border-radius: .2rem; display: block; margin-bottom: .3rem}
.of {margin: 0 0 .5rem; font-size: .875rem}
.past {opacity: .6}
.cards.wide {grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr))}
.card code {font-size: .8rem; white-space: pre-wrap; overflow-wrap: anywhere}
</style>"""


def picture(pixels: np.ndarray) -> str:
    """An image (h, w) or (3, h, w) of 0..1 as an HTML image."""
    values = (np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(values if values.ndim == 2 else values.transpose(1, 2, 0)).save(file, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def verdict(was_right: bool | None, is_right: bool | None) -> str:
    """What happened to an answer, in words with a sign."""
    if was_right is None:
        return "≠ changed"
    return {(True, False): "✗ newly wrong", (False, True): "✓ newly right"}.get((was_right, bool(is_right)), "≠ wrong both times")


def image_card(pixels: np.ndarray | None, truth: str | None, before: tuple[str, float], after: tuple[str, float], said: str) -> str:
    """One image's card. Answers are (class, confidence)."""
    shown = picture(pixels) if pixels is not None else ""
    true = f"is {escape(truth)}<br>" if truth is not None else ""
    (old, p), (new, q) = before, after
    return f'<div class="card">{shown}<b>{said}</b><br>{true}{escape(old)} {_sure(p)} → <b>{escape(new)}</b> {_sure(q)}</div>'


def text_card(context: str, truth: str, before: tuple[str, float], after: tuple[str, float], said: str) -> str:
    """One character's card: what stood before it, and what both networks expected next."""
    (old, p), (new, q) = before, after
    return (f'<div class="card"><b>{said}</b><br><code>…{escape(context)}</code><br>next is {_letter(truth)}: '
            f"{_letter(old)} {_sure(p)} → <b>{_letter(new)}</b> {_sure(q)}</div>")


def plain_card(shown: str, said: str, truth: str) -> str:
    """One example with its truth and nobody's answer. shown, said: HTML."""
    return f'{STYLE}<div class="card">{shown}{said}<br>is <b>{escape(truth)}</b></div>'


def _sure(share: float) -> str:
    return f"({100 * share:.0f}\u00a0%)"


def _letter(c: str) -> str:
    return f"<code>{escape({' ': 'space', chr(10): 'new line'}.get(c, c))}</code>"


def page(cards: list[str], wide: bool, of: str = "") -> str:
    """All cards in a grid, below a line that says of what they are."""
    return f'{STYLE}{f"<p class=of>{escape(of)}</p>" if of else ""}<div class="cards{" wide" if wide else ""}">{"".join(cards)}</div>'


def faded(shown: str, of: str) -> str:
    """A page of cards that are no longer those of what is on screen."""
    return f'{STYLE}<p class="of">{escape(of)}</p><div class="past">{shown}</div>'


def changed_cards(data: Data, progress: Progress, most: int) -> tuple[list[tuple[Any, ...]], bool]:
    """Cards of the first examples that changed, newly wrong before newly right; and whether they are text."""
    old, new, places = progress.before, progress.after, progress.places
    differ = (old.top != new.top).nonzero()  # (changed, 1) or (changed, 2)
    if data.labels is not None:
        truth = data.labels[places]
        was, now = (old.top == truth), (new.top == truth)
        rank = torch.where(was & ~now, 0, torch.where(now & ~was, 1, 2))
        differ = differ[rank[tuple(differ.T)].argsort(stable=True)]
    return cards(data, old, new, places, differ, most)


def cards(data: Data, old: Answers, new: Answers, places: Tensor, chosen: Tensor, most: int) -> tuple[list[tuple[Any, ...]], bool]:
    """What the gallery needs of some answers: (context or pixels, truth, old answer, new answer, verdict); and whether they are text.

    places: the rows of the data that were answered; chosen: where among them, (k, 1) or for text (k, 2). Of a window of text only the
    first is taken, and only what has enough before it to be read.
    """
    differ = chosen
    if data.kind == "text":  # one from each window, with enough before it to be read
        first: dict[int, Tensor] = {}
        for at in differ[differ[:, 1] >= READABLE][:5_000]:
            first.setdefault(int(at[0]), at)
        differ = list(first.values())
    found = []
    for at in differ[:most]:
        where, row = tuple(at.tolist()), int(places[at[0]])
        label = None if data.labels is None else int(data.labels[row][where[1:]])
        said = verdict(None if label is None else bool(old.top[where] == label), bool(new.top[where] == label))
        name = [(_name(data, int(a.top[where])), float(a.confidence[where])) for a in (old, new)]
        truth_name = None if label is None else _name(data, label)
        if data.kind == "text":
            context = "".join(data.classes[i] for i in data.inputs[row, max(0, where[1] - 47) : where[1] + 1].tolist())
            found.append((context, truth_name, *name, said))
        else:
            found.append((_pixels(data, row), truth_name, *name, said))
    return found, data.kind == "text"


def _name(data: Data, label: int) -> str:
    return data.classes[label] if label < len(data.classes) else str(label)


def _pixels(data: Data, row: int) -> np.ndarray | None:
    """The image as 0..1, (h, w) or (3, h, w); None where the input is no image."""
    image = data.inputs[row]
    if image.ndim != 3 or len(image) not in (1, 3):
        return None
    pixels = (image * data.std + data.mean).numpy()
    return pixels[0] if len(pixels) == 1 else pixels
