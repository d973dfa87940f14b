"""Networks with random weights for tests/bench/scale.py: chains of any size, a sentence encoder, a decoder."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def chain(weights: int, layers: int) -> tuple[nn.Module, Tensor]:
    """Linear layers of one width, as many weights as asked for within a few per cent, and three examples."""
    width = max(2, round((weights / layers) ** 0.5))
    return _start(_stack([nn.Linear(width, width) for _ in range(layers)], [nn.ReLU() for _ in range(layers)])), torch.randn(3, width)


def convolutions(weights: int, layers: int) -> tuple[nn.Module, Tensor]:
    """3 x 3 convolutions of one width on 8 x 8 pixels, each with batch normalisation, and three examples."""
    width = max(2, round((weights / layers / 9) ** 0.5))
    body = [nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(layers)]
    after = [nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()) for _ in range(layers)]
    return _start(nn.Sequential(_stack(body, after), nn.AdaptiveAvgPool2d(1), nn.Flatten())), torch.randn(3, width, 8, 8)


def _start(module: nn.Module) -> nn.Module:
    """Weights from which signals come through as large as they go in, however many layers there are."""
    for m in module.modules():
        if isinstance(m, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
        elif isinstance(m, nn.Embedding):
            nn.init.normal_(m.weight, std=0.02)
    return module


def _stack(body: list[nn.Module], after: list[nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((f"{kind}{i}", m) for i, pair in enumerate(zip(body, after)) for kind, m in zip(("layer", "after"), pair)))


class Block(nn.Module):
    """Self-attention and a hidden layer, each with a residual link; norms after them (encoder) or before (decoder)."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        if self.causal:
            x = x + self.attend(self.norm1(x))
            return x + self.down(F.gelu(self.up(self.norm2(x))))
        x = self.norm1(x + self.attend(x))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    """A sentence encoder of the shape of all-MiniLM-L6-v2: tokens (n, length) -> the mean of their last states (n, 384)."""

    def __init__(self, words: int = 30_522, width: int = 384, blocks: int = 6, heads: int = 12, places: int = 512) -> None:
        super().__init__()
        self.words, self.places, self.kinds = nn.Embedding(words, width), nn.Embedding(places, width), nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(blocks)))
        self.pool = nn.Linear(width, width)  # part of the file, not of the answer's path in the model; used here

    def forward(self, text: Tensor) -> Tensor:
        place = torch.arange(text.shape[1])
        x = self.norm(self.words(text) + self.places(place) + self.kinds(torch.zeros_like(place)))
        return self.pool(self.blocks(x).mean(1))


class Decoder(nn.Module):
    """A decoder of the shape of GPT-2 small, its head tied to its embedding: tokens (n, length) -> scores (n, length, words)."""

    def __init__(self, words: int = 50_257, width: int = 768, blocks: int = 12, heads: int = 12, places: int = 1_024) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(places, width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=True) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight

    def forward(self, text: Tensor) -> Tensor:
        x = self.words(text) + self.places(torch.arange(text.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def encoder(length: int = 32) -> tuple[nn.Module, Tensor]:
    return _start(Encoder()), torch.randint(30_522, (3, length))


def decoder(length: int = 16) -> tuple[nn.Module, Tensor]:
    return _start(Decoder()), torch.randint(50_257, (3, length))
