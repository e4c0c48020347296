"""What only a GPU can show; skipped where there is none. `scripts/gpu` runs these and all else that wants one.

None of it has been run on a GPU yet, since none was at hand.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from service import broker
from service.examples import paths
from tests.nets import checked
from tests.stack import running
from worker import gpus
from worker.ablation import sessions, tiny, trial_run
from worker.ablation.binding import Bound
from worker.ablation.devices import Device, DeviceFault
from worker.ablation.network import Network
from worker.sandbox import selftest
from worker.sandbox.process import visible_gpu


def computes() -> bool:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return False
    try:
        tiny.check("cuda")
    except DeviceFault:
        return False
    return True


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not computes(), reason="there is no GPU")]
SCORE = 0.01  # by how much a score may differ: an answer that is nearly a tie may turn


def outputs(device: Device) -> NDArray[np.float32]:
    """Of the shipped network, for a lesion on each of a thousand examples."""
    model, dataset = paths("learned")
    network = Network(*checked(model.read_bytes()), device=device)
    network.mask([site.name for site in network.sites], "zero")
    with np.load(dataset) as arrays:
        inputs = {next(iter(network.inputs)): arrays["x"][:1000]}
    trial_run.run(network, inputs, device)
    network.multiply(inputs)
    drawn = np.random.default_rng(0)
    masks = [drawn.random((1000, site.units)) < 0.7 for site in network.scope]
    return network.outputs(inputs, np.arange(1000), np.arange(1000), masks)


@pytest.mark.parametrize("device", ["cuda", "cuda-tf32"])
def test_outputs_are_those_of_a_cpu(device: Device) -> None:
    """Within the tolerance that a network is tried with, of the largest output; and again, to the last bit."""
    expected, found = outputs("cpu"), outputs(device)
    relative, absolute = trial_run.TOLERANCES[device]
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max() + absolute
    assert np.mean(found.argmax(1) == expected.argmax(1)) > 0.995
    assert np.array_equal(outputs(device), found)


def test_sessions_are_bound_to_the_gpu() -> None:
    """Inputs and outputs lie in its memory."""
    session = sessions.opened(tiny.model(), ["y"], 1, "cuda")
    assert isinstance(session, Bound)
    sessions.run(session, {"x": tiny.ASKED})
    assert session._held["x"][2].device_name() == "cuda"


def test_the_walls_let_cuda_through_and_nothing_else() -> None:
    """A child computes on the GPU, and gets at nothing that one without a GPU does not get at."""
    assert selftest.unusable("cuda") is None
    assert selftest.leaks("cuda") == []


def test_free_memory_is_known() -> None:
    """NVML tells, and a part of it is taken."""
    free = gpus.free_bytes(visible_gpu())
    assert free is not None
    room = gpus.room("cuda", None)
    assert room is not None
    assert free // 8 < room <= free // 4


def test_a_score_is_that_of_a_cpu(tmp_path: Path, valkey: str) -> None:
    """Over HTTP, by a worker on a GPU and by one without; the result says which."""
    asked = json.dumps({"precision": 0.02, "seed": 5})
    scores = {}
    for device in ("cpu", "cuda"):
        folder = tmp_path / device
        with running(folder, f"sqlite:///{tmp_path}/{device}.db", valkey, device=device) as stack:
            stack.worker(broker.INSPECTIONS)
            stack.worker()
            result = stack.ended(stack.submit(*paths("learned"), asked).json()["id"])["result"]
            assert result["cost"]["device"] == device
            scores[device] = result["score"]["value"]
    assert abs(scores["cpu"] - scores["cuda"]) < SCORE
