"""Round or drop weights one input at a time, and let the inputs still to come make up for each error at once.

GPTQ (Frantar et al. 2022, arXiv:2210.17323) for codes, and SparseGPT (arXiv:2301.00774) for a given mask, both after Optimal
Brain Surgeon (Hassibi and Stork 1993). The levels, the codebook and the places stay those of the recipe; only which code a
weight gets, or which value a kept weight has, changes. Of each output the plain rounding is kept where that is nearer.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from compression.apply import encode
from compression.calibrate import Calibration
from compression.encoded import Codes, Dense, Encoded, Levels, Shared
from compression.layer_inputs import gram, inputs_of, stepping
from compression.method import Layer
from compression.places import Sparse
from compression.recipe import Step
from compression.registry import dial
from compression.repair.norms import awaken, statistics
from compression.repair.repaired import Repair, Repaired, carry_on, judged, known_of, not_applicable, working
from compression.repair.walk import changed_owners, run
from compression.surgeon import damped, factor, output_error, passed_on


def compensate(start: Repaired, known: Calibration) -> Repaired:
    """New codes, or new values of kept weights, for all layers stored in a way that allows it, in one forward pass.

    Batch normalisations met on the way are measured again."""
    network, recipe = start.compressed.network, start.compressed.recipe
    module = working(start)
    parts = awaken(module)
    encoded: dict[str, Encoded] = {}

    def visit(name: str, owner: nn.Module, parameter: str, given: tuple[Tensor, ...]) -> None:
        layer = network.layer(name)
        form, later = stored(layer, recipe.chain(name))
        if form is None:
            return
        x = inputs_of(owner, parameter, given, None)
        products = known.statistics[name].inputs if isinstance(x, str) else gram(x)
        encoded[name] = carry_on(compensated(layer.weight, form, products), later, layer)
        setattr(owner, parameter, nn.Parameter(encoded[name].decode(), requires_grad=False))

    with stepping(changed_owners(start, module, known), visit):
        run(module, known.sample)
    if not encoded:
        return not_applicable(start, "compensation", "No layer here is stored as levels, a codebook, or kept weights and their places.")
    described = f"Errors of {len(encoded)} layers passed on to the weights still to come, on {known.sample.described}."
    return judged(start, "compensation", described, known.sample, encoded, statistics(parts))


def stored(layer: Layer, chain: tuple[Step, ...]) -> tuple[Encoded | None, tuple[Step, ...]]:
    """What the layer is stored as before it is coded, and the steps that come later; None where codes cannot be chosen one by one."""
    at = sum(dial(step.method) != "coding" for step in chain)
    form, _ = encode(layer, chain[:at])
    leaf = form.values if isinstance(form, Sparse) else form
    plain = isinstance(leaf, Levels | Shared) and isinstance(leaf.codes, Codes)
    return (form, chain[at:]) if plain or (isinstance(form, Sparse) and isinstance(leaf, Dense)) else (None, ())


def compensated(weight: Tensor, form: Encoded, products: Tensor) -> Encoded:
    """The same form with other codes or values. products: (groups, d, d), mean products of the layer's inputs."""
    groups, d = len(products), products.shape[-1]
    kept = torch.ones(weight.numel(), dtype=torch.bool)
    leaf = form
    if isinstance(form, Sparse):
        kept = torch.zeros_like(kept)
        kept[form.places.decode()] = True
        leaf = form.values
    rounding = _Rounding(leaf, kept, d)
    rows, plain = weight.reshape(-1, d).double(), form.decode().reshape(-1, d).double()
    per, masks = len(rows) // groups, kept.reshape(-1, d)
    best = []
    for g in range(groups):
        part = slice(g * per, (g + 1) * per)
        h = damped(products[g])
        new = passed_on(rows[part], factor(h), lambda w, j, part=part: torch.where(masks[part, j], rounding.nearest(w[:, j], part, j), 0))
        worse = output_error(rows[part] - new, h) > output_error(rows[part] - plain[part], h)
        best.append(torch.where(worse[:, None], plain[part], new))
    fresh = rounding.store(torch.cat(best))
    return replace(form, values=fresh) if isinstance(form, Sparse) else fresh


class _Rounding:
    """Where the levels of every weight of a form lie, as matrices (out, d)."""

    def __init__(self, leaf: Encoded, kept: Tensor, d: int) -> None:
        self.leaf, self.kept = leaf, kept
        if isinstance(leaf, Levels):
            count = int(kept.sum())
            zero = torch.full_like(leaf.scale, leaf.middle, dtype=torch.float64) if leaf.zero is None else leaf.zero.double()
            self.scale, self.zero = (self._spread(each, leaf.group, count).reshape(-1, d) for each in (leaf.scale.double(), zero))
            self.top = 2**leaf.codes.width - 1  # type: ignore[attr-defined]

    def _spread(self, each: Tensor, group: int, count: int) -> Tensor:
        whole = torch.ones(len(self.kept), dtype=torch.float64)
        whole[self.kept] = each.repeat_interleave(group)[:count]
        return whole

    def _codes(self, w: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        half = zero.frac()  # where no level is at zero
        return ((w / scale - half).round() + half + zero).clamp(0, self.top)

    def nearest(self, w: Tensor, part: slice, j: int) -> Tensor:
        """The level nearest to each of one column's weights (out,)."""
        if isinstance(self.leaf, Levels):
            scale, zero = self.scale[part, j], self.zero[part, j]
            return (self._codes(w, scale, zero) - zero) * scale
        if isinstance(self.leaf, Shared):
            return self.leaf.codebook.double()[self._entries(w)]
        return w

    def _entries(self, w: Tensor) -> Tensor:
        book = self.leaf.codebook.double()  # type: ignore[attr-defined]
        return torch.bucketize(w.contiguous(), (book[:-1] + book[1:]) / 2)

    def store(self, values: Tensor) -> Encoded:
        """The leaf with the codes of these values (out, d), which lie on its levels."""
        if isinstance(self.leaf, Dense):
            return Dense(values.flatten()[self.kept].float())
        if isinstance(self.leaf, Levels):
            codes = self._codes(values, self.scale, self.zero).flatten()[self.kept]
        else:
            codes = self._entries(values.flatten()[self.kept])
        old = self.leaf.codes  # type: ignore[attr-defined]
        return replace(self.leaf, codes=Codes(codes.to(old.values.dtype), old.width))  # type: ignore[type-var]


REPAIR = Repair(
    title="Errors passed on",
    summary="Each rounding or removal is made up for by the weights still to come: GPTQ and SparseGPT, with the levels and places of the recipe.",
    reference="Frantar et al. 2022, arXiv:2210.17323; Frantar and Alistarh 2023, arXiv:2301.00774",
    turn=3,
    step=lambda start, taken: compensate(start, known_of(taken)),
)
