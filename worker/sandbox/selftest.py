"""Do the walls hold on this machine? Asked once, when a worker starts, by a child that tries to get through."""

from typing import ClassVar, Literal

from worker.sandbox.process import MIB, Process

SECONDS = 60.0
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


def leaks(device: Literal["cpu", "cuda"]) -> list[str]:
    """What a child on this machine could do that it must not. Raises `Crashed` or `TimedOut` if it cannot tell."""
    with Probe(memory_bytes=1024 * MIB, seconds=SECONDS, device=device) as probe:
        return probe.leaks()
