"""Makes the exports in this folder: small torch networks, by both exporters, and what they answer with units ablated.

    pip install torch==2.13.0 onnxscript==0.7.2; python -m tests.worker.exports.make

The answers come from torch itself: forward hooks zero the channels behind each layer's activation. So each .npz says,
apart from any ONNX, which layers have how many units (`sites`, `units`), and what the network gives (`outputs`) for the
inputs (`inputs`) under the masks (`mask_0`, `mask_1`, ...: bool[examples, units], True = kept).
"""
# mypy: ignore-errors
# torch is not among Lesion's dependencies, so its types are not known here.

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
EXAMPLES = 6
Hooks = list[tuple[str, nn.Module]]  # the layer's name and the module behind which its units are masked


class Separable(nn.Module):
    """A depthwise convolution and a pointwise one, each normalised and rectified."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False)
        self.depth_norm, self.depth_act = nn.BatchNorm2d(inside), nn.ReLU6()
        self.point = nn.Conv2d(inside, outside, 1, bias=False)
        self.point_norm, self.point_act = nn.BatchNorm2d(outside), nn.Hardswish()

    def forward(self, x: Any) -> Any:
        x = self.depth_act(self.depth_norm(self.depth(x)))
        return self.point_act(self.point_norm(self.point(x)))


class Residual(nn.Module):
    """Two convolutions and a way past them, which has a convolution of its own where the stride is 2."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
        self.relu1 = nn.ReLU()
        self.conv2, self.norm2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        self.down = nn.Identity() if stride == 1 else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False))
        if stride != 1:
            self.down.append(nn.BatchNorm2d(outside))
        self.relu2 = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.relu2(self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x))))) + self.down(x))


def mlp() -> tuple[nn.Module, Hooks, tuple[int, ...]]:
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4))
    return net, [("0", net[1]), ("2", net[3])], (8,)


def cnn() -> tuple[nn.Module, Hooks, tuple[int, ...]]:
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3), nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.LeakyReLU(0.1)),
        *(nn.Flatten(), nn.Linear(8 * 9, 10), nn.Dropout(), nn.ReLU(), nn.Linear(10, 4)),
    )
    return net, [("0", net[2]), ("4", net[7]), ("9", net[11])], (1, 16, 16)


def resnet() -> tuple[nn.Module, Hooks, tuple[int, ...]]:
    net = nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
        *(Residual(6, 6, 1), Residual(6, 9, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 4)),
    )
    one: Any = net[3]
    two: Any = net[4]
    return (
        net,
        [
            *(("0", net[2]), ("3.conv1", one.relu1), ("3.conv2", one.norm2)),
            *(("4.conv1", two.relu1), ("4.conv2", two.norm2), ("4.down.0", two.down)),
        ],
        (2, 10, 10),
    )


def smooth() -> tuple[nn.Module, Hooks, tuple[int, ...]]:
    net = nn.Sequential(
        *(nn.Conv2d(1, 5, 3), nn.SiLU(), nn.Conv2d(5, 6, 3, stride=2), nn.BatchNorm2d(6), nn.Hardswish()),
        *(nn.Flatten(), nn.Linear(6 * 9, 12), nn.GELU(), nn.Linear(12, 10), nn.GELU(approximate="tanh")),
        *(nn.Linear(10, 8), nn.PReLU(8), nn.Linear(8, 4)),
    )
    hooks = [("0", net[1]), ("2", net[4]), ("6", net[7]), ("8", net[9]), ("10", net[11])]
    return net, hooks, (1, 9, 9)


def separable() -> tuple[nn.Module, Hooks, tuple[int, ...]]:
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU6()),
        *(Separable(4, 6), Separable(6, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    )
    hooks: Hooks = [("0", net[2])]
    for name in ("3", "4"):
        block: Any = net[int(name)]
        hooks += [(f"{name}.depth", block.depth_act), (f"{name}.point", block.point_act)]
    return net, hooks, (1, 11, 11)


NETS: list[Callable[[], tuple[nn.Module, Hooks, tuple[int, ...]]]] = [mlp, cnn, resnet, smooth, separable]


def make(name: str, net: nn.Module, hooks: Hooks, shape: tuple[int, ...]) -> None:
    """Write the exports of one network, and its answers."""
    inputs = torch.randn(EXAMPLES, *shape)
    net.train()
    with torch.no_grad():
        for _ in range(20):  # gives the normalisations means and variances of their own
            net(torch.randn(32, *shape))
        net.eval()
        np.savez_compressed(HERE / f"{name}.npz", **answers(net, hooks, inputs))
    for opset in (13, 17):
        torch.onnx.export(
            net,
            (inputs,),
            str(HERE / f"{name}-legacy{opset}.onnx"),
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            dynamic_axes={"x": {0: "batch"}},
        )
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.onnx.export(net, (inputs,), dynamo=True, dynamic_shapes=({0: batch},), input_names=["x"])
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # torch notes there where in its own files each node came from
    program.save(HERE / f"{name}-dynamo.onnx", external_data=False)


def answers(net: nn.Module, hooks: Hooks, inputs: Any) -> dict[str, Any]:
    """Inputs, masks and outputs: the first example keeps every unit, the last loses all of them."""
    layers = dict(net.named_modules())
    seen: dict[str, Any] = {}
    masks = [torch.rand(EXAMPLES, units(layers[name])) < 0.6 for name, _ in hooks]
    for mask in masks:
        mask[0], mask[-1] = True, False
    handles = [behind.register_forward_hook(zeroing(mask)) for (_, behind), mask in zip(hooks, masks, strict=True)]
    outputs = net(inputs)
    for handle in handles:
        handle.remove()
    seen |= {f"mask_{index}": mask.numpy() for index, mask in enumerate(masks)}
    names = np.array([name for name, _ in hooks])
    sizes = np.array([units(layers[name]) for name, _ in hooks])
    return seen | {"sites": names, "units": sizes, "inputs": inputs.numpy(), "outputs": outputs.numpy()}


def units(layer: Any) -> int:
    return int(layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features)


def zeroing(mask: Any) -> Callable[[nn.Module, Any, Any], Any]:
    return lambda _module, _inputs, output: output * mask.reshape(*mask.shape, *[1] * (output.ndim - 2))


def main() -> None:
    for seed, build in enumerate(NETS):
        torch.manual_seed(seed)
        make(build.__name__, *build())


if __name__ == "__main__":
    main()
