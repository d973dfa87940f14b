"""Train the networks that ship in assets/weights.

    python -m compression.zoo.train lenet-5 resnet-20        (or nothing, for all)

Images: the whole training split of Fashion-MNIST less the 5,000 images kept for validation, where Debian's
dataset-fashion-mnist is installed, else the 10,000 training images that ship. Text: all novels but Persuasion where
r-cran-janeaustenr and rdata are installed, else Northanger Abbey. One seed, the last step's weights, no choosing by the test set.
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.train.plan import Plan, batches, one_cycle, optimizers
from compression.zoo import data, make_data
from compression.zoo.catalogue import ZOO, Entry

log = logging.getLogger("zoo")


def everything(entry: Entry) -> Data | Tensor:
    """The most that may be learnt from: all images but the validation and test ones, or all text but the held-out novel."""
    if entry.text:
        if not make_data.JANEAUSTENR.is_dir():
            return data.encoded("calibration")
        texts = make_data.novels()
        return torch.cat([data.encode(text) for name, text in texts.items() if name != data.NOVELS["heldout"]])
    if entry.load is not data.fashion or not data.FASHION.is_dir():
        return entry.load("train")
    images, labels = make_data.idx("train-images-idx3-ubyte.gz"), make_data.idx("train-labels-idx1-ubyte.gz")
    validation, _ = make_data.split(labels)
    rest = np.setdiff1d(np.arange(len(images)), validation)
    return data.fashion_from(images[rest], labels[rest], "train")


def text_batches(source: Tensor, how: Plan, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows that start anywhere, without end."""
    while True:
        start = torch.randint(0, len(source) - data.CONTEXT - 1, (how.batch, 1), generator=rng)
        windows = source[start + torch.arange(data.CONTEXT + 1)]
        yield windows[:, :-1], windows[:, 1:]


def fit(entry: Entry, seed: int, report: Callable[[int, int, float], None]) -> nn.Module:
    """A trained network, in eval mode. report(step, steps, mean loss so far) is called about fifty times."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    how, source, model = entry.training, everything(entry), entry.build()
    source_of = text_batches(source, how, rng) if entry.text else batches(source, how, rng)
    total = how.total(len(source))
    turned = optimizers(dict(model.named_parameters()), how)
    cycles = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: one_cycle(step, total)) for o in turned]
    if not entry.text:
        model = model.to(memory_format=torch.channels_last)
    model.train()
    running = 0.0
    for step, (inputs, labels) in enumerate(islice(source_of, total), start=1):
        scores = model(inputs)
        loss = F.cross_entropy(scores.flatten(0, -2), labels.flatten(), label_smoothing=how.smoothing)
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for moved in (*turned, *cycles):
            moved.step()
        running += (loss.item() - running) / min(step, 200)
        if step % max(1, total // 50) == 0:
            report(step, total, running)
    return model.eval().to(memory_format=torch.contiguous_format)


def once(model: nn.Module) -> dict[str, Tensor]:
    """The state of a network with tied weights under their first name only."""
    first = {id(tensor): key for key, tensor in reversed(model.state_dict(keep_vars=True).items())}
    return {key: tensor.detach().contiguous() for key, tensor in model.state_dict(keep_vars=True).items() if first[id(tensor)] == key}


def main() -> None:
    """Train what was asked for and write each network's weights when it is done."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=list(ZOO), help=", ".join(ZOO))
    ask.add_argument("--out", type=Path, default=data.ASSETS / "weights")
    ask.add_argument("--seed", type=int, default=0)
    asked = ask.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names:
        start = time.process_time()
        model = fit(ZOO[name], asked.seed, lambda step, of, loss, name=name: log.info("%s %d/%d loss %.4f", name, step, of, loss))
        model.to(torch.float32)
        save_file(once(model), asked.out / f"{name}.safetensors", {"cpu_seconds": f"{time.process_time() - start:.0f}", "seed": str(asked.seed)})
        log.info("%s done in %.0f CPU seconds", name, time.process_time() - start)


if __name__ == "__main__":
    main()
