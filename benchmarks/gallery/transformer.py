"""A small transformer on real text: which language are two lines in? Ids, mask and types go in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gallery import exports, manuals, outside
from benchmarks.gallery.attention import Block
from benchmarks.gallery.pairs import Pair
from benchmarks.gallery.training import train

WORDS, LENGTH, WIDTH, HEADS, HIDDEN, BLOCKS = 4000, 24, 64, 4, 128, 2
EACH, EPOCHS = 4000, 2  # training examples a class; times that all are seen
NAMES = ["ids", "mask", "types"]


class Reader(nn.Module):
    """Embeddings of words, places and types, blocks, the mean over what is no padding, a classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, HIDDEN) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, classes)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """int64[N, T] thrice to [N, classes]."""
        x = self.words(ids) + self.places.weight[None, : ids.size(1)] + self.types(types)
        for block in self.blocks:
            x = block(x, mask.bool())
        shown = mask[:, :, None].to(x.dtype)
        classes: Tensor = self.classifier((self.norm(x) * shown).sum(1) / shown.sum(1))
        return classes


def make(folder: Path) -> Iterator[Pair]:
    """Trained once, exported twice."""
    texts = manuals.words(folder, LENGTH, WORDS, EACH)
    torch.manual_seed(0)
    inputs = [torch.from_numpy(texts.train[name]) for name in NAMES]
    net = train(Reader(len(manuals.LANGUAGES)), inputs, torch.from_numpy(texts.train_labels), EPOCHS)
    dataset: dict[str, Any] = dict(manuals.shuffled(texts))  # Any: savez has a flag among the names of its arrays
    np.savez(folder / "words.npz", **dataset)
    for exporter in (exports.legacy, exports.dynamo):
        name = f"transformer-{exporter.__name__}.onnx"
        exporter(net, [each[:2] for each in inputs], folder / name, NAMES)
        given = {name: dataset[name] for name in NAMES}
        yield Pair(
            name=f"transformer, {exporter.__name__}",
            family="transformer on text",
            form=f"torch, {exporter.__name__} exporter",
            model=(name,),
            dataset="words.npz",
            outside=outside.accuracy_of_onnx(folder / name, given, dataset["labels"]),
            by="onnxruntime",
            sites=2 * BLOCKS,
            units=BLOCKS * (HEADS + HIDDEN),
            counted=f"{BLOCKS} blocks of {HEADS} heads and {HIDDEN} hidden units",
            alike="transformer on text",
            note=f"{len(dataset['labels']):,} pairs of lines of manual pages in six languages",
        )
