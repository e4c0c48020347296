"""Full disks: no room for uploads, for scratch files, for the database."""

from collections.abc import Callable

from benchmarks.chaos import disks
from benchmarks.chaos.arena import Arena, Fault
from benchmarks.chaos.servers import until

UPLOAD = 2 * 1024**2
PARTS = ("scratch", "blobs", "database")


def full(part: str) -> Callable[[Arena, int], None]:
    """Fill it, see that uploads are refused and reads served, make room, see that all goes on."""

    def run(arena: Arena, count: int) -> None:
        filler = arena.stack.folder / part / "filler"
        for _ in arena.turns(count):
            with arena.feeding(2):
                arena.pause(0.5, 2.0)
                disks.fill(filler)
                arena.faults += 1
                _refused(arena, part)
                arena.pause(1.0, 5.0)
                filler.unlink()
                epochs = arena.watch.epochs()
                until(arena.watch.claimed_since(epochs), "work goes on once there is room", 180, 0.1)

    return run


def _refused(arena: Arena, part: str) -> None:
    """Uploads find no room, reads are served."""
    answers = set()
    for _ in range(5):
        answer = arena.caller.request("POST", "/v1/models", content=arena.drawn.randbytes(UPLOAD))
        answers.add(answer.status_code)
        read = arena.caller.request("GET", "/v1/models")
        arena.promise(read.status_code == 200, f"a read was answered {read.status_code}")
    arena.said.append(f"uploads while {part} was full: {sorted(answers)}")
    if part != "database":  # a row may still find room in a page that is there
        arena.promise(answers == {507}, f"uploads were answered {sorted(answers)}")


FAULTS = [
    Fault(f"full-{part}", full(part), f"no room for {part}", 1, 4, databases=("sqlite",), disk=part) for part in PARTS
]
