"""Small networks in torch, and the ways in which people save them. Scripting reads their source, so they lie here."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

BATCH = 2  # examples of every trace and export


class Cnn(nn.Module):
    """Convolution, batch normalisation, pooling and two dense layers; 12 x 12 pixels and no others."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.dense = nn.Linear(100, 16)
        self.out = nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 1, 12, 12] to [N, 10]."""
        return self.out(torch.relu(self.dense(self.features(image).flatten(1))))


class Mlp(nn.Module):
    """Dense layers with dropout and GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.5), nn.Linear(16, 3))

    def forward(self, values: Tensor) -> Tensor:
        """[N, 6] to [N, 3]."""
        return self.layers(values)


class Block(nn.Module):
    """A transformer block over token ids and a mask, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.query, self.key, self.value, self.project = (nn.Linear(8, 8) for _ in range(4))
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
        self.out = nn.Linear(8, 4)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """int64 [N, T] twice, to [N, 4]."""
        x = self.embed(ids)
        n, t = ids.size(0), ids.size(1)
        split = [layer.view(n, t, 2, 4).transpose(1, 2) for layer in (self.query(x), self.key(x), self.value(x))]
        scores = split[0] @ split[1].transpose(-1, -2) / 2.0 + (1.0 - mask.float())[:, None, None] * -1e4
        attended = (torch.softmax(scores, -1) @ split[2]).transpose(1, 2).reshape(n, t, 8)
        x = x + self.project(attended)
        return self.out((x + self.mlp(self.norm(x))).mean(1))


class Anywhere(nn.Module):
    """A convolutional network that takes images of any size, and gives its features besides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.out = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 3, H, W] to [N, 5] and [N, 8]."""
        features = torch.relu(self.conv(image)).mean(dim=(2, 3))
        return self.out(features), features


class Odd(nn.Module):
    """Uses what ONNX has no operator for."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 4)

    def forward(self, values: Tensor) -> Tensor:
        """[N, 4] to [N, 4]."""
        return self.out(values) @ torch.linalg.matrix_exp(torch.outer(values[0], values[0]))


class Tuned(nn.Module):
    """Behaves in training as in evaluation, and can be told how by a flag that has a default."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, values: Tensor, twice: bool = False) -> dict[str, Tensor]:
        """[N, 4] to {"logits": [N, 3]}."""
        return {"logits": self.out(values) * (2 if twice else 1)}


class Counting(nn.Module):
    """Counts its calls."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        """[N, 4] to [N, 3]."""
        self.calls.add_(1)
        return self.out(values)


def made(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network of a kind with random weights, and running means unlike a new one's; in evaluation mode."""
    torch.manual_seed(seed)
    net = kind()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            layer.running_mean.uniform_(-1, 1)
    return net.eval()


def example(kind: type[nn.Module], batch: int = BATCH, seed: int = 1) -> tuple[Tensor, ...]:
    """Inputs that the kind takes."""
    torch.manual_seed(seed)
    if kind is Block:
        return torch.randint(0, 20, (batch, 7)), torch.randint(0, 2, (batch, 7))
    shape = {Cnn: (1, 12, 12), Mlp: (6,), Anywhere: (3, 20, 20), Odd: (4,), Tuned: (4,), Counting: (4,)}[kind]
    return (torch.randn(batch, *shape),)


def save(net: nn.Module, form: str, path: Path, inputs: Sequence[Tensor], free: bool = True) -> Path:
    """Save as "pt2" (with a free batch axis or not), "functional" (a .pt2 too), "traced" or "scripted"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "pt2":
            batch = {0: torch.export.Dim("batch")}
            shapes = tuple(batch for _ in inputs) if free else None
            torch.export.save(torch.export.export(net, tuple(inputs), dynamic_shapes=shapes), path)
        elif form == "functional":
            torch.export.save(torch.export.export(net, tuple(inputs)).run_decompositions(), path)
        elif form == "traced":
            torch.jit.save(torch.jit.trace(net, tuple(inputs), check_trace=False), path)
        else:
            torch.jit.save(torch.jit.script(net), path)
    return path
