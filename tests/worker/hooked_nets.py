"""Torch networks with their sites as people would hook them, and the plain loop that ablates them, trial by trial."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Mask: TypeAlias = Any  # Tensor, bool[units], True = kept; not every machine that checks types has torch
Ways = dict[str, Callable[[nn.Module, Mask], Any]]


@dataclass(frozen=True)
class Hooked:
    """A site: its name, its units, the module that is hooked, and how (a key of WAYS)."""

    name: str
    units: int
    module: str
    way: str


class Residual(nn.Module):
    """A convolutional stem, two convolutions with a way past them, a depthwise one, and a dense layer."""

    inputs = ("image",)
    sites = (
        Hooked("stem", 6, "relu", "channels"),
        Hooked("first", 8, "relu1", "channels"),
        Hooked("second", 6, "norm2", "channels"),  # before the addition
        Hooked("depth", 6, "swish", "channels"),
        Hooked("dense", 12, "gelu", "features"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.relu = nn.Conv2d(1, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU()
        self.first, self.relu1 = nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
        self.second, self.norm2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.depth, self.swish = nn.Conv2d(6, 6, 3, groups=6), nn.Hardswish()
        self.dense, self.gelu = nn.Linear(6, 12), nn.GELU()
        self.classifier = nn.Linear(12, 5)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 1, 12, 12] to [N, 5]."""
        x = self.relu(self.norm(self.stem(image)))
        x = torch.relu(self.norm2(self.second(self.relu1(self.first(x)))) + x)
        classes: Tensor = self.classifier(self.gelu(self.dense(self.swish(self.depth(x)).mean((2, 3)))))
        return classes


class Attention(nn.Module):
    """Four heads of four channels."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.project = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: [N, T, 16]. mask: int64[N, T], 1 where there is something to see."""
        shape = (x.size(0), x.size(1), 4, 4)
        query, key, value = (layer(x).view(shape).transpose(1, 2) for layer in (self.query, self.key, self.value))
        seen = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask.bool()[:, None, None, :])
        projected: Tensor = self.project(seen.transpose(1, 2).reshape(x.size(0), x.size(1), 16))
        return projected


class Reader(nn.Module):
    """A transformer block behind an embedding, with a mask; the mean over what is no padding is classified."""

    inputs = ("ids", "mask")
    sites = (Hooked("attention.heads", 4, "attention.project", "heads"), Hooked("up", 16, "act", "features"))

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm1, self.norm2 = nn.Embedding(30, 16), nn.LayerNorm(16), nn.LayerNorm(16)
        self.attention = Attention()
        self.up, self.act, self.down = nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 16)
        self.classifier = nn.Linear(16, 5)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """int64[N, T] twice to [N, 5]."""
        x = self.embed(ids)
        x = x + self.attention(self.norm1(x), mask)
        x = x + self.down(self.act(self.up(self.norm2(x))))
        shown = mask[:, :, None].to(x.dtype)
        classes: Tensor = self.classifier((x * shown).sum(1) / shown.sum(1))
        return classes


class Recurrent(nn.Module):
    """An LSTM in both directions over what it is given, its last states, a dense layer."""

    inputs = ("steps",)
    sites = (Hooked("lstm", 12, "lstm", "states"), Hooked("dense", 8, "tanh", "features"))

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True, bidirectional=True)
        self.dense, self.tanh = nn.Linear(12, 8), nn.Tanh()
        self.classifier = nn.Linear(8, 5)

    def forward(self, steps: Tensor) -> Tensor:
        """[N, 7, 4] to [N, 5]."""
        _, (last, _) = self.lstm(steps)
        classes: Tensor = self.classifier(self.tanh(self.dense(torch.cat([last[0], last[1]], 1))))
        return classes


def _states(module: nn.Module, mask: Mask) -> Any:
    def masked(_module: nn.Module, _given: Any, found: Any) -> Any:
        every, (last, cells) = found
        directions = mask.view(2, 1, -1)
        return every * mask, (last * directions, cells * directions)

    return module.register_forward_hook(masked)


def _heads(module: nn.Module, mask: Mask) -> Any:
    def masked(_module: nn.Module, given: Any) -> Any:
        [x] = given
        return (x.unflatten(-1, (len(mask), -1)) * mask[:, None]).flatten(-2)

    return module.register_forward_pre_hook(masked)


WAYS: Ways = {
    "channels": lambda module, mask: module.register_forward_hook(lambda _m, _g, x: x * mask.view(1, -1, 1, 1)),
    "features": lambda module, mask: module.register_forward_hook(lambda _m, _g, x: x * mask),
    "states": _states,
    "heads": _heads,
}


def made(kind: Any, examples: int) -> tuple[nn.Module, dict[str, Tensor], Tensor]:
    """A network of a kind with random weights, inputs, and labels of which it gets four in five right."""
    torch.manual_seed(5)
    net = kind()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            layer.running_mean.uniform_(-0.5, 0.5)
    inputs = _inputs(kind, examples)
    with torch.no_grad():
        outputs = net.eval()(*inputs.values())
        net.classifier.bias -= outputs.mean(0)  # so that no class is the answer to all
        answers = net(*inputs.values()).argmax(1)
    wrong = torch.arange(examples) % 5 == 0
    return net, inputs, torch.where(wrong, (answers + 1) % 5, answers)


def _inputs(kind: Any, examples: int) -> dict[str, Tensor]:
    if kind is Reader:
        mask = (torch.arange(9) < torch.randint(3, 10, (examples, 1))).long()
        return {"ids": torch.randint(0, 30, (examples, 9)), "mask": mask}
    shape = (1, 12, 12) if kind is Residual else (7, 4)
    return {kind.inputs[0]: torch.randn(examples, *shape)}


def loop(
    net: Any,
    inputs: dict[str, Tensor],
    examples: NDArray[np.int64],
    lesions: NDArray[np.int64],
    masks: Sequence[NDArray[np.bool_]],
) -> NDArray[np.float32]:
    """float32[T, classes]: one trial after another, one example each, hooks on, forward, hooks off."""
    answers = []
    for example, lesion in zip(examples.tolist(), lesions.tolist(), strict=True):
        with _lesioned(net, [torch.from_numpy(mask[lesion]) for mask in masks]), torch.no_grad():
            answers.append(net(*(each[example : example + 1] for each in inputs.values()))[0].numpy())
    return np.stack(answers)


@contextmanager
def _lesioned(net: Any, masks: Sequence[Mask]) -> Iterator[None]:
    modules = dict(net.named_modules())
    with ExitStack() as stack:
        for site, mask in zip(net.sites, masks, strict=True):
            stack.callback(WAYS[site.way](modules[site.module], mask).remove)
        yield
