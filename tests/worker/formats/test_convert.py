"""Real conversions of small networks, against torch's own answers."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from tests.worker.torch_nets import Anywhere, Block, Cnn, Counting, Mlp, Odd, Tuned, example, made, save
from worker.formats.convert import convert
from worker.formats.programs import Converted, Kind
from worker.formats.refusals import Refused


def converted(net: torch.nn.Module, form: str, folder: Path, *inputs: torch.Tensor, **how: Any) -> Converted:
    """What a network becomes by way of a file."""
    path = save(net, form, folder / f"net.{form}", inputs, how.pop("free", True))
    return convert(path, kind(form), **how)


def kind(form: str) -> Kind:
    """What to call a file of this form."""
    return "pt2" if form == "pt2" else "torchscript"


def answers(found: Converted, *inputs: torch.Tensor) -> list[Any]:
    """What the ONNX file answers."""
    session = ort.InferenceSession(found.onnx, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    outputs: list[Any] = session.run(None, dict(zip(names, (each.numpy() for each in inputs), strict=True)))
    return outputs


def axes(found: Converted) -> dict[str, list[Any]]:
    """The shapes of the ONNX file's inputs, open axes as "?"."""
    graph = onnx.load_model_from_string(found.onnx).graph
    return {each.name: [axis.dim_value or "?" for axis in each.type.tensor_type.shape.dim] for each in graph.input}


@pytest.mark.parametrize("form", ["pt2", "traced", "scripted"])
@pytest.mark.parametrize("of", [Cnn, Mlp, Block])
def test_every_form_of_a_network_answers_as_the_network(of: type[torch.nn.Module], form: str, tmp_path: Path) -> None:
    """A CNN, an MLP and a transformer block keep their answers in all three forms, for any number of examples."""
    net = made(of)
    found = converted(net, form, tmp_path, *example(of))
    for batch in (1, 2, 7):
        inputs = example(of, batch, seed=batch)
        with torch.no_grad():
            expected = net(*inputs).numpy()
        np.testing.assert_allclose(answers(found, *inputs)[0], expected, rtol=1e-4, atol=1e-5)
    assert [shape[0] for shape in axes(found).values()] == ["?"] * len(example(of))
    assert found.report["from"] == kind(form)
    assert found.report["torch"] == torch.__version__
    as_script = form == "traced" or (form == "scripted" and of is not Block)  # whose script has a list in it
    assert found.report["exporter"] == ("torchscript" if as_script else "dynamo")
    assert found.report["opset"] >= 18
    assert (found.report["inputs"], found.report["examples"], found.report["agreement"]) == ("random", 16, 1.0)
    assert found.report["max_difference"] < 1e-5


def test_inputs_keep_their_names_types_and_order(tmp_path: Path) -> None:
    """Ids and mask of a transformer are called in ONNX what they are called in torch, and stay integers."""
    for form in ("pt2", "traced", "scripted"):
        graph = onnx.load_model_from_string(converted(made(Block), form, tmp_path, *example(Block)).onnx).graph
        assert [each.name for each in graph.input] == ["ids", "mask"]
        assert {each.type.tensor_type.elem_type for each in graph.input} == {onnx.TensorProto.INT64}


def test_a_trace_tells_its_shape_and_a_script_is_found_by_its_weights(tmp_path: Path) -> None:
    """12 x 12 pixels are traced, and for a script found by trying, as nothing else fits the dense layer."""
    for form in ("traced", "scripted"):
        found = converted(made(Cnn), form, tmp_path, *example(Cnn))
        assert axes(found) == {"image": ["?", 1, 12, 12]}


def test_a_script_that_takes_any_image_keeps_that(tmp_path: Path) -> None:
    """Height and width stay open where the network leaves them open, and all its outputs are kept."""
    net, inputs = made(Anywhere), (torch.randn(3, 3, 41, 57),)
    found = converted(net, "scripted", tmp_path)
    assert axes(found) == {"image": ["?", 3, "?", "?"]}
    with torch.no_grad():
        expected = net(*inputs)
    for mine, its in zip(answers(found, *inputs), expected, strict=True):
        np.testing.assert_allclose(mine, its.numpy(), rtol=1e-4, atol=1e-5)


