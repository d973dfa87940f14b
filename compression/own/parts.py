"""Which layers a bare list of weights belongs to, told by names and shapes, and in which order they may stand."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from compression.own.reading import dimensions, short

INSTEAD = "Pick a shipped architecture, or start with --model to use your own code."
MOST = 200  # layers
_KNOWN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Part(NamedTuple):
    """The tensors of one layer."""

    name: str
    kind: str  # "linear", "conv", "batchnorm" or "layernorm"
    tensors: Mapping[str, Tensor]  # by the last piece of their names: "weight", "bias"…
    inputs: int  # channels or features; of a convolution, those that one kernel sees
    outputs: int
    kernel: tuple[int, ...] = ()

    @property
    def weighs(self) -> bool:
        """Whether it mixes its inputs, unlike a normalisation."""
        return self.kind in ("linear", "conv")


def parts_of(tensors: Mapping[str, Tensor]) -> list[Part]:
    """Tensors grouped by layer, in the order of the file. Raises ValueError for what no plain chain has."""
    grouped: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        prefix, _, last = key.rpartition(".")
        if last not in _KNOWN:
            raise ValueError(f"`{short(key)}` belongs to no Linear, convolution or normalisation layer, so this is no "
                             f"plain chain. {INSTEAD}")
        grouped.setdefault(prefix or "layer", {})[last] = tensor
    parts = [_part(name, held) for name, held in grouped.items()]
    if not any(part.weighs for part in parts) or len(parts) > MOST:
        raise ValueError(f"This file holds {len(parts)} layers, {sum(part.weighs for part in parts)} of them Linear or "
                         f"convolution; a plain chain has 1 to {MOST}. {INSTEAD}")
    return parts


def _part(name: str, held: dict[str, Tensor]) -> Part:
    """One layer from its tensors, told by the shape of its weight."""
    shown, weight = short(name), held.get("weight", held.get("running_mean"))
    if weight is None:
        raise ValueError(f"`{shown}` has {short(', '.join(held))} but no weight, so this is no plain chain. {INSTEAD}")
    if any(not held[key].is_floating_point() for key in held if key != "num_batches_tracked"):
        raise ValueError(f"`{shown}` holds integers; weights have to be floating point. Save the network from before "
                         "quantization.")
    size, counts = dimensions(tuple(weight.shape)), sum(key in held for key in _KNOWN[2:4])
    counts += "num_batches_tracked" in held and counts == 0  # alone it belongs to nothing
    if any(held[key].shape != weight.shape[:1] for key in ("bias", "running_mean", "running_var") if key in held):
        raise ValueError(f"The tensors of `{shown}` do not belong together: its weight is {size}. Save the network "
                         "again.")
    if weight.ndim == 1 and counts == 2 and ("weight" in held) == ("bias" in held):
        return Part(name, "batchnorm", held, len(weight), len(weight))
    if weight.ndim == 1 and counts == 0 and "bias" in held:
        return Part(name, "layernorm", held, len(weight), len(weight))
    embeds = "bias" not in held and re.search(r"emb|wte|wpe", name.lower())
    if weight.ndim == 2 and counts == 0 and not embeds:
        return Part(name, "linear", held, weight.shape[1], weight.shape[0])
    if weight.ndim in (3, 4) and counts == 0:
        return Part(name, "conv", held, weight.shape[1], weight.shape[0], tuple(weight.shape[2:]))
    raise ValueError(f"`{shown}`, with a weight of {size}, is no Linear, Conv1d, Conv2d, BatchNorm or LayerNorm, so "
                     f"this is no plain chain. {INSTEAD}")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts fc2 before fc10."""
    pieces = re.split(r"(\d{1,9})", name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece]


def orders(parts: list[Part]) -> Iterator[tuple[list[Part], str]]:
    """Orders to try, each with its name in words; the file's own is left out where it is only alphabetical."""
    names = [part.name for part in parts]
    if names != sorted(names):
        yield parts, "as in the file"
    natural = sorted(parts, key=lambda part: _natural(part.name))
    yield natural, "by name, numbers counted"
    row = [part for part in natural if part.kind == "conv"] + [part for part in natural if part.kind == "linear"]
    for norm in (part for part in natural if not part.weighs):
        free = [i for i, (part, after) in enumerate(zip(row, [*row[1:], None], strict=True))
                if part.weighs and part.outputs == norm.outputs and (after is None or after.weighs)]
        if not free:
            return
        digits = re.findall(r"\d+", norm.name)
        row.insert(next((i for i in free if re.findall(r"\d+", row[i].name) == digits), free[0]) + 1, norm)
    yield row, "by name, convolutions first, each normalisation after a layer of its width and number"
