"""What a network runs on: which provider of onnxruntime, how it is set, and which of its failures are the device's.

Light: the worker and its sandbox import it too. Sessions are in `sessions`, what lies in a GPU's memory in `binding`.
"""

import re
from typing import Any, Literal

Device = Literal["cpu", "cuda", "cuda-tf32"]

PROVIDERS: dict[Device, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cuda-tf32": "CUDAExecutionProvider",
}
# Where inputs and outputs of a run are kept, and on which one: a process sees one GPU, whatever its number is outside.
MEMORY, NUMBER = "cuda", 0
# A call of CUDA or of its libraries that failed, as onnxruntime words it: "CUDA failure 700: an illegal memory access
# was encountered ; GPU=0 ; hostname=... ; file=... ; expr=...". After most of them the whole process is of no use.
FAILED = re.compile(r"\b(?:CUDA|CUDNN(?:_FE)?|CUBLAS|CURAND|CUFFT|NVRTC)\w*\s+(?:failure|error)", re.IGNORECASE)
FULL = re.compile(r"alloc|out of memory|memory exhausted", re.IGNORECASE)
WHERE = re.compile(r"\s*;\s*GPU=.*", re.DOTALL)  # of this machine, and nobody's business

# With which status a child ends whose device has failed.
FAULT = 70


class DeviceFault(Exception):
    """The device is not there, or has failed: no fault of the model, and nothing more to be had from this process."""


def provider(device: Device) -> str | tuple[str, dict[str, Any]]:
    """The provider of a device as a session is given it, with all that the answer depends on.

    onnxruntime would let cuBLAS and cuDNN round to TF32, of ten bits, unless told not to; and it would choose each
    convolution's algorithm by timing them, so that two processes might choose differently.
    """
    if device == "cpu":
        return PROVIDERS[device]
    return PROVIDERS[device], {
        "device_id": str(NUMBER),
        "use_tf32": "1" if device == "cuda-tf32" else "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",  # else it takes twice what it needs, from whoever is beside it
    }


def is_full(message: str) -> bool:
    """Did something fail for want of memory, the device's or the process's?"""
    return FULL.search(message) is not None


def is_fault(device: Device, message: str) -> bool:
    """Has the device itself failed, by what onnxruntime says?"""
    return device != "cpu" and FAILED.search(message) is not None and not is_full(message)


def plain(message: str) -> str:
    """The message without the name of this machine and of places in sources."""
    return WHERE.sub("", message)
