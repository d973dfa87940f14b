"""Short forms trained from the start: sizes as promised, as many numbers beside them, and stored as they were judged."""

import pytest
import torch
from torch import nn
from training import holds, last

from compression.method import Layer
from compression.network import network
from compression.recipe import Recipe
from compression.registry import procedures
from compression.sharing.hashing import places
from compression.train.procedure import Task
from compression.train.scratch import adapters, beside, embeddings, equilibrium, hashed, low_rank, tied
from compression.zoo import shipped
from compression.zoo.attention import EncoderBlock, ViT

WEIGHT = torch.randn(12, 40, generator=torch.Generator().manual_seed(0)) / 6


@pytest.fixture
def task():
    return Task(shipped.load("digits-mlp"), Recipe())


@pytest.mark.parametrize("name", [name for name in procedures() if name.startswith("scratch.")
                                  and procedures()[name].why_not(Task(shipped.load("digits-mlp"), Recipe())) is None and name != "scratch.adapters"])
def test_short_beside_narrow_and_plain(task, name):
    short, narrow, plain = last(name, task, epochs=5).runs
    numbers = [r.points[0].traced[beside.NUMBERS] for r in (short, narrow, plain)]
    assert 0.8 * numbers[0] <= numbers[1] <= numbers[0] < numbers[2] / 2
    assert [r.control for r in (short, narrow, plain)] == [False, True, True]
    assert short.points[-1].accuracy > short.points[0].accuracy
    for run in (short, narrow, plain):
        assert 4 * run.points[0].traced[beside.NUMBERS] < holds(task, run) < 4 * run.points[0].traced[beside.NUMBERS] + 1500


def test_a_bucket_gets_the_sum_over_its_weights():
    part = hashed.Buckets(WEIGHT, 1 / 8, True, 3)
    wanted = torch.randn(WEIGHT.shape, generator=torch.Generator().manual_seed(1))
    (part() * wanted).sum().backward()
    bucket, sign = places(480, 60, 3)
    assert torch.allclose(part.values.grad, torch.zeros(60).index_add(0, bucket, wanted.flatten() * sign), atol=1e-5)
    assert torch.equal(part.form().decode(), part().detach()) and part.form().nbytes == 240


def test_a_rank_is_the_largest_that_fits_and_first_weights_keep_their_spread():
    assert low_rank.rank_of((300, 784), 1 / 8) * (300 + 784) <= 300 * 784 / 8 < (low_rank.rank_of((300, 784), 1 / 8) + 1) * (300 + 784)
    form = low_rank.thin(Layer("fc", WEIGHT), 1 / 2)
    assert float(beside.stored(Layer("fc", WEIGHT), form)().detach().std()) == pytest.approx(float(WEIGHT.std()), rel=1e-4)
    assert low_rank.thin(Layer("fc", torch.ones(1, 4)), 1 / 2) is None


@pytest.mark.parametrize("base", list(adapters.BASES))
def test_adapters_begin_as_their_base_which_stays(base):
    part = adapters.adapted(Layer("fc", WEIGHT), base, 2)
    assert torch.equal(part().detach(), part.base.decode())
    with torch.no_grad():
        part.left.add_(0.1)
    form = part.form()
    assert torch.equal(form.decode(), part().detach()) and torch.equal(form.rest.decode(), part.base.decode())
    assert form.nbytes == part.base.nbytes + 4 * 2 * (12 + 40)
    part().sum().backward()
    assert [name for name, p in part.named_parameters() if p.grad is not None] == ["left", "right"]


def test_adapters_win_back_what_rounding_took(task):
    over, control = last("scratch.adapters", task, epochs=5).runs
    assert over.points[0].accuracy == control.points[0].accuracy < over.best.accuracy
    assert holds(task, over) > holds(task, control)


def test_blocks_that_are_alike_are_found_and_tied_in_whole_or_in_part():
    assert [[name for name, _ in run] for run in tied.repeated(shipped.load("vit").module)] == [[f"blocks.{i}" for i in range(4)]]
    assert [len(run) for run in tied.repeated(shipped.load("resnet-20").module)] == [3, 2, 2]
    counts = {}
    for what in tied.WHAT.ladder:
        module = tied.tie(ViT(16, blocks=3), what)
        first, *others = module.blocks
        counts[what] = sum(p.numel() for p in module.parameters())
        for block in others:
            assert (block.mlp.up is first.mlp.up) == (what != "all but the MLP")
            assert (block.attention.out_proj.weight is first.attention.out_proj.weight) == (what != "only the MLP")
    plain = sum(p.numel() for p in ViT(16, blocks=3).parameters())
    block = sum(p.numel() for p in EncoderBlock(16, 4, 0.0).parameters())
    assert counts["whole blocks"] == plain - 2 * block < min(counts["all but the MLP"], counts["only the MLP"])
    assert counts["all but the MLP"] + counts["only the MLP"] == plain + counts["whole blocks"]
    with pytest.raises(ValueError, match="take whole blocks"):
        tied.tie(nn.Sequential(nn.Linear(3, 3)), "whole blocks")


