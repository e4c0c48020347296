"""The zoo's architectures, built from a recipe."""

import itertools

from torch import nn

from benchmarks.zoo.examples import CLASSES
from benchmarks.zoo.factors import Recipe

PIXELS = 14 * 14
SIDE = 7  # of the last feature maps


def build(recipe: Recipe) -> nn.Sequential:
    """Its layers, with torch's own initialisation from the current seed."""
    return (_mlp if recipe.family == "mlp" else _conv)(recipe)


def _mlp(recipe: Recipe) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = PIXELS
    for _ in range(recipe.depth):
        layers.append(nn.Linear(before, recipe.width))
        if recipe.norm:
            layers.append(nn.BatchNorm1d(recipe.width))
        layers.append(nn.ReLU())
        if recipe.dropout:
            layers.append(nn.Dropout(recipe.dropout))
        before = recipe.width
    return nn.Sequential(*layers, nn.Linear(before, CLASSES))


def _conv(recipe: Recipe) -> nn.Sequential:
    """Three convolutions, the first two of stride 2: w, 2w and 2w feature maps."""
    layers: list[nn.Module] = []
    maps = [1, recipe.width, 2 * recipe.width, 2 * recipe.width]
    for (before, after), stride in zip(itertools.pairwise(maps), (2, 2, 1), strict=True):
        layers.append(nn.Conv2d(before, after, 3, stride, padding=1))
        if recipe.norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU())
        if recipe.dropout:
            layers.append(nn.Dropout2d(recipe.dropout))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(maps[-1] * SIDE * SIDE, CLASSES))
