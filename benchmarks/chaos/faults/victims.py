"""Whom a fault hits: a worker that has work, and an evaluation that may still lose one."""

import time

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.stack import Part, children, pools

PATIENCE = 180.0  # seconds without a victim, after which something is wrong
SPARE = 2  # evaluations under way where there are three workers: recovery must not mean waiting for a busy one
Held = list[tuple[str, int, int]]  # evaluation, epoch, how many may share it


def busy(arena: Arena, with_child: bool = False) -> tuple[Part, Held]:
    """A worker, at random, that holds an evaluation which may be hurt; and what it holds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        part = arena.drawn.choice(arena.stack.workers)
        held = arena.watch.held_by({process.pid for process in pools(part)})
        fair = held and all(arena.watch.may_be_hurt(evaluation) for evaluation, _, _ in held)
        if fair and (not with_child or children(part)):
            return part, held
        time.sleep(0.02)
    raise TimeoutError("no worker was busy")


def hurt(arena: Arena, held: Held) -> None:
    """Count a fault, and measure from now until what the victim held is claimed again."""
    arena.faults += 1
    for evaluation, epoch, sharing in held:
        if sharing == 1:  # else another worker's claim would look like a recovery
            arena.watch.wound(evaluation, epoch)
