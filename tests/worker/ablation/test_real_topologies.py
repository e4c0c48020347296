"""Real topologies of the onnx wheel: how many sites each has, counted by hand, and what it costs, by the literature."""

import sys
from pathlib import Path
from types import FrameType

import onnx
import onnx_ir as ir
import pytest
from onnx import shape_inference

from tests.nets import node, noise, two_convs
from tests.worker.ablation.grafting import parsed
from worker.ablation import sites
from worker.ablation.flops import multiply_adds

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
# Every convolution and dense layer but the classifier, a term a stage, with convolutions in a block times blocks. (The
# classifiers of DenseNet-121 and SqueezeNet are convolutions.)
COUNTS = {
    "bvlc_alexnet": 5 + 2,
    "densenet121": 1 + 2 * (6 + 12 + 24 + 16) + 3,
    "inception_v1": 3 + 6 * 9,
    "inception_v2": 3 + 7 * 8 + 5 * 2,
    "resnet50": 1 + 3 * 16 + 4,
    "shufflenet": 1 + 3 * 16,
    "squeezenet": 1 + 3 * 8,
    "vgg19": 16 + 2,
    "zfnet512": 5 + 2,
}


def light(name: str) -> ir.Model:
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    return ir.serde.deserialize_model(shape_inference.infer_shapes(model, data_prop=True))


@pytest.mark.parametrize("name", COUNTS)
def test_every_layer_but_the_classifier_is_a_site(name: str) -> None:
    """Weights computed by ConstantOfShape, BatchNorm kept, blocks that add, concatenate and shuffle."""
    model = light(name)
    found = sites.find(model, str(model.graph.outputs[0].name))
    assert len(found) == COUNTS[name]
    assert len({site.name for site in found}) == len(found)


@pytest.mark.parametrize(
    ("name", "billions"), [("resnet50", 4.09), ("densenet121", 2.83), ("vgg19", 19.63), ("squeezenet", 0.35)]
)
def test_costs_are_those_that_are_published(name: str, billions: float) -> None:
    """Multiply-adds for one image, as torchvision states them for its own of these networks."""
    found = multiply_adds(light(name))
    assert found is not None
    assert round(found / 1e9, 2) == billions


def test_the_masks_of_a_residual_network_are_where_the_branches_end() -> None:
    """Behind ReLU within a branch, behind BatchNorm at its end; the units are those of ResNet-50's stages."""
    model = light("resnet50")
    computed = {value.name: each.op_type for each in model.graph for value in each.outputs}
    found = sites.find(model, str(model.graph.outputs[0].name))
    ends = [computed[site.exits[0]] for site in found]
    assert (ends.count("MaxPool"), ends.count("Relu"), ends.count("BatchNormalization")) == (0, 1 + 16 * 2, 16 + 4)
    assert sum(site.units for site in found) == 64 + sum(
        blocks * (width + width + 4 * width) + 4 * width for blocks, width in [(3, 64), (4, 128), (6, 256), (3, 512)]
    )


def chained(layers: int) -> ir.Model:
    """A chain of so many layers, five nodes each."""
    chain, weights = [], {}
    for index in range(layers):
        before = "c" if index == 0 else f"p{index - 1}"
        weights[f"w{index}"] = noise(index, 4, 4, 1, 1)
        chain += [
            node("Conv", f"{before} w{index}", f"c{index}"),
            node("BatchNormalization", f"c{index} scale shift mu var", f"n{index}"),
            node("Sigmoid", f"n{index}", f"s{index}"),
            node("Mul", f"n{index} s{index}", f"a{index}"),
            node("Add", f"a{index} {before}", f"p{index}"),
        ]
    norm = {"scale": noise(1, 4), "shift": noise(2, 4), "mu": noise(3, 4), "var": noise(4, 4) ** 2}
    return parsed(two_convs([*chain, node("Identity", f"p{layers - 1}", "a")], {**weights, **norm}))


def test_thousands_of_nodes_cost_no_more_than_in_proportion() -> None:
    """Eight times the nodes take about eight times the steps to search, not sixty-four times as many."""

    def steps(layers: int) -> int:
        model, count = chained(layers), 0

        def counting(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(counting)
        try:
            found = sites.find(model, "y")
        finally:
            sys.setprofile(None)
        assert len(found) == layers + 2
        return count

    assert steps(1000) < 12 * steps(125)
