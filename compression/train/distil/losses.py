"""What a student is asked to have in common with its teacher, one function each: two tensors in, one number out.

Scores are (examples, classes). Features are maps (n, channels, height, width): of a fully connected layer 1 x 1, of tokens (n, channels,
tokens, 1). The teacher's tensors carry no gradient; every loss is 0 where student and teacher are one, but for contrast, information and boundaries.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

TINY = 1e-8


def softened(scores: Tensor, temperature: float) -> Tensor:
    """Probabilities at a temperature, the same shape: 1 gives the network's own, a high one tells how alike it finds the classes.

    Hinton et al. 2015, arXiv:1503.02531, equation 1.

    >>> softened(torch.tensor([0.0, 1.0]), 1e6).round(decimals=3).tolist()
    [0.5, 0.5]
    """
    return (scores / temperature).softmax(-1)


def soft_targets(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher ‖ student), both softened by T, in nats: T² keeps the gradient's size (Hinton et al. 2015, section 2)."""
    return temperature**2 * F.kl_div((student / temperature).log_softmax(-1), softened(teacher, temperature), reduction="batchmean")


def logits(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the mean square between scores, each example's mean taken off (Ba and Caruana 2014, arXiv:1312.6184, equation 1).

    What soft targets come to at high temperature (Hinton et al. 2015, section 2.1): a constant added to all scores changes no answer.
    """
    return (_centred(student) - _centred(teacher)).square().mean() / 2


def _centred(scores: Tensor) -> Tensor:
    return scores - scores.mean(-1, keepdim=True)


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the mean square between features of one shape (FitNets, Romero et al. 2015, arXiv:1412.6550, equation 3)."""
    return (student - teacher).square().mean() / 2


def attention_map(features: Tensor) -> Tensor:
    """Where a layer looks: the sum of squares over channels, flattened, of length 1. (n, c, h, w) -> (n, h·w)."""
    return F.normalize(features.square().sum(1).flatten(1), dim=1, eps=TINY)


def attention(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the squared distance of attention maps (Zagoruyko and Komodakis 2017, arXiv:1612.03928, equation 2)."""
    return (attention_map(student) - attention_map(teacher)).square().sum(1).mean() / 2


def flow(first: Tensor, second: Tensor) -> Tensor:
    """How a network gets from one layer to a later one: (n, c, h, w) and (n, d, h, w) -> (n, c, d), a mean over places.

    FSP matrix, Yim et al. 2017 ("A Gift from Knowledge Distillation"), equation 1.
    """
    return torch.einsum("nchw,ndhw->ncd", first, second) / first[0, 0].numel()


def flows(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Mean squared distance of the flows between neighbouring layers (Yim et al. 2017, equation 2)."""
    each = [(flow(a, b) - flow(c, d)).square().mean() for (a, b), (c, d) in zip(pairwise(student), pairwise(teacher), strict=True)]
    return torch.stack(each).mean()


def gram(features: Tensor) -> Tensor:
    """How alike a layer finds the examples of a batch: (n, …) -> (n, n), rows of length 1."""
    flat = features.flatten(1)
    return F.normalize(flat @ flat.T, dim=1, eps=TINY)


def similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """1/n² times the squared distance of the two Gram matrices (Tung and Mori 2019, arXiv:1907.09682, equation 4)."""
    return (gram(student) - gram(teacher)).square().mean()


def distances(features: Tensor) -> Tensor:
    """Distances between examples, in units of their mean. (n, d) -> (n·(n−1),), each pair both ways."""
    apart = (features[:, None] - features[None]).square().sum(-1)[_others(len(features))].clamp(min=TINY**2).sqrt()
    return apart / apart.mean().clamp(min=TINY)


def angles(features: Tensor) -> Tensor:
    """Cosines of the angles at example j between i and k: (n, d) -> (n, n, n), ordered (j, i, k)."""
    towards = F.normalize(features[None] - features[:, None], dim=-1, eps=TINY)  # (j, i, d)
    return towards @ towards.transpose(1, 2)


def _others(n: int) -> Tensor:
    return ~torch.eye(n, dtype=torch.bool)


def relations(student: Tensor, teacher: Tensor) -> Tensor:
    """Distances of pairs and, twice, angles of triplets, compared by Huber's loss: ½d² up to 1, then |d| − ½.

    RKD, Park et al. 2019, arXiv:1904.05068, section 3, angles weighing double as in their experiments.
    """
    return F.huber_loss(distances(student), distances(teacher)) + 2 * F.huber_loss(angles(student), angles(teacher))


def contrast(student: Tensor, teacher: Tensor, among: int, tau: float = 0.1) -> Tensor:
    """Tell the pair of one example from pairs of two: embeddings (n, d) of length 1, negatives from the same batch.

    CRD, Tian et al. 2020, arXiv:1910.10699, section 3: −log h of the true pair − Σ log(1 − h) of the n − 1 others, where
    h = e^x / (e^x + (n − 1)/among), x = inner product / tau, and among counts the training examples. A mean over examples.
    """
    n = len(student)
    odds = student @ teacher.T / tau - torch.tensor((n - 1) / among).log()  # of h, as a logarithm
    right, wrong = F.logsigmoid(odds.diagonal()).mean(), F.logsigmoid(-odds)[_others(n)].sum() / n
    return -(right + wrong)


def information(mean: Tensor, variance: Tensor, teacher: Tensor) -> Tensor:
    """−log likelihood of the teacher's features under a Gaussian that the student tells, in nats a value, less ½ log 2π.

    VID, Ahn et al. 2019, arXiv:1904.05835. mean (n, c, h, w); variance (c,), one for each channel of the teacher.
    """
    spread = variance[:, None, None]
    return (spread.log() / 2 + (teacher - mean).square() / (2 * spread)).mean()


def patient(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of hidden states of length 1, a mean over places (Patient KD, Sun et al. 2019, arXiv:1908.09355)."""
    return (F.normalize(student, dim=1, eps=TINY) - F.normalize(teacher, dim=1, eps=TINY)).square().sum(1).mean()


def attention_scores(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean square between attention scores before the softmax, (n, heads, length, length); places that a mask hides are −∞ in both.

    TinyBERT, Jiao et al. 2020, arXiv:1909.10351, section 3.
    """
    seen = teacher.isfinite()
    return (student[seen] - teacher[seen]).square().mean()


def correlation(student: Tensor, teacher: Tensor, gamma: float = 0.4, order: int = 2) -> Tensor:
    """Mean square between correlations of examples under a Gaussian kernel, by its Taylor series. (n, d) of length 1, (n, e).

    CCKD, Peng et al. 2019, arXiv:1904.01802: Σ_p e^(−2γ) (2γ)^p / p! · (f·f')^p.
    """
    return (_kernel(student, gamma, order) - _kernel(teacher, gamma, order)).square().mean()


def _kernel(features: Tensor, gamma: float, order: int) -> Tensor:
    unit = F.normalize(features, dim=1, eps=TINY)
    near, term, total = unit @ unit.T, torch.ones(len(unit), len(unit)), torch.zeros(len(unit), len(unit))
    for p in range(order + 1):
        total, term = total + term, term * 2 * gamma * near / (p + 1)
    return torch.exp(torch.tensor(-2 * gamma)) * total


def boundaries(student: Tensor, teacher: Tensor, margin: float = 1.0) -> Tensor:
    """Mean of squares by which the student is not beyond a margin on the side of zero where the teacher is, before the rectifier.

    Heo et al. 2019, arXiv:1811.03233, section 3.
    """
    on = teacher > 0
    return torch.where(on, (margin - student).clamp(min=0), (margin + student).clamp(min=0)).square().mean()
