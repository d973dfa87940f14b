"""Transformers: a small vision transformer, and a character GPT whose output layer is its embedding.

Blocks are pre-norm (layer normalisation before each half), with learned absolute positions and dropout
(Vaswani et al. 2017, arXiv:1706.03762; Dosovitskiy et al. 2021, arXiv:2010.11929; Radford et al. 2019).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.zoo.convolutional import conv_bn


def mlp(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """The position-wise half of a block."""
    return nn.Sequential(OrderedDict(
        up=nn.Linear(width, hidden), gelu=nn.GELU(), down=nn.Linear(hidden, width), dropout=nn.Dropout(dropout),
    ))


class EncoderBlock(nn.Module):
    """Self-attention by nn.MultiheadAttention, then the MLP, each with a residual link. (n, tokens, width), both ways."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.mlp = mlp(width, 2 * width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.dropout(self.attention(y, y, y, need_weights=False)[0])
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """7 x 7 tokens of width 64 (patch 4, cut by a two-layer convolutional stem), 4 blocks of 4 heads, mean of the tokens.

    (n, 1, 28, 28) -> (n, 10). 156,714 parameters. The stem follows Xiao et al. 2021, arXiv:2106.14881.
    """

    def __init__(self, width: int = 64, blocks: int = 4, heads: int = 4, dropout: float = 0.05) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *conv_bn(1, width // 2, stride=2), nn.ReLU(), *conv_bn(width // 2, width, stride=2), nn.ReLU(),
        )
        self.position = nn.Parameter(0.02 * torch.randn(1, 49, width))
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads, dropout) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.stem(images).flatten(2).transpose(1, 2)  # (n, 49, width)
        return self.head(self.norm(self.blocks(tokens + self.position)).mean(1))


class CausalBlock(nn.Module):
    """Attention that sees only the past, with separate query, key, value and output layers, then the MLP."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.dropout = nn.Dropout(dropout)
        self.mlp = mlp(width, 4 * width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (n, heads, length, width / heads)
            for layer in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(seen))
        return x + self.mlp(self.norm2(x))


class CharGPT(nn.Module):
    """Scores of the next character after each: (n, length <= 128) integers -> (n, length, symbols).

    The output matrix is the embedding (Press and Wolf 2017, arXiv:1608.05859): one weight under two names.
    """

    def __init__(self, symbols: int, width: int = 128, blocks: int = 4, heads: int = 4, context: int = 128,
                 dropout: float = 0.02) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(CausalBlock(width, heads, dropout) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols, bias=False)
        self.head.weight = self.embed.weight
        self.apply(_small_start)

    def forward(self, text: Tensor) -> Tensor:
        places = torch.arange(text.shape[1], device=text.device)
        return self.head(self.norm(self.blocks(self.embed(text) + self.position(places))))


def _small_start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
