"""How much memory does a large upload cost the API? `python -m benchmarks.upload --mib 1024`

Starts the API as a process of its own, uploads so many MiB as a raw body, as a form and as several files, and compares
the process's peak memory (VmHWM) before and after.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

MIB = 1024**2
BOUNDARY = "a-boundary"


@dataclass(frozen=True)
class Measured:
    """Peak memory in MiB before and after an upload of `mib` MiB, and the seconds it took."""

    way: str
    mib: int
    before: float
    after: float
    seconds: float


def measure(mib: int) -> list[Measured]:
    """Upload `mib` MiB in each way, each to a fresh API process."""
    return [_measure(way, mib) for way in ("raw", "form", "several")]


def _measure(way: str, mib: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder, _api(Path(folder)) as (base_url, pid):
        # A first small upload, so that what is loaded once is not counted as the large one's cost.
        _upload(base_url, way, 1)
        before = _peak(pid)
        start = time.perf_counter()
        _upload(base_url, way, mib)
        return Measured(way, mib, before, _peak(pid), time.perf_counter() - start)


@contextmanager
def _api(data: Path) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "LESION_DATA": str(data),
        "LESION_PORT": str(port),
        "LESION_BROKER_URL": "redis://127.0.0.1:1/0",  # nobody there: the upload is kept, and not inspected
        "LESION_MAX_MODEL_BYTES": str(8 * 1024 * MIB),
    }
    command = [str(Path(sys.executable).with_name("lesion")), "api"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base_url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _alive(base_url):
            assert time.monotonic() < deadline, "the API did not start"
            time.sleep(0.05)
        yield base_url, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _alive(base_url: str) -> bool:
    try:
        return httpx2.get(f"{base_url}/healthz").is_success
    except httpx2.TransportError:
        return False


def _upload(base_url: str, way: str, mib: int) -> None:
    headers = {
        "Content-Type": "application/octet-stream" if way == "raw" else f"multipart/form-data; boundary={BOUNDARY}"
    }
    body = _bytes(mib) if way == "raw" else _form(mib, files=2 if way == "several" else 1)
    answer = httpx2.post(f"{base_url}/v1/models", content=body, headers=headers, timeout=600)
    assert answer.status_code == 202, answer.text


def _bytes(mib: int) -> Iterator[bytes]:
    piece = os.urandom(MIB)
    for _ in range(mib):
        yield piece


def _form(mib: int, files: int) -> Iterator[bytes]:
    for number in range(files):
        name = f'form-data; name="file"; filename="{number}"'
        yield f"--{BOUNDARY}\r\nContent-Disposition: {name}\r\n\r\n".encode()
        yield from _bytes(mib // files or 1)
        yield b"\r\n"
    yield f"--{BOUNDARY}--\r\n".encode()


def _peak(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    print(f"{'way':<8}{'MiB':>6}{'before':>10}{'after':>10}{'rise':>8}{'MB/s':>8}")
    for m in measure(parser.parse_args().mib):
        rate = m.mib * MIB / 1e6 / m.seconds
        print(f"{m.way:<8}{m.mib:>6}{m.before:>10.1f}{m.after:>10.1f}{m.after - m.before:>8.1f}{rate:>8.0f}")


if __name__ == "__main__":
    main()
