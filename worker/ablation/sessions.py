"""Sessions of onnxruntime, on a CPU or on CUDA, and what goes wrong with them in words."""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import onnx_ir as ir
import onnxruntime

from worker.ablation import devices
from worker.ablation.binding import Bound
from worker.ablation.devices import Device, DeviceFault

Session: TypeAlias = Any  # onnxruntime.InferenceSession, which has no types, or one that is bound to a device

# What onnxruntime puts before its own words: a file where it was built, a line, and a C++ function with its types.
SOURCES = re.compile(r"/onnxruntime_src/\S+:\d+ (?:[\w:&*<>, ~]|\([^()]*\))*?\([^()]*\)(?: const)? ?")
# Runs side by side, each of fewer threads, use the cores better than one run on all of them: many operators work on
# one thread, and all wait for the slowest. On 2 cores, two runs of one thread against one of two, in ms an example: a
# transformer 0.31 and 0.38, a ResNet-20 0.42 and 0.49, a CNN of 11 layers 2.96 and 3.09.
MOST_RUNS = 8  # a chunk has few batches; where there are more cores, each run has some of them


class NetworkError(Exception):
    """The model cannot be loaded or run; the message is the library's, without the place in its sources."""

    def __init__(self, message: str) -> None:
        super().__init__(SOURCES.sub("", devices.plain(message)))

    @property
    def of_memory(self) -> bool:
        """Was it for want of memory?"""
        return devices.is_full(str(self))


def side_by_side(threads: int, device: Device) -> int:
    """How many runs there are at a time."""
    return min(threads, MOST_RUNS) if device == "cpu" else 1


def opened(model: ir.Model, outputs: Sequence[str], threads: int, device: Device) -> Session:
    """A session that gives these outputs of a model, which is changed. Raises `NetworkError`, or `DeviceFault`."""
    model.graph.outputs[:] = [value for value in model.graph.outputs if value.name in outputs]
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(threads // side_by_side(threads, device), 1)
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Waiting threads do not spin. With two threads, spinning saves 15 % on an idle machine (0.106 against 0.125 ms
    # an example), but costs 37 % on a busy one (0.538 against 0.394), and workers share their machines.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        data = ir.serde.serialize_model(model).SerializeToString()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a provider that is not there, which is told below
            session = onnxruntime.InferenceSession(data, options, providers=[devices.provider(device)])
    except Exception as error:
        raise _told(error, device) from error
    if device == "cpu":
        return session
    if devices.PROVIDERS[device] not in session.get_providers():
        # onnxruntime would go on, on the CPU, and we would say that it was the GPU.
        raise DeviceFault(f"{device}: onnxruntime {onnxruntime.__version__} finds no GPU that it can use")
    return Bound(session)


def run(session: Session, feed: Mapping[str, Any]) -> list[Any]:
    """All outputs of a session. Raises `NetworkError`, or `DeviceFault` where the GPU has failed."""
    try:
        return list(session.run(None, feed))
    except Exception as error:
        raise _told(error, "cuda" if isinstance(session, Bound) else "cpu") from error


def _told(error: Exception, device: Device) -> NetworkError | DeviceFault:
    """Whose fault it is: the device's, or the model's."""
    message = str(error)
    return DeviceFault(devices.plain(message)) if devices.is_fault(device, message) else NetworkError(message)
