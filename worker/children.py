"""The child processes of one claim: started, ended, and killed from another thread, for good."""

from pathlib import Path
from typing import TypeVar

from service.settings import Settings
from service.store.evaluations import ClaimLostError
from worker import gpus
from worker.sandbox.conversion import Converter
from worker.sandbox.parent import MIB, Child
from worker.sandbox.process import Process

AnyChild = TypeVar("AnyChild", bound=Process)


class Children:
    """All that were started and have not ended. Starting one raises `ClaimLostError` once they were killed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._alive: list[Process] = []
        self.killed = False

    def start(self, file_bytes: int = MIB) -> Child:
        """A child that reads a model or a dataset; it may write files of so many bytes."""
        self._may_start()
        settings = self._settings
        child = Child(
            memory_bytes=settings.child_memory_bytes,
            seconds=settings.child_seconds,
            threads=settings.compute_threads,
            device=settings.device,
            room=gpus.room(settings.device, settings.device_bytes),
            file_bytes=file_bytes,
        )
        return self._keep(child)

    def converter(self, scratch: Path) -> Converter:
        """A child that makes ONNX of a program, and may write into a folder of its own below `scratch`."""
        self._may_start()
        memory, seconds = self._settings.child_memory_bytes, self._settings.child_seconds
        return self._keep(Converter(memory_bytes=memory, seconds=seconds, scratch=scratch))

    def end(self, child: Process) -> None:
        """End one of them."""
        self._alive.remove(child)
        child.close()

    def end_all(self) -> None:
        """End all; others may be started."""
        while self._alive:
            self._alive.pop().close()

    def kill(self) -> None:
        """Make whoever waits for one of them fail at once. Called from another thread."""
        self.killed = True
        for child in list(self._alive):
            child.kill()

    def _may_start(self) -> None:
        if self.killed:
            raise ClaimLostError

    def _keep(self, child: AnyChild) -> AnyChild:
        self._alive.append(child)
        if self.killed:  # killed between the two: nobody else would end this one
            child.kill()
        return child
