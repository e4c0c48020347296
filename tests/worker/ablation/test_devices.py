"""What a network runs on: chosen as asked or not at all, filled as its memory allows, and blamed for its own faults."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests import nets
from tests.nets import noise
from tests.worker.ablation.without_gpu import as_on_a_gpu
from worker.ablation import batches, devices, sessions, tiny, trial_run
from worker.ablation.binding import Bound
from worker.ablation.devices import Device, DeviceFault
from worker.ablation.network import Network, NetworkError
from worker.ablation.shared import Shared

__all__ = ["as_on_a_gpu"]

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
# As onnxruntime's sources word them.
LOST = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Status Message: CUDA "
    "failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=a-secret ; file=/onnxruntime_src/"
    "onnxruntime/core/providers/cuda/cuda_call.cc ; line=130 ; expr=cudaStreamSynchronize(stream);"
)
FULL = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running MatMul node. Status "
    "Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* "
    "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer "
    "of size 4294967296"
)
OUT_OF_MEMORY = (
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=a-secret ; file=x.cc ; line=1 ; expr=cudaMalloc(p, n);"
)
BROKEN = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node."


def network(device: Device = "cpu", **changes: Any) -> Network:
    """A residual network with masks at its sites."""
    model, output = nets.checked(nets.residual())
    made = Network(model, output, device=device, **changes)
    made.mask([site.name for site in made.sites], "zero")
    return made


def inputs(count: int = 40) -> dict[str, NDArray[np.float32]]:
    return {"x": noise(1, count, 2, 8, 8)}


def ablated(of: Network, count: int = 40) -> NDArray[np.float32]:
    """Outputs of so many examples, each with a lesion of its own."""
    drawn = np.random.default_rng(2)
    masks = [drawn.random((count, site.units)) < 0.6 for site in of.scope]
    return of.outputs(inputs(count), np.arange(count), np.arange(count), masks)


def test_products_are_rounded_only_where_that_was_asked_for() -> None:
    """onnxruntime's own default is TF32; and no algorithm is chosen by a clock."""
    assert devices.provider("cpu") == "CPUExecutionProvider"
    chosen: list[tuple[Device, str]] = [("cuda", "0"), ("cuda-tf32", "1")]
    for device, rounded in chosen:
        told = devices.provider(device)
        assert isinstance(told, tuple)
        assert (told[0], told[1]["use_tf32"]) == ("CUDAExecutionProvider", rounded)
        assert told[1]["cudnn_conv_algo_search"] != "EXHAUSTIVE"


@pytest.mark.skipif(HAS_CUDA, reason="there is a GPU, perhaps")
@pytest.mark.parametrize("device", ["cuda", "cuda-tf32"])
def test_without_a_gpu_nothing_is_computed_in_its_name(device: Device) -> None:
    """onnxruntime itself would go on, on the CPU, with a warning."""
    with pytest.raises(DeviceFault, match="finds no GPU"):
        tiny.check(device)
    with pytest.raises(DeviceFault, match="finds no GPU"):
        network(device)
    tiny.check("cpu")


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_bound_network_answers_as_any_other() -> None:
    """Masked outputs, activations and means: what lies in buffers is this run's, and nothing is left of the last."""
    bound, plain = network("cuda"), network()
    assert isinstance(bound._masked, Bound)
    assert bound.batch(inputs()) > plain.batch(inputs())
    for count in (40, 700, 3):  # in one run, in two, and with most of it filled up
        assert np.allclose(ablated(bound, count), ablated(plain, count), rtol=1e-5, atol=1e-6)
    for one, other in zip(bound.means(inputs()), plain.means(inputs()), strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-6)
    for one, other in zip(
        bound.activations(inputs(), np.arange(9)), plain.activations(inputs(), np.arange(9)), strict=True
    ):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-6)
    assert np.array_equal(ablated(bound), ablated(bound))


