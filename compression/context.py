"""The network around a layer, and what a few of its training examples tell: each thing is worked out when a method first asks.

Only the "train" split may teach. The original network is asked, so what a layer learns does not depend on what is done to others.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from compression.data import Data
from compression.layer_inputs import outputs_of, places, seen, watched
from compression.method import Layer, Need

EXAMPLES = {"images": 256, "text": 32, "vectors": 512}  # that teach, in one batch
ALONE = {"images": 128, "text": 16, "vectors": 256}  # whose gradients are taken one by one
DRAWS = 8  # of a label for each answer
NO_EXAMPLES = "It learns from training examples, and this network came without; give it a train split."


class Gradients(NamedTuple):
    """Of the loss with respect to one weight, over single examples. Both (out, in, *kernel)."""

    mean: Tensor
    square: Tensor  # mean of the squares: the diagonal of the empirical Fisher information


class Context:
    """One network's module, layers and training examples. What was worked out once is kept; any thread may ask.

    example: one input, (1, ...), known also where there are no training examples. seed: of the draw of the examples that teach.
    """

    def __init__(self, module: nn.Module, layers: tuple[Layer, ...], data: Mapping[str, Data], example: Tensor | None = None, seed: int = 0) -> None:
        self.module, self.layers, self.example, self.seed = module, layers, example, seed
        self.data = data.get("train")
        self._known: dict[Any, Any] = {}
        self._turns: dict[Any, threading.RLock] = {}
        self._lock = threading.Lock()

    @property
    def digest(self) -> str:
        """Of the examples that teach; empty where there are none."""
        return "" if self.data is None else f"{self.data.digest}+{self.seed}" if self.seed else self.data.digest

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is known under a key, worked out now where it is not: for what a method finds for all layers together."""
        with self._turn(key):
            if key not in self._known:
                self._known[key] = make()
            return self._known[key]

    def _turn(self, key: Any) -> threading.RLock:
        """What one thread holds while it works out a thing: others wait for that thing alone."""
        with self._lock:
            return self._turns.setdefault(key, threading.RLock())

    def why_not(self, needs: tuple[Need, ...], layer: Layer) -> str | None:
        """Why something that a method needs cannot be known of a layer, in a sentence; None where it can."""
        if self.data is None and set(needs) - {"network"}:
            return NO_EXAMPLES
        found = watched(self.module, layer) if "inputs" in needs else None
        return found if isinstance(found, str) else None

    def spare(self) -> nn.Module:
        """A module of the caller's own for passes with hooks or gradients; its tensors are the original's and stay as they are."""
        shared = {id(t): t for t in (*self.module.parameters(), *self.module.buffers())}
        return copy.deepcopy(self.module, shared)

    @property
    def examples(self) -> Tensor:
        """Inputs of the examples that teach: (n, ...)."""
        return self._taught().inputs[draw(self._taught(), self.seed)]

    @property
    def labels(self) -> Tensor:
        """What the examples are; without labels what the network answers: (n,), or (n, length) for text."""
        data = self._taught()
        return self.scores.argmax(-1) if data.labels is None else data.labels[draw(data, self.seed)]

    @property
    def scores(self) -> Tensor:
        """The original network's answers to the examples: (n, classes), or (n, length, classes)."""
        return self.once("scores", self._asked)

    def inputs(self, layer: str) -> Tensor:
        """What the weight is multiplied with, at some of its places: (places, groups, d), d = in * kernel of one group."""
        return self._recent("inputs", layer, self._inputs)

    def products(self, layer: str) -> Tensor:
        """Mean of the products of its inputs: (groups, d, d)."""
        x = self.inputs(layer)
        return torch.stack([each.T @ each for each in x.unbind(1)]) / len(x)

    def outputs(self, layer: str) -> Tensor:
        """What the weight makes of those inputs, without the bias: (places, out)."""
        return outputs_of(self._layer(layer).weight, self.inputs(layer))

    def output_fisher(self, layer: str) -> Tensor:
        """How much the loss bends along each of those outputs: (places, out), nats. Of linear layers and convolutions that are called once.

        The diagonal of the Fisher information: mean squares of the slopes of the loss, for labels drawn from the network's own answers.
        """
        return self._recent("output fisher", layer, self._output_fisher)

    def gradients(self, layer: str) -> Gradients:
        """Gradients of the loss, of the training labels."""
        return self.once("gradients", self._gradients)[layer]

    @property
    def alone(self) -> int:
        """How many of the examples have their gradients taken one by one: the first of them."""
        return min(ALONE[self._taught().kind], max(1, len(self._taught()) // 2))

    def each(self, measure: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy) -> Iterator[dict[str, Tensor]]:
        """For one example after another the gradients of measure(scores (places, classes), labels (places,)), by layer name."""
        module = self.spare()
        weights = {layer.names[0]: layer.weight.detach().clone().requires_grad_() for layer in self.layers}
        tied = {name: weights[layer.names[0]] for layer in self.layers for name in layer.names}
        inputs, labels = self.examples, self.labels
        for i in range(self.alone):
            with torch.enable_grad():
                scores = functional_call(module, tied, (inputs[i : i + 1],))
                found = torch.autograd.grad(measure(scores.flatten(0, -2).float(), labels[i : i + 1].flatten()), list(weights.values()),
                                            allow_unused=True)
            yield {layer.name: torch.zeros_like(layer.weight) if g is None else g for layer, g in zip(self.layers, found, strict=True)}

    def _taught(self) -> Data:
        if self.data is None:
            raise ValueError(NO_EXAMPLES)
        return self.data

    def _layer(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)

    def _asked(self) -> Tensor:
        with torch.inference_mode():
            scores = self.spare()(self.examples).float()
        return scores.clone()

    def _recent(self, what: str, layer: str, make: Callable[[str], Any]) -> Any:
        """Large things are kept for one layer at a time."""
        with self._turn(what):
            if self._known.get(what, (None, None))[0] != layer:
                self._known[what] = layer, make(layer)
            return self._known[what][1]

    def _inputs(self, name: str) -> Tensor:
        layer, module, found = self._layer(name), self.spare(), []
        reached = watched(module, layer)
        if isinstance(reached, str):
            raise ValueError(reached)
        owner, parameter = reached

        def after(_: nn.Module, given: tuple[Any, ...], known: Mapping[str, Any], out: Any) -> None:
            found.append(seen(owner, parameter, given, known, out))

        owner.register_forward_hook(after, with_kwargs=True)
        with torch.no_grad():
            module(self.examples)
        if not found or isinstance(found[0], str) or len(found) > 1:
            raise ValueError(found[0] if len(found) == 1 else f"{name} is called {len(found)} times for one answer, with other inputs each time.")
        return found[0]

    def _output_fisher(self, name: str) -> Tensor:
        module, made = self.spare(), []

        def after(_: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor:
            made.append(out.requires_grad_() if out.is_leaf else out)
            return out.clone()  # what follows may work in place

        owner, found = module.get_submodule(name), torch.zeros(())
        owner.register_forward_hook(after)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.enable_grad():
            losses = module(self.examples).float().log_softmax(-1).flatten(0, -2)  # (answers, classes)
            for _ in range(DRAWS):
                drawn = losses.detach().exp().multinomial(1, generator=generator)
                slopes, = torch.autograd.grad(-losses.gather(1, drawn).sum(), made, retain_graph=True, materialize_grads=True)
                last = slopes if isinstance(owner, nn.Linear) else slopes.movedim(1, -1)
                rows = last.reshape(-1, last.shape[-1])
                found = found + rows[places(len(rows))].square() / DRAWS
        return found

    def _gradients(self) -> dict[str, Gradients]:
        sums = {layer.name: (torch.zeros_like(layer.weight), torch.zeros_like(layer.weight)) for layer in self.layers}
        for found in self.each():
            for name, g in found.items():
                sums[name][0].add_(g, alpha=1 / self.alone)
                sums[name][1].addcmul_(g, g, value=1 / self.alone)
        return {name: Gradients(*pair) for name, pair in sums.items()}


def draw(data: Data, seed: int = 0) -> Tensor:
    """Rows of the examples that teach: (n,), the same for the same seed."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return order[: min(EXAMPLES[data.kind], max(1, len(data) // 2))]
