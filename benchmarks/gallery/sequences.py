"""An LSTM and a 1-D CNN on real text: which language is a line of a manual page in, by its characters?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gallery import exports, manuals, outside
from benchmarks.gallery.pairs import Pair
from benchmarks.gallery.training import train

LENGTH, WIDTH, HIDDEN, DENSE = 40, 16, 48, 32
CHANNELS = (48, 64)
EACH, EPOCHS = 4000, 3


class Recurrent(nn.Module):
    """An LSTM in both directions, its last states, a dense layer, a classifier."""

    def __init__(self, characters: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(characters, WIDTH)
        self.lstm = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(2 * HIDDEN, DENSE)
        self.classifier = nn.Linear(DENSE, classes)

    def forward(self, chars: Tensor) -> Tensor:
        """int64[N, T] to [N, classes]."""
        _, (last, _) = self.lstm(self.embed(chars))
        classes: Tensor = self.classifier(torch.tanh(self.dense(torch.cat([last[0], last[1]], 1))))
        return classes


class Convolutional(nn.Module):
    """Two 1-D convolutions, the largest of each channel over the line, a classifier."""

    def __init__(self, characters: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(characters, WIDTH)
        self.conv1 = nn.Conv1d(WIDTH, CHANNELS[0], 5, padding=2)
        self.norm1 = nn.BatchNorm1d(CHANNELS[0])
        self.conv2 = nn.Conv1d(CHANNELS[0], CHANNELS[1], 5)
        self.classifier = nn.Linear(CHANNELS[1], classes)

    def forward(self, chars: Tensor) -> Tensor:
        """int64[N, T] to [N, classes]."""
        x = torch.relu(self.norm1(self.conv1(self.embed(chars).transpose(1, 2))))
        classes: Tensor = self.classifier(torch.relu(self.conv2(x)).amax(2))
        return classes


NETS: tuple[tuple[type[nn.Module], str, int, int, str], ...] = (
    (Recurrent, "LSTM", 2, 2 * HIDDEN + DENSE, "an LSTM of 48 units in each of two directions, a dense layer of 32"),
    (Convolutional, "1-D CNN", 2, sum(CHANNELS), "two convolutions (48, 64)"),
)


def make(folder: Path) -> Iterator[Pair]:
    """Each trained once, exported twice."""
    texts = manuals.characters(folder, LENGTH, EACH)
    dataset: dict[str, Any] = dict(manuals.shuffled(texts))  # Any: savez has a flag among the names of its arrays
    np.savez(folder / "characters.npz", **dataset)
    chars, labels = torch.from_numpy(texts.train["chars"]), torch.from_numpy(texts.train_labels)
    for kind, called, sites, units, counted in NETS:
        torch.manual_seed(0)
        net = train(kind(texts.known, len(manuals.LANGUAGES)), [chars], labels, EPOCHS)
        for exporter in (exports.legacy, exports.dynamo):
            name = f"{kind.__name__.lower()}-{exporter.__name__}.onnx"
            exporter(net, [chars[:2]], folder / name, ["chars"])
            given = {"chars": dataset["chars"]}
            yield Pair(
                name=f"{called}, {exporter.__name__}",
                family=f"{called} on text",
                form=f"torch, {exporter.__name__} exporter",
                model=(name,),
                dataset="characters.npz",
                outside=outside.accuracy_of_onnx(folder / name, given, dataset["labels"]),
                by="onnxruntime",
                sites=sites,
                units=units,
                counted=counted,
                alike=f"{called} on text",
                note=f"{len(labels):,} lines for training, {len(dataset['labels']):,} for testing, of six languages",
            )
