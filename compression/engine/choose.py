"""The quickest engine that gives a network's own answers: each is tried on a few examples before it is trusted."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from compression.engine.graph import Graph
from compression.engine.memo import Memo
from compression.engine.plain import Pairs, Plain, ask, skeleton
from compression.engine.trace import Untraceable
from compression.method import Layer

Engine = Graph | Memo | Plain
TOLERANCE = 1e-3  # of the largest score: a forgotten dependence shows as a difference far larger, rounding far smaller


def choose(module: nn.Module, layers: Iterable[Layer], sample: Tensor, slow: str = "") -> Engine:
    """An engine for changes of some layers' weights. sample: three examples or more of what the network is asked.

    Its `kind` is "graph", "memo" or "plain"; its `why` says why nothing quicker serves. slow: "memo" or "plain" to ask for one.
    """
    groups = [layer.names for layer in layers]
    names = tuple(name for group in groups for name in group)
    sample = sample[torch.arange(3) % len(sample)]
    why = _unsteady(module, sample)
    if why or slow == "plain":
        return Plain(module, why or "it was asked for")
    for folded, channels_last in ((True, True), (False, False)) if slow != "memo" else ():
        try:
            graph = Graph(module, names, sample, folded, channels_last)
        except (Untraceable, RuntimeError) as error:
            why = str(error)
            continue
        if folded and graph.rounds:
            continue  # folding moves the last bits of sums, which tips values at the middle between two levels over
        why = _wrong(graph, module, sample, groups)
        if not why:
            return graph
    memo = Memo(module, names, sample, why)
    wrong = _wrong(memo, module, sample, groups)
    return Plain(module, f"{why}; and {wrong}") if wrong else memo


def _tried(module: nn.Module, group: tuple[str, ...], share: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    weight = module.get_parameter(group[0]).detach()
    return dict.fromkeys(group, weight * share), dict.fromkeys(group, weight.flip(0) * (share + 0.5))


def _unsteady(module: nn.Module, sample: Tensor) -> str:
    """Why a network's answers depend on more than weights and example, so that no part of a run may be kept; "" where not."""
    own = skeleton(module)
    before = {name: buffer.clone() for name, buffer in own.named_buffers()}
    with torch.inference_mode():
        once, again, alone = own(sample), own(sample), own(sample[:2])
    if not isinstance(once, Tensor):
        return "it answers with more than one tensor"
    for name, buffer in own.named_buffers():
        if name not in before or not torch.equal(before[name], buffer):
            return f"its buffer {name} changes while it runs"
    if not torch.equal(once, again):
        return "its answers differ from run to run"
    return "" if _close(once[:2], alone) else "its answer to an example depends on the other examples of the batch"


def _wrong(engine: Any, module: nn.Module, sample: Tensor, groups: list[tuple[str, ...]]) -> str:
    """What an engine gets wrong, or "". Every layer is changed alone, and in two ways on different rows.

    Tried again with other changes where it seems wrong: in a network that rounds its values, one may tip over by a last bit, but not
    each time; a dependence that was forgotten shows each time.
    """
    try:
        with torch.inference_mode():
            own = skeleton(module)
            scores, record = engine.dense(sample)
            if not _close(scores, ask(own, {}, sample)):
                return "run step by step, it gives other scores"
            for group in groups:  # one after the other: of a large network, neither all weights nor all scores fit twice
                if not any(_foreseen(engine, own, sample, record, _tried(module, group, share)) for share in (0.5, 0.45, 0.55)):
                    return f"a change of {group[0]} has an effect that was not foreseen"
    except RuntimeError as error:
        return str(error)
    return ""


def _foreseen(engine: Any, own: nn.Module, sample: Tensor, record: Any, weights: tuple[dict[str, Tensor], dict[str, Tensor]]) -> bool:
    rows = [torch.tensor([2, 0]), torch.tensor([1])]
    one, other = (ask(own, w, sample) for w in weights)
    both = torch.cat([one[rows[0]], other[rows[1]]])
    return all(_close(engine.changed(record, pairs), right) for pairs, right in ((Pairs(weights[:1]), one), (Pairs(weights, rows), both)))


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= TOLERANCE * b.abs().max().clamp(min=1e-30))
