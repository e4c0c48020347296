"""Real exports of networks with heads, gates and recurrent units, against what torch itself answers without them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.worker.ablation.grafting import found, masked, means
from worker.ablation import graft

HERE = Path(__file__).parent / "exports"
FILES = sorted(path.stem for path in HERE.glob("*.onnx"))


def answers(file: str) -> Any:
    return np.load(HERE / f"{file.split('-')[0]}.npz", allow_pickle=False)


def exported(file: str) -> tuple[bytes, str, dict[str, Any]]:
    """The model, its output's name, and its inputs."""
    data = (HERE / f"{file}.onnx").read_bytes()
    known = answers(file)
    feed = {key.removeprefix("input_"): known[key] for key in known.files if key.startswith("input_")}
    return data, onnx.load_model_from_string(data).graph.output[0].name, feed


@pytest.mark.parametrize("file", FILES)
def test_units_are_heads_and_hidden_units(file: str) -> None:
    """Whoever exported it: no projection, no patch embedding, a gate once; called as the author called them."""
    data, output, _ = exported(file)
    known, sites = answers(file), found(data, output)
    assert [site.name for site in sites] == known["sites"].tolist()
    assert [site.units for site in sites] == [known[f"mask_{index}"].shape[1] for index in range(len(sites))]


@pytest.mark.parametrize("file", FILES)
def test_masks_do_what_cutting_weights_in_torch_does(file: str) -> None:
    """To 1e-5, from no unit lost to all of them."""
    data, output, feed = exported(file)
    known = answers(file)
    masks = [known[f"mask_{index}"] for index in range(len(known["sites"]))]
    np.testing.assert_allclose(masked(data, feed, masks, output=output), known["outputs"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("file", FILES)
def test_means_have_one_number_a_channel(file: str) -> None:
    """Those of heads are as many as the projection reads; clamping to means of zero is clamping to zero."""
    data, output, feed = exported(file)
    known, sites = answers(file), found(data, output)
    shown = means(data, feed, output)
    examples = len(known["outputs"])
    for site, exits in zip(sites, shown, strict=True):
        assert [each.shape for each in exits] == [(examples, size) for size in graft.mean_sizes(site)]
        assert all(each.dtype == np.float32 for each in exits)
        assert graft.mean_sizes(site)[0] == (8 if site.op == "Attention" else site.units)
    masks = [known[f"mask_{index}"] for index in range(len(sites))]
    zero = [np.zeros(sum(graft.mean_sizes(site)), np.float32) for site in sites]
    np.testing.assert_array_equal(
        masked(data, feed, masks, "mean", zero, output), masked(data, feed, masks, output=output)
    )
