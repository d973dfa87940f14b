"""One network made ready for questions: its engine, its pace, and the original's answers to each set of examples, each once.

What takes long comes in pieces, so that a caller may stop between them. Several threads may ask: each gets an engine of its own.
"""

import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.apply import Compressed
from compression.data import Data
from compression.engine import sampling, scan
from compression.engine.answers import Answers
from compression.engine.choose import choose
from compression.engine.judging import judging
from compression.engine.sampling import Design
from compression.engine.scan import Original
from compression.engine.tune import Pace, pace
from compression.evaluate import Progress, evaluate
from compression.network import Network
from compression.score import changed

Arrays = dict[str, NDArray[Any]]
Store = MutableMapping[str, Arrays]  # by content: what may be kept between runs of a program
KEPT = 100_000_000  # bytes of values before a first changed layer


class Instrument:
    """Questions to one network, its own or a rewriting. shadow: share of the calls that the plain path answers as well, to compare."""

    def __init__(self, network: Network, store: Store | None = None, shadow: float = 0.0, pace: Pace | None = None) -> None:
        """pace: how many examples to run at a time, where that is not to be found out."""
        self.network, self.store, self.shadow = network, {} if store is None else store, shadow
        self._lock = threading.RLock()
        self._own = threading.local()
        self._twins: list[Answers] = []
        self._fast: Answers | None = None
        self._pace = pace
        self._first: dict[str, tuple[Original, Design]] = {}
        self._kept: dict[Any, Any] = {}

    def fast(self, inputs: Tensor) -> Answers:
        """The engine of this thread."""
        with self._lock:
            if self._fast is None:
                self._fast = Answers(choose(self.network.module, self.network.layers, inputs[:3]), self.shadow)
            if getattr(self._own, "fast", None) is None:
                self._own.fast = self._fast.twin()
                self._twins.append(self._own.fast)
        return self._own.fast

    @property
    def checked(self) -> int:
        """Examples that the plain path was asked about as well; none of their answers differed, or there had been an error."""
        return sum(twin.checked for twin in self._twins)

    def pace(self, inputs: Tensor) -> Pace:
        """How many examples to run at a time."""
        fast = self.fast(inputs)
        with self._lock:
            if self._pace is None:
                with torch.inference_mode():
                    self._pace = pace(fast.engine, inputs)
        return self._pace

    def known(self, data: Data) -> tuple[Original, Design] | None:
        """The network's answers to the examples and their strata, where they are known by now."""
        found = self._first.get(data.digest)
        if found is None:
            arrays = self.store.get(self._key(data))
            found = None if arrays is None else self._keep(data, _from_arrays(arrays))
        return found

    def answered(self, data: Data) -> Iterator[None]:
        """Find them out, batch by batch."""
        if self.known(data) is None:
            for found in scan.originals(self.fast(data.inputs), data.inputs, self.pace(data.inputs).batch, data.labels):
                if found is not None:
                    self.store[self._key(data)] = _to_arrays(found)
                    self._keep(data, found)
                yield

    def told(self, data: Data) -> dict[str, Arrays]:
        """What is known of the network's answers to the examples, as a store keeps it."""
        found = self.known(data)
        return {} if found is None else {self._key(data): _to_arrays(found[0])}

    def judging(self, done: Compressed, data: Data, reference: "Instrument") -> Iterator[Progress | None]:
        """A recipe on this network, judged against the reference's answers: None while there is nothing new to say.

        Where those are not known yet, the plain path gives a first estimate before they are found out.
        """
        weights, plain = changed(done, done.weights()), None
        if reference.known(data) is None:
            plain = next(evaluate(done.network, weights, data))
            yield plain
            if plain.quality.complete:
                return
            yield from reference.answered(data)
        first, design = reference.known(data) or (None, None)
        assert first is not None and design is not None
        steps = judging(self.fast(data.inputs), weights, data, first, design, self.pace(data.inputs).piece, self._records(),
                        done.network.origin is not None)
        for state in steps:
            yield state if state is None or plain is None or state.quality.n > plain.quality.n else None

    def _records(self) -> dict[Any, Any]:
        """Values before the first changed layer, kept while they are few."""
        if sum(_bytes(record) for record in list(self._kept.values())) > KEPT:
            self._kept.clear()
        return self._kept

    def _keep(self, data: Data, first: Original) -> tuple[Original, Design]:
        with self._lock:
            return self._first.setdefault(data.digest, (first, sampling.design(first.margins, unit=scan.unit(first))))

    def _key(self, data: Data) -> str:
        return f"original-{self.network.digest}-{data.digest}"


def _bytes(record: Any) -> int:
    if isinstance(record, Tensor):
        return record.nbytes
    return sum(map(_bytes, record.values() if isinstance(record, dict) else record)) if isinstance(record, dict | list | tuple) else 0


def _to_arrays(first: Original) -> Arrays:
    small = np.int16 if int(first.answers.max()) < 2**15 else np.int64
    arrays = {"answers": first.answers.numpy().astype(small), "margins": first.margins, "confidence": first.confidence.numpy()}
    return arrays if first.loss is None else arrays | {"loss": first.loss.numpy()}


def _from_arrays(arrays: Arrays) -> Original:
    loss = torch.from_numpy(arrays["loss"]) if "loss" in arrays else None
    return Original(torch.from_numpy(arrays["answers"].astype(np.int64)), arrays["margins"], torch.from_numpy(arrays["confidence"]), loss)
