"""Real exports: what torch's two exporters make of five small networks, against what torch itself answers."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from worker.ablation.network import Network
from worker.formats.models import read_onnx

HERE = Path(__file__).parent / "exports"
NETS = ["mlp", "cnn", "resnet", "smooth", "separable"]
EXPORTERS = ["legacy13", "legacy17", "dynamo"]


def answers(net: str) -> Any:
    return np.load(HERE / f"{net}.npz", allow_pickle=False)


def exported(net: str, exporter: str) -> Network:
    read = read_onnx((HERE / f"{net}-{exporter}.onnx").read_bytes())
    return Network(read.data, read.output)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("net", NETS)
def test_every_exporter_gives_the_same_sites(net: str, exporter: str) -> None:
    """Whoever wrote the file, each layer but the classifier is a site, in order, with all of its units."""
    assert [site.units for site in exported(net, exporter).sites] == answers(net)["units"].tolist()


@pytest.mark.parametrize("net", NETS)
def test_names_are_the_authors(net: str) -> None:
    """Where an export still knows what the layers were called, so do the sites."""
    assert [site.name for site in exported(net, "dynamo").sites] == answers(net)["sites"].tolist()


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("net", NETS)
def test_masks_do_what_hooks_in_torch_do(net: str, exporter: str) -> None:
    """Zeroed channels behind each activation give torch's outputs to 1e-5, from no unit lost to all of them."""
    network, expected = exported(net, exporter), answers(net)
    network.mask([site.name for site in network.sites], "zero")
    each = np.arange(len(expected["inputs"]))
    masks = [expected[f"mask_{index}"] for index in range(len(network.sites))]
    outputs = network.outputs({"x": expected["inputs"]}, each, each, masks)
    np.testing.assert_allclose(outputs, expected["outputs"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("net", NETS)
def test_nothing_lost_is_nothing_changed(net: str, exporter: str) -> None:
    """With every unit kept, the network answers what the file itself does, run by onnxruntime as it is."""
    network, inputs = exported(net, exporter), {"x": answers(net)["inputs"]}
    every = np.arange(len(inputs["x"]))
    network.mask([site.name for site in network.sites], "zero")
    plain = onnxruntime.InferenceSession(HERE / f"{net}-{exporter}.onnx", providers=["CPUExecutionProvider"])
    kept = [np.ones((1, site.units), np.bool_) for site in network.sites]
    masked = network.outputs(inputs, every, 0 * every, kept)
    np.testing.assert_array_equal(masked, network.intact(inputs, 0, len(every)))
    np.testing.assert_allclose(masked, plain.run(None, inputs)[0], atol=1e-6, rtol=0)
