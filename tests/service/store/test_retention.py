"""What expires, what is deleted and what must not be; on both databases."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from service import problems, retention
from service.settings import Settings
from service.store import artifacts, chunks, evaluations, submissions
from service.store import retention as stored
from service.store.blobs import Blobs, open_blobs
from service.store.session import clock, reading, transaction
from service.store.tables import ArtifactRow, ChunkRow, ClaimRow, EvaluationRow, IdempotencyRow
from service.store.tenants import DEFAULT
from tests.service.store.test_evaluations import DATASET, MODEL, asked, claimed, hold, new
from tests.service.store.test_races import overtaken

DAY = retention.DAY
PLACE = (DEFAULT, "model", MODEL)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs(f"file://{tmp_path}/blobs")


def finish(engine: Engine, evaluation: str) -> None:
    """Succeed with one chunk."""
    owner = claimed(engine, evaluation)
    hold(engine, owner)
    with transaction(engine) as db:
        chunks.add_chunk(db, owner, 0, {"a": 1})
        evaluations.finish(db, owner, "{}", 1)


def age(engine: Engine, seconds: float) -> None:
    """Let all that was written be older, by the database's clock."""
    with transaction(engine) as db:
        db.execute(update(EvaluationRow).values(ended_at=EvaluationRow.ended_at - seconds))
        db.execute(update(ArtifactRow).values(used_at=ArtifactRow.used_at - seconds, created_at=clock() - seconds))
        db.execute(update(IdempotencyRow).values(created_at=clock() - seconds))
        db.execute(update(ClaimRow).values(lease_until=ClaimRow.lease_until - seconds))


def delete(db: Session) -> None:
    artifacts.dismiss(db, *PLACE)  # type: ignore[arg-type]


def submit(db: Session, key: str | None = None) -> tuple[EvaluationRow, bool]:
    return submissions.create(db, DEFAULT, asked(), key)


def test_what_is_in_use_cannot_be_deleted(engine: Engine) -> None:
    """A model that a queued or running evaluation needs stays, and the answer names the evaluation."""
    evaluation = new(engine)
    for _ in range(2):
        with pytest.raises(problems.Conflict, match=evaluation), transaction(engine) as db:
            delete(db)
        claimed(engine, evaluation) if _ == 0 else None
    with transaction(engine) as db:
        evaluations.cancel(db, DEFAULT, evaluation)
        delete(db)
    with pytest.raises(problems.NotFound), transaction(engine) as db:
        delete(db)


def test_a_result_outlives_its_model(engine: Engine) -> None:
    """What has ended keeps its result and digests; nothing new is made of a deleted model until it comes again."""
    evaluation = new(engine)
    finish(engine, evaluation)
    with transaction(engine) as db:
        delete(db)
        assert artifacts.bury(db, *PLACE)  # type: ignore[arg-type]
        assert not artifacts.bury(db, *PLACE)  # type: ignore[arg-type]
    with reading(engine) as db:
        row = evaluations.get(db, DEFAULT, evaluation)
        assert (row.result, row.model) == ("{}", MODEL)
        assert artifacts.find(db, *PLACE) is None  # type: ignore[arg-type]
        assert artifacts.page(db, DEFAULT, "model", 10, None) == []
    with pytest.raises(problems.NotFound), transaction(engine) as db:
        submissions.create(db, DEFAULT, asked("another question"))
    with transaction(engine) as db:
        assert artifacts.receive(db, DEFAULT, "model", MODEL, 1)
        assert submissions.create(db, DEFAULT, asked("another question"))[1]


def test_deleting_waits_for_a_submit(engine: Engine) -> None:
    """A submit that is being written counts: the delete that comes in between is refused."""
    finish(engine, new(engine))
    made: list[bool] = []

    def enter(db: Session) -> None:
        made.append(submissions.create(db, DEFAULT, asked("new"))[1])

    assert overtaken(engine, enter, delete)
    assert made == [True]


