"""What is evaluated, and what must come out of it: tiny networks, many short chunks, one right answer each."""

import io
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np

from benchmarks.chaos.servers import until
from benchmarks.chaos.watch import Watch
from service.schemas import ENDED, canonical
from tests import nets

TRIALS = 100_000  # `limits.trials`, which no evaluation here reaches, is what makes each of them another one
REQUEST_SECONDS = 30.0
FEWEST_CHUNKS = 10
GIVE_UP = 240.0  # seconds after which a caller stops repeating a request


@dataclass(frozen=True)
class Case:
    """One network, dataset and config, of which any number of evaluations can be made that all end the same."""

    name: str
    model: bytes
    dataset: bytes
    config: dict[str, Any]


def npz(**arrays: Any) -> bytes:
    """A dataset."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _network(seed: int) -> tuple[bytes, bytes]:
    """Random weights, and a dataset labelled with the network's own answers: there is something to lose."""
    first, second, x = nets.noise(seed, 6, 16), nets.noise(seed + 1, 16, 3), nets.noise(seed + 2, 48, 6)
    nodes = [nets.node("MatMul", "x first", "h"), nets.node("Relu", "h", "r"), nets.node("MatMul", "r second", "y")]
    model = nets.net(nodes, {"first": first, "second": second}, ["batch", 6], ["batch", 3])
    return model, npz(x=x, y=(np.maximum(x @ first, 0) @ second).argmax(1))


def cases() -> list[Case]:
    """The grid runs 48 short chunks; `adaptive` as many as its interval needs; the last is shared by two workers."""
    grid = {"estimator": "grid", "orderings": 48, "fractions": 21}
    one, other = _network(5), _network(11)
    return [
        Case("grid", *one, {**grid, "seed": 1}),
        Case("adaptive", *one, {"precision": 0.01, "seed": 2}),
        Case("agreement", *other, {**grid, "metric": "agreement", "clamp": "mean", "seed": 3}),
        Case("shared", *other, {**grid, "seed": 4, "limits": {"workers": 2}}),
    ]


@dataclass(frozen=True)
class Expected:
    """What an undisturbed run stored: the result, and each chunk's payload in order."""

    result: str
    chunks: list[str]

    def with_trials(self, trials: int) -> str:
        """The bytes of the result of the same evaluation with another `limits.trials`."""
        told = json.loads(self.result)
        told["provenance"]["config"]["limits"]["trials"] = trials
        return canonical(told)


@dataclass
class Accepted:
    """An evaluation that the service promised to do."""

    id: str
    key: str
    case: str
    trials: int
    cancelled: bool = False
    may_fail_as: str | None = None
    seconds: float = 0.0  # that the submit took


@dataclass
class Ledger:
    """All that was accepted, by id; and what callers saw that they must not see."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    unavailable: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Caller:
    """Submits evaluations as a careful client does: with an Idempotency-Key, again until there is an answer."""

    def __init__(self, address: str, ledger: Ledger, name: str = "run") -> None:
        self._address, self.ledger, self._name = address, ledger, name
        self._numbers = itertools.count()
        self._digests: dict[str, tuple[str, str]] = {}

    def request(self, method: str, path: str, room: bool = False, **more: Any) -> Any:
        """One request, repeated while there is no answer or a 503; anything else of 5xx is noted as a fault.

        507 is an answer, unless it is worth waiting for `room`.
        """
        deadline = time.monotonic() + GIVE_UP
        while True:
            try:
                answer = httpx2.request(method, self._address + path, timeout=REQUEST_SECONDS, trust_env=False, **more)
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                return answer
            if answer is not None:
                self._note(method, path, answer)
                if answer.status_code == 507 and not room:
                    return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to {method} {path} in {GIVE_UP:.0f} s")
            time.sleep(0.1)

    def _note(self, method: str, path: str, answer: Any) -> None:
        problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        with self.ledger.lock:
            if answer.status_code in (503, 507) and problem:
                self.ledger.unavailable += 1
            else:
                self.ledger.faults.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")

    def upload(self, case: Case) -> tuple[str, str]:
        """Both artifacts of a case, by digest."""
        if case.name not in self._digests:
            model = self.request("POST", "/v1/models", room=True, content=case.model).json()["id"]
            dataset = self.request("POST", "/v1/datasets", room=True, content=case.dataset).json()["id"]
            self._digests[case.name] = (model, dataset)
        return self._digests[case.name]

    def submit(self, case: Case, as_form: bool = False, **limits: Any) -> Accepted:
        """One more evaluation of a case."""
        number = next(self._numbers)
        trials = TRIALS + number
        config = {**case.config, "limits": {**case.config.get("limits", {}), **limits, "trials": trials}}
        key = f"{self._name}-{number}"
        begun = time.monotonic()
        if as_form:
            files = {"model": ("model.onnx", case.model), "dataset": ("data.npz", case.dataset)}
            body: dict[str, Any] = {"files": files, "data": {"config": json.dumps(config)}}
        else:
            model, dataset = self.upload(case)
            begun = time.monotonic()
            body = {"json": {"model": model, "dataset": dataset, "config": config}}
        answer = self.request("POST", "/v1/evaluations", room=True, headers={"Idempotency-Key": key}, **body)
        if answer.status_code not in (200, 202):
            raise AssertionError(f"a good evaluation was refused: {answer.status_code} {answer.text[:500]}")
        accepted = Accepted(answer.json()["id"], key, case.name, trials, seconds=time.monotonic() - begun)
        with self.ledger.lock:
            if accepted.id in self.ledger.accepted:
                self.ledger.faults.append(f"{key} was answered with another request's evaluation {accepted.id}")
            self.ledger.accepted[accepted.id] = accepted
        return accepted

    def state(self, evaluation: str) -> str:
        """An evaluation's state."""
        return str(self.request("GET", f"/v1/evaluations/{evaluation}").json()["state"])

    def cancel(self, accepted: Accepted) -> int:
        """DELETE it; the answer's status."""
        status = int(self.request("DELETE", f"/v1/evaluations/{accepted.id}").status_code)
        accepted.cancelled = accepted.cancelled or status == 200
        return status


def references(caller: Caller, watch: Watch, wanted: list[Case]) -> dict[str, Expected]:
    """Run each case once, undisturbed."""
    made = {case.name: caller.submit(case).id for case in wanted}
    until(lambda: all(caller.state(each) in ENDED for each in made.values()), "the undisturbed runs end", 300, 0.2)
    expected = {name: Expected(*watch.stored(evaluation)) for name, evaluation in made.items()}
    for name, each in expected.items():  # else the evaluations would differ, and not through any fault
        assert json.loads(each.result)["cost"]["passes"] < TRIALS, f"{name} stops at the limit of trials"
    few = {name: len(each.chunks) for name, each in expected.items() if len(each.chunks) < FEWEST_CHUNKS}
    assert not few, f"nothing could go wrong in evaluations of so few chunks: {few}"
    return expected


class Feeder:
    """Keeps so many evaluations under way, in a thread, until told to stop."""

    def __init__(
        self, caller: Caller, wanted: list[Case], watch: Watch, under_way: int, draw: Callable[[], float]
    ) -> None:
        self._caller, self._watch, self._under_way, self._draw = caller, watch, under_way, draw
        self._cases = itertools.cycle(wanted)
        self._stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def __enter__(self) -> "Feeder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(GIVE_UP)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._watch.unended() < self._under_way:
                    self._caller.submit(next(self._cases), as_form=self._draw() < 0.25)
                else:
                    self._stop.wait(0.05)
        except BaseException as error:  # it belongs to whoever reads the verdict
            self.error = error
