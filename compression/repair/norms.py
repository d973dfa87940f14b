"""Measure again what batch normalisation subtracts and divides by, now that the layers before it are compressed.

Compression changes the mean and spread of a layer's outputs, and the running statistics kept from training no longer fit. The
cheapest repair there is, and after pruning often nearly all that is needed (Sun et al. 2019, arXiv:1907.02188; Hubara et al.
2020, arXiv:2006.10518).
"""

import torch
from torch import Tensor, nn

from compression.calibrate import Sample
from compression.repair.repaired import Repair, Repaired, judged, not_applicable, working

_BATCH = 128


def re_estimate(start: Repaired, taken: Sample) -> Repaired:
    """Means and variances of all batch normalisations from the calibration examples. Nothing that is compressed changes."""
    module = working(start)
    parts = awaken(module)
    if not parts:
        return not_applicable(start, "norms", "This network has no batch normalisation whose statistics could be measured again.")
    with torch.no_grad():
        for x in taken.inputs.split(_BATCH):
            module(x)
    told = f"The statistics of {len(parts)} batch normalisations measured again on {taken.described}."
    return judged(start, "norms", told, taken, {}, statistics(parts))


def awaken(module: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    """Let a working module's batch normalisations use and average the statistics of what passes; dropout stays off. By name."""
    parts = {name: part for name, part in module.named_modules()
             if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None and part.running_var is not None}
    for part in parts.values():
        part.running_mean, part.running_var = torch.zeros_like(part.running_mean), torch.ones_like(part.running_var)
        part.num_batches_tracked = torch.zeros((), dtype=torch.long)
        part.momentum = None  # a plain average over the batches
        part.train()
    return parts


def statistics(parts: dict[str, nn.modules.batchnorm._BatchNorm]) -> dict[str, Tensor]:
    """Their buffers by name."""
    return {f"{name}.{kind}": getattr(part, kind) for name, part in parts.items() for kind in ("running_mean", "running_var")}


REPAIR = Repair(
    title="Batch norms measured again",
    summary="Compression moves the mean and spread of a layer's outputs; the normalisation after it learns the new ones.",
    reference="Sun et al. 2019, arXiv:1907.02188; Hubara et al. 2020, arXiv:2006.10518",
    turn=1,
    step=re_estimate,
)
