"""Small untrained networks to be repaired."""

from types import MappingProxyType

import torch
from torch import nn
from torch.nn import functional as F

from compression.network import network
from compression.zoo.data import Data


class Branching(nn.Module):
    """A stem, a depthwise convolution with a way around it, and a head: (n, 1, 8, 8) -> (n, 5)."""

    def __init__(self, normed=True):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=not normed)
        self.bn1 = nn.BatchNorm2d(8) if normed else nn.Identity()
        self.each = nn.Conv2d(8, 8, 3, stride=2, padding=2, dilation=2, groups=4, bias=not normed)
        self.bn2 = nn.BatchNorm2d(8) if normed else nn.Identity()
        self.around = nn.Conv2d(8, 8, 1, stride=2)
        self.head = nn.Linear(8 * 16, 5)

    def forward(self, x):
        y = F.relu(self.bn1(self.stem(x)))
        return self.head(F.relu(self.bn2(self.each(y)) + self.around(y)).flatten(1))


class Reader(nn.Module):
    """An LSTM, attention on its states, and a head: (n, 1, 8, 8) -> (n, 5)."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        y, _ = self.lstm(x.squeeze(1))
        return self.head(self.attention(y, y, y, need_weights=False)[0][:, -1])


def made(build=Branching, seed=0):
    torch.manual_seed(seed)
    module = build()
    x = torch.randn(600, 1, 8, 8) + torch.randn(600, 1, 1, 1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    module.train()
    for part in x.split(100):
        module(part)  # gives the normalisations statistics
    module.eval()
    data = {s: Data("noise", s, x[a:b], torch.zeros(b - a, dtype=torch.long), tuple("abcde"))
            for s, a, b in (("train", 0, 400), ("validation", 400, 600))}
    return network("small", "Small", module, MappingProxyType(data), x[:1])
