"""Recurrent networks: an LSTM that reads an image row by row, and one that reads text character by character."""

from torch import Tensor, nn


class RowLSTM(nn.Module):
    """Reads the 28 rows of an image in order and answers after the last: (n, 1, 28, 28) -> (n, 10). 82,186 parameters."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, width, batch_first=True)
        self.fc = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        states, _ = self.lstm(images.squeeze(1))  # (n, 28, width)
        return self.fc(states[:, -1])


class CharLSTM(nn.Module):
    """Scores of the next character after each: (n, length) integers -> (n, length, symbols)."""

    def __init__(self, symbols: int, embedded: int = 64, width: int = 256) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols, embedded)
        self.lstm = nn.LSTM(embedded, width, batch_first=True)
        self.head = nn.Linear(width, symbols)

    def forward(self, text: Tensor) -> Tensor:
        states, _ = self.lstm(self.embed(text))
        return self.head(states)
