"""Quantization-aware training: round the weights in every step, and let the gradient pass the rounding as if it were not there."""

from collections.abc import Iterator
from dataclasses import replace

from compression.method import Knob, Layer
from compression.recipe import step
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, refuses
from compression.train.quantized.levels import Rounded, least_error_step

BITS = Knob("bits", "Bits per weight", (1, 2, 3, 4, 8), 2, "How many levels there are: two to this power.")
EPOCHS = Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20, 40), 5, "How often every training example is seen.")
RATE = Knob("rate", "Learning rate", (1e-4, 3e-4, 1e-3, 3e-3), 1e-3, "Highest step size of AdamW; it rises and falls once.")
STRAIGHT = ("straight-through gradient", "Taking the slope of a rounding as 1 where nothing is cut off and 0 beyond the outermost levels.")
LATENT = ("full weight", "The weight in 32 bits that training moves; the network computes with its rounded value, and only that is stored.")


def run(task: Task, bits: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Steps stay where rounding without training puts them; weights move between and across levels."""
    def make(layer: Layer) -> Rounded:
        return Rounded(layer.weight, least_error_step(layer, bits), bits)

    plan = Plan("adamw", rate, 0.0, 128, epochs)
    yield from beside(task, plan, f"trained with {bits}-bit weights", step("quantization.uniform", bits=bits, clip="mse"), Way(make),
                      "straight_through", bits)


PROCEDURE = Procedure(
    title="Quantization-aware training",
    summary="Rounds weights to few levels in every step while weights in full precision learn behind them. One scale per channel, held where "
            "rounding alone errs least. It begins from the network itself; of the recipe only rewritings are used.",
    reference="Jacob et al. 2018, arXiv:1712.05877; straight-through: Bengio et al. 2013, arXiv:1308.3432",
    survey="6.4",
    knobs=(BITS, EPOCHS, replace(RATE, default=3e-4)),
    run=run,
    shown_on="lenet-300-100",
    study=tuple((("bits", n),) for n in (2, 3, 4)),
    refuses=refuses,
    finding="Training through the rounding beats rounding alone at 3 bits and fewer; at 4 bits and more there is little left to win.",
    terms=(STRAIGHT, LATENT, ("oscillation", "A weight near the middle between two levels whose code goes back and forth.")),
)
