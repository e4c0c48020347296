"""The tables grow with the code, and what was in them stays."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from service import schemas
from service.store import artifacts, evaluations, submissions
from service.store.blobs import open_blobs
from service.store.session import connect, migrate, reading, transaction
from service.store.tables import Base
from service.store.tenants import DEFAULT

DIGEST = "sha256:" + "d" * 64


def test_migrations_make_the_tables_that_the_code_knows(engine: Engine) -> None:
    """Nothing is in the code that is not in a migrated database, nor the other way round."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_what_was_there_before_tenants_belongs_to_the_default_one(database: str, tmp_path: Path) -> None:
    """An installation without tenants goes on: artifacts, their bytes, evaluations and idempotency keys are there."""
    engine = connect(database)
    migrate(engine, "0001")
    with transaction(engine) as db:
        for kind in artifacts.KINDS:
            columns = "kind, digest, size, state, attempts, created_at, hinted_at"
            db.execute(text(f"INSERT INTO artifacts ({columns}) VALUES ('{kind}', '{DIGEST}', 7, 'ready', 1, 5, 5)"))
        columns = "id, fingerprint, model_kind, model, dataset_kind, dataset, config, workers, state, epoch"
        values = f"'ev_1', 'f', 'model', '{DIGEST}', 'dataset', '{DIGEST}', '{{}}', 1, 'queued', 3"
        db.execute(text(f"INSERT INTO evaluations ({columns}, created_at, hinted_at) VALUES ({values}, 5, 5)"))
        db.execute(text("INSERT INTO idempotency_keys VALUES ('key', 'f', 'ev_1', 5)"))
    old = tmp_path / "blobs" / "models" / "dd" / ("d" * 64)
    old.parent.mkdir(parents=True)
    old.write_bytes(b"a model")
    migrate(engine)
    with reading(engine) as db:
        assert [row.size for row in artifacts.page(db, DEFAULT, "model", 2, None)] == [7]
        row = evaluations.get(db, DEFAULT, "ev_1")
        assert (row.state, row.epoch, row.created_at) == ("queued", 3, 5)
    with transaction(engine) as db:
        asked = evaluations.Asked(DIGEST, DIGEST, schemas.Config().model_dump_json(), 1, "f")
        assert submissions.create(db, DEFAULT, asked, "key")[0].id == "ev_1"
        assert evaluations.claim(db, "ev_1", "worker", 30) is not None
    blobs = open_blobs(f"file://{tmp_path}/blobs")
    assert blobs.fetch(DEFAULT, "model", DIGEST, tmp_path).read_bytes() == b"a model"
    engine.dispose()
