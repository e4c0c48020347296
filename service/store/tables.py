"""The tables. Times are seconds since 1970 on the database's own clock, so that workers' clocks never matter."""

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ARTIFACT = ["artifacts.tenant", "artifacts.kind", "artifacts.digest"]  # what an evaluation refers to
KEPT = ("received", "ready")  # states of an artifact whose bytes are there
UNENDED = ("queued", "running")  # states of an evaluation that still needs its artifacts


class Base(DeclarativeBase):
    """All tables of one database."""


class TenantRow(Base):
    """Who owns artifacts and evaluations; nobody else ever sees them. A quota that is unset is the settings'."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    max_evaluations: Mapped[int | None] = mapped_column(Integer)
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[float] = mapped_column(Float(53))


class TurnRow(Base):
    """When a worker last began something of a tenant's. Apart from `tenants`, whose rows uploads lock for a while."""

    __tablename__ = "turns"

    tenant: Mapped[str] = mapped_column(String(40), ForeignKey("tenants.id"), primary_key=True)
    served_at: Mapped[float] = mapped_column(Float(53))


class KeyRow(Base):
    """What a caller proves itself with. The secret itself is known to its holder alone; here lies its sha256."""

    __tablename__ = "keys"
    __table_args__ = (Index("keys_by_tenant", "tenant", "created_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40), ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(String(100))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float(53))
    expires_at: Mapped[float | None] = mapped_column(Float(53))
    revoked_at: Mapped[float | None] = mapped_column(Float(53))
    last_used_at: Mapped[float | None] = mapped_column(Float(53))
    successor: Mapped[str | None] = mapped_column(String(40))


class ArtifactRow(Base):
    """An uploaded model or dataset; its bytes lie in the blob store under tenant, kind and digest."""

    __tablename__ = "artifacts"
    __table_args__ = (
        Index("artifacts_by_age", "tenant", "kind", "created_at"),
        Index("artifacts_by_state", "state", "hinted_at"),
        Index("artifacts_by_use", "used_at"),
    )

    tenant: Mapped[str] = mapped_column(String(40), ForeignKey("tenants.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    digest: Mapped[str] = mapped_column(String(71), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10))
    found: Mapped[str | None] = mapped_column(Text)
    problem: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[float] = mapped_column(Float(53))
    hinted_at: Mapped[float] = mapped_column(Float(53))
    used_at: Mapped[float] = mapped_column(Float(53))
    lease_until: Mapped[float | None] = mapped_column(Float(53))  # of the inspection under way


class EvaluationRow(Base):
    """One run. `epoch` counts the claims ever made on it and gives each its fencing token."""

    __tablename__ = "evaluations"
    __table_args__ = (
        # The columns model_kind and dataset_kind are constant; they let the database hold both references.
        ForeignKeyConstraint(["tenant", "model_kind", "model"], ARTIFACT),
        ForeignKeyConstraint(["tenant", "dataset_kind", "dataset"], ARTIFACT),
        Index("evaluations_by_state", "state", "hinted_at"),
        Index("evaluations_by_tenant", "tenant", "id"),
        Index("evaluations_by_state_and_tenant", "state", "tenant", "id"),
        Index("evaluations_by_end", "ended_at"),
        Index("evaluations_by_fingerprint", "tenant", "fingerprint", "state"),
        Index("evaluations_by_model", "tenant", "model_kind", "model"),
        Index("evaluations_by_dataset", "tenant", "dataset_kind", "dataset"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40))
    fingerprint: Mapped[str] = mapped_column(String(71))
    model_kind: Mapped[str] = mapped_column(String(8), default="model")
    model: Mapped[str] = mapped_column(String(71))
    dataset_kind: Mapped[str] = mapped_column(String(8), default="dataset")
    dataset: Mapped[str] = mapped_column(String(71))
    config: Mapped[str] = mapped_column(Text)
    workers: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(10))
    epoch: Mapped[int] = mapped_column(Integer, default=0)
    progress: Mapped[str | None] = mapped_column(Text)
    result: Mapped[str | None] = mapped_column(Text)
    problem: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float(53))
    started_at: Mapped[float | None] = mapped_column(Float(53))
    ended_at: Mapped[float | None] = mapped_column(Float(53))
    hinted_at: Mapped[float] = mapped_column(Float(53))


class ClaimRow(Base):
    """A worker's hold on an evaluation, live until its lease runs out."""

    __tablename__ = "claims"

    evaluation: Mapped[str] = mapped_column(String(40), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    worker: Mapped[str] = mapped_column(String(200))
    lease_until: Mapped[float] = mapped_column(Float(53))


class ChunkRow(Base):
    """A chunk that some claim holds (no payload yet) or has computed. Chunk 0 is the intact network."""

    __tablename__ = "chunks"

    evaluation: Mapped[str] = mapped_column(String(40), primary_key=True)
    index: Mapped[int] = mapped_column("idx", Integer, primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer)
    payload: Mapped[str | None] = mapped_column(Text)
    crashes: Mapped[int] = mapped_column(Integer, default=0)
    losses: Mapped[int] = mapped_column(Integer, default=0)


class UnitPageRow(Base):
    """Some of the units that an evaluation's analyses looked at, in order: a line of JSON each."""

    __tablename__ = "unit_pages"

    evaluation: Mapped[str] = mapped_column(String(40), primary_key=True)
    page: Mapped[int] = mapped_column(Integer, primary_key=True)
    lines: Mapped[str] = mapped_column(Text)


class IdempotencyRow(Base):
    """The evaluation that a caller's Idempotency-Key made, and the fingerprint of the request that made it."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index("idempotency_keys_by_evaluation", "evaluation"),
        Index("idempotency_keys_by_age", "created_at"),
    )

    tenant: Mapped[str] = mapped_column(String(40), ForeignKey("tenants.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request: Mapped[str] = mapped_column(String(71))
    evaluation: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[float] = mapped_column(Float(53))


class WebhookRow(Base):
    """An address that is told when a tenant's evaluations end. The secret signs, so it lies here as it is."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("webhooks_by_tenant", "tenant", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40), ForeignKey("tenants.id"))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(100))
    events: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float(53))
    disabled_at: Mapped[float | None] = mapped_column(Float(53))
    tried_at: Mapped[float] = mapped_column(Float(53))


class DeliveryRow(Base):
    """One event on its way to one webhook. `attempts` counts the claims and is their fencing token."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("webhook", "evaluation"),  # an evaluation ends once; a test has none
        Index("deliveries_by_state", "state", "due_at"),
        Index("deliveries_by_webhook", "webhook", "id"),
        Index("deliveries_by_end", "ended_at"),
        Index("deliveries_by_evaluation", "evaluation"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    webhook: Mapped[str] = mapped_column(String(40), ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(30))
    evaluation: Mapped[str | None] = mapped_column(String(40))
    payload: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[float] = mapped_column(Float(53))
    due_at: Mapped[float] = mapped_column(Float(53))
    lease_until: Mapped[float | None] = mapped_column(Float(53))
    ended_at: Mapped[float | None] = mapped_column(Float(53))


class AttemptRow(Base):
    """One time that a delivery was sent; without `seconds` until it is known how that went."""

    __tablename__ = "delivery_attempts"

    delivery: Mapped[str] = mapped_column(String(40), ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[float] = mapped_column(Float(53))
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Text)
    seconds: Mapped[float | None] = mapped_column(Float(53))
    next_attempt_at: Mapped[float | None] = mapped_column(Float(53))


class PolicyRow(Base):
    """One version of a policy, the rules as canonical JSON; none in the version that retires it."""

    __tablename__ = "policies"

    tenant: Mapped[str] = mapped_column(String(40), ForeignKey("tenants.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    rules: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float(53))
