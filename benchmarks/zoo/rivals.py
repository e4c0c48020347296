"""What else is said to tell networks that generalise from those that don't, measured on the training set with torch.

Batch normalisation is folded into the weights first, since it can scale them at will.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.zoo import examples, training
from benchmarks.zoo.factors import GRID, Recipe

DRAWS = 5  # of the weights' noise, at each size of it
HALVINGS = 8
FALL = 0.1  # of training accuracy, which noise may cost
RISE = 0.1  # of cross-entropy in nats, which pruning may cost


@dataclass(frozen=True)
class Layer:
    """One affine map: weight float64[out, ...], whether it is a convolution with its stride, and its bias."""

    weight: Tensor
    bias: Tensor
    stride: tuple[int, ...] | None


def measure(folder: Path, recipes: list[Recipe]) -> None:
    """Put `rivals` into the line of figures of every grid network that was trained and lacks them."""
    torch.set_num_threads(1)
    for recipe in recipes:
        path = folder / "nets" / f"{recipe.name}.json"
        if recipe.group != GRID or not path.exists():
            continue
        told = json.loads(path.read_text())
        if "rivals" not in told:
            told["rivals"] = measured(folder, recipe)
            whole = path.with_suffix(".part")
            whole.write_text(json.dumps(told, indent=1) + "\n")
            whole.rename(path)


def measured(folder: Path, recipe: Recipe) -> dict[str, float]:
    """Every rival's value, by name. Norms and products are given as logarithms."""
    net = training.kept(folder, recipe)
    own = examples.training(folder, recipe.family, recipe.seed, recipe.corruption)
    x, y = torch.from_numpy(own.x), torch.from_numpy(own.y)
    layers = folded(net)
    spectral = float(sum(torch.linalg.matrix_norm(each.weight.flatten(1), 2).log() for each in layers))
    margin = margins(training.outputs(net, x), y)
    start = list(training.kept(folder, recipe, ".start").parameters())
    apart = [float((one - other).detach().square().sum()) for one, other in zip(net.parameters(), start, strict=True)]
    return {
        "parameters": float(sum(each.numel() for each in net.parameters())),
        "margin": margin,
        "normalised margin": margin / float(np.exp(spectral)),
        "spectral norm": spectral,
        "path norm": path_norm(layers, x[:1].shape[1:]),
        "distance": float(np.sqrt(sum(apart))),
        "sharpness": sharpness(net, x, y, recipe.seed),
        "prunability": prunability(net, x, y),
    }


def folded(net: nn.Module) -> list[Layer]:
    """The affine maps of a network, each with the batch normalisation that follows it."""
    found: list[Layer] = []
    for module in net:
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert module.bias is not None
            stride = tuple(module.stride) if isinstance(module, nn.Conv2d) else None
            found.append(Layer(module.weight.detach().double(), module.bias.detach().double(), stride))
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_mean is not None
            scale = (module.weight / (module.running_var + module.eps).sqrt()).detach().double()
            last = found[-1]
            shaped = scale.reshape(-1, *([1] * (last.weight.ndim - 1)))
            bias = scale * (last.bias - module.running_mean.double()) + module.bias.detach().double()
            found[-1] = Layer(last.weight * shaped, bias, last.stride)
    return found


def margins(logits: Tensor, y: Tensor) -> float:
    """The tenth percentile of the lead that the label's output has over the best other one (Jiang et al. 2019)."""
    mine = logits.gather(1, y[:, None])[:, 0]
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return float(torch.quantile((mine - others).double(), 0.1))


def path_norm(layers: list[Layer], shape: torch.Size) -> float:
    """Half the log of the sum over all paths of the products of squared weights (Neyshabur et al. 2015).

    It is what the network with squared weights, and biases squared as well, makes of an input of ones.
    """
    flow = torch.ones(1, *shape, dtype=torch.float64)
    for layer in layers:
        weight, bias = layer.weight.square(), layer.bias.square()
        if layer.stride is None:
            flow = nn.functional.linear(flow.flatten(1), weight, bias)
        else:
            flow = nn.functional.conv2d(flow, weight, bias, layer.stride, padding=1)
    return float(0.5 * flow.sum().log())


def sharpness(net: nn.Module, x: Tensor, y: Tensor, seed: int) -> float:
    """-log2 of the noise that costs a tenth of training accuracy: larger is sharper.

    Each weight gets Gaussian noise of so many times its own size, as in the magnitude-aware PAC-Bayes flatness of Jiang
    et al. 2020; the size at which the mean accuracy of five draws has fallen by 0.1 is found by halving.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = list(net.parameters())
    intact = [each.detach().clone() for each in weights]
    limit = _accuracy(net, x, y) - FALL

    def withstands(log2: float) -> bool:
        seen = []
        for _ in range(DRAWS):
            with torch.no_grad():
                for weight, own in zip(weights, intact, strict=True):
                    weight.copy_(own * (1 + 2.0**log2 * torch.randn(own.shape, generator=generator)))
            seen.append(_accuracy(net, x, y))
        return float(np.mean(seen)) >= limit

    log2 = _largest(withstands, -5.0, 3.0)
    with torch.no_grad():
        for weight, own in zip(weights, intact, strict=True):
            weight.copy_(own)
    return -log2


def prunability(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The largest share of weights that can be set to zero, smallest first, for at most 0.1 nats of training loss.

    After Kuhn et al. 2021 (arXiv 2103.06002), whose measure this is in its simplest form: magnitudes over all layers.
    """
    weights = [each for each in net.parameters() if each.ndim > 1]
    intact = [each.detach().clone() for each in weights]
    sizes = torch.cat([each.abs().flatten() for each in intact])
    limit = _loss(net, x, y) + RISE

    def withstands(share: float) -> bool:
        least = torch.quantile(sizes, share)
        with torch.no_grad():
            for weight, own in zip(weights, intact, strict=True):
                weight.copy_(torch.where(own.abs() > least, own, 0.0))
        return _loss(net, x, y) <= limit

    share = _largest(withstands, 0.0, 1.0)
    with torch.no_grad():
        for weight, own in zip(weights, intact, strict=True):
            weight.copy_(own)
    return share


def _largest(withstands: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if withstands(middle) else (low, middle)
    return (low + high) / 2


def _accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((training.outputs(net, x).argmax(1) == y).double().mean())


def _loss(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return float(nn.functional.cross_entropy(training.outputs(net, x).double(), y))
