"""How much memory a worker's GPU has free, as NVIDIA's management library (NVML) tells: it needs no CUDA."""

import ctypes
from functools import partial
from typing import Any

from worker.ablation.devices import Device
from worker.sandbox.process import visible_gpu

LIBRARY = "libnvidia-ml.so.1"  # comes with the driver
SHARE = 4  # activations take a fourth of what is free: weights, workspaces and copies of masks take the rest
MIB = 1024**2


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def room(device: Device, asked: int | None) -> int | None:
    """Bytes that the activations of a batch may take on the device: what was asked for, or a part of what is free.

    A power of two, so that a few megabytes more or less that others take change nothing; None where nothing is known.
    """
    if device == "cpu":
        return None
    if asked is not None:
        return asked
    free = free_bytes(visible_gpu())
    return None if free is None else max(1 << max((free // SHARE).bit_length() - 1, 0), MIB)


def free_bytes(gpu: str, library: str = LIBRARY) -> int | None:
    """Bytes that nobody uses on a GPU, by its number or id (GPU-… or MIG-…); None if the library cannot tell."""
    try:
        nvml: Any = ctypes.CDLL(library)
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return None
    try:
        handle, memory = ctypes.c_void_p(), _Memory()
        find = (
            partial(nvml.nvmlDeviceGetHandleByIndex_v2, ctypes.c_uint(int(gpu)))
            if gpu.isdecimal()
            else partial(nvml.nvmlDeviceGetHandleByUUID, gpu.encode())
        )
        if find(ctypes.byref(handle)) != 0 or nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
            return None
        return int(memory.free)
    finally:
        nvml.nvmlShutdown()
