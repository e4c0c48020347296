"""Evaluations of networks whose score is known by arithmetic, computed and stored as a worker would do it."""

import json
from typing import Any

from service import compared, schemas
from service.store import chunks, evaluations
from service.store.session import reading, transaction
from service.store.tenants import DEFAULT
from tests.service.api.conftest import Api
from tests.service.scoring import simulation
from worker import first
from worker.ablation import trials
from worker.course import FIRST, Course, Subject
from worker.judging import Rival

SITES = [(16, 12, 3, 5), (24, 16, 4, 7)]
ROBUST = simulation.needs("robust", SITES)
FRAGILE = simulation.needs("fragile", [(16, 12, 9, 12), (24, 16, 8, 12)])
DATASET = b"dataset"


def computed(network: simulation.Needs, course: Course) -> tuple[list[str], schemas.Result]:
    """What a worker would store of an evaluation of a simulated network: its chunks, and the result."""
    reference = simulation.truth(network).reference
    payload: Any = first.payload(reference.intact, reference.chance, True, None, None)
    stored = []
    while True:
        stored.append(schemas.canonical(payload))
        course.take({course.next: stored[-1]})
        if course.decided:
            return stored, course.result()
        drawn = trials.draw(course.design, course.next - FIRST)
        payload = network.count(drawn, course.design, course.next)


def uploaded(api: Api, model: bytes, dataset: bytes = DATASET) -> dict[str, str]:
    """Digests of a model and a dataset of these bytes, as a request names them."""
    asked: dict[str, str] = {
        kind: api.client.post(f"/v1/{kind}s", content=data).json()["id"]
        for kind, data in (("model", model), ("dataset", dataset))
    }
    api.inspect()
    return asked


def evaluated(api: Api, network: simulation.Needs, model: bytes, dataset: bytes = DATASET, **config: Any) -> str:
    """An evaluation that has succeeded on a model with these bytes; its id."""
    answer = api.client.post("/v1/evaluations", json=uploaded(api, model, dataset) | {"config": config})
    assert answer.status_code in (200, 202), answer.text
    evaluation: str = answer.json()["id"]
    settled = schemas.Config.model_validate(answer.json()["config"])
    sites = [
        {"site": f"s{place}", "op": "Gemm", "units": units, "convolutional": False}
        for place, units in enumerate(network.units)
    ]
    subject = Subject(
        model=answer.json()["model"],
        dataset=answer.json()["dataset"],
        config=settled,
        examples=network.examples,
        measured=schemas.Measured(name="accuracy"),
        sites=sites,
        warnings=[],
        versions={},
        device="cpu",
    )
    rivals: Any = {"baseline": settled.baseline, "training": settled.training}
    with reading(api.engine) as db:
        rivals = {role: Rival.of(compared.side(db, DEFAULT, id)) for role, id in rivals.items() if id is not None}
    stored, result = computed(network, Course(subject, rivals))
    with transaction(api.engine) as db:
        claim = evaluations.claim(db, evaluation, "worker", 30)
        assert claim is not None
        for index, payload in enumerate(stored):
            held = chunks.hold(db, claim, index, None, 1)
            assert held is not None
            chunks.add_chunk(db, claim, index, json.loads(payload))
        evaluations.finish(db, claim, schemas.canonical(result.model_dump(mode="json")), len(stored))
    return evaluation
