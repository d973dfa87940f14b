"""Round what goes into each layer while the network runs, so that weights and activations can both be whole numbers.

Before every linear, convolutional, recurrent and attention layer stands a rounding to evenly spaced levels. In float stay: what
normalisations, softmax and residual links compute, a recurrent layer's own states, and queries, keys and values within attention.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.context import NO_EXAMPLES
from compression.method import Knob
from compression.network import Network
from compression.quantization import clipping, hadamard
from compression.rewrite import Rewrite, Setback, spare

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.LSTM, nn.GRU, nn.RNN, nn.MultiheadAttention)
STATIC, DYNAMIC = ("minmax", "99.9th", "mse", "kl"), ("example", "token")
_SAMPLE = 1 << 18  # values at most from which a range is found


class Rounding(nn.Module):
    """Evenly spaced levels over a fixed range, or over that of each example or token as it comes. (n, ...) -> the same.

    turn: a rotation of the channels, (channels, channels), that is undone after rounding; it is worked out anew, not stored.
    """

    def __init__(self, bits: int, over: str, dims: tuple[int, ...], ends: tuple[float, float] | None, turn: Tensor | None = None,
                 axis: int = -1) -> None:
        super().__init__()
        self.top, self.dims, self.fixed, self.turned, self.axis = 2**bits - 1, dims, ends is not None, turn is not None, axis
        self.register_buffer("setting", torch.tensor([bits, (*STATIC, *DYNAMIC).index(over), self.turned], dtype=torch.uint8))
        self.register_buffer("turn", turn, persistent=False)
        if ends is not None:
            scale, zero = _levels(*(torch.tensor(e) for e in ends), self.top)
            self.register_buffer("scale", scale)
            self.register_buffer("zero", zero.to(torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        if not self.turned:
            return self.rounded(x)
        return turned(self.rounded(turned(x, self.turn, self.axis)), self.turn.T, self.axis)

    def rounded(self, x: Tensor) -> Tensor:
        """Every value at its nearest level."""
        if self.fixed:
            scale, zero = self.scale, self.zero
        else:
            low, high = x.amin(self.dims, keepdim=True).clamp(max=0), x.amax(self.dims, keepdim=True).clamp(min=0)
            scale, zero = _levels(low, high, self.top)
        return (((x * (1 / scale)).round() + zero).clamp(0, self.top) - zero) * scale


class Attention(nn.MultiheadAttention):
    """Attention of a sequence to itself, in steps, so that what goes into the output layer is rounded as well."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **how: Any) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        if key is not query or value is not query or how != {"need_weights": False}:
            return super().forward(query, key, value, **how)
        three = F.linear(query, self.in_proj_weight, self.in_proj_bias).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = three.permute(2, 0, 3, 1, 4)  # (n, heads, length, width / heads) each
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return F.linear(self.out_proj.rounding(seen), self.out_proj.weight, self.out_proj.bias), None


def refuses(network: Network) -> str | None:
    if "train" not in network.data:
        return NO_EXAMPLES
    return None if any(isinstance(m, LAYERS) for m in network.module.modules()) else "There is no layer here whose inputs could be rounded."


def apply(network: Network, bits: int, range: str, rotate: bool) -> nn.Module:
    """The module with a Rounding in each layer that was met with a tensor; static ranges come from the training examples."""
    module = spare(network)
    open_up(module)
    found: dict[str, Rounding] = {}

    def watch(name: str, owner: nn.Module) -> Callable[..., None]:
        def before(_: nn.Module, given: tuple[Any, ...]) -> None:
            if given and isinstance(given[0], Tensor) and name not in found:
                x, axis = given[0], _channels(owner)
                turn = rotation(x.shape[axis]) if rotate else None
                ends = ends_of(x if turn is None else turned(x, turn, axis), bits, range) if range in STATIC else None
                found[name] = Rounding(bits, range, axes(owner, x.ndim, range), ends, turn, axis)
        return before

    hooks = [_gate(owner).register_forward_pre_hook(watch(name, owner)) for name, owner in _places(module)]
    with torch.no_grad():
        module(network.context.examples)
    for hook in hooks:
        hook.remove()
    for name, rounding in found.items():
        owner = module.get_submodule(name)
        asked = hasattr(owner, "rounding")  # by the attention layer around it
        owner.rounding = rounding
        if not asked:
            owner.register_forward_pre_hook(round_first)
    return module


def left_in_float(network: Network) -> dict[str, str]:
    """Layers of a network rewritten so whose inputs are not rounded, and why, in a sentence."""
    told = {}
    for layer in network.layers:
        places = [full.rpartition(".") for full in layer.names]
        if all(name.startswith("weight_hh") for _, _, name in places):
            told[layer.name] = "A recurrent layer's own states stay inside it, in float."
        elif not any(isinstance(getattr(network.module.get_submodule(owner), "rounding", None), Rounding) for owner, _, _ in places):
            told[layer.name] = ("An embedding has no inputs but the numbers of its rows." if layer.kind == "embedding" else
                                f"What goes into {layer.name} was not met from outside of the module that holds it.")
    return told


