"""XNOR-Net: train with signs for weights and for inputs, each with its sizes, beside signs for the weights alone."""

from collections.abc import Iterator

from torch import nn

from compression.apply import encode
from compression.context import NO_EXAMPLES
from compression.method import Knob, Layer
from compression.network import Network
from compression.recipe import step
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.quantized.beside import Way, chosen, learnt, start, untrained
from compression.train.quantized.binary_inputs import places, put_in
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE
from compression.train.quantized.xnor import SizedSigns, trace


def inner(task: Task, net: Network) -> list[Layer]:
    """The layers to be made binary: none that is locked, nor the first or the last to be called, as in the paper (section 4.2)."""
    return [layer for layer in chosen(task, net) if layer.name in places(net)]


def refuses(task: Task) -> str | None:
    """Why no layer of a task's network can be made binary, or None."""
    if "train" not in task.network.data:
        return NO_EXAMPLES
    if not inner(task, start(task)):
        return (f"{task.network.title} has no unlocked linear layer or plain convolution between the first and the last, which keep their full "
                "precision.")
    return None


def run(task: Task, sized: bool, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Three runs over the same layers: both binary and not trained, weights alone binary, both binary."""
    net, plan = start(task), Plan("adamw", rate, 0.0, 128, epochs)
    layers, total = inner(task, net), plan.total(len(task.teach))
    forms = {layer.name: encode(layer, (step("quantization.binary", per="channel"),))[0] for layer in layers}

    def opened(module: nn.Module) -> None:
        put_in(module, net, [layer.name for layer in layers], sized)

    def make(layer: Layer) -> SizedSigns:
        return SizedSigns(layer, "channel")

    weights, both = Way(make, trace=trace), Way(make, opened, trace=trace)
    still = Run("signs of both, not trained", 0, control=True)
    alone, whole = Run("signs of weights alone", total), Run("signs of weights and inputs", total)
    yield from in_turn(task.watch, [
        (still, lambda _: untrained(task, net, forms, both, still)),
        (alone, lambda _: learnt(task, net, layers, plan, weights, alone, task.key("xnor_net, weights", plan))),
        (whole, lambda _: learnt(task, net, layers, plan, both, whole, task.key("xnor_net", sized, plan))),
    ])


PROCEDURE = Procedure(
    title="Binary inputs (XNOR-Net)",
    summary="Trains with signs for weights and for layers' inputs, so that multiplying is comparing bits, beside signs for the weights alone. The "
            "first and the last layer stay in full. A normalisation is added before each sign, as inputs behind a ReLU are never negative.",
    reference="Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, section 3.2 and figure 3",
    survey="6.4",
    knobs=(
        Knob("sized", "Input sizes", (True, False), True,
             "Multiply each output with the mean magnitude of the inputs it looks at (K), or go by their signs alone."),
        EPOCHS, RATE,
    ),
    run=run,
    shown_on="lenet-5",
    study=((), (("sized", False),)),
    refuses=refuses,
    finding="Binary inputs cost far more than binary weights: on ImageNet AlexNet answers 56.8 % with binary weights and 44.2 % with both.",
    terms=(("size of inputs", "Their mean magnitude over all channels, filtered by a box as large as the kernel (K)."), LATENT),
)
