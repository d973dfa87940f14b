"""Where the bytes are: by layer, and by kind of step."""

import pandas as pd

from app import chart, compute, explain, plots, state, words
from app.explain import Try
from app.pictures import Picture

MOST = 12  # layers that have a bar


def bars(pictures: tuple[Picture, ...]) -> None:
    """Bytes of the largest layers, before and after."""
    largest = sorted(pictures, key=lambda p: -p.bytes_before)[:MOST]
    shown = [p for p in pictures if p in largest]
    chart.show(plots.size_bars([p.name for p in shown], [p.bytes_before for p in shown], [p.bytes_after for p in shown]), key="sizes",
               alt="Bars: bytes of each layer before and after", height=max(260, 22 * len(shown) + 100),
               on_click=lambda at: state.set_focus(at["customdata"]))
    top = largest[0]
    rest = f"The {len(shown)} largest of {len(pictures)} layers. " if len(shown) < len(pictures) else ""
    share = top.bytes_before / max(1, sum(p.bytes_before for p in pictures))
    explain.beside("sizes", f"{rest}Click a bar to bring its layer into focus.",
                   f"{top.name} was {words.share(share, 0)} of all weights’ bytes and is {words.size(top.bytes_after)} now.",
                   Try(f"lock {top.name}", _lock, (top.name,)), lambda: pd.DataFrame({
                       "layer": [p.name for p in pictures], "before (bytes)": [p.bytes_before for p in pictures],
                       "after (bytes)": [p.bytes_after for p in pictures]}))


def _lock(layer: str) -> None:
    state.set_recipe(state.recipe().with_lock(layer, True))


def waterfall() -> None:
    """The file after each kind of step."""
    costs = compute.costs(state.network(), state.shown())
    chart.show(plots.waterfall(costs.stages), key="waterfall", alt="Waterfall: file size after each step of the recipe", height=330)
    held = " · ".join(f"{name} {words.size(count)}" for name, count in costs.items.items() if count)
    explain.beside("waterfall", f"The file holds: {held}",
                   f"{words.size(costs.original_bytes)} became {words.size(costs.file_bytes)}, the length of the file as it is written.",
                   Try("switch Huffman coding", state.toggle_coding),
                   lambda: pd.DataFrame({"after": list(costs.stages), "file (bytes)": list(costs.stages.values())}))
