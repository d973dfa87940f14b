"""Piggyback: a trained network serves another task by a mask of one bit a weight; the weights themselves stay as they are."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.encoded import Codes, Encoded
from compression.method import Knob
from compression.network import Network
from compression.network import network as as_network
from compression.places import sparse
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import EPOCHS, RATE, makers, survivors, to_mask, train, usual
from compression.train.sparse.masked import left as weights_left
from compression.train.sparse.movement import Chosen
from compression.zoo import data as shipped

BEGIN = 0.01  # every score at first; Mallya et al. 2018, section 4
TURNS = ("upright", "turned left", "upside down", "turned right")
ONTO = Knob("onto", "Other task", ("digits", "turns"), "digits",
            "Handwritten digits, enlarged to the size of the network's images; or by how many quarters its own images were turned.")
ADDED = "KB added"  # to the network that is there already, for the task


class Piggybacked(nn.Module):
    """A frozen weight of which those count whose score is above the threshold. Only scores are learnt."""

    def __init__(self, full: Tensor, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.register_buffer("full", full.detach().clone())
        self.scores = nn.Parameter(torch.full(full.shape, BEGIN))

    @property
    def kept(self) -> Tensor:
        """The mask, bool like the weight."""
        return self.scores.detach() > self.threshold

    def forward(self) -> Tensor:
        return Chosen.apply(self.full, self.scores, self.kept)

    def form(self) -> Encoded:
        """The weights under the mask."""
        kept = self.kept
        return sparse(torch.where(kept, self.full, 0.0), kept.flatten())

    def bits(self) -> Encoded:
        """What has to be kept beside the network that is there already: one bit a weight."""
        return Codes(self.kept.flatten().to(torch.uint8), 1)


class Still(Made):
    """A network whose batch normalisations stay as they are, also while it is trained."""

    def train(self, mode: bool = True) -> "Still":
        super().train(mode)
        for part in self.body.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self


def turned(data: Data) -> Data:
    """Images (n, c, h, h), each turned by so many quarters as chance says; the quarters are the labels."""
    quarters = torch.randint(4, (len(data),), generator=torch.Generator().manual_seed(0))
    images = torch.stack([image.rot90(int(q), (1, 2)) for image, q in zip(data.inputs, quarters, strict=True)])
    return replace(data, name=f"{data.name}, turned", inputs=images, labels=quarters, classes=TURNS)


def enlarged(split: str, like: Data) -> Data:
    """The shipped digits of 8 x 8 pixels, enlarged between pixels to another set's size, their grey values normalised like its own."""
    digits = shipped.digits(split)  # type: ignore[arg-type]
    grey = F.interpolate(digits.inputs * digits.std + digits.mean, like.inputs.shape[2:], mode="bilinear")
    return replace(digits, name="Digits, enlarged", inputs=(grey - like.mean) / like.std, mean=like.mean, std=like.std)


def examples(network: Network, onto: str) -> dict[str, Data]:
    """The other task's, by split. Raises ValueError where it is the network's own task."""
    own = network.data
    if onto == "turns":
        return {split: turned(data) for split, data in own.items()}
    if own["train"].name == "Digits" or own["train"].inputs.shape[1] != 1:
        raise ValueError(f"{network.title} knows digits already, or takes images in colour; let the other task be how far its images are turned")
    return {split: enlarged(split, data) for split, data in own.items()}


def last(network: Network) -> str | None:
    """The fully connected layer whose outputs are the network's answers, by name; None where there is none such."""
    module, found = network.context.spare(), {}
    for name, part in module.named_modules():
        if type(part) is nn.Linear:
            part.register_forward_hook(lambda _, given, out, name=name: found.update({name: out}))
    with torch.no_grad():
        answers = module(network.example)
    return next((name for name, out in reversed(found.items()) if out is answers), None)


def another(network: Network, onto: str, seed: int) -> Network:
    """The network with another task's examples and a new last layer for its classes, as a seed draws it."""
    data, module, name = examples(network, onto), copy.deepcopy(network.module), last(network)
    old = module.get_submodule(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new = nn.Linear(old.in_features, len(data["train"].classes))
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, new)
    return as_network("another-task", f"{network.title} on {data['train'].name}", module, data, data["train"].inputs[:1])


def refuses(task: Task) -> str | None:
    """Why there is no other task here, or no last layer to begin anew."""
    net = task.network.reference
    inputs = net.data["train"].inputs
    if inputs.ndim != 4 or inputs.shape[2] != inputs.shape[3]:
        return f"{net.title} does not take square images, and the other tasks that ship are of such."
    return None if last(net) else f"{net.title} does not end in a fully connected layer that could begin anew for another task."


def run(task: Task, onto: str, threshold: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """A mask and a new last layer; beside it the last layer alone, and all weights."""
    origin = task.network.reference
    net, head = another(origin, onto, task.seed), last(origin)
    task = replace(task, network=net)
    plan, key = usual(task, epochs, rate), ("piggyback", onto, threshold)
    steps = plan.total(len(task.teach))

    def only(model: Made) -> Made:
        model.body.requires_grad_(False)
        model.body.get_submodule(head).requires_grad_(True)
        return model

    def go(run: Run, model: Made, _: tuple[Run, ...]) -> Going:
        return (yield from train(task, model, plan, run, key, trace=lambda: {**weights_left(model), ADDED: added(model) / 1000},
                                 picture=lambda: survivors(net, [m.kept for m in makers(model)]) if len(model.makers) else None))

    masked = {x.name: Piggybacked(x.weight, threshold) for x in to_mask(net) if x.name != head}
    runs = [(Run("masked, one bit a weight", steps), only(Still(net, masked))), (Run("last layer alone", steps, control=True), only(Still(net, {}))),
            (Run("all weights trained", steps, control=True), Made(net, {}))]
    yield from in_turn(task.watch, [(run, partial(go, run, model)) for run, model in runs])


def added(model: Made) -> int:
    """Bytes that the task adds to what is there already: bits of masks, and in 32 bits all else that training moved."""
    moved = [p for p in model.body.parameters() if p.requires_grad]
    moved += [] if isinstance(model, Still) else [b for b in model.body.buffers() if b.is_floating_point()]
    return sum(m.bits().nbytes for m in makers(model)) + sum(p.numel() * p.element_size() for p in moved)


PROCEDURE = Procedure(
    title="Another task by a mask (Piggyback)",
    summary="Leaves every weight of the network as it came and learns which of them another task should use: one bit a weight, and a new last "
            "layer. What comes out is a network for the other task; the original is the one with the new last layer before any step. The recipe on "
            "screen is left aside.",
    reference="Mallya et al. 2018, Piggyback: Adapting a Single Network to Multiple Tasks by Learning to Mask Weights, arXiv:1801.06519",
    survey="3.3.2",
    knobs=(
        ONTO,
        Knob("threshold", "Threshold", (0.0, 0.0025, 0.005, 0.0075), 0.005,
             "A weight counts while its score is above that. All scores begin at 0.01, and the paper takes 0.005."),
        EPOCHS, replace(RATE, default=1e-3),
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-5",
    study=((("onto", "digits"),), (("onto", "turns"), ("epochs", 2))),
    refuses=refuses,
    finding="Masks answer nearly as well as a copy of the network with all its weights trained on the other task, and far better than a last layer.",
    terms=(("task mask", "One bit for each weight of a network that is there already: whether another task uses it."),),
    told=(ADDED,),
    learns_from="the other task’s training examples",
)
