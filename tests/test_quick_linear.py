"""Linear layers by the other library: the same numbers, and the own weight packed once while variants come and go."""

import pytest
import torch
from torch import fx, nn

from compression.engine import linear
from compression.engine.linear import QuickLinear, quick_linears
from compression.engine.plain import installed

pytestmark = pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch comes without oneDNN")


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """As on processors on which layers of any size gain by the other library."""
    monkeypatch.setattr(linear, "MOST", float("inf"))


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).eval()


def quick(module):
    graph = fx.Tracer().trace(module)
    assert quick_linears(graph, module) == 2
    return fx.GraphModule(module, graph)


def own(module):
    return [m.forward.args[1] for m in module.modules() if isinstance(m, nn.Linear)]


@torch.inference_mode()
def test_own_weights_are_packed_once_and_variants_never():
    plain, module, x = mlp(), quick(mlp()), torch.randn(512, 64)
    torch.testing.assert_close(module(x), plain(x), rtol=0, atol=1e-5)
    packed = [q._packed for q in own(module)]
    assert all(p.layout is torch._mkldnn for p in packed)
    variant = plain[0].weight.detach() * 0.5
    with installed(module, {"0.weight": variant}), installed(plain, {"0.weight": variant}):
        torch.testing.assert_close(module(x), plain(x), rtol=0, atol=1e-5)
    assert all(q._packed is p for q, p in zip(own(module), packed)), "a variant for a few calls is not worth it"


@torch.inference_mode()
def test_packing_changes_no_bit():
    m, x = nn.Linear(128, 256), torch.randn(256, 128)
    assert torch.equal(QuickLinear(True)(x, m.weight, m.bias), QuickLinear(False)(x, m.weight, m.bias))


@torch.inference_mode()
def test_a_large_networks_weights_are_not_kept_twice(monkeypatch):
    monkeypatch.setattr(linear, "PACKED", 1000)
    module = quick(mlp())
    module(torch.randn(512, 64))
    assert all(q._packed is None for q in own(module))


@torch.inference_mode()
def test_where_it_does_not_serve_torch_multiplies(monkeypatch):
    m, x = nn.Linear(128, 256), torch.randn(256, 128)
    monkeypatch.setattr(linear, "KINDS", (torch.float32,))
    rough = nn.Parameter(m.weight.detach().bfloat16())
    assert torch.equal(QuickLinear(True)(x.bfloat16(), rough), nn.functional.linear(x.bfloat16(), rough)), "no bfloat16 in this processor"
    monkeypatch.setattr(linear, "MOST", 1000)
    assert torch.equal(QuickLinear(True)(x, m.weight, m.bias), m(x))
    assert quick_linears(fx.Tracer().trace(mlp()), mlp()) == 0
