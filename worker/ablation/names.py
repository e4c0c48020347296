"""What a network's author called a layer, as far as the export still tells."""

import re
from collections.abc import Iterator
from itertools import chain, count

import onnx_ir as ir

from worker.ablation.layers import Layer

# A parameter's name ends in what it is of its layer: conv1.weight, dense/kernel:0, conv1_w_0, fc1.weight_quantized.
PARAMETER = re.compile(r"[./_](?:weights?|kernel|filter|w|W|R|W_0)(?:[._]?\d+)?(?::\d+)?$|[./_](?:weight|W)_\w+$")
PACKED = re.compile(r"_(?:quantized|quant|DequantizeLinear(?:_Output)?|DequantizeLinear/\w+)$|/ReadVariableOp.*$")
TENSORFLOW = re.compile(
    r"^(?:StatefulPartitionedCall/)+|/(?:MatMul|Conv2D|Conv1D|BiasAdd|Tensordot|depthwise|convolution)\b.*$"
)
SCOPES = "pkg.torch.onnx.name_scopes"  # where the dynamo exporter notes the modules that a node came from
DEEPEST = 32  # operators between a constant and the layer


def name(layer: Layer, taken: set[str], parent: bool = False) -> str:
    """The name of a layer's site, unique among those taken, and taken now. parent: of the module that it is in."""
    found = [_above(each) if parent else each for each in _called(layer)]
    numbered = (f"{found[0]}#{number}" for number in count(2))
    unique = next(each for each in chain(found, numbered) if each not in taken)
    taken.add(unique)
    return unique


def _above(own: str) -> str:
    module = re.split(r"[./](?=[^./]*$)", own)[0] if re.search("[./]", own) else own
    return f"{module}.heads"


def _called(layer: Layer) -> list[str]:
    """Its names, the best one first: exporters merge equal weights, so that a weight's name may be another layer's."""
    node = layer.node
    found = [called for weight in _sources(layer.weight) if (called := _of_weight(weight))][:1]
    scopes = [each for each in re.findall(r"'([^']*)'", node.metadata_props.get(SCOPES, "")) if each]
    found += scopes[-2:-1]
    if (node.name or "").startswith("/"):
        found.append(_path(node.name or ""))
    return found or [_path(node.name or "") or node.outputs[0].name or node.op_type]


def _of_weight(weight: str) -> str:
    found = PACKED.sub("", weight)
    if PARAMETER.search(found):
        return PARAMETER.sub("", found).lstrip("/.")
    plain = TENSORFLOW.sub("", found)
    return "" if plain == found else plain


def _sources(weight: ir.Value | None) -> Iterator[str]:
    """The names of a weight and of the constants that it is made of."""
    for _ in range(DEEPEST):
        if weight is None:
            return
        yield weight.name or ""
        node = weight.producer()
        weight = None if node is None or not node.inputs else node.inputs[0]


def _path(node: str) -> str:
    """/layer1/layer1.0/conv1/Conv is module layer1.0.conv1."""
    if not node.startswith("/") or node.count("/") < 2:
        return TENSORFLOW.sub("", node) or node
    path: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)
