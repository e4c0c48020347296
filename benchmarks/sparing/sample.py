"""Trials of a real network, some of them in pairs, and what the intact network says of their examples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from service.examples import paths
from worker.ablation.network import Network

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK = 4096  # trials at once


@dataclass(frozen=True, eq=False)
class Sample:
    """T trials, [T] each: of an example with its label, at a fraction in [0, 1], with an ordering of its own.

    margin: the intact network's logit of the label less the largest other one, so that it is right where that is
    positive. right: `plain`, the trial itself, and others of the same example: `twin`, the same fraction and another
    ordering; `again`, another fraction and another ordering; `elsewhere`, 1 - fraction and another ordering;
    `reversed`, the same fraction and the ordering from its other end; `complement`, at 1 - fraction, so that what was
    lost is kept, and what was kept is lost. Those that end in `apart` show another example.
    """

    name: str
    accuracy: float
    chance: float
    labels: Ints
    margin: Floats
    fractions: Floats
    right: dict[str, Bools]


def taken(name: str, model: Path, inputs: NDArray[np.float32], labels: Ints, trials: int, seed: int) -> Sample:
    """Draw and run them. Every example is used once before any is used twice."""
    network = Network(model.read_bytes(), _only(model))
    network.mask([site.name for site in network.sites], "zero")
    feed = {next(iter(network.inputs)): inputs}
    rng = np.random.default_rng(seed)
    logits = network.intact(feed, 0, len(inputs)).astype(np.float64)
    own = logits[np.arange(len(labels)), labels]
    logits[np.arange(len(labels)), labels] = -np.inf
    margins = own - logits.max(axis=1)
    examples = np.concatenate([rng.permutation(len(labels)) for _ in range(-(-trials // len(labels)))])[:trials]
    # One trial in each of T strata, in random order, as a chunk of `adaptive` has it.
    fractions = (rng.permutation(trials) + rng.random(trials)) / trials
    others = (rng.permutation(trials) + rng.random(trials)) / trials
    found: dict[str, list[Bools]] = {}
    for start in range(0, trials, CHUNK):
        part = slice(start, min(start + CHUNK, trials))
        for kind, masks in _masks(rng, [s.units for s in network.scope], fractions[part], others[part]).items():
            rows = np.arange(len(examples[part]))
            shown = np.roll(examples[part], 1) if kind.endswith("apart") else examples[part]
            answers = network.outputs(feed, shown, rows, masks).argmax(axis=1)
            found.setdefault(kind, []).append(answers == labels[shown])
    return Sample(
        name=name,
        accuracy=float((margins > 0).mean()),
        chance=float(np.bincount(labels).max() / len(labels)),
        labels=labels[examples],
        margin=margins[examples],
        fractions=fractions,
        right={kind: np.concatenate(parts) for kind, parts in found.items()},
    )


def shipped(trials: int, seed: int) -> list[Sample]:
    """Of the two networks that the service comes with."""
    found = []
    names: tuple[Literal["learned", "memorised"], ...] = ("learned", "memorised")
    for name in names:
        model, dataset = paths(name)
        with np.load(dataset) as arrays:
            x, y = arrays["x"].astype(np.float32), arrays["y"].astype(np.int64)
        found.append(taken(name, model, x, y, trials, seed))
    return found


def _only(model: Path) -> str:
    return str(onnx.load(model).graph.output[0].name)


def _masks(rng: np.random.Generator, units: list[int], fractions: Floats, others: Floats) -> dict[str, list[Bools]]:
    """bool[T, units] a site, for each kind of trial."""
    found: dict[str, list[Bools]] = {}
    for size in units:
        first, second, third = (rng.random((len(fractions), size)).argsort(axis=1).argsort(axis=1) for _ in range(3))
        lost, rest, free = (np.floor(each * size + 0.5)[:, None] for each in (fractions, 1 - fractions, others))
        masks = {
            "plain": first >= lost,
            "twin": second >= lost,
            "again": third >= free,
            "elsewhere": second >= rest,
            "reversed": size - 1 - first >= lost,
            "reversed, apart": size - 1 - first >= lost,
            "complement": size - 1 - first >= rest,
            "complement, apart": size - 1 - first >= rest,
        }
        for kind, mask in masks.items():
            found.setdefault(kind, []).append(mask)
    return found