def test_a_submit_waits_for_a_delete(engine: Engine) -> None:
    """And the other way round: what is submitted while its model is deleted is refused, not queued for ever."""
    finish(engine, new(engine))
    refused: list[bool] = []

    def enter(db: Session) -> None:
        try:
            submissions.create(db, DEFAULT, asked("new"))
            refused.append(False)
        except problems.NotFound:
            refused.append(True)
            raise problems.Conflict("as a sign") from None

    assert overtaken(engine, delete, enter)
    assert refused == [True]


def test_forgetting_takes_all_with_it(engine: Engine) -> None:
    """An evaluation is forgotten with its chunks and keys, once it has ended; the key makes a new one then."""
    evaluation = new(engine, key="k")
    with pytest.raises(problems.Conflict), transaction(engine) as db:
        stored.forget(db, DEFAULT, evaluation)
    finish(engine, evaluation)
    with transaction(engine) as db:
        stored.forget(db, DEFAULT, evaluation)
    with reading(engine) as db:
        assert [db.query(table).count() for table in (EvaluationRow, ChunkRow, ClaimRow, IdempotencyRow)] == [0] * 4
    with pytest.raises(problems.NotFound), transaction(engine) as db:
        stored.forget(db, DEFAULT, evaluation)
    assert new(engine, key="k") != evaluation


def test_nobody_forgets_what_a_key_is_made_for(engine: Engine) -> None:
    """A keyed submit is answered by an old success in the moment it is forgotten: the key never points to nothing."""
    evaluation = new(engine)
    finish(engine, evaluation)
    made: list[str] = []
    again = threading.Thread(target=lambda: made.append(new(engine, key="k")))
    with transaction(engine) as db:
        stored.forget(db, DEFAULT, evaluation)
        again.start()
        again.join(0.2)
    again.join()
    assert made != [evaluation]
    assert new(engine, key="k") == made[0]


def tidy(engine: Engine, blobs: Blobs, **policy: float) -> dict[str, int]:
    return retention.run_once(engine, blobs, Settings(**policy))  # type: ignore[arg-type]


def test_nothing_expires_unless_it_is_told_to(engine: Engine, blobs: Blobs) -> None:
    """Without a policy, results, chunks and uploads stay for ever; keys go after a day."""
    evaluation = new(engine, key="k")
    finish(engine, evaluation)
    assert not any(tidy(engine, blobs).values())
    age(engine, 1000 * DAY)
    assert {what for what, count in tidy(engine, blobs).items() if count} == {"keys"}
    with reading(engine) as db:
        assert db.query(ChunkRow).count() == 1  # comparisons read them
        assert evaluations.get(db, DEFAULT, evaluation).result == "{}"
        assert artifacts.find(db, *PLACE) is not None  # type: ignore[arg-type]


def test_evaluations_expire(engine: Engine, blobs: Blobs) -> None:
    """Ended ones that are old enough go with all that is theirs; younger ones and what has not ended stay."""
    old, waiting = new(engine, "old"), new(engine, "waiting")
    finish(engine, old)
    age(engine, 3 * DAY)
    young = new(engine, "young")
    finish(engine, young)
    assert tidy(engine, blobs, keep_evaluations=2)["evaluations"] == 1
    with reading(engine) as db:
        assert {row.id for row in db.query(EvaluationRow)} == {waiting, young}
        assert {row.evaluation for row in db.query(ChunkRow)} == {young}


