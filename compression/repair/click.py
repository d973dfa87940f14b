"""One click: the repairs that fit a recipe, the cheapest first, each kept only if it brings the answers nearer to the original's."""

from collections.abc import Iterator
from dataclasses import replace

from compression.apply import Compressed
from compression.calibrate import Calibration, Sample, calibrate, sample
from compression.registry import dial
from compression.repair.biases import correct
from compression.repair.compensate import compensate
from compression.repair.last import refit
from compression.repair.norms import re_estimate
from compression.repair.repaired import Repaired, begin, divergence, working
from compression.repair.survivors import fit


def click(compressed: Compressed, taken: Sample | None = None, known: Calibration | None = None) -> Iterator[Repaired]:
    """Repair step by step; each Repaired says whether its step was accepted, and the last is the best found.

    Normalisations first, which takes a fraction of a second; then, layer by layer, least squares on what pruning left, or error
    compensation after quantization alone; where there are no normalisations, also bias correction and the last layer (where there
    are, these were refused or changed next to nothing: tests/bench/repair.py).
    """
    network = compressed.network
    taken = taken or (known.sample if known else sample(network))
    state = begin(compressed)
    state = re_estimate(replace(state, after=divergence(working(state), taken)), taken)
    yield state
    normalised = state.accepted
    dials = {dial(step.method) for layer in network.layers for step in compressed.recipe.chain(layer.name)}
    if dials & {"sparsity", "bits"}:
        known = known or calibrate(taken, products=False)
        state = fit(state, known) if "sparsity" in dials else compensate(state, known)
        yield state
        if "sparsity" not in dials and not normalised:
            state = correct(state, known)
            yield state
    if not normalised:
        state = refit(state, taken)
        yield state


def best(compressed: Compressed, known: Calibration | None = None) -> Repaired:
    """The end of a click. known: what was learnt of the network before, the same for every recipe."""
    *_, last = click(compressed, known=known)
    return last
