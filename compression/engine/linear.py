"""Linear layers by the processor's other library, with the GELU after them in the same pass over the results."""

from functools import partial

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

SMALL = 4_000_000  # multiplications below which calling the other library costs more than it saves
LEAST = 2048  # weights: no batch of usual size makes a smaller layer worth it
MOST = float("inf") if "AVX512" in torch.backends.cpu.get_cpu_capability() else 16_000  # weights: a larger layer gains nothing there
BFLOAT16 = hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported") and torch.ops.mkldnn._is_mkldnn_bf16_supported()
KINDS = (torch.float32, torch.bfloat16) if BFLOAT16 else (torch.float32,)  # of numbers that the other library takes here
PACKED = 64_000_000  # bytes of a network's linear weights up to which they are kept in the library's own order as well


def quick_linears(graph: fx.Graph, root: nn.Module) -> int:
    """Have the linear layers of a traced network run by oneDNN where torch offers it; root's modules are changed.

    On processors for which torch's usual library was not written that takes up to a fifth less time, without AVX-512 in small
    layers only; sums are rounded another way. Returns how many layers.
    """
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return 0
    calls = [n.target for n in graph.nodes if n.op == "call_module"]
    packs = sum(p.nbytes for p in root.parameters() if p.ndim == 2) <= PACKED
    found = 0
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target is F.linear and not node.kwargs:
            node.target = QuickLinear(packs)
            found += 1
        m = root.get_submodule(node.target) if node.op == "call_module" else None
        if type(m) is not nn.Linear or not LEAST <= m.weight.numel() <= MOST:
            continue
        then = next(iter(node.users)) if len(node.users) == 1 else node
        gelu = root.get_submodule(then.target) if then.op == "call_module" else None
        fused = type(gelu) is nn.GELU and calls.count(node.target) == 1
        m.forward = partial(_forward, m, QuickLinear(packs, gelu.approximate if fused else None))
        if fused:
            then.replace_all_uses_with(node)
            graph.erase_node(then)
        found += 1
    return found


def _forward(m: nn.Linear, quick: "QuickLinear", x: Tensor) -> Tensor:
    return quick(x, m.weight, m.bias)


class QuickLinear:
    """F.linear, then GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415) where it is "none" (exact) or "tanh" (approximate).

    packs: the network's own weight is kept in the library's order from its first use on, which gives the same numbers sooner.
    It is told by its type from the weights of variants, which are installed for a few calls: nn.Parameter, not Tensor.
    """

    def __init__(self, packs: bool = False, gelu: str | None = None) -> None:
        self.packs, self.gelu = packs, gelu
        self._own: nn.Parameter | None = None
        self._packed: Tensor | None = None

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        gelu = self.gelu
        work = x.numel() * len(weight)
        if x.ndim > 1 and work >= SMALL and weight.numel() <= MOST and x.device.type == "cpu" and x.dtype in KINDS:
            if self.packs and isinstance(weight, nn.Parameter):
                weight = self._ordered(weight)
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none" if gelu is None else "gelu", [], gelu or "")
        y = F.linear(x, weight, bias)
        return y if gelu is None else torch.ops.aten.gelu_(y, approximate=gelu)

    def _ordered(self, weight: nn.Parameter) -> Tensor:
        if self._own is not weight:
            self._own, self._packed = weight, torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        return self._packed