def test_lots_are_small_and_nothing_is_left(engine: Engine, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one lot goes in one pass, and no more lots than a pass may have."""
    monkeypatch.setattr(retention, "LOT", 2)
    monkeypatch.setattr(retention, "MOST_LOTS", 2)
    for number in range(5):
        finish(engine, new(engine, str(number)))
    age(engine, 3 * DAY)
    assert tidy(engine, blobs, keep_evaluations=2)["evaluations"] == 4
    assert tidy(engine, blobs, keep_evaluations=2)["evaluations"] == 1


def test_unused_uploads_expire(engine: Engine, blobs: Blobs, tmp_path: Path) -> None:
    """Row and bytes of what nobody asked about for long; not of what was uploaded lately."""
    finish(engine, new(engine))
    staged = tmp_path / "staged"
    staged.write_bytes(b"x")
    blobs.put(*PLACE, staged)
    age(engine, 10 * DAY)
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, "dataset", DATASET, 1)
    assert tidy(engine, blobs, keep_uploads=9)["uploads"] == 1
    with reading(engine) as db:
        assert artifacts.find(db, *PLACE) is None  # type: ignore[arg-type]
        assert artifacts.find(db, DEFAULT, "dataset", DATASET) is not None
    assert not blobs.holds(*PLACE)


@pytest.mark.parametrize("use", ["upload", "submit", "wait"])
def test_used_uploads_stay(engine: Engine, blobs: Blobs, use: str) -> None:
    """Uploading the bytes again, or asking about them, makes them young; while one waits they never expire."""
    evaluation = new(engine)
    if use != "wait":
        finish(engine, evaluation)
    age(engine, 10 * DAY)
    with transaction(engine) as db:
        if use == "upload":
            artifacts.receive(db, DEFAULT, "model", MODEL, 1)
            artifacts.receive(db, DEFAULT, "dataset", DATASET, 1)
        if use == "submit":
            row, _ = submissions.create(db, DEFAULT, asked("another"))
            evaluations.cancel(db, DEFAULT, row.id)
    assert tidy(engine, blobs, keep_uploads=9)["uploads"] == 0
    age(engine, 10 * DAY)
    assert tidy(engine, blobs, keep_uploads=9)["uploads"] == (0 if use == "wait" else 2)


def test_expiry_does_not_race_a_claim(engine: Engine) -> None:
    """An upload that is dismissed as unused while it is used again stays."""
    finish(engine, new(engine))
    age(engine, 10 * DAY)

    def expire(db: Session) -> None:
        try:
            artifacts.dismiss(db, *PLACE, unused=9 * DAY)  # type: ignore[arg-type]
        except problems.NotFound:
            raise problems.Conflict("as a sign") from None

    def upload(db: Session) -> None:
        artifacts.receive(db, DEFAULT, "model", MODEL, 1)

    assert overtaken(engine, upload, expire)


def test_a_deletion_broken_off_is_finished(engine: Engine, blobs: Blobs, tmp_path: Path) -> None:
    """kill -9 between the two steps of deleting: the next pass deletes the bytes, and the row where nobody needs it."""
    evaluation = new(engine)
    finish(engine, evaluation)
    staged = tmp_path / "staged"
    staged.write_bytes(b"x")
    blobs.put(*PLACE, staged)
    with transaction(engine) as db:
        delete(db)
    assert tidy(engine, blobs)["uploads"] == 1
    assert not blobs.holds(*PLACE)
    with transaction(engine) as db:
        assert db.query(ArtifactRow).filter_by(kind="model").one().state == "deleted"
        stored.forget(db, DEFAULT, evaluation)
    assert tidy(engine, blobs)["refusals"] == 1
    with reading(engine) as db:
        assert db.query(ArtifactRow).filter_by(kind="model").count() == 0


def test_refusals_and_stale_claims_go(engine: Engine, blobs: Blobs) -> None:
    """The answer to a refused upload is kept for an hour; a claim that nobody came after, for a day."""
    evaluation = new(engine)
    claimed(engine, evaluation)
    other = "sha256:" + "e" * 64
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, "model", other, 1)
        assert artifacts.refuse(db, DEFAULT, "model", other, {"type": "no"})
    assert not any(tidy(engine, blobs).values())
    age(engine, 2 * DAY)
    gone = tidy(engine, blobs)
    assert (gone["refusals"], gone["claims"]) == (1, 1)
    with reading(engine) as db:
        assert artifacts.find(db, DEFAULT, "model", other) is None


def test_a_late_refusal_spares_the_bytes_of_others(engine: Engine) -> None:
    """Two workers inspect the same upload and disagree: who comes second changes nothing, and deletes no bytes."""
    new(engine)
    with transaction(engine) as db:
        artifacts.accept(db, DEFAULT, "model", MODEL, {"sound": True})
        assert not artifacts.refuse(db, DEFAULT, "model", MODEL, {"type": "no"})
