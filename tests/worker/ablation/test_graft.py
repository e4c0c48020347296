"""What a graft does to a network: masks where they belong, and nothing else changed."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from tests.nets import BATCH_NORM, checked, f32, node, noise, residual, two_convs
from worker.ablation import graft, sites
from worker.ablation.graft import Clamp, Graft

KEPT = np.array([[True, False, True, True], [False, True, True, False], [True, True, True, True]])
MAX = node("MaxPool", "r", "a", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1])
AVERAGE = node("AveragePool", "r", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
RELU = node("Relu", "c", "r")


def read(model: bytes) -> tuple[ir.Model, str]:
    data, output = checked(model)
    return ir.serde.deserialize_model(onnx.ModelProto.FromString(data)), output


def run(model: bytes | ir.Model, **feed: NDArray[Any]) -> NDArray[np.float32]:
    data = model if isinstance(model, bytes) else ir.serde.serialize_model(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], feed)[0])


def grafted(model: bytes, clamp: Clamp = "zero", means: graft.Means | None = None) -> ir.Model:
    """The model with a mask at its first site."""
    ours, output = read(model)
    Graft(sites.find(ours, output)[:1], clamp, means, None)(ours)
    return ours


def masked_node(model: ir.Model) -> str:
    """The name of the value that the first mask meets."""
    [value] = [value for value in model.graph.inputs if value.name == graft.mask_name(0)]
    [(masking, _)] = value.uses()
    [name] = [each.name for each in masking.inputs if each and each is not value and each.producer() is not None]
    return str(name)


X = noise(20, 3, 2, 8, 8)
MASK = KEPT.reshape(3, 4, 1, 1)
ZEROING = MASK.astype(np.float32)


@pytest.mark.parametrize("pool", [[MAX], [AVERAGE], [node("Identity", "r", "a")]], ids=["max", "average", "none"])
def test_zeroed_units_are_zeroed_behind_their_activation(pool: list[NodeProto]) -> None:
    """The mask gives what a multiplication written by hand behind the activation gives, to the last bit."""
    by_hand = [RELU, node("Mul", "r kept", "k"), *[node(p.op_type, "k", "a") for p in pool]]
    for each, ours in zip(by_hand[2:], pool, strict=True):
        each.attribute.extend(ours.attribute)
    expected = run(two_convs(by_hand, {"kept": ZEROING}), x=X)
    np.testing.assert_array_equal(run(grafted(two_convs([RELU, *pool])), x=X, lesion_mask_0=MASK), expected)


@pytest.mark.parametrize("pool", [MAX, AVERAGE], ids=["max", "average"])
def test_units_become_their_mean_behind_their_activation(pool: NodeProto) -> None:
    """The clamp `mean` gives what Where written by hand behind the activation gives, to the last bit."""
    mean = f32([0.25, 1.5, -1, 3])
    by_hand = [RELU, node("Where", "kept r mean", "k"), node(pool.op_type, "k", "a")]
    by_hand[2].attribute.extend(pool.attribute)
    mask = KEPT.reshape(3, 4, 1, 1)
    expected = run(two_convs(by_hand, {"kept": mask, "mean": mean.reshape(1, 4, 1, 1)}), x=X)
    ours = grafted(two_convs([RELU, pool]), "mean", [mean])
    np.testing.assert_array_equal(run(ours, x=X, lesion_mask_0=mask), expected)


def test_a_mask_waits_behind_a_pool_where_that_is_exact() -> None:
    """A pool of zeros is zero, so the mask meets the smaller tensor; an average of means and zeros is not the mean."""
    mean = [f32([1, 2, 3, 4])]
    assert masked_node(grafted(two_convs([RELU, MAX]))) == "a"
    assert masked_node(grafted(two_convs([RELU, AVERAGE]))) == "a"
    assert masked_node(grafted(two_convs([RELU, MAX]), "mean", mean)) == "a"
    assert masked_node(grafted(two_convs([RELU, AVERAGE]), "mean", mean)) == "r"


def test_a_mask_does_not_wait_where_somebody_looks_before_the_pool() -> None:
    """Another user of the activation, or of the places of a pool's maxima, must see the masked value too."""
    seen_before = [
        RELU,
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("AveragePool", "r", "v", kernel_shape=[8, 8], auto_pad="SAME_UPPER"),
        node("ReduceSum", "v", "t", keepdims=0),
        node("Add", "p t", "a"),
    ]
    places = [
        RELU,
        node("MaxPool", "r", "p where", kernel_shape=[1, 1]),
        node("Cast", "where", "w", to=TensorProto.FLOAT),
        node("Add", "p w", "a"),
    ]
    assert masked_node(grafted(two_convs(places))) == "r"
    assert masked_node(grafted(two_convs(seen_before))) == "r"