@pytest.mark.usefixtures("as_on_a_gpu")
def test_what_trials_share_is_shared_there_too() -> None:
    """Lesions in the weights, and pairs that start where their site is: the other ways through a network."""
    found = []
    device: Device
    for device in ("cuda", "cpu"):
        of = network(device)
        shared = Shared(of)
        drawn, lesions = np.random.default_rng(3), np.repeat(np.arange(2), 40)
        masks = [drawn.random((2, site.units)) < 0.5 for site in of.scope]
        found.append(shared.outputs(inputs(), np.tile(np.arange(40), 2), lesions, masks))
        first = of.scope[0].units
        single = [~np.eye(first, dtype=np.bool_), *(np.ones((first, site.units), np.bool_) for site in of.scope[1:])]
        places = np.tile(np.arange(40), first)
        found[-1] = np.concatenate(
            [found[-1], *shared.alone(inputs(), np.arange(40), places, np.repeat(np.arange(first), 40), single)]
        )
    assert np.allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_buffers_are_made_once() -> None:
    """Runs of one size fill the same buffers, masks and examples alike; another size gets others."""
    session = sessions.opened(tiny.model(), ["y"], 1, "cuda")
    sessions.run(session, {"x": tiny.ASKED})
    first = session._held["x"][2]
    [again] = sessions.run(session, {"x": -tiny.ASKED})
    assert tiny.ASKED.tolist() == [[2.0, -3.0]], "what was given is not a buffer"
    assert session._held["x"][2] is first
    assert again.tolist() == [[0.0, 3.0]]
    assert session._placed("one number for all", np.array(3, np.float32)).shape() == []
    of = network("cuda")
    ablated(of, 300)
    assert isinstance(of._masked, Bound)
    held = {name: value for name, (_, _, value) in of._masked._held.items()}
    assert len(held) == 1 + len(of.scope)
    ablated(of, 600)
    assert all(of._masked._held[name][2] is value for name, value in held.items())


@pytest.mark.usefixtures("as_on_a_gpu")
def test_memory_chooses_the_batch() -> None:
    """Half the room, half the batch, down to one example; never more than pays."""
    whole = batches.activation_bytes(network()._model(), {"x": (2, 8, 8)})
    sizes = [network("cuda", room=room * whole).batch(inputs()) for room in (100_000, 512, 256, 100, 1)]
    assert sizes == [512, 512, 256, 64, 1]
    assert network("cuda", room=1).batch(inputs()) == 1


class Small:
    """Refuses what would not fit into a GPU that holds so many examples, in onnxruntime's words."""

    def __init__(self, holds: int, message: str = FULL) -> None:
        self.holds, self.message, self.run = holds, message, Bound.run

    def __call__(self, bound: Bound, outputs: None, feed: dict[str, Any]) -> Any:
        if len(feed["x"]) > self.holds:
            raise RuntimeError(self.message)
        return self.run(bound, outputs, feed)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("message", [FULL, OUT_OF_MEMORY])
def test_what_does_not_fit_is_tried_in_smaller_batches(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    """Others may have taken the memory. Where not even one example fits, it is said that memory is short."""
    small = Small(10, message)
    monkeypatch.setattr(Bound, "run", lambda *asked: small(*asked))
    of = network("cuda")
    trial_run.run(of, inputs(), "cuda")
    assert of.batch(inputs()) == 8
    assert ablated(of).shape[0] == 40
    small.holds = 0
    with pytest.raises(NetworkError) as told:
        trial_run.run(network("cuda"), inputs(), "cuda")
    assert told.value.of_memory
    assert "a-secret" not in str(told.value)


def test_a_cpu_keeps_its_batch() -> None:
    """There the batch depends on the model alone, for the same bits everywhere."""
    of = network()
    assert not of.take_less(inputs())
    assert of.batch(inputs()) == network().batch(inputs())


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize(
    ("message", "kind"),
    [(LOST, DeviceFault), (FULL, NetworkError), (OUT_OF_MEMORY, NetworkError), (BROKEN, NetworkError)],
)
def test_faults_of_the_device_are_not_the_models(
    monkeypatch: pytest.MonkeyPatch, message: str, kind: type[Exception]
) -> None:
    """A GPU that fails ends the process; what the model brings about is told to its owner. No machine is named."""

    def fails(_bound: Bound, _outputs: None, _feed: Any) -> Any:
        raise RuntimeError(message)

    session = sessions.opened(tiny.model(), ["y"], 1, "cuda")
    monkeypatch.setattr(Bound, "run", fails)
    with pytest.raises(kind) as told:
        sessions.run(session, {"x": tiny.ASKED})
    assert "a-secret" not in str(told.value)
    assert ".cc" not in str(told.value)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_device_that_computes_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is given any work."""
    monkeypatch.setattr(Bound, "run", lambda _bound, _outputs, feed: [feed["x"]])
    with pytest.raises(DeviceFault, match="is right"):
        tiny.check("cuda")
