"""Levels as ONNX has them: what is stored here is rounded and read back the same by onnxruntime, 2 and 4 bits and blocks included."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import load_file

from compression.method import Layer
from compression.quantization import gptq, uniform
from compression.rewriting.activations import Rounding
from compression.zoo import shipped

WEIGHTS = Path(__file__).parents[1] / "assets" / "weights"
TYPES = {2: TensorProto.UINT2, 4: TensorProto.UINT4, 8: TensorProto.UINT8, 16: TensorProto.UINT16}


def real(name, layer):
    return load_file(WEIGHTS / f"{name}.safetensors")[f"{layer}.weight"]


def asked(nodes, inputs, outputs, tensors):
    """What onnxruntime computes. inputs, outputs: name -> array, or (type, shape) of what comes out."""
    graph = helper.make_graph(
        nodes, "oracle", [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in inputs.items()],
        [helper.make_tensor_value_info(k, *v) for k, v in outputs.items()], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=11)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def grid(form, per):
    """A form's scales and zero points as ONNX's, and how they are laid over the weight as a matrix (out, d)."""
    out, d = form.shape[0], torch.Size(form.shape[1:]).numel()
    shape = {"tensor": (), "channel": (out,), "group": (out, d // form.group)}[per]
    how = {"tensor": {}, "channel": {"axis": 0}, "group": {"axis": 1, "block_size": form.group}}[per]
    scale = form.scale.float().numpy().reshape(shape)
    zero = np.full(shape, form.middle) if form.zero is None else form.zero.numpy().astype(int).reshape(shape)
    kind = TYPES[form.codes.width]
    tensors = [helper.make_tensor("scale", TensorProto.FLOAT, shape, scale.flatten()),
               helper.make_tensor("zero", kind, shape, zero.flatten().tolist())]
    return tensors, how, (kind, (out, d))


def read_back(form, per):
    """The stored codes through onnxruntime's DequantizeLinear."""
    tensors, how, (kind, shape) = grid(form, per)
    codes = helper.make_tensor("codes", kind, shape, form.codes.decode().tolist())
    node = helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"], **how)
    return torch.from_numpy(asked([node], {}, {"y": (TensorProto.FLOAT, shape)}, [codes, *tensors])[0])


@pytest.mark.parametrize("per", ["tensor", "channel", "group"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", TYPES)
@pytest.mark.parametrize("network, name", [("lenet-5", "conv2"), ("lenet-300-100", "fc1"), ("vit", "blocks.0.mlp.down")])
def test_levels_are_rounded_and_read_as_by_onnxruntime(network, name, bits, symmetric, per):
    """It divides by the scale, we multiply by one over it: a weight half-way between two levels, rounding apart, may go either way."""
    weight = real(network, name)
    form = uniform.answer(uniform.prepare(weight, Layer("w", weight)), bits, symmetric, per)
    assert torch.equal(read_back(form, per), form.decode().flatten(1))
    tensors, how, (_, shape) = grid(form, per)
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], **how),
             helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], **how)]
    theirs = torch.from_numpy(asked(nodes, {"x": weight.flatten(1).numpy()}, {"y": (TensorProto.FLOAT, shape)}, tensors)[0])
    differ = theirs != form.decode().flatten(1)
    step = form.scale.float().repeat_interleave(form.group).reshape(shape)
    place = (weight.flatten(1) / step)[differ]
    assert differ.float().mean() < 1e-3 and torch.allclose(place - place.floor(), torch.tensor(0.5), atol=5e-3 if bits == 16 else 1e-5)


@pytest.mark.parametrize("bits, per", [(2, "channel"), (4, "channel"), (4, "group")])
def test_what_gptq_chose_is_read_the_same(bits, per):
    about = shipped.load("char-gpt").layer("blocks.0.mlp.up")
    form = gptq.answer(gptq.prepare(about.weight, about), bits, per, "loudest", 0.01)
    assert torch.equal(read_back(form, per), form.decode().flatten(1))


def test_a_dynamic_range_is_onnx_s():
    """DynamicQuantizeLinear: eight bits over the range of all that is given."""
    x = np.random.default_rng(0).normal(0.3, 2, (40, 30)).astype(np.float32)
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
             helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"])]
    theirs = torch.from_numpy(asked(nodes, {"x": x}, {"y": (TensorProto.FLOAT, x.shape)}, [])[0])
    ours = Rounding(8, "example", (0, 1), None)(torch.from_numpy(x))
    assert float(((ours - theirs).abs() > 1e-5).float().mean()) < 1e-3
