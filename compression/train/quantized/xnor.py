"""Train with signs times the mean magnitude, which follows the weights as they move."""

from collections.abc import Iterator

from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.quantization import binary
from compression.quantization.formats import table
from compression.recipe import step
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, mean, refuses
from compression.train.quantized.levels import Straight, group_size
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE


class SizedSigns(nn.Module):
    """Signs of a weight times the mean magnitude of each group; the gradient goes through both (section 3.1)."""

    def __init__(self, layer: Layer, per: str) -> None:
        super().__init__()
        self.full, self.per, self.layer, self.size = nn.Parameter(layer.weight.detach().clone()), per, layer, group_size(layer, per)

    def forward(self) -> Tensor:
        full = self.full.reshape(-1, self.size)
        signs = Straight.apply(full, table("binary")[(full >= 0).int()], full.abs() <= 1)
        return (signs * full.abs().mean(1)[:, None]).reshape(self.full.shape)

    def form(self) -> Encoded:
        """What is stored now."""
        return binary.answer(binary.prepare(self.full.detach(), self.layer), 1, self.per)


def run(task: Task, per: str, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Sizes are worked out anew in every step."""
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), "trained with sized signs", step("quantization.binary", per=per),
                      Way(lambda layer: SizedSigns(layer, per), trace=trace), "xnor", per)


def trace(model: Made) -> dict[str, float]:
    """The mean of all sizes."""
    return {"size of the signs, mean": mean([float(maker.full.detach().abs().mean()) for maker in model.makers])}


PROCEDURE = Procedure(
    title="Binary weights with sizes (BWN)",
    summary="Trains with the sign of each weight times the mean magnitude of its channel: the binary-weight network of XNOR-Net. Inputs of "
            "layers stay real numbers.",
    reference="Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, section 3.1",
    survey="6.4",
    knobs=(Knob("per", "One size per", ("tensor", "channel"), "channel", "Which weights share a size."), EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    study=((), (("per", "tensor"),)),
    refuses=refuses,
    finding="A size that follows the weights makes one bit enough for all but hard tasks; on ImageNet binary weights come near AlexNet's accuracy.",
    terms=(LATENT,),
)
