"""Which GPU is a worker's, how much of its memory is free, and what becomes of work where it is gone."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from service import broker
from service.api.deps import Backends
from service.examples import paths
from service.settings import Settings
from service.store import evaluations
from service.store.session import transaction
from tests.conftest import wait_until
from tests.stack import running
from tests.worker.ablation.test_devices import HAS_CUDA
from worker import gpus, runner, tasks
from worker.sandbox import selftest
from worker.sandbox.parent import MIB, Child, Crashed

GIB = 1024**3
IDS = ["GPU-8f1c", "GPU-b2d0"]


class Nvml:
    """NVIDIA's library, as far as it is asked: two GPUs, of which the second is half full."""

    def __init__(self) -> None:
        self.open = 0

    def nvmlInit_v2(self) -> int:  # noqa: N802 - the library's own name
        self.open += 1
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        self.open -= 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: ctypes.c_uint, handle: Any) -> int:  # noqa: N802
        handle._obj.value = number.value + 1
        return 0 if number.value < len(IDS) else 6

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: Any) -> int:  # noqa: N802
        handle._obj.value = IDS.index(name.decode()) + 1 if name.decode() in IDS else None
        return 0 if name.decode() in IDS else 6

    def nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:  # noqa: N802
        memory._obj.total, memory._obj.free = 80 * GIB, 79 * GIB if handle.value == 1 else 40 * GIB
        return 0


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    found = Nvml()
    monkeypatch.setattr(ctypes, "CDLL", {gpus.LIBRARY: found}.__getitem__)
    return found


@pytest.mark.parametrize(
    ("visible", "room"),
    [
        (None, 16 * GIB),
        ("0", 16 * GIB),
        ("1,0", 8 * GIB),
        ("GPU-b2d0", 8 * GIB),
        ("7", None),
        ("GPU-none", None),
        ("", None),
        ("-1", None),
    ],
)
def test_a_part_of_what_is_free_is_taken(
    nvml: Nvml, monkeypatch: pytest.MonkeyPatch, visible: str | None, room: int | None
) -> None:
    """Of the first GPU that CUDA shows, by number or id: a power of two, at most a quarter of it."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.room("cuda", None) == room
    assert nvml.open == 0


def test_what_was_asked_for_is_taken(nvml: Nvml) -> None:
    """To the byte, so that equal GPUs give equal outputs; and a CPU has no such room."""
    assert gpus.room("cuda", 12345) == 12345
    assert gpus.room("cpu", 12345) is None


def test_without_the_library_nothing_is_known() -> None:
    """Then batches are as large as on a CPU's memory."""
    assert gpus.free_bytes("0", "libno-such-library.so.1") is None


def test_a_child_sees_its_workers_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES reaches it, and numbers are those that nvidia-smi shows; secrets stay here."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("LESION_SECRET", "x")
    with Child(memory_bytes=1024 * MIB, seconds=60, threads=1) as child:
        process = psutil.Process(child.pid)
        wait_until(
            process.environ, "the child has its environment"
        )  # for a moment after its start, the kernel has none
        told = process.environ()
    assert (told["CUDA_VISIBLE_DEVICES"], told["CUDA_DEVICE_ORDER"]) == ("3", "PCI_BUS_ID")
    assert "LESION_SECRET" not in told


needs_none = pytest.mark.skipif(HAS_CUDA, reason="there is a GPU, perhaps")


@needs_none
def test_a_worker_without_its_gpu_refuses_all_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, saying why, to the log and to whoever asks /readyz; on a CPU nothing is asked."""
    told: dict[str, str | None] = {}
    monkeypatch.setattr(broker, "refuse", told.__setitem__)
    with pytest.raises(SystemExit, match=r"LESION_DEVICE is cuda.*finds no GPU"):
        tasks._check_device(Settings(device="cuda"))
    assert len(told) == 1
    tasks._check_device(Settings())
    assert len(told) == 1


@needs_none
def test_a_fault_of_the_gpu_kills_the_child_alone() -> None:
    """It dies with a status that says so, and its last words are told."""
    with Child(memory_bytes=1024 * MIB, seconds=60, threads=1, device="cuda") as child:
        with pytest.raises(Crashed, match="finds no GPU") as crash:
            child.try_device()
        assert crash.value.of_device
    assert selftest.unusable("cpu") is None


class Never:
    """This worker is not asked to stop."""

    def __bool__(self) -> bool:
        return False


@needs_none
def test_an_evaluation_outlives_a_gpu_that_is_gone(tmp_path: Path, valkey: str) -> None:
    """The worker gives it back, and no crash is counted against the model; another one, with a CPU, finishes it."""
    with running(tmp_path / "data", f"sqlite:///{tmp_path}/lesion.db", valkey) as stack:
        stack.worker(broker.INSPECTIONS)
        id = stack.submit(*paths("learned"), '{"precision": 0.1}').json()["id"]
        backends: Backends = stack.client.app.state.backends  # type: ignore[attr-defined]
        with transaction(backends.engine) as db:
            claim = evaluations.claim(db, id, "on a GPU", 30)
        assert claim is not None
        settings = stack.settings.model_copy(update={"device": "cuda"})
        assert not runner.run(settings, backends.engine, backends.blobs, claim, Never())
        assert stack.get(id)["state"] in ("queued", "running")
        stack.worker()
        ended = stack.ended(id)
        assert (ended["state"], ended["result"]["cost"]["device"]) == ("succeeded", "cpu")


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a driver")
def test_the_script_for_gpus_says_what_is_missing() -> None:
    """Before it downloads gigabytes."""
    run = subprocess.run([Path(__file__).parents[2] / "scripts/gpu"], capture_output=True, text=True)
    assert (run.returncode, "no NVIDIA driver" in run.stderr) == (1, True)
