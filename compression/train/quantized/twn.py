"""Ternary weight networks: train with weights that are zero, plus or minus one size."""

from collections.abc import Iterator

from compression.method import Knob, Layer
from compression.quantization import ternary
from compression.recipe import step
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, refuses
from compression.train.quantized.plain import Plain
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE


def run(task: Task, threshold: float, per: str, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Threshold and size are worked out anew in every step (equations 4 and 6)."""
    def make(layer: Layer) -> Plain:
        return Plain(layer.weight, lambda full: ternary.answer(ternary.prepare(full, layer), 2, threshold, per))

    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), "trained with ternary weights",
                      step("quantization.ternary", threshold=threshold, per=per), Way(make), "twn", threshold, per)


PROCEDURE = Procedure(
    title="Ternary weight networks (TWN)",
    summary="Trains with weights that are zero where they are small, and plus or minus the mean of the large ones elsewhere. Two bits each.",
    reference="Li et al. 2016, Ternary Weight Networks, arXiv:1605.04711",
    survey="6.4",
    knobs=(
        Knob("threshold", "Threshold", (0.3, 0.5, 0.7, 0.9), 0.7,
             "Below this multiple of the mean magnitude a weight becomes zero; the paper takes 0.7."),
        Knob("per", "One size per", ("tensor", "channel"), "tensor", "Which weights share a threshold and a size."),
        EPOCHS, RATE,
    ),
    run=run,
    shown_on="lenet-300-100",
    study=tuple((("threshold", t),) for t in (0.5, 0.7, 0.9)),
    refuses=refuses,
    finding="Three values come nearer to the full network than two: on MNIST within a tenth of a point.",
    terms=(LATENT,),
)
