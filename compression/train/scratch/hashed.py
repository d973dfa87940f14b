"""HashedNets: weights share values by the hash of their place, from the first step on, so that the values learn to be shared."""

from collections.abc import Iterator
from itertools import count

from torch import Tensor, nn

from compression.encoded import Dense
from compression.method import Knob, Layer
from compression.sharing.hashing import Hashed, places
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.scratch.beside import EPOCHS, RATE, beside, refuses


class Buckets(nn.Module):
    """Weight i is sign(i) times the value of bucket h(i); a value's gradient is the sum over its weights (Chen et al. 2015, equation 12).

    Values begin as so many of the first weights, and are therefore spread like them.
    """

    def __init__(self, first: Tensor, share: float, signed: bool, seed: int) -> None:
        super().__init__()
        self.shape, self.signed, self.seed = tuple(first.shape), signed, seed
        buckets = max(1, round(share * first.numel()))
        self.values = nn.Parameter(first.detach().flatten()[:buckets].clone())
        bucket, sign = places(first.numel(), buckets, seed)
        self.register_buffer("bucket", bucket, persistent=False)
        self.register_buffer("sign", sign, persistent=False)

    def forward(self) -> Tensor:
        weight = self.values[self.bucket]
        return (weight * self.sign if self.signed else weight).reshape(self.shape)

    def form(self) -> Hashed:
        """The values alone: where they belong is computed."""
        return Hashed(self.shape, self.seed, self.signed, Dense(self.values.detach().clone()))


def run(task: Task, share: float, signed: bool, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Every layer hashed with a hash of its own."""
    order = count()

    def make(layer: Layer) -> nn.Module:
        return Buckets(layer.weight, share, signed, next(order))

    yield from beside(task, f"hashed into 1/{round(1 / share)}", make, epochs, rate, "hashed", share, signed)


PROCEDURE = Procedure(
    title="HashedNets",
    summary="Trains a network whose weights share values by the hash of their place. Beside it a narrower plain network with as many numbers, "
            "and the plain one. The recipe on screen is left aside.",
    reference="Chen et al. 2015, Compressing Neural Networks with the Hashing Trick, arXiv:1504.04788",
    survey="2.2",
    knobs=(
        Knob("share", "Buckets", (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2), 1 / 8, "Values stored, as a share of the number of weights."),
        Knob("signed", "Hashed signs", (True, False), True, "Whether a second hash gives each weight a sign."),
        EPOCHS, RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("share", s),) for s in (1 / 8, 1 / 64)),
    refuses=refuses,
    finding="Hashed networks beat narrower ones with as many numbers, the more so the fewer there are.",
    terms=(("bucket", "All weights that share one value."),),
)
