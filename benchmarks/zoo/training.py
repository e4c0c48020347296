"""Trains the zoo, one network after the other, and keeps each as ONNX, as weights and as a line of figures."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gallery import exports
from benchmarks.zoo import examples, nets
from benchmarks.zoo.examples import Examples
from benchmarks.zoo.factors import Recipe

LOSS = 0.02  # training ends at this cross-entropy on the training set
LONGEST = 80  # epochs, where it is not reached
LEAST = 0.95  # training accuracy of a network that statistics are made of


@dataclass(frozen=True)
class Figures:
    """Of one network at one time: mean cross-entropy in nats and share of right answers."""

    loss: float
    accuracy: float


def train(folder: Path, recipes: list[Recipe]) -> None:
    """Train those that are not there yet; each is whole once its .json is."""
    torch.set_num_threads(1)
    for number, recipe in enumerate(recipes):
        told = folder / "nets" / f"{recipe.name}.json"
        if told.exists():
            continue
        told.parent.mkdir(parents=True, exist_ok=True)
        row = make(folder, recipe)
        whole = told.with_suffix(".part")
        whole.write_text(json.dumps(row, indent=1) + "\n")
        whole.rename(told)
        print(
            f"{number + 1}/{len(recipes)} {recipe.name}: {row['epochs']} epochs, {row['seconds']:.1f} s, "
            f"training {row['training']['accuracy']:.3f}, test {row['test']['accuracy']:.3f}",
            flush=True,
        )


def make(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Train, export and measure one network. Returns its figures."""
    start = time.perf_counter()
    torch.manual_seed(recipe.seed)
    net = nets.build(recipe)
    own = examples.training(folder, recipe.family, recipe.seed, recipe.corruption)
    unseen = {
        "validation": examples.validation(folder, recipe.family),
        "test": examples.test(folder, recipe.family),
    }
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    generator = torch.Generator().manual_seed(recipe.seed)
    path, history, epochs = folder / "nets" / recipe.name, [], 0
    keep(net, path.with_name(f"{recipe.name}.start"), own, onnx=False)
    while epochs < (recipe.checkpoints or LONGEST):
        _epoch(net, own, optimizer, generator, recipe.batch)
        epochs += 1
        seen = measured(net, own)
        if recipe.checkpoints:
            keep(net, path.with_name(f"{recipe.name}.{epochs:03}"), own)
            history.append({"training": asdict(seen)} | {n: asdict(measured(net, e)) for n, e in unseen.items()})
        elif seen.loss <= LOSS:
            break
    keep(net, path, own)
    figures = {name: asdict(measured(net, each)) for name, each in ({"training": own} | unseen).items()}
    told = {"recipe": asdict(recipe), "epochs": epochs, "seconds": time.perf_counter() - start, **figures}
    return told | ({"history": history} if history else {})


def _epoch(
    net: nn.Module, own: Examples, optimizer: torch.optim.Optimizer, generator: torch.Generator, batch: int
) -> None:
    x, y = torch.from_numpy(own.x), torch.from_numpy(own.y)
    net.train()
    order = torch.randperm(len(y), generator=generator)
    for start in range(0, len(order) - 1, batch):  # never a batch of one, which has no variance
        rows = order[start : start + batch]
        loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def outputs(net: nn.Module, x: Tensor) -> Tensor:
    """float32[n, classes], without dropout, in batches that stay in the cache."""
    net.eval()
    with torch.inference_mode():
        return torch.cat([net(part) for part in x.split(500)])


def measured(net: nn.Module, shown: Examples) -> Figures:
    """How a network does on examples, in evaluation mode."""
    y = torch.from_numpy(shown.y)
    logits = outputs(net, torch.from_numpy(shown.x))
    right = (logits.argmax(1) == y).double().mean()
    return Figures(float(nn.functional.cross_entropy(logits.double(), y)), float(right))


def keep(net: nn.Module, path: Path, own: Examples, *, onnx: bool = True) -> None:
    """Weights as .npz, and the network as .onnx."""
    np.savez(path.with_name(f"{path.name}.npz"), **{name: value.numpy() for name, value in net.state_dict().items()})
    if onnx:
        net.eval()
        exports.legacy(net, [torch.from_numpy(own.x[:2])], path.with_name(f"{path.name}.onnx"), ["x"])


def kept(folder: Path, recipe: Recipe, stage: str = "") -> nn.Module:
    """A network again, with the weights it had at its end, or at a stage: `.start`, or `.007` after seven epochs."""
    net = nets.build(recipe)
    with np.load(folder / "nets" / f"{recipe.name}{stage}.npz") as weights:
        net.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    return net.eval()
