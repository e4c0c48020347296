"""kill -9, of everything there is: at random moments, while evaluations are under way."""

import time
from contextlib import suppress

import psutil

from benchmarks.chaos.arena import Arena, Fault
from benchmarks.chaos.faults.victims import busy, hurt
from benchmarks.chaos.servers import until
from benchmarks.chaos.stack import children, pools


def workers(arena: Arena, count: int) -> None:
    """kill -9 of a worker's first process; its pool process and its child must die with it."""
    with arena.feeding(arena.options.under_way):
        for _ in arena.turns(count):
            part, held = busy(arena)
            part.kill()
            hurt(arena, held)
            part.start()
            arena.pause(0.0, 0.3)


def pool_processes(arena: Arena, count: int) -> None:
    """kill -9 of the process that drives an evaluation; its worker replaces it."""
    with arena.feeding(arena.options.under_way):
        for _ in arena.turns(count):
            part, held = busy(arena)
            for pool in pools(part):
                with suppress(psutil.NoSuchProcess):
                    pool.kill()
            hurt(arena, held)
            arena.pause(0.0, 0.3)


def compute_processes(arena: Arena, count: int) -> None:
    """kill -9 of the child that holds the model."""
    with arena.feeding():
        for _ in arena.turns(count):
            part, held = busy(arena, with_child=True)
            before = [(evaluation, epoch, arena.watch.computed(evaluation)) for evaluation, epoch, _ in held]
            for child in children(part):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            arena.faults += 1
            for evaluation, epoch, chunks in before:
                arena.watch.wound(evaluation, epoch, chunks)
            arena.pause(0.0, 0.3)


def apis(arena: Arena, count: int) -> None:
    """kill -9 of an API process, the sweeper's thread with it, while callers submit and read."""
    with arena.feeding():
        for _ in arena.turns(count):
            part = arena.drawn.choice(arena.stack.apis)
            part.kill()
            arena.faults += 1
            begun = time.monotonic()
            arena.pause(0.0, 0.2)
            part.start()
            until(arena.stack.answers, "the API answers again")
            arena.recoveries.append(time.monotonic() - begun)
            arena.pause(0.0, 0.2)


def brokers(arena: Arena, count: int) -> None:
    """kill -9 of the broker, and all hints with it."""
    with arena.feeding():
        for turn in arena.turns(count):
            arena.stack.broker.kill()
            arena.faults += 1
            arena.pause(0.0, 0.5)
            epochs = arena.watch.epochs()
            arena.stack.broker.start()
            if turn % 5 == 0:  # wait for the recovery now and then; most of the time, hit again before it
                arena.claimed_again(epochs)
            arena.pause(0.0, 0.5)


def sweepers(arena: Arena, count: int) -> None:
    """All API processes, and so all sweepers, are dead when a worker dies: who comes back takes the work up.

    The sweeper is a thread of the API's process. A thread cannot be killed by itself.
    """
    with arena.feeding(arena.options.under_way):
        for _ in arena.turns(count):
            part, held = busy(arena)
            for api in arena.stack.apis:
                api.kill()
            part.kill()
            hurt(arena, held)
            part.start()
            arena.pause(0.0, 1.5 * arena.options.lease)
            for api in arena.stack.apis:
                api.start()
            until(arena.stack.answers, "the API answers again")
    arena.said.append("the sweeper is a thread of the API: it dies with that process, not by itself")


FAULTS = [
    Fault("worker", workers, "kill -9 of a worker", 50, 1000),
    Fault("pool", pool_processes, "kill -9 of a worker's pool process", 50, 1000),
    Fault("child", compute_processes, "kill -9 of a compute process", 50, 1000),
    Fault("api", apis, "kill -9 of an API process", 50, 1000),
    Fault("broker", brokers, "kill -9 of Valkey", 50, 1000),
    Fault("sweeper", sweepers, "kill -9 of all API processes, and a worker", 3, 100),
]
