"""A broker that is away, slow, cut off or silent; hints that come twice, five times, or never."""

import time
from collections.abc import Callable

from benchmarks.chaos.arena import Arena, Fault
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.servers import until
from service.broker import EVALUATIONS, INSPECTIONS

SUBMIT_SECONDS = 15.0  # more than any broker may hold a caller up, on a busy machine
RESUME_SECONDS = 60.0
COPIES = 5


def flushed(arena: Arena, count: int) -> None:
    """FLUSHALL: every hint is gone."""
    with arena.feeding(6):
        for _ in arena.turns(count):
            epochs = arena.watch.epochs()
            with arena.stack.broker.asked() as server:
                server.flushall()
            arena.faults += 1
            arena.claimed_again(epochs)
            arena.pause(0.0, 1.0)


def hints(arena: Arena, count: int) -> None:
    """Hints that are lost, and hints that come five times."""
    with arena.feeding(6):
        for turn in arena.turns(count):
            with arena.stack.broker.asked() as server:
                for queue in (EVALUATIONS, INSPECTIONS):
                    if turn % 2:
                        server.delete(queue)
                    else:
                        waiting = server.lrange(queue, 0, -1)
                        for _ in range(COPIES - 1 if waiting else 0):
                            server.lpush(queue, *waiting)
            arena.faults += 1
            arena.pause(0.0, 0.5)


def away(arena: Arena, count: int) -> None:
    """No broker when an evaluation is submitted: it is accepted at once, and starts once there is one."""
    for turn in arena.turns(count):
        arena.stack.broker.kill()
        accepted = [arena.caller.submit(case, as_form=turn % 2 == 1) for case in arena.cases]
        arena.faults += 1
        _prompt(arena, [each.seconds for each in accepted])
        arena.pause(0.0, 1.0)
        arena.stack.broker.start()
        _resumed(arena)


def half_open(arena: Arena, count: int) -> None:
    """A broker that takes everything and answers nothing, for a while: no caller waits long, all workers come back."""
    proxy = arena.stack.proxy
    with arena.feeding(3):
        for _ in arena.turns(count):
            proxy.half_open = True
            arena.faults += 1
            accepted = [arena.caller.submit(case) for case in arena.cases[:2]]
            _prompt(arena, [each.seconds for each in accepted])
            arena.pause(1.0, 25.0)
            proxy.heal()
            _resumed(arena)


def slow(arena: Arena, count: int) -> None:
    """Half a second more for each message."""
    _hampered(arena, count, lambda proxy: setattr(proxy, "delay", 0.5))


def cut(arena: Arena, count: int) -> None:
    """All connections to the broker are cut every two seconds."""
    _hampered(arena, count, lambda proxy: setattr(proxy, "cut_every", 2.0))


def _hampered(arena: Arena, count: int, hamper: Callable[[Proxy], None]) -> None:
    proxy = arena.stack.proxy
    for _ in arena.turns(count):
        hamper(proxy)
        with arena.feeding(3):
            accepted = [arena.caller.submit(case) for case in arena.cases]
            _prompt(arena, [each.seconds for each in accepted])
            arena.faults += 1
            arena.pause(5.0, 15.0)
        proxy.heal()
        _resumed(arena)


def _prompt(arena: Arena, seconds: list[float]) -> None:
    """Submits were answered, whatever the broker did."""
    arena.said.append(f"submits took up to {max(seconds):.1f} s")
    arena.promise(max(seconds) <= SUBMIT_SECONDS, f"a submit took {max(seconds):.1f} s")


def _resumed(arena: Arena) -> None:
    """From the moment the broker is well again, until work is claimed."""
    begun, epochs = time.monotonic(), arena.watch.epochs()
    until(lambda: arena.watch.epochs() > epochs or not arena.watch.unended(), "workers resume", 180, 0.05)
    arena.recoveries.append(time.monotonic() - begun)
    arena.promise(arena.recoveries[-1] <= RESUME_SECONDS, f"workers resumed after {arena.recoveries[-1]:.0f} s")


FAULTS = [
    Fault("flushall", flushed, "FLUSHALL", 5, 100),
    Fault("hints", hints, "hints lost, and five times", 20, 1000),
    Fault("no-broker", away, "no broker at submit", 2, 20),
    Fault("half-open", half_open, "a broker that takes all and answers nothing", 1, 20),
    Fault("slow-broker", slow, "half a second more for each message to the broker", 1, 20),
    Fault("cut-broker", cut, "connections to the broker cut every 2 s", 1, 20),
]
