"""The shipped networks and their datasets; training them again is examples/train.py's job, not a test's."""

import numpy as np
import onnx
import onnxruntime
import pytest

from service import examples


@pytest.fixture(params=["learned", "memorised"])
def pair(request):
    return examples.paths(request.param)


def test_the_files_are_small_enough_for_git(pair):
    """A model takes at most 500 kB and a dataset less than 1.6 MB, so that a clone stays quick."""
    model, dataset = pair
    assert model.stat().st_size <= 500_000
    assert dataset.stat().st_size < 1_600_000


def test_the_dataset_is_what_the_documentation_says(pair):
    """2,000 images as float32 in [0, 1] and their labels as int64, under the keys x and y, with nothing pickled."""
    with np.load(pair[1], allow_pickle=False) as arrays:
        assert set(arrays) == {"x", "y"}
        x, y = arrays["x"], arrays["y"]
    assert (x.dtype, x.shape) == (np.float32, (2000, 1, 28, 28))
    assert (y.dtype, y.shape) == (np.int64, (2000,))
    assert (x.min(), x.max()) == (0, 1)
    assert set(y) == set(range(10))


def test_the_model_is_one_plain_file_that_takes_any_batch(pair):
    """Weights inside, a named batch dimension, and no trace of the machine that exported it."""
    model = onnx.load(pair[0], load_external_data=False)
    assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
    assert [_shape(value) for value in model.graph.input] == [("x", ["batch", 1, 28, 28])]
    assert [_shape(value) for value in model.graph.output] == [("logits", ["batch", 10])]
    assert b"stack_trace" not in pair[0].read_bytes()


def test_both_networks_are_right_about_their_own_labels(pair):
    """Accuracy on the training images is 99.5 % or more, so that accuracy alone cannot tell the two apart."""
    model, dataset = pair
    with np.load(dataset, allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"x": x})
    assert (logits.argmax(1) == y).mean() >= 0.995


def test_the_two_differ_in_their_labels_alone():
    """Same images, same graph; the memorised labels agree with the true ones no more often than chance."""
    (learned, true), (memorised, drawn) = examples.paths("learned"), examples.paths("memorised")
    with np.load(true, allow_pickle=False) as a, np.load(drawn, allow_pickle=False) as b:
        assert np.array_equal(a["x"], b["x"])
        assert 0.06 < (a["y"] == b["y"]).mean() < 0.14
    first, second = onnx.load(learned).graph, onnx.load(memorised).graph
    assert [node.op_type for node in first.node] == [node.op_type for node in second.node]


def _shape(value: onnx.ValueInfoProto) -> tuple[str, list[str | int]]:
    return value.name, [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
