"""A memory that forgets what was used longest ago once it holds too many bytes."""

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np
from torch import Tensor, nn


class Bounded(MutableMapping[Any, Any]):
    """A mapping for several threads. Each value counts by the arrays and tensors in it; the newest is always kept."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._rows: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.RLock()

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            value, _ = self._rows[key]
            self._rows.move_to_end(key)
            return value

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            weight = weigh(value)
            self._held += weight - self._rows.pop(key, (None, 0))[1]
            self._rows[key] = value, weight
            while self._held > self._limit and len(self._rows) > 1:
                self._held -= self._rows.popitem(last=False)[1][1]

    def __delitem__(self, key: Any) -> None:
        with self._lock:
            self._held -= self._rows.pop(key)[1]

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            return iter(list(self._rows))

    def __len__(self) -> int:
        return len(self._rows)


def weigh(value: Any) -> int:
    """Bytes of the tensors and arrays in a value, and a little for itself. A tensor met twice counts twice."""
    match value:
        case Tensor():
            return value.numel() * value.element_size()
        case np.ndarray():
            return value.nbytes
        case nn.Module():
            return sum(weigh(t) for t in value.state_dict().values())
        case tuple() | list():
            return 64 + sum(map(weigh, value))
        case dict():
            return 64 + sum(map(weigh, value.values()))
        case _ if dataclasses.is_dataclass(value):
            return 64 + sum(weigh(getattr(value, f.name)) for f in dataclasses.fields(value))
        case _:
            return 64
