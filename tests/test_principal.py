"""Principal-component pruning against a case worked out by hand, a full projection, and the error that it says it makes."""

import numpy as np
import pytest
import torch

from compression.encoded import Dense, Factored
from compression.lowrank import principal_components as pcp
from compression.lowrank import svd
from compression.method import Layer
from compression.zoo import shipped


class Given:
    """A context that knows nothing but a layer's inputs, (places, d)."""

    def __init__(self, rows):
        self.rows = rows

    def inputs(self, name):
        return self.rows[:, None]


def prepared(weight, rows):
    return pcp.prepare(weight, Layer("w", weight, context=Given(rows)))


def test_by_hand_the_quiet_input_that_is_heard_stays_and_the_loud_one_that_is_not_goes():
    """Inputs (±3, 0), (0, ±1): mean products 9/2 and 1/2. The weight hears the second ten times: effects √(9/2) and 10 √(1/2)."""
    rows = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    weight = torch.tensor([[1.0, 0], [0, 10], [0, 0]])
    found = prepared(weight, rows)
    assert found.strength["effect"].tolist() == pytest.approx([10 * 0.5**0.5, 4.5**0.5])
    assert found.strength["variance"].tolist() == pytest.approx([4.5**0.5, 0.5**0.5])
    assert torch.allclose(pcp.answer(found, 0.5, "effect").decode(), torch.tensor([[0.0, 0], [0, 10], [0, 0]]), atol=1e-6)
    assert torch.allclose(pcp.answer(found, 0.5, "variance").decode(), torch.tensor([[1.0, 0], [0, 0], [0, 0]]), atol=1e-6)


@pytest.mark.parametrize(("network", "name"), [("lenet-300-100", "fc1"), ("lenet-5", "conv2"), ("char-gpt", "blocks.0.mlp.up")])
@pytest.mark.parametrize("order", pcp.ORDERS)
def test_it_is_the_weight_projected_and_what_goes_is_the_error(network, name, order):
    """By numpy's eigenvectors of all of the inputs' products, with more inputs than examples and with fewer."""
    layer = shipped.load(network).layer(name)
    x, weight = layer.context.inputs(name)[:, 0].double().numpy(), layer.weight.flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    effect = np.maximum(values, 0) * ((weight @ vectors) ** 2).sum(0)
    found = pcp.prepare(layer.weight, layer)
    kept = np.argsort(effect if order == "effect" else values)[::-1][: round(0.2 * min(weight.shape))]
    form = pcp.answer(found, 0.2, order)
    assert np.allclose(form.decode().flatten(1).numpy(), weight @ vectors[:, kept] @ vectors[:, kept].T, atol=2e-4)
    missed = float(((x @ (weight - form.decode().flatten(1).double().numpy()).T) ** 2).sum()) / len(x)
    assert missed == pytest.approx(effect.sum() - effect[kept].sum(), rel=1e-3)
    count = len(found.strength["effect"])
    assert np.allclose(found.strength["effect"] ** 2, np.sort(effect)[::-1][:count], rtol=1e-3, atol=1e-6 * effect.max())


def test_factors_are_stored_while_they_take_fewer_bytes_and_else_the_projection():
    layer = shipped.load("lenet-300-100").layer("fc1")
    found = pcp.prepare(layer.weight, layer)
    small, large = pcp.answer(found, 0.5, "effect"), pcp.answer(found, 0.8, "effect")
    assert isinstance(small, Factored) and small.nbytes == 4 * 150 * (300 + 784) == svd.answer(svd.prepare(layer.weight, layer), 0.5).nbytes
    assert isinstance(large, Dense) and large.nbytes == 4 * 300 * 784
    assert torch.linalg.matrix_rank(large.decode()) == 240
    assert torch.equal(pcp.answer(found, 1.0, "effect").decode(), layer.weight)


def test_the_same_again_and_silent_inputs_give_nothing():
    rows, weight = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)), torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    first, again = (pcp.answer(prepared(weight, rows), 0.5, "effect").to_bytes() for _ in range(2))
    assert first == again
    for count in (3, 9):
        assert not pcp.answer(prepared(weight, torch.zeros(count, 5)), 0.5, "effect").decode().any() or count > 5


@pytest.mark.parametrize(("network", "name", "words"), [
    ("depthwise", "block1.depthwise", "groups that share no inputs"), ("char-lstm", "embed", "An embedding has no inputs")])
def test_layers_without_one_matrix_of_inputs_are_refused(network, name, words):
    layer = shipped.load(network).layer(name)
    assert words in pcp.METHOD.why_not(layer.weight, layer)