def test_what_is_tied_is_one_layer_of_a_network_and_answers_as_before():
    module = tied.tie(ViT(16, blocks=3), "whole blocks").eval()
    net = network("tied", "Tied", module, example=torch.zeros(1, 1, 28, 28))
    assert sorted(net.layer("blocks.0.mlp.up").names) == [f"blocks.{i}.mlp.up.weight" for i in range(3)]
    assert not any(layer.name.startswith("blocks.1") for layer in net.layers)


def test_at_an_equilibrium_another_pass_changes_nothing_and_the_gradient_is_its_own():
    """Of z = z / 2 + w x the equilibrium is 2 w x: its slope along w is 2 x, and that of the first pass would be x."""
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor(3.0))

        def forward(self, z):
            return z / 2

    part = equilibrium.Equilibrium(Half(), 1, 40)
    part.norm, part.once = nn.Identity(), lambda z, x: z / 2 + part.block.w * x
    x = torch.tensor([[[1.0], [2.0]]])
    part.train()
    z = part(x)
    assert torch.allclose(z, 6 * x)
    z.sum().backward()
    assert float(part.block.w.grad) == pytest.approx(6.0)
    part.eval()
    assert torch.allclose(part(x), z.detach())


def test_a_transformer_in_equilibrium_has_one_block_and_gives_what_it_is_judged_by():
    torch.manual_seed(0)
    plain = ViT(16, blocks=3)
    numbers = sum(p.numel() for p in plain.parameters())
    module = equilibrium.in_equilibrium(plain, 6)
    assert numbers - sum(p.numel() for p in module.parameters()) == 2 * sum(p.numel() for p in EncoderBlock(16, 4, 0.0).parameters()) - 32
    images = torch.randn(3, 1, 28, 28)
    module.train()
    module(images).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.blocks.parameters())
    assert "one sequence" in equilibrium.refuses(Task(shipped.load("resnet-20"), Recipe()))
    assert equilibrium.refuses(Task(shipped.load("vit"), Recipe())) is None


@pytest.mark.parametrize("kind", list(embeddings.KINDS))
def test_a_tied_network_has_one_matrix_fewer_and_what_is_untied_beside_it_no_more_numbers(kind):
    widths = ((64, True), (64, False), (embeddings.untied_width(kind, 64), False))
    one, two, same = (beside.counted(embeddings.built(kind, *each, 0)) for each in widths)
    assert two - one == 64 * 80 and 0.95 * one < same <= one
    module = embeddings.built(kind, 16, True, 0)
    module(torch.tensor([[3, 1, 4]])).sum().backward()
    assert module.head.weight is module.embed.weight and bool(module.embed.weight.grad.any(1).all()), "of all, as answers, not only of those read"
    assert torch.equal(embeddings.built(kind, 16, True, 1).embed.weight, embeddings.built(kind, 16, True, 1).embed.weight)


def test_bits_per_character_are_the_surprise_at_what_came():
    answers = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.25, 0.5, 0.125, 0.125]]).log_softmax(-1)
    answers[1] = torch.tensor([0.25, 0.5, 0.125, 0.125]).log()
    assert embeddings.bits(answers, torch.tensor([2, 1])) == pytest.approx((2 + 1) / 2)


def test_tied_beside_untied():
    task = Task(shipped.load("char-lstm"), Recipe())
    one, two, same = last("scratch.embeddings", task, width=16, epochs=1).runs
    assert [run.control for run in (one, two, same)] == [False, True, True]
    for run in (one, two, same):
        assert run.points[-1].traced["bits per character"] < 5 < run.points[0].traced["bits per character"]
        assert 4 * run.points[0].traced[beside.NUMBERS] < holds(task, run) < 4 * run.points[0].traced[beside.NUMBERS] + 1500
    assert "does not answer" in embeddings.refuses(Task(shipped.load("vit"), Recipe()))
