"""A recipe on a network: the encoded layers, the decoded weights, and a module that is really smaller where that can be."""

import copy
from collections.abc import Generator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import nan
from typing import Any, NamedTuple

from torch import Tensor, nn

from compression.chains import chain, splittable
from compression.encoded import Dense, Encoded, replace_leaves
from compression.layers import owners
from compression.method import Layer, drained, mapped
from compression.network import Network
from compression.network import network as as_network
from compression.recipe import Recipe, Step
from compression.registry import dial, method, repairs, rewrites
from compression.rewrite import CLOSE, Refused, difference

Memo = MutableMapping[Any, Any]


class Note(NamedTuple):
    """What came of one repair."""

    title: str
    told: str
    accepted: bool
    before: float = nan  # nats an answer, from the original's answers to this network's, on held-out training examples
    after: float = nan


@dataclass(frozen=True, eq=False)
class Compressed:
    """A network under a recipe: what each layer is stored as, and which steps did not apply to it."""

    network: Network  # rewritten where the recipe begins with that; its origin is then the original
    recipe: Recipe
    encoded: Mapping[str, Encoded]  # by layer name
    refused: Mapping[str, tuple[str, ...]]  # by layer name: one sentence for each step that did not apply
    passed_over: tuple[str, ...] = ()  # a sentence for each rewriting that did not apply
    notes: tuple[Note, ...] = ()  # what came of each repair

    def weights(self) -> dict[str, Tensor]:
        """Decoded weights by parameter name, tied names included, for torch.func.functional_call."""
        decoded = {}
        for layer in self.network.layers:
            form = self.encoded[layer.name]
            untouched = form is layer.stored or (isinstance(form, Dense) and form.values is layer.weight)
            weight = layer.weight if untouched else form.decode()
            decoded |= dict.fromkeys(layer.names, weight)
        return decoded


def compress(network: Network, recipe: Recipe, memo: Memo | None = None) -> Compressed:
    """Carry a recipe out. With a memo, what was prepared or answered before is not computed again; repairs always are."""
    network, passed_over = rewritten(network, recipe.first)
    encoded, refused = {}, {}
    for layer in network.layers:
        encoded[layer.name], refused[layer.name] = encode(layer, recipe.chain(layer.name), memo, network.digest)
    done = Compressed(network, recipe, encoded, refused, passed_over)
    for name, repair in repairs().items():
        if name in recipe.repairs:
            done, note = repair.run(done)
            done = replace(done, notes=(*done.notes, note))
    return done


def rewritten(network: Network, steps: tuple[Step, ...]) -> tuple[Network, tuple[str, ...]]:
    """The network after the rewritings of a recipe, and a sentence for each that does not apply to it.

    Layers that now hold an earlier one's tensors are no longer layers of their own, and what a recipe says of them has no effect.
    Raises ValueError where one that says it keeps the answers does not, or one that loses a layer: neither must happen.
    """
    steps = tuple(step for step in steps if not step.off)
    return _rewritten(network, steps) if steps else (network, ())


@lru_cache(maxsize=8)
def _rewritten(network: Network, steps: tuple[Step, ...]) -> tuple[Network, tuple[str, ...]]:
    new, passed_over = network, []
    for step in steps:
        rewriting = rewrites()[step.method]
        why = rewriting.refuses(new)
        if why:
            passed_over.append(why)
            continue
        try:
            module = rewriting.apply(new, **dict(step.knobs))
        except Refused as why_not:
            passed_over.append(str(why_not))
            continue
        fresh = as_network(network.name, network.title, module, network.data, network.example)
        if not _same_layers(network, fresh):
            raise ValueError(f"{rewriting.title} changed which layers {network.title} has, and recipes name layers; leave it out")
        off = difference(new, fresh.module) if rewriting.exact else 0.0
        if off > CLOSE:
            raise ValueError(f"{rewriting.title} should keep {network.title}'s answers, but scores moved by {off:.1%} of the largest; leave it out")
        new = replace(fresh, origin=network)
    return new, tuple(passed_over)


def _same_layers(old: Network, new: Network) -> bool:
    """Whether the new network's layers are the old one's in their order, but for those whose module holds another one's tensors."""
    names = {layer.name for layer in new.layers}
    borrowers = {name.rpartition(".")[0] for layer in new.layers for name in layer.names[1:]}
    left = [layer.name for layer in old.layers if layer.name in names or layer.names[0].rpartition(".")[0] not in borrowers]
    return [layer.name for layer in new.layers] == left


def encode(layer: Layer, chain: tuple[Step, ...], memo: Memo | None = None, owner: str = "") -> tuple[Encoded, tuple[str, ...]]:
    """Carry out the steps on one layer in order; each works on the leaves of what the one before it stored.

    The first works on the weight, or where training left the layer stored in some way, on that.

    Returns the form, and a sentence for each step that does not apply to this layer and was passed over.
    """
    return drained(encoding(layer, chain, {} if memo is None else memo, owner))


