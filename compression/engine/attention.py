"""Attention opened up into its three steps, so that a change of the last one does not do the others again."""

import operator

from torch import Tensor, fx, nn
from torch.nn import functional as F


def open_attention(graph: fx.Graph, root: nn.Module) -> int:
    """nn.MultiheadAttention of a sequence to itself, without masks or weights to show, as projection, heads, and projection.

    torch computes the same in one piece; the scores differ in their last bits. Returns how many were opened.
    """
    opened = 0
    for node in list(graph.nodes):
        m = root.get_submodule(node.target) if node.op == "call_module" else None
        if not (type(m) is nn.MultiheadAttention and m.batch_first and m._qkv_same_embed_dim and m.bias_k is None and not m.add_zero_attn
                and node.kwargs == {"need_weights": False} and len(node.args) == 3 and len(set(node.args)) == 1
                and all(u.op == "call_function" and u.target is operator.getitem and u.args[1] == 0 for u in node.users)):
            continue
        names = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
        with graph.inserting_before(node):
            wide, wide_bias, last, last_bias = (
                None if name.endswith("bias") and m.in_proj_bias is None else graph.get_attr(f"{node.target}.{name}") for name in names)
            three = graph.call_function(F.linear, (node.args[0], wide, wide_bias))
            seen = graph.call_function(heads, (three, m.num_heads))
            out = graph.call_function(F.linear, (seen, last, last_bias))
        for user in list(node.users):
            user.replace_all_uses_with(out)
            graph.erase_node(user)
        graph.erase_node(node)
        opened += 1
    return opened


def heads(three: Tensor, count: int) -> Tensor:
    """Scaled dot-product attention by heads: queries, keys and values (n, length, 3 * width) -> (n, length, width)."""
    q, k, v = three.unflatten(-1, (3, count, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, length, width / heads) each
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def without_idle(graph: fx.Graph, root: nn.Module) -> None:
    """Take out modules that do nothing in eval mode: dropout and identity."""
    for node in list(graph.nodes):
        idle = node.op == "call_module" and isinstance(root.get_submodule(node.target), nn.Identity | nn.modules.dropout._DropoutNd)
        if idle and len(node.args) == 1 and not node.kwargs:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