def test_a_dataset_says_which_shape_a_script_takes(tmp_path: Path) -> None:
    """The dataset's own shape comes before guesses, pixels become float32."""
    hints = [{"name": "pixels", "dtype": "uint8", "shape": [100, 3, 24, 18]}]
    found = converted(made(Anywhere), "scripted", tmp_path, inputs=hints)
    assert axes(found) == {"image": ["?", 3, 24, 18]}


def test_a_fixed_batch_stays_fixed(tmp_path: Path) -> None:
    """A .pt2 without dynamic shapes is converted for the batch it was exported with, and compared at that."""
    found = converted(made(Cnn), "pt2", tmp_path, *example(Cnn, 3), free=False)
    assert axes(found) == {"image": [3, 1, 12, 12]}
    report = found.compare([example(Cnn, 10)[0].numpy()])
    assert (report["examples"], report["inputs"], report["agreement"]) == (10, "dataset", 1.0)


def test_flags_are_left_as_they_were_and_dictionaries_opened(tmp_path: Path) -> None:
    """A default that nobody gives is no input, and a dictionary of outputs becomes outputs."""
    net, inputs = made(Tuned), example(Tuned)
    found = converted(net, "pt2", tmp_path, *inputs)
    np.testing.assert_allclose(
        answers(found, *inputs)[0], net(*inputs)["logits"].detach().numpy(), rtol=1e-4, atol=1e-6
    )


def test_the_callers_own_examples_are_compared(tmp_path: Path) -> None:
    """`compare` uses the examples it is given, and refuses when the original answers otherwise."""
    found = converted(made(Mlp), "traced", tmp_path, *example(Mlp))
    values = example(Mlp, 32)[0].numpy()
    assert found.compare([values]) | {"max_difference": 0} == found.report | {
        "inputs": "dataset",
        "examples": 32,
        "max_difference": 0,
    }
    other = converted(made(Mlp, seed=9), "traced", tmp_path, *example(Mlp))
    with pytest.raises(Refused, match="does not answer as the original does: output 0 differs by up to"):
        Converted(other.onnx, found.report, found.program).compare([values])


@pytest.mark.parametrize(
    ("of", "form"), [(Mlp, "traced"), (Mlp, "scripted"), (Mlp, "pt2"), (Cnn, "traced"), (Cnn, "pt2")]
)
def test_training_mode_is_refused(of: type[torch.nn.Module], form: str, tmp_path: Path) -> None:
    """Dropout and batch normalisation at work are seen in the answers, and the caller is told to call eval()."""
    with pytest.raises(Refused, match=r"model\.eval\(\)") as refused:
        converted(made(of).train(), form, tmp_path, *example(of))
    assert refused.value.kind == "model-unsupported"


def test_a_pt2_that_changes_itself_is_refused(tmp_path: Path) -> None:
    """A program that changes its buffers, as in training, says so in its signature."""
    path = save(made(Counting), "functional", tmp_path / "net.pt2", example(Counting))
    with pytest.raises(Refused, match=r"changes its own buffers .*model\.eval\(\) before torch\.export"):
        convert(path, "pt2")


@pytest.mark.parametrize("form", ["pt2", "traced"])
def test_an_operator_without_onnx_is_named(form: str, tmp_path: Path) -> None:
    """What cannot be converted is refused with the operator's name."""
    with pytest.raises(Refused, match=r"matrix_exp") as refused:
        converted(made(Odd), form, tmp_path, *example(Odd), free=False)
    assert refused.value.kind == "model-unsupported"


@pytest.mark.parametrize("form", ["pt2", "traced"])
def test_half_precision_is_converted(form: str, tmp_path: Path) -> None:
    """A float16 network stays float16."""
    net, inputs = made(Mlp).half(), (example(Mlp)[0].half(),)
    found = converted(net, form, tmp_path, *inputs)
    assert answers(found, *inputs)[0].dtype == np.float16


def test_state_dicts_and_rubbish_are_refused(tmp_path: Path) -> None:
    """A state dict is no program, and the answer says how to make one."""
    path = tmp_path / "state.pt"
    torch.save(made(Mlp).state_dict(), path)
    with pytest.raises(Refused, match=r"no TorchScript: it holds no code(.|\n)*torch\.onnx\.export\(model"):
        convert(path, "torchscript")
    path.write_bytes(b"PK\x03\x04 nothing")
    for form in ("pt2", "traced"):
        with pytest.raises(Refused, match="zip archive"):
            convert(path, kind(form))
