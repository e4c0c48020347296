"""Whom a fault hits: a worker that has work, and an evaluation that may still lose one."""

import time

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.stack import Part, children, pools

PATIENCE = 180.0  # seconds without a victim, after which something is wrong
MOMENT = 1.0  # seconds, at most, between choice and blow: about what an evaluation lasts, so that any part is hit
Held = list[tuple[str, int, int]]  # evaluation, epoch, how many may share it


def busy(arena: Arena, with_child: bool = False) -> tuple[Part, Held]:
    """A worker, at random, that holds an evaluation which may be hurt; and what it holds. It has for a random while."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        part = arena.drawn.choice(arena.stack.workers)
        if _fair(arena, part, with_child):
            arena.pause(0.0, MOMENT)  # else each would be hit as soon as it has a claim, and never later
            if held := _fair(arena, part, with_child):
                return part, held
        time.sleep(0.02)
    raise TimeoutError("no worker was busy")


def _fair(arena: Arena, part: Part, with_child: bool) -> Held:
    """What a worker holds, if all of that may be hurt; else nothing."""
    held = arena.watch.held_by({process.pid for process in pools(part)})
    if with_child and not children(part):
        return []
    return held if all(arena.watch.may_be_hurt(evaluation) for evaluation, _, _ in held) else []


def hurt(arena: Arena, held: Held) -> None:
    """Count a fault, and measure from now until what the victim held is claimed again."""
    arena.faults += 1
    for evaluation, epoch, sharing in held:
        if sharing == 1:  # else another worker's claim would look like a recovery
            arena.watch.wound(evaluation, epoch)
