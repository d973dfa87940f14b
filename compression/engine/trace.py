"""A network as a list of operations that change nothing in place, so that any one of them can be run again on its own.

torch.fx (Reed et al. 2022, arXiv:2112.08429) calls the network once with stand-ins for its inputs and writes down what is
done to them. Networks that look at the values on their way (an `if` on the data) cannot be traced.
"""

import operator
import threading
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from compression.engine.linear import QuickLinear
from compression.engine.plain import skeleton


class Untraceable(Exception):
    """The network cannot be written down as a list of operations; the message says why."""


_BINARY = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul, operator.itruediv: operator.truediv}
ROUNDING = frozenset({"round", "floor", "ceil", "trunc", "sign", "fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"})
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


_ONE = threading.Lock()  # two traces at once would leave each other's stand-ins behind


class _Tracer(fx.Tracer):
    """Writes down only what its own thread calls: while it traces, torch.fx stands in for every module of every thread."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=())
        self._owner = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        return super().call_module(m, forward, args, kwargs) if threading.get_ident() == self._owner else forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return super().getattr(attr, attr_val, parameter_proxy_cache) if threading.get_ident() == self._owner else attr_val


def trace(module: nn.Module) -> tuple[fx.Graph, nn.Module]:
    """The operations of a module in eval mode, and the copy of the module, around the same parameters, that they refer to.

    Raises Untraceable.
    """
    root = skeleton(module)
    try:
        with _ONE:
            graph = _Tracer().trace(root)
    except Exception as error:  # whatever the network's own code raises when given stand-ins
        raise Untraceable(f"{type(error).__name__}: {error}") from error
    if sum(n.op == "placeholder" for n in graph.nodes) != 1:
        raise Untraceable("it takes more than one input")
    if not isinstance(next(iter(reversed(graph.nodes))).args[0], fx.Node):
        raise Untraceable("it answers with more than one tensor")
    _out_of_place(graph, root)
    return graph, root


def rounds(graph: fx.Graph) -> bool:
    """Whether values are put on levels as the network runs, so that the last bit of a sum can decide on which."""
    return any(getattr(n.target, "__name__", n.target) in ROUNDING for n in graph.nodes if n.op in ("call_function", "call_method"))


def _out_of_place(graph: fx.Graph, root: nn.Module) -> None:
    """Put in place of each operation that overwrites its operand one that makes a new tensor, and pass that on to later users."""
    position = {n: i for i, n in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if not _overwrites(node, root):
            continue
        overwritten = node.args[0]
        for user in list(overwritten.users):
            if position[user] > position[node]:
                user.replace_input_with(overwritten, node)


def _overwrites(node: fx.Node, root: nn.Module) -> bool:
    """Whether a node overwrote its operand; it no longer does afterwards. Raises Untraceable where it must."""
    if node.op == "call_module":
        target = root.get_submodule(node.target)
        inplace = getattr(target, "inplace", False) is True
        if inplace:
            target.inplace = False
        return inplace
    if node.op == "call_function":
        if node.target in _BINARY:
            node.target = _BINARY[node.target]
            return True
        if node.target is operator.setitem or "out" in node.kwargs:
            raise Untraceable(f"it writes into a tensor by {node.target.__name__}")
        inplace = node.kwargs.get("inplace") is True
        if inplace:
            node.kwargs = {k: v for k, v in node.kwargs.items() if k != "inplace"}
        if node.target.__name__.endswith("_") and not node.target.__name__.endswith("__"):
            raise Untraceable(f"it calls {node.target.__name__}")
        return inplace
    if node.op == "call_method" and node.target.endswith("_") and not node.target.endswith("__"):
        if not hasattr(torch.Tensor, node.target[:-1]):
            raise Untraceable(f"it calls {node.target}")
        node.target = node.target[:-1]
        return True
    return False


def in_place(node: fx.Node, root: nn.Module) -> tuple[int, Any] | None:
    """For an operation that could overwrite one of its operands: which, and how. None for all others."""
    if node.op == "call_module":
        m = root.get_submodule(node.target)
        if type(m) is nn.GELU:
            return 0, lambda x, how=m.approximate: torch.ops.aten.gelu_(x, approximate=how)
        return (0, torch.relu_) if type(m) is nn.ReLU else None
    two = len(node.args) == 2 and all(isinstance(a, fx.Node) for a in node.args) and not node.kwargs
    if node.target in (operator.add, torch.add, "add") and two and node.args[0] is not node.args[1]:
        return 1, _add_into
    relu = node.target in (F.relu, torch.relu, "relu") and len(node.args) == 1 and not node.kwargs
    return (0, torch.relu_) if relu else None


def _add_into(a: Any, b: Any) -> Any:
    """a + b written over whichever of them may be: the caller puts that one first."""
    fits = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and a.shape == b.shape and a.dtype == b.dtype
    return a.add_(b) if fits else a + b


def makes_new(node: fx.Node, root: nn.Module) -> bool:
    """Whether an operation's result is surely a tensor of its own, not a view of an operand."""
    if node.op == "call_module":
        return isinstance(root.get_submodule(node.target), (*CONVOLUTIONS, nn.Linear, nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.ReLU))
    known = (operator.add, torch.add, operator.mul, torch.mul, F.conv2d, F.linear, F.relu)
    return node.op == "call_function" and (node.target in known or isinstance(node.target, QuickLinear))