def open_up(module: nn.Module) -> None:
    """Let every attention layer that can be taken in steps be one whose output layer's input can be rounded; for now it is not."""
    for part in module.modules():
        if type(part) is nn.MultiheadAttention and part.batch_first and part._qkv_same_embed_dim and part.bias_k is None and not part.add_zero_attn:
            part.__class__ = Attention
            part.out_proj.rounding = nn.Identity()


def axes(owner: nn.Module, ndim: int, over: str) -> tuple[int, ...]:
    """The axes over which a range is taken as the network runs: all of an example, or the channels of a token."""
    if over == "token":
        return (_channels(owner) % ndim,)
    batch = 0 if getattr(owner, "batch_first", True) else 1
    return tuple(i for i in torch.arange(ndim).tolist() if i != batch)


def rotation(size: int) -> Tensor:
    """A rotation that mixes all channels: signs drawn by lot, the same each time, then Hadamard matrices. (size, size)."""
    signs = 1.0 - 2 * torch.randint(2, (size, 1), generator=torch.Generator().manual_seed(0))
    return signs * hadamard.mixed(torch.eye(size))


def turned(x: Tensor, by: Tensor, axis: int) -> Tensor:
    """The channels of x, along an axis, mixed by a matrix."""
    return (x.movedim(axis, -1) @ by).movedim(-1, axis)


def ends_of(x: Tensor, bits: int, rule: str) -> tuple[float, float]:
    """The ends of a static range by one of the rules: zero is always between them."""
    flat = x.flatten()
    low, high = float(flat.amin().clamp(max=0)), float(flat.amax().clamp(min=0))
    seen = flat[:: -(-len(flat) // _SAMPLE)]
    if rule == "99.9th":
        a, b = np.quantile(seen.numpy(), (0.001, 0.999))
        return max(low, min(float(a), 0.0)), min(high, max(float(b), 0.0))
    share = 1.0
    if rule == "mse":
        scale, zero = _levels(torch.tensor([low]), torch.tensor([high]), 2**bits - 1)
        share = float(clipping.least_error(seen[None], scale, -zero, 2**bits - 1 - zero))
    elif rule == "kl":
        reach = max(-low, high, 1e-30)
        counts = torch.histc(seen.abs(), clipping.BINS, 0, reach).double().numpy()
        counts[0] = 0.0  # TensorRT leaves zeros out: after a ReLU they are most, and every cut keeps them
        share = clipping.most_alike(counts, 2**bits if low == 0 else 2 ** (bits - 1)) if counts.any() else 1.0
    return low * share, high * share


def _levels(low: Tensor, high: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point of levels from low to high, as torch has them for affine levels."""
    scale = (high - low) / top
    scale = torch.where(scale < torch.finfo(torch.float32).tiny, torch.ones_like(scale), scale)
    return scale, (-low / scale).round().clamp(0, top)


def _channels(owner: nn.Module) -> int:
    return 1 if isinstance(owner, nn.Conv1d | nn.Conv2d | nn.Conv3d) else -1


def _places(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Layers by name."""
    return [(name, part) for name, part in module.named_modules() if isinstance(part, LAYERS)]


def _gate(owner: nn.Module) -> nn.Module:
    """What is called with a layer's inputs: the layer, or the part of it that an attention layer asks."""
    return getattr(owner, "rounding", owner)


def round_first(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Before a layer runs: its first argument rounded, wherever it stands among the arguments."""
    rounded = module.rounding(given[0])
    return tuple(rounded if each is given[0] else each for each in given)


REWRITE = Rewrite(
    title="Activation quantization",
    summary="What goes into each layer is rounded to few levels too; with rounded weights a layer then multiplies whole numbers only. States, "
            "softmax, normalisations and residual links stay in float.",
    reference="Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342; tokens: Yao et al. 2022, ZeroQuant, arXiv:2206.01861; "
              "rotation: Ashkboos et al. 2024, QuaRot, arXiv:2404.00456",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per activation", (2, 3, 4, 5, 6, 7, 8, 16, 32), 8, "How many levels there are: two to this power.", off=32),
        Knob("range", "Range", (*STATIC, *DYNAMIC), "minmax",
             "Static: found once on training examples, to the last value, a percentile, the least squared error or the least change of the "
             "histogram. Dynamic: of each example, or of each token or pixel, as it comes."),
        Knob("rotate", "Rotate", (False, True), False,
             "Mix the channels by a rotation before rounding and unmix them after, as QuaRot does, so that no single channel stands out."),
    ),
    apply=apply,
    refuses=refuses,
    exact=False,
    terms=(
        ("activation", "What a layer is given or gives: a number for each unit, other ones for each example."),
        ("static and dynamic", "Whether the range of levels is fixed beforehand or found anew for each example."),
    ),
    fails=Setback(
        "Three bits from the least to the largest value a layer was ever given: of the eight levels hardly one falls where most values lie.",
        "vit", (("bits", 3), ("range", "minmax"), ("rotate", False))),
)
