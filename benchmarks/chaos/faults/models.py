"""Models that misbehave: one hangs, one eats memory, one kills its process every time."""

import json
import time
from contextlib import suppress
from typing import Any

import numpy as np
import psutil

from benchmarks.chaos.arena import Arena, Fault
from benchmarks.chaos.servers import until
from benchmarks.chaos.stack import children
from benchmarks.chaos.work import Accepted, Case, npz
from service.schemas import ENDED
from service.store.chunks import CRASHES
from tests import nets

LIMIT = 5.0  # `limits.seconds` of the model that hangs
WIDE = 400_000_000  # bytes of activations that each example of the hungry model asks for


def hangs(arena: Arena, count: int) -> None:
    """A child that answers no more: `deadline-exceeded` soon after `limits.seconds`, and the worker goes on."""
    for _ in arena.turns(count):
        accepted = arena.caller.submit(arena.cases[0], seconds=LIMIT)
        accepted.may_fail_as = "deadline-exceeded"
        begun = time.monotonic()
        while arena.caller.state(accepted.id) not in ENDED:
            for part in arena.stack.workers:
                for child in children(part):
                    with suppress(psutil.NoSuchProcess):
                        child.suspend()
            time.sleep(0.05)
            arena.promise(time.monotonic() - begun < 120, "it hung for more than two minutes")
        arena.faults += 1
        arena.recoveries.append(time.monotonic() - begun - LIMIT)
        _next_succeeds(arena)


def eats(arena: Arena, count: int) -> None:
    """A model that asks for more memory than a child may have: `resource-exhausted`, and the worker goes on."""
    model, dataset = nets.tall(WIDE // 8), npz(x=np.ones((4, 1, 1, 1), np.float32), y=np.zeros(4, np.int64))
    for _ in arena.turns(count):
        case = Case("hungry", model, dataset, {"estimator": "grid", "orderings": 2, "fractions": 3, "seed": 1})
        kind = _refused_or_failed(arena, case)
        arena.promise(kind in ("resource-exhausted", "model-too-large"), f"the hungry model ended as {kind}")
        arena.faults += 1
        _next_succeeds(arena)
    arena.said.append("as RLIMIT_DATA of the child; the kernel's own OOM killer is kill -9 of the child")


def _refused_or_failed(arena: Arena, case: Case) -> str:
    files = {"model": ("model.onnx", case.model), "dataset": ("data.npz", case.dataset)}
    answer = arena.caller.request(
        "POST", "/v1/evaluations", files=files, data={"config": json.dumps(case.config)}, params={"wait": 60}
    )
    body: dict[str, Any] = answer.json()
    if str(body.get("id", "")).startswith("ev_"):  # it was accepted: then it must end so
        hungry = Accepted(body["id"], "", arena.cases[0].name, 0, may_fail_as="resource-exhausted")
        arena.caller.ledger.accepted[body["id"]] = hungry
    problem = body if answer.status_code >= 400 else (body.get("problem") or {"type": body["state"]})
    return str(problem["type"]).rpartition("/")[2]


def poison(arena: Arena, count: int) -> None:
    """A model at which its process dies every time: three attempts at the same chunk, then `model-crashed`."""
    for _ in arena.turns(count):
        accepted = arena.caller.submit(arena.cases[0])
        accepted.may_fail_as = "model-crashed"
        until(arena.watch.has_computed(accepted.id, 2), "some chunks", 120, 0.01)
        killed: set[psutil.Process] = set()
        deadline = time.monotonic() + 180
        while arena.caller.state(accepted.id) not in ENDED and time.monotonic() < deadline:
            for child in (child for part in arena.stack.workers for child in children(part)):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
                    killed.add(child)
            time.sleep(0.02)
        arena.faults += 1
        [[state, problem]] = arena.watch.rows("SELECT state, problem FROM evaluations WHERE id = :id", id=accepted.id)
        kind = json.loads(problem or "{}").get("type", "")
        arena.promise(kind == "/problems/model-crashed", f"the poison ended as {state} {kind}")
        arena.promise(len(killed) <= CRASHES + 2, f"it was tried {len(killed)} times")
        _next_succeeds(arena)


def _next_succeeds(arena: Arena) -> None:
    accepted = arena.caller.submit(arena.cases[1])
    until(lambda: arena.caller.state(accepted.id) in ENDED, "the next evaluation ends", 180, 0.1)
    state = arena.caller.state(accepted.id)
    arena.promise(state == "succeeded", f"the next evaluation {state}")


FAULTS = [
    Fault("hang", hangs, "a model that hangs", 1, 10),
    Fault("memory", eats, "a model that eats memory", 1, 10),
    Fault("poison", poison, "a model that always kills its process", 1, 10),
]
