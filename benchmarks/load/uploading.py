"""One large upload: how fast, and what it costs the API in memory."""

import os
import re
import socket
import time
from pathlib import Path
from typing import Any

from benchmarks.load.site import MIB, Site, read

SIZE = 1024  # MiB


def upload(place: Site, _seconds: float, mib: int = SIZE) -> dict[str, Any]:
    """A raw body of so many MiB, after a small one."""
    _send(place, 1)
    before, peak = read(place.api), _peak(place.api.pid)
    begun = time.perf_counter()
    _send(place, mib)
    lasted = time.perf_counter() - begun
    return {
        "mb_per_s": round(mib * MIB / 1e6 / lasted, 1),
        "cpu_s_per_gb": round((read(place.api).cpu - before.cpu) / (mib * MIB / 1e9), 2),
        "peak_rise_mib": round((_peak(place.api.pid) - peak) / 1024, 1),
    }


def _send(place: Site, mib: int) -> None:
    piece = os.urandom(MIB)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(mib * MIB), "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in (headers | place.headers).items()]
    head = "\r\n".join(["POST /v1/models HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()
    with socket.create_connection(place.address, timeout=600) as caller:
        caller.sendall(head)
        for number in range(mib):
            caller.sendall(number.to_bytes(8, "big") + piece[8:])
        answer = b""
        while data := caller.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 20"), answer[:500]


def _peak(pid: int) -> int:
    """The most memory that a process ever held (KiB)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])
