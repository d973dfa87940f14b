"""What the tests of all ways of training share: one run to its end, and whether what came out is what was judged."""

import torch

from compression import export
from compression.apply import compress
from compression.registry import procedures
from compression.score import size_of
from compression.train.loop import accuracy, watched


def last(name, task, **given):
    """The end of a procedure with these settings."""
    way = procedures()[name]
    *_, end = (p for p in way.run(task, **way.settings(**given)) if p)
    return end


def kept(run):
    """Weights of matrices and kernels that are not zero, and all there are."""
    layers = [layer for layer in run.trained.network.layers if layer.weight.ndim > 1]
    return sum(int(layer.weight.count_nonzero()) for layer in layers), sum(layer.weight.numel() for layer in layers)


def holds(task, run):
    """What was judged is what is stored, bit for bit, and weighs what its file weighs: the size of that file."""
    done = compress(run.trained.network, run.trained.recipe)
    assert accuracy(run.trained.network.module, watched(task.network.data["validation"])) == run.best.accuracy
    assert all(torch.equal(done.encoded[layer.name].decode(), layer.weight) for layer in done.network.layers)
    assert len(export.pack(done)) == size_of(done)
    return size_of(done)
