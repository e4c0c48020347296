"""What callers do at the worst moment: cancel, submit and upload while the API dies; and restarts without a kill."""

import hashlib
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import httpx2

from benchmarks.chaos.arena import Arena, Fault
from benchmarks.chaos.servers import until
from benchmarks.chaos.stack import children
from service.schemas import ENDED

UPLOAD = 4 * 1024**2
PIECE = 64 * 1024


def cancels(arena: Arena, count: int) -> None:
    """Cancelled while queued, while running, or at the very end: one of the two ends wins, and says so."""
    outcomes: dict[int, int] = {}
    for turn in arena.turns(count):
        accepted = arena.caller.submit(arena.cases[turn % len(arena.cases)])
        match turn % 3:
            case 0:
                arena.pause(0.0, 0.2)
            case 1:
                until(arena.watch.has_computed(accepted.id, 3), "some chunks", 120)
            case 2:
                most = len(arena.expected[accepted.case].chunks) - arena.drawn.randint(0, 3)
                until(partial(_nearly_ended, arena, accepted.id, most), "the last chunks", 120, 0.002)
        begun = time.monotonic()
        status = arena.caller.cancel(accepted)
        outcomes[status] = outcomes.get(status, 0) + 1
        arena.promise(status in (200, 409), f"cancelling answered {status}")
        arena.faults += 1
        if turn % 3 == 1:
            until(lambda: not any(map(children, arena.stack.workers)), "the child is gone", 120)
            arena.recoveries.append(time.monotonic() - begun)
    arena.said.append(f"answers to the cancels, by status: {outcomes}")


def _nearly_ended(arena: Arena, evaluation: str, chunks: int) -> bool:
    return arena.watch.computed(evaluation) >= chunks or arena.caller.state(evaluation) in ENDED


def between(arena: Arena, count: int) -> None:
    """kill -9 of every API process between a request and its answer: once the row is there, the evaluation is done."""
    for turn in arena.turns(count):
        case = arena.cases[turn % len(arena.cases)]
        arena.caller.upload(case)
        answered = threading.Thread(target=arena.caller.submit, args=(case,), kwargs={"as_form": turn % 4 == 3})
        answered.start()
        arena.pause(0.0, 0.05)
        for api in arena.stack.apis:
            api.kill()
        arena.faults += 1
        begun = time.monotonic()
        arena.stack.settle()
        answered.join()
        arena.recoveries.append(time.monotonic() - begun)


def uploads(arena: Arena, count: int) -> None:
    """kill -9 of the API somewhere within an upload: no half file is ever seen, and the next try is kept."""
    for _ in arena.turns(count):
        content = arena.drawn.randbytes(UPLOAD)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        upload = threading.Thread(target=_send, args=(arena, content))
        upload.start()
        arena.pause(0.0, 0.3)
        for api in arena.stack.apis:
            api.kill()
        arena.faults += 1
        upload.join()
        _whole_or_absent(arena, digest)
        arena.stack.settle()
        answer = arena.caller.request("POST", "/v1/models", content=content)
        arena.promise(answer.status_code in (201, 415, 422), f"the next try was answered {answer.status_code}")
    _no_half_file(arena)


def _send(arena: Arena, content: bytes) -> None:
    def pieces() -> Any:
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]
            time.sleep(0.002)

    with suppress(httpx2.TransportError):
        httpx2.post(f"{arena.stack.address}/v1/models", content=pieces(), timeout=30, trust_env=False)


def _whole_or_absent(arena: Arena, digest: str) -> None:
    rows = arena.watch.rows("SELECT state FROM artifacts WHERE digest = :digest", digest=digest)
    if rows and rows[0].state != "refused":
        name = digest.removeprefix("sha256:")
        found = [path for path in (arena.stack.folder / "blobs").rglob(name) if path.is_file()]
        there = bool(found) and hashlib.sha256(found[0].read_bytes()).hexdigest() == name
        arena.promise(there, f"there is a row for {digest}, and not its bytes")


def _no_half_file(arena: Arena) -> None:
    for path in (arena.stack.folder / "blobs").rglob("*"):
        if path.is_file():
            whole = hashlib.sha256(path.read_bytes()).hexdigest() == path.name
            arena.promise(whole, f"the blob {path.name} does not have the bytes that its name says")


def rolling(arena: Arena, count: int) -> None:
    """SIGTERM to each process in turn, as a deployment does, while callers read: no read is answered with a 5xx."""
    seen: dict[str, int] = {}
    done = threading.Event()
    reading = [threading.Thread(target=_read, args=(arena, seen, done, wait)) for wait in (0, 0, 5)]
    for reader in reading:
        reader.start()
    try:
        with arena.feeding():
            for turn in arena.turns(count):
                for part in (arena.stack.apis[turn % 2], arena.stack.workers[turn % 2], *arena.stack.inspectors[:1]):
                    part.end()
                    part.start()
                    arena.faults += 1
                    arena.pause(0.0, 1.0)
                until(lambda: all(arena.stack.answers() for _ in range(4)), "the API answers")
    finally:
        done.set()
        for reader in reading:
            reader.join()
    arena.said.append(f"reads: {seen}")
    bad = {kind: times for kind, times in seen.items() if kind.startswith("5")}
    arena.promise(not bad, f"reads were answered with {bad}")


def _read(arena: Arena, seen: dict[str, int], done: threading.Event, wait: float) -> None:
    with httpx2.Client(base_url=arena.stack.address, timeout=30, trust_env=False) as client:
        while not done.is_set():
            accepted = list(arena.caller.ledger.accepted)[-1]
            try:
                answer = client.get(f"/v1/evaluations/{accepted}", params={"wait": wait})
                kind = str(answer.status_code)
            except httpx2.TransportError:
                kind = "connection ended"  # a client asks again; nothing is lost by it
            seen[kind] = seen.get(kind, 0) + 1
            time.sleep(0.02)


FAULTS = [
    Fault("cancel", cancels, "cancelled while queued, running or finishing", 9, 200),
    Fault("submit", between, "kill -9 of the API within a submit", 10, 1000),
    Fault("upload", uploads, "kill -9 of the API within an upload", 5, 1000),
    Fault("rolling", rolling, "SIGTERM to every process in turn", 2, 30),
]
