"""Let attention layers that look at the same places reuse the map of an earlier one, and forget how to make their own."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.context import NO_EXAMPLES
from compression.method import Knob
from compression.network import Network
from compression.rewrite import Relation, Rewrite, Setback, spare

RUNGS = (0.0, *(i / 20 for i in range(1, 21)))


class Showing(nn.MultiheadAttention):
    """Self-attention (n, length, width) that leaves its map behind for later layers of the same run."""

    shown: Tensor | None = None  # (n, heads, length, length), of the last run

    def forward(self, query: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        self.shown = attention_map(q, k, self.num_heads)
        return F.linear((self.shown @ by_heads(v, self.num_heads)).transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias), None


class Reusing(nn.MultiheadAttention):
    """Self-attention with the map of an earlier layer: of its in-projection only the rows that make values are left."""

    source: tuple[Showing]  # in a tuple, so that the earlier layer does not become a part of this one

    def forward(self, query: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        v = by_heads(F.linear(query, self.in_proj_weight, self.in_proj_bias), self.num_heads)
        return F.linear((self.source[0].shown @ v).transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias), None


def by_heads(x: Tensor, heads: int) -> Tensor:
    """(n, length, width) -> (n, heads, length, width / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attention_map(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """In which shares each place looks at all places: (n, length, width) twice -> (n, heads, length, length)."""
    q, k = by_heads(queries, heads), by_heads(keys, heads)
    return (q @ k.transpose(-2, -1) / (queries.shape[-1] // heads) ** 0.5).softmax(-1)


def attentions(network: Network) -> dict[str, Tensor]:
    """Maps of the attention layers by name, in the order in which they run: (n, heads, length, length).

    Only of those that attend from a sequence, batch first, to itself, without a mask and not asked for their maps, and run once.
    """
    module, found, calls = spare(network), {}, []
    names = {id(part): name for name, part in module.named_modules()}

    def before(part: nn.MultiheadAttention, given: tuple[Any, ...], known: dict[str, Any]) -> None:
        calls.append(names[id(part)])
        plain = part.batch_first and part._qkv_same_embed_dim and part.bias_k is None and not part.add_zero_attn
        masked = any(known.get(word) is not None for word in ("key_padding_mask", "attn_mask")) or known.get("is_causal")
        asked = known.get("need_weights", True)
        if plain and not masked and not asked and len(given) == 3 and given[0] is given[1] is given[2]:
            queries, keys, _ = F.linear(given[0], part.in_proj_weight, part.in_proj_bias).chunk(3, -1)
            found[names[id(part)]] = attention_map(queries, keys, part.num_heads)

    for part in module.modules():
        if type(part) is nn.MultiheadAttention:
            part.register_forward_pre_hook(before, with_kwargs=True)
    with torch.no_grad():
        module(network.context.examples)
    return {name: maps for name, maps in found.items() if calls.count(name) == 1}


def divergence(one: Tensor, other: Tensor) -> float:
    """Mean Jensen-Shannon divergence, in bits (0 to 1), of maps (n, heads, length, length) row by row (Xiao et al. 2019, equation 3)."""
    middle = (one + other) / 2

    def relative(p: Tensor) -> Tensor:
        return torch.where(p > 0, p * (p / middle).log2(), 0).sum(-1)

    return float((relative(one) + relative(other)).mean() / 2)


def divergences(network: Network) -> dict[tuple[str, str], float]:
    """(earlier, later attention layer with as many heads and places) -> how far their maps are apart."""
    return network.context.once("divergences of attention", lambda: _divergences(attentions(network)))


def _divergences(maps: dict[str, Tensor]) -> dict[tuple[str, str], float]:
    names = list(maps)
    return {(a, b): divergence(maps[a], maps[b]) for j, b in enumerate(names) for a in names[:j] if maps[a].shape == maps[b].shape}


def sources(network: Network, limit: float) -> dict[str, str]:
    """Later attention layer -> the one whose map it reuses: the first of its run of neighbours, of which none is further from it than the limit."""
    known, found, first = divergences(network), {}, None
    for name in dict.fromkeys(name for pair in known for name in pair):
        if first is not None and known.get((first, name), 1.0 + limit) <= limit:
            found[name] = first
        else:
            first = name
    return found


def refuses(network: Network) -> str | None:
    if sum(type(part) is nn.MultiheadAttention for part in network.module.modules()) < 2:
        return "This is for networks with two or more nn.MultiheadAttention layers, whose maps can be seen."
    if "train" not in network.data:
        return NO_EXAMPLES
    return None if divergences(network) else "No two attention layers here attend from a sequence to itself with as many heads and places."


def looks(network: Network) -> Relation:
    """How far apart the attention maps of all layers are."""
    known = divergences(network)
    names = tuple(dict.fromkeys(name for pair in known for name in pair))
    values = torch.full((len(names), len(names)), torch.nan).fill_diagonal_(0)
    for (one, other), far in known.items():
        i, j = names.index(one), names.index(other)
        values[i, j] = values[j, i] = far
    return Relation("Which layers look at the same places?", names, values, "Jensen-Shannon divergence of their maps, in bits")


def apply(network: Network, divergence: float) -> nn.Module:
    """The module with later attention layers left without queries and keys."""
    module, reused = spare(network), sources(network, divergence)
    for name in set(reused.values()):
        module.get_submodule(name).__class__ = Showing
    for name, source in reused.items():
        part = module.get_submodule(name)
        part.__class__, part.source = Reusing, (module.get_submodule(source),)
        for own in ("in_proj_weight", "in_proj_bias"):
            if (tensor := getattr(part, own)) is not None:
                setattr(part, own, nn.Parameter(tensor.detach()[-part.embed_dim :].clone(), requires_grad=False))
    return module


REWRITE = Rewrite(
    title="Shared attention maps",
    summary="Neighbouring attention layers that look at much the same places share the map of the first; the others store no queries and keys.",
    reference="Xiao et al. 2019, Sharing Attention Weights for Fast Transformer, arXiv:1906.11024",
    survey="2.3",
    knobs=(
        Knob("divergence", "Divergence up to", RUNGS, 0.4,
             "Layers whose maps differ from the first one's by no more than this share them: Jensen-Shannon divergence in bits, 0 to 1.",
             "fall", off=0.0),
    ),
    apply=apply,
    refuses=refuses,
    exact=False,
    terms=(("attention map", "For each place in a sequence the shares in which it looks at all places."),
           ("Jensen-Shannon divergence", "How far two distributions are from their mean: 0 bits where equal, 1 where they have nothing in common.")),
    looks=looks,
    fails=Setback(
        "At a divergence of one bit every layer has to look where the first does, and the later ones had found other places.",
        "vit", (("divergence", 1.0),)),
)
