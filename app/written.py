"""A network's file, written and read back: its bytes step by step, slice by slice and layer by layer."""

from typing import NamedTuple

from app import compute
from compression.apply import compress, up_to
from compression.export import file_size, pack, unpack
from compression.measure import itemised, place_format
from compression.network import Network
from compression.recipe import Recipe
from compression.score import size_of


class Part(NamedTuple):
    """One layer of the file."""

    layer: str
    weights: int
    sparsity: float
    bits: int
    places: str  # how the file says where the weights that are left belong
    slices: dict[str, int]  # bytes by what they are


class Written(NamedTuple):
    """A file that was written and read back."""

    stages: dict[str, int]  # bytes of the file before, and after each step; the last is the file's
    slices: dict[str, int]  # its bytes by what they are
    parts: tuple[Part, ...]
    read_back: int  # numbers that the file gave back as they were stored, bit for bit
    numbers: int


def written(net: Network, recipe: Recipe) -> Written:
    """Carry the recipe out, write the file, and read it back."""
    return compute.kept(("papers", net.digest, recipe), lambda: _written(net, recipe))


def _written(net: Network, recipe: Recipe) -> Written:
    memo = compute.memo()
    done = compress(net, recipe, memo)
    file = pack(done)
    stored = net.module.state_dict() | done.weights()
    back = unpack(file)
    same = sum(int((back[name] == tensor).sum()) for name, tensor in stored.items() if name in back and back[name].dtype == tensor.dtype)
    sizes = {"original": size_of(compress(net, Recipe(), memo))}
    sizes |= {said: size_of(compress(net, up_to(recipe, which), memo)) for which, said in (("sparsity", "pruned"), ("bits", "shared"))}
    rows = []
    for layer in net.layers:
        knobs = {name: value for s in recipe.chain(layer.name) for name, value in s.knobs}
        form = done.encoded[layer.name]
        rows.append(Part(layer.name, layer.weight.numel(), knobs["sparsity"], knobs["bits"], place_format(form) or "", itemised(form)))
    rest = file_size(done)
    slices: dict[str, int] = {}
    for word, count in (pair for row in rows for pair in row.slices.items()):
        slices[word] = slices.get(word, 0) + count
    slices = {word: slices[word] for word in sorted(slices, key=slices.__getitem__, reverse=True)}
    slices |= {"biases": rest["biases and norms"], "header": rest["header"]}
    return Written(sizes | {"coded": len(file)}, slices, tuple(rows), same, sum(t.numel() for t in stored.values()))
