"""What every method must keep, whichever file it came from. A new method is under test the moment it exists."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from compression.data import Data
from compression.encoded import from_bytes
from compression.method import Layer
from compression.network import network
from compression.recipe import Recipe, Step, from_json, step, to_json
from compression.registry import methods

SMALL = (16, 32)
CONV = (8, 4, 3, 3)
AWKWARD = [(40,), (1, 5), (7, 11), (8, 3, 3, 3), (1,), (1, 1)]


def operand(name, shape, fill=None):
    """What a method is given: weights of that shape, or as many codes in one row, of which small ones are frequent."""
    rng = np.random.default_rng(0)
    if methods()[name].consumes == "codes":
        codes = rng.geometric(0.3, int(np.prod(shape))).clip(1, 16) - 1
        return torch.from_numpy((codes if fill is None else np.full_like(codes, int(fill * 4))).astype(np.uint8))
    return torch.from_numpy(rng.standard_t(5, shape).astype(np.float32)) if fill is None else torch.full(shape, fill)


def layer(name, x):
    """A layer around what the method is given; for methods that look at the network, one in a network with examples."""
    about = Layer("w", x, "linear" if x.ndim < 3 else "conv", 1, ("w.weight",))
    return situated(about) if methods()[name].needs else about


def situated(about):
    """The layer as the second of three in a small network with random examples, where a module of its shape exists."""
    if about.weight.ndim not in (2, 4) or not about.weight.is_floating_point():
        return about
    first, *kernel = about.weight.shape[1:]
    generator = torch.Generator().manual_seed(2)
    owner = nn.Linear(first, len(about.weight)) if not kernel else nn.Conv2d(first, len(about.weight), kernel, padding=1)
    before = nn.Linear(5, first) if not kernel else nn.Conv2d(5, first, 1)
    norm = [nn.BatchNorm2d(len(about.weight)).eval()] if kernel else []
    after = [*norm, nn.ReLU(), nn.Flatten(1), nn.LazyLinear(3)]
    module = nn.Sequential(before, nn.ReLU(), owner, *after)
    inputs = torch.randn((40, 5) if not kernel else (40, 5, 6, 6), generator=generator)
    module(inputs)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / 3)
        owner.weight.copy_(about.weight)
    data = Data("random", "train", inputs, torch.arange(40) % 3, ("a", "b", "c"), "images" if kernel else "vectors")
    return network("small", "Small", module, {"train": data}).layer("2")


@cache
def met(name, shape, fill=None):
    """What a method is given, and the layer it belongs to: of one weight, where the method looks at the network."""
    x = operand(name, shape, fill)
    about = layer(name, x)
    return (about.weight, about) if methods()[name].needs else (x, about)


def main_shape(name):
    """The small shape that the method works on."""
    return next(s for s in (SMALL, CONV) if methods()[name].why_not(*met(name, s)) is None)


def all_knobs(name, **given):
    return dict(step(name, **given).knobs)


def turned(name, rungs):
    """Settings that turn one knob at a time, the others at their defaults; just the defaults where there is none."""
    return [{}] + [{k.name: v} for k in methods()[name].knobs for v in rungs(k)]


def ends(knob):
    return dict.fromkeys((knob.ladder[0], knob.default, knob.ladder[-1]))


RUNGS = [(name, given) for name in methods() for given in turned(name, lambda k: k.ladder)]
CASES = [(name, shape, None) for name in methods() for shape in AWKWARD]
CASES += [(name, shape, fill) for name in methods() for shape in ((6, 10), CONV) for fill in (0.0, 0.25, 1.5)]


@cache
def ready(name, shape, fill=None):
    """What a method prepares there, once."""
    return methods()[name].prepare(*met(name, shape, fill))


def keeps_the_contract(name, x, about, given, prepared=None):
    """prepared: what it prepared before, where that was found to be the same each time."""
    method, knobs, before = methods()[name], all_knobs(name, **given), x.clone()
    first, second = (method.prepare(x, about) if prepared is None else prepared for _ in range(2))
    encoded = method.answer(first, **knobs)
    back = encoded.decode()
    assert back.shape == x.shape
    assert torch.isfinite(back.float()).all()
    assert torch.equal(x, before), "the operand was changed"
    again = method.answer(second, **knobs)
    assert torch.equal(back, again.decode()) and encoded.to_bytes() == again.to_bytes(), "not deterministic"
    written = encoded.to_bytes()
    assert len(written) == encoded.nbytes, "the size said is not the size written"
    assert sum(size for _, size in encoded.items()) == encoded.nbytes, "the items do not add up"
    reread = from_bytes(json.loads(json.dumps(encoded.layout())), written)
    assert torch.equal(reread.decode(), back), "what decodes is not what was written"
    assert reread.nbytes == encoded.nbytes
    assert not method.lossless or torch.equal(back.long(), x.long())


@pytest.mark.parametrize("name, given", RUNGS, ids=str)
def test_every_rung_keeps_the_contract(name, given):
    shape = main_shape(name)
    keeps_the_contract(name, *met(name, shape), given, ready(name, shape) if given else None)


@pytest.mark.parametrize("name, shape, fill", CASES, ids=str)
def test_awkward_tensors_are_stored_or_refused(name, shape, fill):
    x, about = met(name, shape, fill)
    sentence = methods()[name].why_not(x, about)
    if sentence is not None:
        assert sentence.endswith(".") and sentence[0].isupper()
        return
    for given in turned(name, ends):
        keeps_the_contract(name, x, about, given, ready(name, shape, fill) if given else None)


@pytest.mark.parametrize("name", methods())
def test_nothing_kept_can_be_stored(name):
    """What is left of a small tensor when all of it was pruned: no values at all, or no codes."""
    x, about = operand(name, (0,)), met(name, (40,))[1]
    if methods()[name].why_not(x, about) is None:
        keeps_the_contract(name, x, about, {})


@pytest.mark.parametrize("name", methods())
def test_size_moves_as_the_knob_says(name):
    """Among the rungs that are on: with one weight in a hundred left out, more is stored than with none, truly."""
    method = methods()[name]
    shape = (64, 128) if main_shape(name) == SMALL else (32, 16, 3, 3)
    ready = method.prepare(*met(name, shape))
    for knob in method.knobs:
        sizes = [method.answer(ready, **all_knobs(name, **{knob.name: rung})).nbytes for rung in knob.ladder
                 if rung != knob.off]
        if knob.bytes_along != "any":
            assert sizes == sorted(sizes, reverse=knob.bytes_along == "fall")
            assert sizes[0] != sizes[-1]


@pytest.mark.parametrize("name", methods())
def test_every_step_survives_json(name):
    steps = [step(name, **given) for given in turned(name, lambda k: k.ladder)]
    for s in steps:
        recipe = Recipe((s,))
        assert from_json(to_json(recipe)) == recipe


@pytest.mark.parametrize("name", methods())
def test_a_setting_off_the_ladder_is_refused(name):
    for knob in methods()[name].knobs:
        with pytest.raises(ValueError, match="not on the ladder"):
            step(name, **{knob.name: -123})
    with pytest.raises(ValueError, match="no knob"):
        Step(name, (("colour", "red"),))


SLOW = {"sort", "argsort", "topk", "kthvalue", "_linalg_svd", "_linalg_eigh", "linalg_eig", "linalg_qr",
        "linalg_cholesky_ex", "linalg_inv_ex", "_unique2", "unique_dim"}
SLOW_NUMPY = [(np, n) for n in ("sort", "argsort", "lexsort", "unique", "partition")]
SLOW_NUMPY += [(np.linalg, n) for n in ("svd", "eigh", "qr", "inv", "cholesky", "lstsq")]


class Ledger(TorchDispatchMode):
    """Writes down the name of every tensor operation carried out under it."""

    def __init__(self):
        super().__init__()
        self.ops = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.ops.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", methods())
def test_the_slow_part_is_in_prepare(name, monkeypatch):
    """No clock, so it cannot flake: once prepared, an answer neither sorts nor decomposes, in torch or in numpy."""
    method = methods()[name]
    ready = method.prepare(*met(name, main_shape(name)))
    with Ledger() as ledger, monkeypatch.context() as patch:
        for module, function in SLOW_NUMPY:
            patch.setattr(module, function, lambda *a, f=function, **k: ledger.ops.append("sort"))
        for given in turned(name, ends):
            method.answer(ready, **all_knobs(name, **given))
    assert not SLOW & set(ledger.ops)


@pytest.mark.parametrize("name", methods())
def test_it_is_explained(name):
    method = methods()[name]
    assert method.title and method.reference and method.survey and method.fails
    assert method.summary.endswith(".")
    for knob in method.knobs:
        assert knob.label and knob.help.endswith(".")
    for term, meaning in method.terms:
        assert term and meaning.endswith(".")
