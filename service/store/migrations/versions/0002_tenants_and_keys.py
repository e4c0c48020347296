"""tenants and keys

What was there before belongs to the tenant `default`. Primary and foreign keys change, which SQLite can only do by
making the tables anew; so both databases do, in one transaction.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOVED = ("evaluations", "artifacts", "idempotency_keys")  # in an order in which nothing refers to what is dropped


def upgrade() -> None:
    for table in MOVED:
        op.execute(f"CREATE TABLE {table}_before AS SELECT * FROM {table}")  # noqa: S608 - names of our own
    for table in MOVED:
        op.drop_table(table)
    _make_tenants()
    _make_tables()
    for table in reversed(MOVED):
        before = sa.inspect(op.get_bind()).get_columns(f"{table}_before")
        columns = ", ".join(column["name"] for column in before)
        op.execute(f"INSERT INTO {table} (tenant, {columns}) SELECT 'default', {columns} FROM {table}_before")  # noqa: S608
        op.drop_table(f"{table}_before")


def _make_tenants() -> None:
    tenants = op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("max_evaluations", sa.Integer(), nullable=True),
        sa.Column("max_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.bulk_insert(tenants, [{"id": "default", "name": "default", "created_at": time.time()}])
    op.create_table(
        "turns",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("served_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("expires_at", sa.Float(precision=53), nullable=True),
        sa.Column("revoked_at", sa.Float(precision=53), nullable=True),
        sa.Column("last_used_at", sa.Float(precision=53), nullable=True),
        sa.Column("successor", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index("keys_by_tenant", "keys", ["tenant", "created_at"])


def _make_tables() -> None:
    op.create_table(
        "artifacts",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("found", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("hinted_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("tenant", "kind", "digest"),
    )
    op.create_index("artifacts_by_age", "artifacts", ["tenant", "kind", "created_at"])
    op.create_index("artifacts_by_state", "artifacts", ["state", "hinted_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request", sa.String(length=71), nullable=False),
        sa.Column("evaluation", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("tenant", "key"),
    )
    artifact = ["artifacts.tenant", "artifacts.kind", "artifacts.digest"]
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("fingerprint", sa.String(length=71), nullable=False),
        sa.Column("model_kind", sa.String(length=8), nullable=False),
        sa.Column("model", sa.String(length=71), nullable=False),
        sa.Column("dataset_kind", sa.String(length=8), nullable=False),
        sa.Column("dataset", sa.String(length=71), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("started_at", sa.Float(precision=53), nullable=True),
        sa.Column("ended_at", sa.Float(precision=53), nullable=True),
        sa.Column("hinted_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["tenant", "dataset_kind", "dataset"], artifact),
        sa.ForeignKeyConstraint(["tenant", "model_kind", "model"], artifact),
        sa.PrimaryKeyConstraint("id"),
    )
    for name, columns in (
        ("evaluations_by_state", ["state", "hinted_at"]),
        ("evaluations_by_tenant", ["tenant", "id"]),
        ("evaluations_by_state_and_tenant", ["state", "tenant", "id"]),
        ("evaluations_by_fingerprint", ["tenant", "fingerprint"]),
        ("evaluations_by_model", ["tenant", "model_kind", "model"]),
        ("evaluations_by_dataset", ["tenant", "dataset_kind", "dataset"]),
    ):
        op.create_index(name, "evaluations", columns)
