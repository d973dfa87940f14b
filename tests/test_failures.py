"""Every method says when it fails, on a network that ships, and what does better there; both are measured here."""

import pytest
import torch
from torch.nn import functional as F

from compression.apply import compress
from compression.evaluate import skeleton
from compression.recipe import Override, Recipe, step
from compression.registry import methods
from compression.repair.repaired import put
from compression.score import size_of
from compression.zoo import shipped

EXAMPLES = 256
TOLD = [name for name, known in methods().items() if known.fails is not None]


def distance(net, layer, *chain):
    """Mean divergence of the answers from the original's on validation examples, nats, and the bytes, when one layer is changed."""
    done = compress(net, Recipe(overrides=(Override(layer, chain),)))
    assert not done.refused[layer]
    x = net.data["validation"].inputs[: EXAMPLES if net.data["validation"].kind != "text" else 16]
    module = skeleton(net.module)
    put(module, done.weights())
    with torch.inference_mode():
        old, new = (F.log_softmax(m(x).float(), -1) for m in (net.module, module))
    return float((old.exp() * (old - new)).sum(-1).mean()), size_of(done)


@pytest.mark.parametrize("name", TOLD)
def test_it_fails_where_it_says(name):
    told = methods()[name].fails
    net = shipped.load(told.network)
    before = [step(method, **dict(knobs)) for method, knobs in told.after]
    bad, size = distance(net, told.layer, *before, step(name, **dict(told.knobs)))
    better, at_most = distance(net, told.layer, *before, step(told.instead[0], **dict(told.instead[1])))
    assert told.why[0].isupper() and told.why.endswith(".")
    if methods()[name].lossless:  # then only bytes can be lost
        assert methods()[told.instead[0]].lossless and better == bad and at_most < size
        return
    assert at_most <= size * 1.01, f"{told.instead[0]} takes {at_most:,} bytes, {name} {size:,}"
    assert better < bad / 1.5, f"{name} {bad:.4f} nats, {told.instead[0]} {better:.4f}"
