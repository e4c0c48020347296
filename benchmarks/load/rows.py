"""Evaluations to ask for: one that is real, computed here without Celery's start, and many rows like it."""

from typing import Any

from sqlalchemy import insert, select

from benchmarks.load.site import Site
from service import examples
from service.store import artifacts, evaluations, ids
from service.store.blobs import open_blobs
from service.store.session import connect, transaction
from service.store.tables import EvaluationRow
from service.store.tenants import DEFAULT
from worker import inspector, runner

CONFIG = {"precision": 0.1}


def evaluated(site: Site) -> dict[str, Any]:
    """A real evaluation of a shipped network, ended."""
    engine, blobs = connect(site.settings.database), open_blobs(site.settings.blobs)
    try:
        with site.client() as client:
            asked: dict[str, Any] = {"config": CONFIG}
            for kind, file in zip(artifacts.KINDS, examples.paths("learned"), strict=True):
                asked[kind] = client.post(f"/v1/{kind}s", content=file.read_bytes()).json()["id"]
                inspector.inspect(site.settings, engine, blobs, DEFAULT, kind, asked[kind])
            answer = client.post("/v1/evaluations", json=asked)
            with transaction(engine) as db:
                claim = evaluations.claim(db, answer.json()["id"], "load", 600)
            if claim is not None:  # else it was asked for before, and has ended
                runner.run(site.settings, engine, blobs, claim, stopping=False)
            found: dict[str, Any] = client.get(answer.headers["Location"]).json()
    finally:
        engine.dispose()
    assert found["state"] == "succeeded", found
    return found


def copied(site: Site, original: str, ended: int, queued: int) -> list[str]:
    """Ids of so many copies of an evaluation that has ended, then of so many that are queued."""
    engine = connect(site.settings.database)
    columns = EvaluationRow.__table__.columns
    never = {"state": "queued", "started_at": None, "ended_at": None, "result": None, "progress": None, "epoch": 0}
    try:
        with transaction(engine) as db:
            row = db.execute(select(EvaluationRow.__table__).where(EvaluationRow.id == original)).mappings().one()
            like = {column.name: row[column.name] for column in columns}
            many = [
                {**like, **(never if at >= ended else {}), "id": ids.new("ev"), "fingerprint": f"copy{at}"}
                for at in range(ended + queued)
            ]
            db.execute(insert(EvaluationRow), many)
    finally:
        engine.dispose()
    return [str(each["id"]) for each in many]
