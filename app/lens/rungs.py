"""One rung of one dial, really carried out: the layer encoded, decoded, weighed and compared."""

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.lens.ladder import Cut, Picture, Removed, Rounded, Rung, Spread, corner, shown_bins
from app.lens.steps import Steps, running, turned
from compression import measure
from compression.apply import Memo, encoding
from compression.encoded import Codes, Dense, Encoded, Levels, Shared
from compression.lowrank import tucker2
from compression.method import Layer, Value, mapped
from compression.registry import dial

MOST_LEVELS = 256  # that are drawn one by one
_NEAR = 1e-6  # of the largest magnitude: a level so near below a weight still reaches it
_WORDS = {"left": "left factor", "right": "right factor", "out": "output mix", "core": "core", "into": "input mix"}


class Aside(dict[Any, Any]):
    """A memo for trying rungs: it reads from the real one, writes there what all rungs of a dial share, and may forget the rest.

    before: how many running steps come before the dial's; what depends on no more than those is shared. apply.encoding keeps its
    findings under (owner, layer, steps so far, ...).
    """

    def __init__(self, real: Memo, before: int) -> None:
        super().__init__()
        self._real, self._before = real, before

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key] if key in self else self._real.get(key, default)

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(key[2]) <= self._before:
            self._real[key] = value
        else:
            super().__setitem__(key, value)


def carried(layer: Layer, chain: Steps, memo: Memo, owner: str) -> Generator[None, None, tuple[Encoded, tuple[str, ...]]]:
    """apply.encoding with nothing to say on the way."""
    return (yield from mapped(encoding(layer, chain, memo, owner), lambda _: None))


class Leaf(NamedTuple):
    """A tensor of real values that a chain leaves, which the next step works on."""

    path: tuple[str, ...]  # parts of the form, from the root
    values: Tensor

    @property
    def what(self) -> str:
        """In words: weights, kept weights, left factor."""
        factor = next((_WORDS[name] for name in self.path if name in _WORDS), None)
        kept = self.path[-1:] == ("values",)
        if factor is None:
            return "weights" if not self.path else "kept weights" if kept else "stored values"
        return f"kept entries of the {factor}" if kept else factor


def leaves(tree: Encoded, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """The tensors of real values in a form, as a step finds them; none where a chain left codes."""
    if isinstance(tree, Dense):
        yield Leaf(path, tree.values)
        return
    for name, part in tree.parts():
        if isinstance(part, Encoded) and name not in ("places", "kept"):
            yield from leaves(part, (*path, name))


def measured(layer: Layer, steps: Steps, at: int, value: Value, memo: Memo, owner: str, spread: Spread,
             leaf: Leaf | None) -> Generator[None, None, Rung]:
    """A rung in full. leaf: what the dial's step works on, where the dial is the bits."""
    there = turned(steps, at, value)
    form, _ = yield from carried(layer, running(there), memo, owner)
    yield None
    decoded = form.decode()
    wrong = measure.error(layer.weight, decoded)
    yield None
    partial, _ = yield from carried(layer, running(there[: at + 1]), memo, owner)
    match dial(steps[at].method):
        case "sparsity":
            picture: Picture = removed(layer.weight, partial.decode(), spread, plain=not running(there[:at]))
        case "bits":
            picture = NOTHING if leaf is None else rounded(leaf, partial)
        case _:
            relative = measure.error(layer.weight, partial.decode()).relative
            picture = Cut(ranks(there[at].method, tuple(layer.weight.shape), value), 1 - relative**2)
    return Rung(form.nbytes, wrong.sqnr, corner(decoded.float().numpy()), picture)


def removed(weight: Tensor, decoded: Tensor, spread: Spread, plain: bool) -> Removed:
    """What pruning left. plain: the weights come to it as they were trained, so that a magnitude may separate them."""
    after, bins = decoded.flatten(), shown_bins(spread.count)
    stay = after != 0
    kept = torch.histc(after[stay].clamp(-spread.most, spread.most), bins, -spread.most, spread.most)
    threshold = _threshold(weight.abs().flatten(), stay) if plain else None
    moved = not torch.equal(after[stay], weight.flatten()[stay])
    return Removed(1 - int(stay.sum()) / max(len(after), 1), threshold, kept.numpy().astype(np.int64), moved)


def _threshold(size: Tensor, stay: Tensor) -> float | None:
    """The largest magnitude that was removed, where no smaller one was kept."""
    gone = size[~stay & (size != 0)]
    largest = float(gone.max()) if len(gone) else None
    return largest if largest is not None and bool((size[stay] >= largest).all()) else None


NOTHING = Rounded(np.empty(0, np.float32), np.empty(0, np.int64), 0.0, "")


def rounded(leaf: Leaf, form: Encoded) -> Rounded:
    """The levels that the leaf of a form was rounded to."""
    for name in leaf.path:
        form = dict(form.parts())[name]
    return NOTHING if isinstance(form, Dense) else levels(leaf.values, form)


def levels(before: Tensor, stored: Encoded) -> Rounded:
    """The levels that a stored tensor uses or could use: of all its values where they share levels, else where they reach farthest."""
    flat, after = before.flatten(), stored.decode().flatten()
    far = int(flat.abs().argmax())
    row = before[0].numel() if before.ndim > 1 else len(flat)
    if isinstance(stored, Levels):
        if not isinstance(stored.codes, Codes) or stored.codes.width > 8:
            return NOTHING._replace(beyond=None)
        g = far // stored.group
        zero = stored.middle if stored.zero is None else float(stored.zero[g])
        known = (torch.arange(2**stored.codes.width).float() - zero) * stored.scale[g].float()
        return _counted(flat, after, stored.group, g, known, row)
    if isinstance(stored, Shared):
        return _counted(flat, after, len(flat), 0, stored.codebook, row)
    for size in dict.fromkeys((len(flat), row)):
        g = far // size
        if len(after[g * size :][:4096].unique()) <= MOST_LEVELS:
            known = after[g * size : (g + 1) * size].unique()
            if len(known) <= MOST_LEVELS:
                return _counted(flat, after, size, g, known, row)
    return NOTHING._replace(beyond=None)


def _counted(flat: Tensor, after: Tensor, size: int, g: int, known: Tensor, row: int) -> Rounded:
    groups = -(-len(flat) // size)
    part, near = flat[g * size : (g + 1) * size], after[g * size : (g + 1) * size]
    values = known.float().sort().values
    counts = torch.bincount(torch.bucketize(near, (values[1:] + values[:-1]) / 2), minlength=len(values))
    slack = _NEAR * float(part.abs().max())
    outside = (part > values[-1] + slack) | (part < values[0] - slack)
    of = "" if groups == 1 else f"{'output' if size == row else 'group'} {g + 1:,} of {groups:,}"
    return Rounded(values.numpy(), counts.numpy(), float(outside.float().mean()), of)


def ranks(name: str, shape: tuple[int, ...], value: float) -> tuple[int, ...]:
    """How many of each spectrum a share of the rank keeps: one number for the SVD, two for Tucker-2, none for other methods."""
    if name == "lowrank.svd":
        full = min(shape[0], int(np.prod(shape[1:])))
        return (max(1, round(value * full)),)
    return tucker2.ranks(shape, value) if name == "lowrank.tucker2" else ()
