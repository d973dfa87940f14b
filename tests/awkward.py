"""Modules made to trip the engine up: weights used twice, tied, changed in place, sizes read from the data, noise."""

import torch
from torch import nn
from torch.nn import functional as F


class Twice(nn.Module):
    """A layer called twice, with a residual link that reuses its first result."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x):
        y = self.a(x)
        z = F.relu(self.b(y)) + y
        return self.c(self.a(z) * y + x)


class Tied(nn.Module):
    """One weight under two names, and used a third time as a function's argument."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(9, 6), nn.Linear(6, 6), nn.Linear(6, 9, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x):
        y = self.mix(self.embed(x % 9).mean(1))
        return self.head(y) + F.linear(torch.tanh(y), self.embed.weight)


class InPlace(nn.Module):
    """Overwrites what it still needs."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.a(x))
        z = self.b(y)
        z += y
        y.mul_(2)
        z = F.relu(z, inplace=True) + y
        return self.c(z.mean((2, 3)))


class Sizes(nn.Module):
    """Reshapes by x.size(), folding the batch into other axes and back."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(18, 5)

    def forward(self, x):
        n, t = x.size(0), x.shape[1]
        y = torch.relu(self.a(x.reshape(n * t, -1)))
        y = self.b(y).view(n, t, 6) + x.new_zeros(n, t, 6)
        return self.c(y.transpose(0, 1).reshape(t, n, 6).permute(1, 0, 2).reshape(n, -1))


class TimeFirst(nn.Module):
    """Keeps time before the batch, so that neither can be flattened with the other; a bidirectional LSTM."""

    def __init__(self):
        super().__init__()
        self.a, self.lstm, self.c = nn.Linear(4, 6), nn.LSTM(6, 5, num_layers=2, bidirectional=True), nn.Linear(10, 5)

    def forward(self, x):
        y, (h, _) = self.lstm(self.a(x.transpose(0, 1)))
        return self.c(y[-1] + torch.cat([h[0], h[1]], 1))


class Branches(nn.Module):
    """Looks at its data to decide what to do."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x):
        y = self.a(x)
        y = self.b(y) if y.sum() > 1e9 else self.c(y)
        return self.d(y)


class Counting(nn.Module):
    """Counts its runs in a buffer and lets the count into the answer."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)
        self.register_buffer("runs", torch.zeros(1))

    def forward(self, x):
        self.runs += 1
        return self.b(self.a(x)) + 0.1 * self.runs


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.b(F.dropout(self.a(x), 0.5, training=True))


class Mixing(nn.Module):
    """An example's answer depends on the others of its batch."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        y = self.a(x)
        return self.b(y - y.mean(0))


def dropped():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(True), nn.Dropout(0.5, inplace=True), nn.Linear(8, 3))


class MemoInPlace(InPlace):
    """The same, and not traceable."""

    def forward(self, x):
        return super().forward(x) if x.sum() < 1e9 else x
