"""A worker that sleeps where it would compute: claims, leases, chunks, progress and the stop rule are the real ones.

Started as `python -m benchmarks.scale.replaying FOLDER NAME`; ends once FOLDER has a file `stop`.
"""

import json
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.scale.tape import Tape
from service.schemas import Config
from service.settings import Settings
from service.store import turns
from service.store.blobs import open_blobs
from service.store.evaluations import Claim, ClaimLostError
from service.store.session import connect, transaction
from worker import runner
from worker.course import Course, Subject

LOOK = 0.02  # seconds between looks for work; real workers are hinted at


@dataclass
class Spent:
    """What a worker did: evaluations it took part in, chunks, seconds asleep as if computing, seconds of all work."""

    claims: int = 0
    chunks: int = 0
    computing: float = 0.0
    working: float = 0.0


class Replayed:
    """Stands where `worker.computing.Computing` does, and answers from the tape."""

    def __init__(
        self, tape: Tape, pace: float, spent: Spent, _s: Settings, _b: object, _c: Claim, config: Config, _f: Path
    ) -> None:
        self._tape, self._pace, self._spent, self._config = tape, pace, spent, config
        self.ready = self.killed = False

    def open(self) -> Subject:
        """As long as opening the model took."""
        assert self._tape.subject is not None
        self._sleep(self._tape.opening)  # not paced: a slow chunk makes no slow start
        self.ready = True
        return replace(self._tape.subject, config=self._config)

    def load(self, _course: Course) -> None:
        """Part of opening."""

    def compute(self, _course: Course, index: int) -> Mapping[str, Any]:
        """As long as the chunk took."""
        self._sleep(self._tape.seconds[index] * self._pace)
        if self.killed:
            raise ClaimLostError
        self._spent.chunks += 1
        return self._tape.payloads[index]

    def kill(self) -> None:
        """The claim is lost."""
        self.killed = True

    def close(self) -> None:
        """Nothing runs."""
        self.ready = False

    def _sleep(self, seconds: float) -> None:
        self._spent.computing += seconds
        time.sleep(seconds)


def main() -> None:
    """Work until told to stop; say what was done."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    tape = pickle.loads((folder / "tape").read_bytes())
    settings, pace, spent = Settings(), float((folder / "pace").read_text()), Spent()
    engine, blobs = connect(settings.database), open_blobs(settings.blobs)
    vars(runner)["Computing"] = partial(Replayed, tape, pace, spent)
    (folder / f"{name}.ready").touch()
    while not (folder / "stop").exists():
        with transaction(engine) as db:
            claim = turns.claim_next(db, name, settings.lease_seconds)
        if claim is None:
            time.sleep(LOOK)
            continue
        spent.claims += 1
        began = time.perf_counter()
        runner.run(settings, engine, blobs, claim, _Never())
        spent.working += time.perf_counter() - began
    (folder / f"{name}.json").write_text(json.dumps(asdict(spent)))


class _Never:
    def __bool__(self) -> bool:
        return False


if __name__ == "__main__":
    main()
