"""A torch network as the files that people make of it: both ONNX exporters, `.pt2`, TorchScript traced and scripted."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

LEGACY_OPSET = 17


def legacy(net: nn.Module, inputs: Sequence[Tensor], path: Path, names: Sequence[str]) -> None:
    """By the exporter that traces, torch's default until 2.8."""
    axes = {name: {0: "batch"} for name in [*names, "logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is old
        torch.onnx.export(
            net,
            tuple(inputs),
            str(path),
            dynamo=False,
            opset_version=LEGACY_OPSET,
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes=axes,
        )


def dynamo(net: nn.Module, inputs: Sequence[Tensor], path: Path, names: Sequence[str]) -> None:
    """By the exporter that is built on torch.export, torch's default since 2.9; at its own opset."""
    batch = {0: torch.export.Dim("batch")}
    program = torch.onnx.export(
        net,
        tuple(inputs),
        dynamo=True,
        dynamic_shapes=tuple(batch for _ in inputs),
        input_names=list(names),
        output_names=["logits"],
    )
    assert program is not None
    program.save(path, external_data=False)


def pt2(net: nn.Module, inputs: Sequence[Tensor], path: Path) -> None:
    """By torch.export, with a free batch."""
    shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs)
    torch.export.save(torch.export.export(net, tuple(inputs), dynamic_shapes=shapes), path)


def torchscript(net: nn.Module, inputs: Sequence[Tensor], path: Path, scripted: bool) -> None:
    """Traced with these inputs, or scripted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and so are its files, and people have them
        made = torch.jit.script(net) if scripted else torch.jit.trace(net, tuple(inputs))
        torch.jit.save(made, path)
