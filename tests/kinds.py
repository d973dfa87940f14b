"""One layer of each kind that ships, and the shortest chain in which a method can stand."""

from compression.recipe import step
from compression.registry import method

KINDS = {
    "convolution": ("vgg-small", "conv4"),
    "linear": ("lenet-300-100", "fc2"),
    "embedding": ("char-lstm", "embed"),
    "lstm": ("row-lstm", "lstm.weight_hh_l0"),
    "attention": ("vit", "blocks.0.attention.in_proj_weight"),
    "attention of a text model": ("char-gpt", "blocks.0.query"),
}
CODES = step("quantization.uniform", bits=4)


def chain_of(name):
    return (CODES, step(name)) if method(name).consumes == "codes" else (step(name),)
