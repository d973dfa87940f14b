"""The memory of the app holds what it may and no more; and nothing copies a network, or a large layer, without need."""

import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from app.memory import Bounded, weigh
from compression import measure, score
from compression.apply import compress
from compression.encoded import Dense
from compression.engine.choose import choose
from compression.engine.grid import Bank
from compression.engine.plain import Pairs
from compression.export import pack
from compression.network import Network, network
from compression.recipe import Recipe, step
from compression.sketches.spectrum import errors_by_rank


def test_it_forgets_what_was_used_longest_ago():
    held = Bounded(10_000)
    for i in range(4):
        held[i] = torch.zeros(1_000)  # 4,000 bytes
        assert 0 in held or i > 1
        held.get(1)
    assert list(held) == [1, 3] or list(held) == [3, 1]


def test_it_counts_what_is_inside():
    assert weigh(Dense(torch.zeros(100))) >= 400 and weigh((np.zeros(10), [torch.zeros(5)])) >= 100


def test_something_too_large_is_still_held_alone_and_replacing_does_not_count_twice():
    held = Bounded(100)
    held["a"] = torch.zeros(1_000)
    held["a"] = torch.zeros(2_000)
    assert list(held) == ["a"]
    held["b"] = 1
    assert list(held) == ["b"]
    del held["b"]
    assert len(held) == 0 and held._held == 0


WIDTH = 1_024
WHOLE = 4 * WIDTH * WIDTH  # bytes of one layer


class New(TorchDispatchMode):
    """Notes how large the tensors are that are made anew, views left out, and which operations run."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.runs: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        old = {_place(t) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        made = func(*args, **(kwargs or {}))
        self.runs[func.__name__.split(".")[0]] += 1
        self.sizes += [t.numel() * t.element_size() if t.is_mkldnn else t.untyped_storage().nbytes() for t in tree_leaves(made)
                       if isinstance(t, torch.Tensor) and t.device.type == "cpu" and _place(t) not in old]
        return made


def _place(tensor: torch.Tensor) -> int:
    """Where a tensor's numbers lie; those in the processor library's own order have no storage that can be asked for."""
    return id(tensor) if tensor.is_mkldnn else tensor.untyped_storage()._cdata


def taken(work: Callable[[], Any]) -> tuple[int, int, Any]:
    """Bytes of the largest tensor made on the way, those held at the height outside of tensors, and the result."""
    tracemalloc.start()
    try:
        with New() as new:
            result = work()
        return max(new.sizes, default=0), tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def wide(layers: int = 6) -> tuple[nn.Sequential, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers))), torch.randn(3, WIDTH)


@pytest.fixture(scope="module")
def net() -> Network:
    module, x = wide()
    measure.multiply_adds(nn.Linear(1, 1), torch.zeros(1, 1))  # the first time, torch imports a great deal
    return network("wide", "Wide", module, example=x[:1])


def test_opening_takes_little_more_than_the_network_itself(net, monkeypatch):
    monkeypatch.setattr("compression.network._PIECE", 1 << 14)
    tensors, rest, again = taken(lambda: network("wide", "Wide", net.module))
    assert again.digest == net.digest and tensors <= 4 << 14 and rest < WHOLE / 4


def test_operations_are_counted_without_a_copy_of_the_weights(net):
    tensors, rest, count = taken(lambda: measure.multiply_adds(net.module, net.example))
    assert count == 6 * WIDTH * WIDTH and tensors <= 4 * WIDTH and rest < WHOLE


def test_the_error_is_measured_piece_by_piece(net, monkeypatch):
    weights = {layer.name: layer.weight for layer in net.layers}
    decoded = {name: w * 0.9 for name, w in weights.items()}
    whole = measure.total_error(weights, decoded)
    monkeypatch.setattr("compression.measure._PIECE", 10_007)
    tensors, _, pieces = taken(lambda: measure.total_error(weights, decoded))
    assert tensors <= 4 * 10_007
    assert pieces.relative == pytest.approx(whole.relative, rel=1e-12) and pieces.zeros == whole.zeros


def test_a_file_is_written_form_by_form(net):
    done = compress(net, Recipe())
    _, rest, data = taken(lambda: pack(done))
    assert len(data) > 6 * WHOLE and rest < len(data) + 2 * WHOLE


def test_a_spectrum_widens_some_rows_at_a_time():
    tall = np.random.default_rng(0).normal(size=(40_000, 260)).astype(np.float32)
    _, rest, errors = taken(lambda: errors_by_rank(tall))
    assert rest < tall.nbytes / 2
    singular = np.linalg.svd(tall.astype(np.float64), compute_uv=False)
    assert errors[100] == pytest.approx(np.sqrt((singular[100:] ** 2).sum() / (singular**2).sum()), rel=1e-9)
    assert errors_by_rank(tall.T) == pytest.approx(errors)


def test_a_layer_is_prepared_once_for_all_stages(net, monkeypatch):
    sort, sorted_sizes = np.sort, []
    monkeypatch.setattr(np, "sort", lambda values: sorted_sizes.append(values.size) or sort(values))
    score.stages(net, Recipe((step("pruning.magnitude", sparsity=0.5), step("quantization.uniform", bits=4))))
    assert sorted_sizes == [layer.weight.numel() for layer in net.layers]


@pytest.mark.parametrize("kind", ["graph", "memo", "plain"])
def test_a_variant_is_asked_without_any_copy_of_weights(net, kind):
    """Neither of the network nor of one layer: what is new are the values on the way, a few kilobytes.

    That the graph keeps a small network's linear weights in the processor library's order too, from its first run on, is bounded
    by linear.PACKED.
    """
    x = torch.randn(8, WIDTH)
    engine = choose(net.module, net.layers, x[:3], slow="" if kind == "graph" else kind)
    assert engine.kind == kind
    engine.dense(x)
    bank = Bank(net.layers, [step("pruning.magnitude", sparsity=s) for s in (0.5, 0.9)])
    weights = {name: [bank.weights(i) for i in places] for name, places in bank.measured.items()}

    def ask() -> int:
        _, record = engine.dense(x)
        return sum(len(engine.changed(record, Pairs(variants))) for variants in weights.values())

    tensors, rest, count = taken(ask)
    assert count == 8 * len(bank.cells) and tensors <= 4 * 2 * 8 * WIDTH and rest < WHOLE


def test_a_scan_holds_decoded_weights_up_to_its_limit(net):
    bank = Bank(net.layers, [step("pruning.magnitude", sparsity=0.5)], bytes_kept=2 * WHOLE)
    for _ in range(2):
        for i in range(len(bank.cells)):
            bank.weights(i)
            assert weigh(list(bank._decoded.values())) <= 2 * WHOLE + 200
