"""What sites are called, by what exporters leave of the author's names."""

import onnx_ir as ir
import pytest

from worker.ablation import names
from worker.ablation.layers import Layer


def layer(weight: str = "", node: str = "", scopes: str = "", output: str = "out") -> Layer:
    value = ir.Value(name=weight)
    made = ir.Node("", "Conv", [ir.Value(name="x"), value], name=node or None)
    made.outputs[0].name = output
    made.metadata_props.update({names.SCOPES: scopes} if scopes else {})
    return Layer(made, value, None, 4, (), "Conv")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (layer("layer1.0.conv1.weight"), "layer1.0.conv1"),
        (layer("rnn.weight_ih_l0"), "rnn"),
        (layer("onnx::Conv_345", "/layer1/layer1.0/conv1/Conv"), "layer1.0.conv1"),
        (layer("val_12", "node_linear_3", "['', 'blocks.0', 'blocks.0.fc1', 'linear']"), "blocks.0.fc1"),
        (layer("StatefulPartitionedCall/net/dense/MatMul/ReadVariableOp:0"), "net/dense"),
        (layer("net/conv/kernel:0"), "net/conv"),
        (layer("gpu_0/res2_0_branch2a_w_0"), "gpu_0/res2_0_branch2a"),
        (layer("conv1_weights", "p2o.Conv.0"), "conv1"),
        (layer("fc1.weight_quantized", "/fc1/Gemm_quant"), "fc1"),
        (layer("fc1.weight_DequantizeLinear_Output"), "fc1"),
        (layer("W", "Conv_0"), "Conv_0"),
        (layer("123"), "out"),
    ],
)
def test_a_site_is_called_as_its_layer(given: Layer, expected: str) -> None:
    """By its parameter, else by the modules that the exporter notes, else by the node."""
    assert names.name(given, set()) == expected


def test_names_are_unique() -> None:
    """Exporters merge equal weights: then the modules tell more; a layer that is used twice is numbered."""
    taken: set[str] = set()
    one = layer("a.weight", "/a/Conv")
    merged = layer("a.weight", "/b/Conv")
    assert [names.name(each, taken) for each in (one, one, one, merged)] == ["a", "a#2", "a#3", "b"]


def test_heads_are_called_as_the_module_around_their_projection() -> None:
    """The projection's own name is that of a layer."""
    assert names.name(layer("blocks.0.attn.proj.weight"), set(), parent=True) == "blocks.0.attn.heads"
    assert names.name(layer("proj.weight"), set(), parent=True) == "proj.heads"
