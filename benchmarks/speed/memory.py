"""What memory a process has: its own pages, which it must be given, and pages of mapped files, which can be taken back.

The largest `VmRSS` adds up both. The inputs of a dataset are a file that is mapped, so that a larger one shows there
although nobody needs more memory: pages of files that nobody has changed go when others want the room.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.01  # seconds between two looks


@dataclass
class Most:
    """MiB that were seen at most; each at a time of its own."""

    anonymous: float = 0.0
    mapped: float = 0.0

    def see(self, status: str) -> None:
        """Take in what /proc/PID/status says (proc(5): RssAnon, RssFile, RssShmem, in kB)."""
        found = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Rss")}
        self.anonymous = max(self.anonymous, int(found.get("RssAnon", 0)) / 1024)
        self.mapped = max(self.mapped, (int(found.get("RssFile", 0)) + int(found.get("RssShmem", 0))) / 1024)


@contextmanager
def watched(pid: int) -> Iterator[Most]:
    """Look at a process again and again until the block ends."""
    most, over = Most(), threading.Event()

    def look() -> None:
        while not over.wait(EVERY):
            try:
                most.see(Path(f"/proc/{pid}/status").read_text())
            except (FileNotFoundError, ProcessLookupError):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def peak(pid: int) -> float:
    """MiB that a process had at most since it began its program; rusage counts its parent's before that."""
    [line] = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