def test_a_residual_network_sees_masks_on_both_ways() -> None:
    """The way past a block carries the stem's masked value, the sum is not masked, the branch is before it."""
    ours, output = read(residual())
    found = sites.find(ours, output)[:2]
    Graft(found, "zero", None, None)(ours)
    none, every = np.zeros((3, 4, 1, 1), np.bool_), np.ones((3, 4, 1, 1), np.bool_)
    shut = run(ours, x=X, lesion_mask_0=none, lesion_mask_1=none)
    np.testing.assert_array_equal(shut, run(ours, x=0 * X, lesion_mask_0=none, lesion_mask_1=none))
    past = run(ours, x=X, lesion_mask_0=every, lesion_mask_1=none)
    assert not np.array_equal(past, run(ours, x=0 * X, lesion_mask_0=every, lesion_mask_1=none))


def test_two_exits_have_two_means() -> None:
    """A site that leaves before and behind its activation becomes the mean of each, where it leaves."""
    between = [RELU, node("Conv", "r other.weight", "o"), node("Add", "o c", "a")]
    model = two_convs(between, {"other.weight": noise(9, 4, 4, 1, 1)})
    raw, behind = f32([1, 2, 3, 4]), f32([-1, -2, -3, -4])
    by_hand = [
        RELU,
        node("Where", "kept c raw", "cm"),
        node("Where", "kept r behind", "rm"),
        node("Conv", "rm other.weight", "o"),
        node("Add", "o cm", "a"),
    ]
    mask = KEPT.reshape(3, 4, 1, 1)
    weights = {"kept": mask, "raw": raw.reshape(1, 4, 1, 1), "behind": behind.reshape(1, 4, 1, 1)}
    expected = run(two_convs(by_hand, {**weights, "other.weight": noise(9, 4, 4, 1, 1)}), x=X)
    ours = grafted(model, "mean", [np.concatenate([raw, behind])])
    np.testing.assert_allclose(run(ours, x=X, lesion_mask_0=mask), expected, atol=1e-6)


@pytest.mark.parametrize("clamp", ["zero", "mean"])
def test_nothing_lost_is_nothing_changed(clamp: Clamp) -> None:
    """With all units kept a grafted network answers as the one it was made of."""
    normalised = [node("BatchNormalization", "c scale shift mu var", "n"), node("Relu", "n", "a")]
    model = two_convs(normalised, BATCH_NORM)
    kept = np.ones((3, 4, 1, 1), np.bool_)
    ours = grafted(model, clamp, [f32([1, 2, 3, 4])])
    np.testing.assert_array_equal(run(ours, x=X, lesion_mask_0=kept), run(model, x=X))


@pytest.mark.parametrize(("clamp", "value"), [("zero", 0.0), ("mean", 3.0)])
def test_an_activation_that_overflows_can_be_ablated(clamp: Clamp, value: float) -> None:
    """A unit at infinity becomes its clamp as any other does, not NaN; kept, it stays infinite."""
    huge = node("Exp", "r", "a")
    ours = grafted(two_convs([node("Mul", "c scale", "r"), huge], {"scale": f32(1e9)}), clamp, [f32([3, 3, 3, 3])])
    steps = ir.serde.serialize_model(ours)
    steps.graph.output.append(onnx.helper.make_empty_tensor_value_info("lesion_masked_0_0"))
    session = onnxruntime.InferenceSession(steps.SerializeToString(), providers=["CPUExecutionProvider"])
    masked = np.asarray(session.run(["lesion_masked_0_0"], {"x": X, "lesion_mask_0": MASK})[0])
    assert np.isinf(masked[0, 0]).any()
    lost = np.broadcast_to(~MASK, masked.shape)
    assert set(masked[lost].tolist()) == {value}
    assert not np.isnan(masked).any()


def test_halves_are_masked_as_halves() -> None:
    """A site that computes in float16 takes the same masks and float32 means."""
    between = [
        node("Cast", "c", "h", to=TensorProto.FLOAT16),
        node("Relu", "h", "r"),
        node("Cast", "r", "a", to=TensorProto.FLOAT),
    ]
    by_hand = [*between[:2], node("Cast", "r", "f", to=TensorProto.FLOAT), node("Mul", "f kept", "a")]
    expected = run(two_convs(by_hand, {"kept": ZEROING}), x=X)
    ours = grafted(two_convs(between))
    np.testing.assert_allclose(run(ours, x=X, lesion_mask_0=MASK), expected, atol=1e-6)
    ours = grafted(two_convs(between), "mean", [np.zeros(4, np.float32)])
    np.testing.assert_allclose(run(ours, x=X, lesion_mask_0=MASK), expected, atol=1e-6)


def test_a_graft_refuses_what_it_cannot_do() -> None:
    """Twice the same masks, a site of another network, or means that are no means of its units."""
    model, output = read(two_convs([RELU, MAX]))
    found = sites.find(model, output)[:1]
    with pytest.raises(ir.passes.PreconditionError, match="one mean for each unit"):
        Graft(found, "mean", [f32([1, 2])], None)(model)
    Graft(found, "zero", None, None)(model)
    with pytest.raises(ir.passes.PreconditionError, match="already masked"):
        Graft(found, "zero", None, None)(model)
    other, its_output = read(residual())
    with pytest.raises(ir.passes.PreconditionError, match="no such values"):
        Graft(sites.find(other, its_output), "zero", None, None)(read(two_convs([RELU, MAX]))[0])
