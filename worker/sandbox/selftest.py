"""Do the walls hold on this machine, and does its GPU compute? Asked by children, when a worker starts."""

from typing import ClassVar

from worker.ablation.devices import Device
from worker.formats.refusals import Refused
from worker.sandbox.parent import Child
from worker.sandbox.process import MIB, Crashed, Process, TimedOut

SECONDS = 60.0
GPU_SECONDS = 180.0  # the first use of CUDA may load gigabytes of libraries
HOW = (
    "Run workers on Linux 5.13 or newer with Landlock and seccomp (a container runtime may forbid them), or accept "
    "weaker walls with LESION_WALLS=offered, if all who may upload are trusted."
)


class Probe(Process):
    """A child that tries what it must not be able to do."""

    MODULE: ClassVar[str] = "worker.sandbox.probe"

    def leaks(self) -> list[str]:
        """What it could do, as sentences without a subject; nothing if the walls hold."""
        found, arrays = self._ask({"do": "try"})
        self._expect(arrays, [])
        leaks = found.get("leaks")
        self._believe(isinstance(leaks, list) and all(isinstance(each, str) for each in leaks))
        return list(map(str, leaks or []))


def leaks(device: Device) -> list[str]:
    """What a child on this machine could do that it must not. Raises `Crashed` or `TimedOut` if it cannot tell."""
    with Probe(memory_bytes=1024 * MIB, seconds=SECONDS, device=device) as probe:
        return probe.leaks()


def unusable(device: Device) -> str | None:
    """Why a child on this machine cannot compute on the device; None if it can, as on every CPU.

    Asked again where a GPU has failed, to tell a fault of the GPU from one that some model brings about.
    """
    if device == "cpu":
        return None
    try:
        with Child(memory_bytes=1024 * MIB, seconds=GPU_SECONDS, threads=1, device=device) as child:
            child.try_device()
    except (Crashed, Refused, TimedOut) as error:
        return str(error)
    return None
