"""Fourier amplitude sensitivity test: every output of a layer swings at a frequency of its own, and the answers tell whose they follow.

A gate on each output goes between shut and open as a sine, all gates at once, each at its own frequency; for each of a few examples
the network answers at every step of the sweep. What an output accounts for is the share of the variance of the class scores, less
their mean over the classes, that lies at its frequency; those that account for least are forgotten.

With n outputs the frequencies are n + 1 to 2n in an order by lot, and there are 6n + 1 steps: sums, differences and multiples of two
frequencies, which is where two gates that act together show, then fall on none of them, nor do their mirror images. What three
gates do together may. Lauret et al. test the hidden units of one layer by this analysis of variance; that gates swing, between shut and
open, is ours, so that it can be asked of any layer of a network for real examples. The total index of the extended test, which sweeps
the network once more for each unit, is not worked out.
"""

from collections.abc import Callable, Generator
from math import pi
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Context, Failure, Layer, Method, Piecewise
from compression.pruning import filters
from compression.pruning.flow import owners

EXAMPLES = {2: 16, 3: 2}  # that are swept, by the dimensions of the scores: text has three, and the answer at its last place counts
AT_ONCE = 256  # steps of a sweep
_CALLED = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


class Swings(NamedTuple):
    """How much of the answers' variance follows each output's gate, and at which frequencies that variance lies."""

    weight: Tensor
    heard: Tensor  # (out,) share of the variance at the output's frequency
    spectrum: dict[str, float]  # cycles in a sweep -> share of the variance
    order: Tensor  # (out,) least first


def called(about: Context) -> frozenset[str]:
    """Names of the layers that are called once, and give one row, for one example."""
    module, rows = about.spare(), {}
    for layer in about.layers:
        for owner in owners(module, layer):
            if isinstance(owner, _CALLED):
                owner.register_forward_hook(lambda _, given, out, name=layer.name: rows.setdefault(name, []).append(len(out)))
    with torch.no_grad():
        module(about.examples[:1])
    return frozenset(name for name, counts in rows.items() if counts == [1])


def answers(about: Context, layer: str) -> Callable[[Tensor, Tensor], Tensor]:
    """What answers f(example (1, ...), gates (steps, out)) are: (steps, classes), float64, less their mean over the classes.

    What runs before the layer is run once for all steps.
    """
    module = about.spare()
    owner, known, place, opened = module.get_submodule(layer), [], [0], [None]  # outputs of the parts that run up to the layer, in turn

    def part(own: nn.Module, plain: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **more: Any) -> Any:
            gates, at = opened[0], place[0]
            place[0] += 1
            if gates is None:
                out = plain(*given, **more)
                if not known or known[-1][0] is not owner:
                    known.append((own, out.clone() if isinstance(out, Tensor) else out))
                return out
            if at >= len(known):
                return plain(*given, **more)
            out = known[at][1]
            if own is owner and at == len(known) - 1:
                return gated(own, out, gates)
            return out.repeat(len(gates), *[1] * (out.ndim - 1)) if isinstance(out, Tensor) and len(out) == 1 else plain(*given, **more)

        return run

    for each in module.modules():
        if not any(True for _ in each.children()):
            each.forward = part(each, each.forward)

    def asked(example: Tensor, gates: Tensor) -> Tensor:
        known.clear()
        found = []
        for some in (None, *gates.split(AT_ONCE)):
            opened[0], place[0] = some, 0
            scores = module(example if some is None else example.expand(len(some), *example.shape[1:]))
            if some is not None:
                found.append((scores[:, -1] if scores.ndim == 3 else scores).double())
        scores = torch.cat(found)
        return scores - scores.mean(1, keepdim=True)

    return asked


def gated(owner: nn.Module, out: Tensor, gates: Tensor) -> Tensor:
    """One row of what a layer gives, (1, out, *places) or (1, ..., out), at each of the gates (steps, out): they close on all but the bias."""
    conv = not isinstance(owner, nn.Linear)
    ones = [1] * (out.ndim - 2)
    gates = gates.reshape(len(gates), -1, *ones) if conv else gates.reshape(len(gates), *ones, -1)
    if owner.bias is None:
        return out * gates
    bias = owner.bias.reshape(-1, *ones) if conv else owner.bias
    return bias + (out - bias) * gates


def sweep(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Frequencies of so many gates, (count,), whole cycles; and the gates at each step, (6 count + 1, count), from 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    frequencies = torch.randperm(count, generator=generator) + count + 1
    phases, steps = 2 * pi * torch.rand(count, generator=generator, dtype=torch.float64), 6 * count + 1
    turns = torch.outer(torch.arange(steps), frequencies) % steps
    return frequencies, ((1 + torch.sin(2 * pi * turns.double() / steps + phases)) / 2).float()


def power(scores: Tensor) -> Tensor:
    """Variance of scores (steps, classes) at 0, 1, 2... cycles, added over the classes; none at 0. (steps // 2 + 1,) for an odd number of steps."""
    found = 2 * (torch.fft.rfft(scores, dim=0).abs() / len(scores)).square().sum(1)
    found[0] = 0
    return found


def refuses(weight: Tensor, layer: Layer) -> str | None:
    why = filters.refuses(weight, layer)
    if why is None and layer.name not in layer.context.once("called", lambda: called(layer.context)):
        return f"{layer.name} is not called once, with one row for each example, so no gates can be put on its outputs."
    return why


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Swings]:
    about, count = layer.context, len(weight)
    frequencies, gates = sweep(count, about.seed)
    asked, found = answers(about, layer.name), torch.zeros(3 * count + 1, dtype=torch.float64)
    examples = about.examples[: EXAMPLES.get(about.scores.ndim, EXAMPLES[2])]
    for i, example in enumerate(examples):
        yield i / len(examples)
        with torch.no_grad():
            found += power(asked(example[None], gates))
    found /= found.sum().clamp(min=1e-30)
    heard, whose = found[frequencies], dict(zip(frequencies.tolist(), range(1, count + 1)))
    named = {f"{f} (output {whose[f]})" if f in whose else str(f): float(found[f]) for f in range(1, 2 * count + 1)}
    return Swings(weight, heard.float(), named, heard.argsort(stable=True))


def answer(found: Swings, sparsity: float) -> Encoded:
    return filters.without(found.weight, found.order[: round(sparsity * len(found.weight))])


METHOD = Method(
    title="Fourier sensitivity (FAST)",
    summary="Let the outputs of a layer swing, each at its own frequency, and forget those whose frequencies are hardly heard in the answers.",
    reference="Lauret, Fock and Mara 2006, A Node Pruning Algorithm Based on a Fourier Amplitude Sensitivity Test Method, "
              "IEEE Trans. Neural Networks 17",
    survey="3.3",
    knobs=(filters.SPARSITY,),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(("spectrum", "How much of what varies lies at each frequency."),),
    fails=Failure(
        "While the others swing they are half open on average, so each output is judged in a network unlike the one from which it then goes.",
        "resnet-20", "stage1.0.conv1", (("sparsity", 0.25),), ("pruning.nisp", (("sparsity", 0.25),))),
)
