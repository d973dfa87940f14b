"""Parameterized clipping activation: how far the levels of an activation reach is learnt with the weights."""

from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from compression.method import Knob, Layer
from compression.recipe import step
from compression.train.loop import Loss, cross_entropy
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized import activations
from compression.train.quantized.beside import Way, beside, start
from compression.train.quantized.levels import Rounded, least_error_step
from compression.train.quantized.straight_through import BITS, EPOCHS, LATENT, RATE

ACTIVATION_BITS = Knob("activation_bits", "Bits per activation", (1, 2, 3, 4, 8), 2, "How many levels a layer's inputs have: two to this power.")


def penalized(weight: float) -> Loss:
    """Cross-entropy, and a weight times the squares of all clip levels, each as a multiple of its first (section 3)."""
    plain = cross_entropy()

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        total = plain(model, inputs, labels)
        for _, part in activations.clipped(model):
            total = total + weight * part.share.square()
        return total

    return loss


def run(task: Task, bits: int, activation_bits: int, penalty: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Clip levels begin where rounding errs least, as those of the control stay."""
    def make(layer: Layer) -> Rounded:
        return Rounded(layer.weight, least_error_step(layer, bits), bits)

    def opened(module: nn.Module) -> None:
        activations.put_in(module, start(task), activation_bits, True)

    way = Way(make, opened, trace=activations.trace, loss=partial(_loss, penalty), finish=activations.fix)
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), f"trained, {bits}-bit weights and {activation_bits}-bit activations",
                      step("quantization.uniform", bits=bits, clip="mse"), way, "pact", bits, activation_bits, penalty)


def _loss(penalty: float, model: Made) -> Loss:
    return penalized(penalty)


PROCEDURE = Procedure(
    title="Learned clipping of activations (PACT)",
    summary="Rounds what goes into each layer behind a ReLU to few levels and learns how far they reach: far cuts off nothing, near makes the "
            "levels fine. Weights are rounded too, straight through.",
    reference="Choi et al. 2018, PACT, arXiv:1805.06085",
    survey="6.4",
    knobs=(
        BITS, ACTIVATION_BITS,
        Knob("penalty", "Pull on clip levels", (0.0, 1e-4, 1e-3, 1e-2), 1e-3, "How strongly large clip levels are penalized, in nats."),
        EPOCHS, RATE,
    ),
    run=run,
    shown_on="lenet-300-100",
    study=tuple((("bits", n), ("activation_bits", n)) for n in (2, 3, 4)),
    refuses=activations.refuses,
    finding="With clip levels learnt, 4 bits for weights and activations answer like the full network, and 2 bits lose little.",
    terms=(("clip level", "The largest value an activation can have; what is larger becomes it."), LATENT),
)
