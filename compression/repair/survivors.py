"""Let the weights that pruning left make up for those it took: least squares, layer by layer.

Each output of a layer is fitted anew to what the original layer gave, from the inputs that the repaired layers before it give,
with the kept weights of that output as the only unknowns. Zeros stay zero, and later steps of the recipe (fewer bits, coding)
are carried out again on the new values. (He et al. 2017, arXiv:1707.06168, section 3.1; the ridge draws towards the original.)
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.linalg.lapack import dposv
from torch import Tensor, nn

from compression.apply import encode
from compression.calibrate import Calibration
from compression.encoded import Dense, Encoded
from compression.layer_inputs import gram, inputs_of, stepping
from compression.method import Layer
from compression.places import Sparse
from compression.recipe import Step
from compression.registry import dial
from compression.repair.norms import awaken, statistics
from compression.repair.repaired import Repair, Repaired, carry_on, judged, known_of, not_applicable, working
from compression.repair.walk import changed_owners, run
from compression.surgeon import damped

_RIDGE = 0.01


def fit(start: Repaired, known: Calibration, ridge: float = _RIDGE) -> Repaired:
    """New values for the kept weights of all pruned layers, and new statistics for the batch normalisations met on the way."""
    network, recipe = start.compressed.network, start.compressed.recipe
    module = working(start)
    parts = awaken(module)
    encoded: dict[str, Encoded] = {}

    def visit(name: str, owner: nn.Module, parameter: str, given: tuple[Tensor, ...]) -> None:
        layer = network.layer(name)
        form, later = pruned_form(layer, recipe.chain(name), start.compressed.encoded[name])
        if form is None:
            return
        x, stats = inputs_of(owner, parameter, given, None), known.statistics[name]
        products = stats.inputs if isinstance(x, str) else gram(x)
        rows = layer.weight.reshape(len(products), -1, products.shape[-1])  # (groups, out / groups, d)
        if isinstance(x, str):  # a layer that feeds itself: fitted to the original's inputs
            cross = products @ rows.transpose(1, 2)
        else:
            wanted = stats.outputs.unflatten(1, (len(products), -1))
            cross = torch.stack([a.T @ b for a, b in zip(x.unbind(1), wanted.unbind(1))]) / len(x)  # (groups, d, out / groups)
        kept = torch.zeros(layer.weight.numel(), dtype=torch.bool)
        kept[form.places.decode()] = True
        fitted = torch.cat([solve(g, c, w, k, ridge) for g, c, w, k in zip(products, cross, rows, kept.reshape(rows.shape))])
        values = Dense(fitted.flatten()[kept].float().contiguous())
        encoded[name] = carry_on(replace(form, values=values), later, layer)
        setattr(owner, parameter, nn.Parameter(encoded[name].decode(), requires_grad=False))

    with stepping(changed_owners(start, module, known), visit):
        run(module, known.sample)
    if not encoded:
        return not_applicable(start, "survivors", "No layer here is stored as kept weights and their places.")
    described = f"The kept weights of {len(encoded)} layers fitted to the original's outputs on {known.sample.described}."
    return judged(start, "survivors", described, known.sample, encoded, statistics(parts))


def pruned_form(layer: Layer, chain: tuple[Step, ...], stored: Encoded) -> tuple[Sparse | None, tuple[Step, ...]]:
    """What the layer is stored as after its pruning step, and the steps that come later; None where that is no plain Sparse."""
    at = next((i for i, step in enumerate(chain) if dial(step.method) == "sparsity"), None)
    if at is None:
        return None, ()
    form = stored if at + 1 == len(chain) else encode(layer, chain[: at + 1])[0]
    return (form, chain[at + 1 :]) if isinstance(form, Sparse) and isinstance(form.values, Dense) else (None, ())


def solve(products: Tensor, cross: Tensor, weight: Tensor, kept: Tensor, ridge: float) -> Tensor:
    """Least squares for each output on its kept inputs alone: (out, d), zero elsewhere.

    products (d, d) and cross (d, out): mean products of inputs with inputs and with the outputs wanted. weight, kept: (out, d).
    """
    pull = ridge * products.double().diagonal().mean()
    a, b = damped(products, ridge).numpy(), (cross.double().T + pull * weight.double()).numpy()
    fitted = np.zeros(weight.shape)
    for row, which in enumerate(kept.numpy()):
        at = np.flatnonzero(which)
        if len(at):  # numpy and LAPACK take less than two thirds of torch's time
            _, fitted[row, at], failed = dposv(a.take(at, 0).take(at, 1), b[row, at], lower=True)
            if failed:
                raise ValueError(f"output {row}: the {len(at)} kept inputs' products have no Cholesky factor; a larger ridge gives them one")
    return torch.from_numpy(fitted)


REPAIR = Repair(
    title="Survivors fitted again",
    summary="The weights that pruning left make up for those it took: least squares on each layer's outputs.",
    reference="He et al. 2017, Channel Pruning, arXiv:1707.06168, section 3.1",
    turn=2,
    step=lambda start, taken: fit(start, known_of(taken)),
)
