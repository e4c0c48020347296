"""Lets the code for GPUs run on this machine's CPU: all of it but CUDA itself, which has to be there for that."""

import pytest

from worker.ablation import devices


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device `cuda` is the CPU: buffers lie in its memory, and its provider computes."""
    monkeypatch.setattr(devices, "PROVIDERS", dict.fromkeys(devices.PROVIDERS, "CPUExecutionProvider"))
    monkeypatch.setattr(devices, "provider", lambda _device: "CPUExecutionProvider")
    monkeypatch.setattr(devices, "MEMORY", "cpu")