class Preparing(NamedTuple):
    """A step that prepares."""

    step: Step
    share: float  # of its work that is done


def encoding(layer: Layer, chain: tuple[Step, ...], memo: Memo, owner: str = "") -> Generator[Preparing, None, tuple[Encoded, tuple[str, ...]]]:
    """encode, piece by piece: says of every preparation that the memo does not hold when it begins and how far it is."""
    tree: Encoded = layer.stored or Dense(layer.weight)
    refused: list[str] = []
    owner = _taught(owner, layer, chain)
    for i, step in enumerate(chain):
        key = (owner, layer.name, chain[: i + 1])
        done = memo.get(key)
        if done is None:
            done = memo[key] = yield from _carry_out(tree, step, layer, memo, (owner, layer.name, chain[:i], step.method))
        tree, why = done
        refused += [why] if why else []
    return tree, tuple(refused)


def prepared(layer: Layer, chain: tuple[Step, ...], memo: Memo, owner: str = "") -> Any:
    """What the last step of a chain prepared on the first tensor it works on; None where it did not apply or met no such tensor."""
    encode(layer, chain, memo, owner)
    return memo.get((_taught(owner, layer, chain), layer.name, chain[:-1], chain[-1].method, 0))


def _taught(owner: str, layer: Layer, chain: tuple[Step, ...]) -> str:
    """The owner, and where a step learns from examples also which: the same weights may have been opened with others."""
    learns = layer.context is not None and any(method(step.method).needs for step in chain)
    return f"{owner}+{layer.context.digest}" if learns and layer.context else owner


def _carry_out(tree: Encoded, step: Step, layer: Layer, memo: Memo, key: tuple[Any, ...]) -> Generator[Preparing, None, tuple[Encoded, str]]:
    """The tree after one step, and why the step was passed over where no leaf could take it (else empty)."""
    known = method(step.method)
    leaves: list[Tensor] = []
    replace_leaves(tree, known.consumes, leaves.append)
    if not leaves:
        return tree, f"{known.title} finds no {known.consumes} to work on here; share or quantize the weights first."
    met: list[tuple[str, Any]] = []  # for each leaf why it was refused, or nothing, and what was prepared on it
    for i, values in enumerate(leaves):
        why = known.why_not(values, layer) or ""
        found = None if why else memo.get((*key, i))
        if found is None and not why:
            found = memo[*key, i] = yield from mapped(known.preparing(values, layer), lambda share: Preparing(step, share))
        met.append((why, found))
    answers = (None if why else known.answer(found, **dict(step.knobs)) for why, found in met)
    after = replace_leaves(tree, known.consumes, lambda _: next(answers))
    return after, met[0][0] if all(why for why, _ in met) else ""


def up_to(recipe: Recipe, last: str) -> Recipe:
    """The recipe without repairs, and without the steps that come after one dial: the network as it stands half-way through its chains."""
    order = ("rank", "sparsity", "bits", "coding")
    wanted = order[: order.index(last) + 1]

    def cut(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(s for s in steps if dial(s.method) in wanted)

    overrides = tuple(type(o)(o.pattern, cut(o.steps), o.whole) for o in recipe.overrides)
    return replace(recipe, default=cut(recipe.default), overrides=overrides, repairs=())


def smaller(compressed: Compressed) -> nn.Module:
    """A module that computes the same from the stored parts: decomposed layers become chains of small ones where they can.

    Layers of other kinds (recurrent, attention) keep their shape and get the decoded weight: stored smaller, run the same.
    """
    module = copy.deepcopy(compressed.network.module)
    for layer in compressed.network.layers:
        form = compressed.encoded[layer.name]
        places = list(owners(module, layer))
        shared: dict[str, nn.Parameter] = {}
        chains = [chain(owner, form, shared) if splittable(owner, name) else None for _, owner, name in places]
        if None not in chains:
            for (prefix, _, _), new in zip(places, chains):
                _put(module, prefix, new)
        else:
            weight = nn.Parameter(form.decode().clone(), requires_grad=False)
            for _, owner, name in places:
                setattr(owner, name, weight)
    return module.eval()


def really_smaller(network: Network, layer: Layer) -> bool:
    """Whether a factored form of this layer becomes smaller modules, or is only stored smaller."""
    return all(splittable(owner, name) for _, owner, name in owners(network.module, layer))


def _put(module: nn.Module, prefix: str, new: nn.Module) -> None:
    parent, _, name = prefix.rpartition(".")
    setattr(module.get_submodule(parent), name, new)
