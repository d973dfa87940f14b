"""BitNet b1.58: ternary weights sized by their mean magnitude, and inputs in whole numbers by each token's largest."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.apply import encode
from compression.context import NO_EXAMPLES
from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.network import Network
from compression.quantization.formats import scaled
from compression.recipe import step
from compression.rewrite import spare
from compression.rewriting.activations import round_first
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.quantized.beside import Way, chosen, learnt, start, untrained
from compression.train.quantized.levels import Straight
from compression.train.quantized.plain import Plain
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE

LEAST = 1e-5  # below which a size is not divided by


def ternary(weight: Tensor) -> Encoded:
    """RoundClip(W / mean |W|, -1, 1) times mean |W|, over the whole matrix (Ma et al. 2024, equations 1 to 3). Two bits each."""
    size = weight.abs().mean().clamp(min=LEAST)
    level = (weight / size).round().clamp(-1, 1).flatten()
    codes = torch.where(level < 0, 2, level.int())  # 0, 1 and 2 stand for 0, 1 and -1
    return scaled(tuple(weight.shape), codes, "ternary", size.reshape(1), weight.numel(), weight.numel())


class WholeNumbers(nn.Module):
    """Each token's inputs, (..., d), as whole multiples of its largest magnitude / (2^(bits - 1) - 1); the gradient passes straight through."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits, self.top = bits, 2 ** (bits - 1) - 1
        self.register_buffer("setting", torch.tensor([bits], dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        unit = x.detach().abs().amax(-1, keepdim=True).clamp(min=LEAST) / self.top
        return Straight.apply(x, (x / unit).round() * unit, None)


def inner(task: Task, net: Network) -> list[Layer]:
    """Linear layers that are called, but for the last, which gives the answers, and any whose weight stands in two places."""
    module, met = spare(net), []
    hooks = [part.register_forward_pre_hook(lambda _, given, name=name: met.append(name)) for name, part in module.named_modules()
             if isinstance(part, nn.Linear)]
    with torch.no_grad():
        module(net.example)
    for hook in hooks:
        hook.remove()
    return [layer for layer in chosen(task, net) if layer.name in met[:-1] and len(layer.names) == 1]


def refuses(task: Task) -> str | None:
    """Why no layer of a task's network can be trained so, or None."""
    if "train" not in task.network.data:
        return NO_EXAMPLES
    return None if inner(task, start(task)) else f"{task.network.title} has no unlocked linear layer but the one that gives its answers."


def run(task: Task, activation_bits: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Three runs over the same layers: rounded and not trained, TWN with real inputs, BitNet."""
    net, plan = start(task), Plan("adamw", rate, 0.0, usual_batch(task.teach), epochs)
    layers, total = inner(task, net), plan.total(len(task.teach))
    forms = {layer.name: ternary(layer.weight) for layer in layers}

    def opened(module: nn.Module) -> None:
        for layer in layers if activation_bits < 32 else ():
            owner = module.get_submodule(layer.name)
            owner.rounding = WholeNumbers(activation_bits)
            owner.register_forward_pre_hook(round_first)

    def by_threshold(layer: Layer) -> Plain:
        return Plain(layer.weight, lambda full: encode(Layer(layer.name, full), (step("quantization.ternary"),))[0])

    own, other = Way(lambda layer: Plain(layer.weight, ternary), opened), Way(by_threshold)
    still, twn = Run("rounded, not trained", 0, control=True), Run("TWN, real inputs", total, control=True)
    bitnet = Run(f"BitNet, {activation_bits}-bit inputs", total)
    yield from in_turn(task.watch, [
        (still, lambda _: untrained(task, net, forms, own, still)),
        (twn, lambda _: learnt(task, net, layers, plan, other, twn, task.key("bitnet, twn", plan))),
        (bitnet, lambda _: learnt(task, net, layers, plan, own, bitnet, task.key("bitnet", activation_bits, plan))),
    ])


PROCEDURE = Procedure(
    title="BitNet b1.58",
    summary="Trains linear layers whose weights are zero, plus or minus one size, and whose inputs are whole numbers, so that they add and "
            "hardly multiply. Beside it TWN, whose inputs stay real. It begins from the network itself; the paper begins from first weights.",
    reference="Ma et al. 2024, The Era of 1-bit LLMs, arXiv:2402.17764",
    survey="6.4",
    knobs=(Knob("activation_bits", "Bits per input", (2, 4, 8, 32), 8, "With 32 inputs stay real."), EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    study=((), (("activation_bits", 2),)),
    refuses=refuses,
    finding="From 3 billion weights on, ternary weights with 8-bit inputs answer like a full network of that size.",
    terms=(("token", "What a Transformer reads at one place: here a character."), LATENT),
)
