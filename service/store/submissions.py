"""Evaluations as they are asked for: a lot of them in one transaction, each accepted or refused by itself.

What a lot costs hardly grows with it: the same few statements find what is known, hold the uploads, count what tenants
have, and write the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, bindparam, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import problems
from service.problems import Problem
from service.store import artifacts, evaluations, ids, quotas
from service.store.artifacts import Place
from service.store.evaluations import Asked
from service.store.session import now
from service.store.tables import EvaluationRow, IdempotencyRow

REMOVED = "The model or the dataset was removed meanwhile; upload it again."

Found = str | None  # what was found in an upload, as stored; None before it is inspected


def _anything(_model: Found, _dataset: Found) -> None:
    """No objection."""


@dataclass(frozen=True)
class Submission:
    """One request for an evaluation.

    `suits` raises a problem if what was found in model and dataset does not go together. `named`: the caller sent
    digests alone, so both uploads must be there even where the answer is known.
    """

    tenant: str
    asked: Asked
    key: str | None = None
    suits: Callable[[Found, Found], None] = _anything
    named: bool = False

    @property
    def places(self) -> tuple[Place, Place]:
        """The uploads that it needs."""
        return (self.tenant, "model", self.asked.model), (self.tenant, "dataset", self.asked.dataset)


@dataclass(frozen=True)
class Entered:
    """The row that answers a request, and whether it was made for it."""

    row: EvaluationRow
    new: bool


Outcome = Entered | Problem

# By column and not by pair, since SQLite takes no index for pairs: what two tenants ask may find a third thing.
_tenants: BindParameter[Any] = bindparam("tenants", expanding=True)
_names: BindParameter[Any] = bindparam("names", expanding=True)
_KEYS = select(IdempotencyRow.tenant, IdempotencyRow.key, IdempotencyRow.request, IdempotencyRow.evaluation).where(
    IdempotencyRow.tenant.in_(_tenants), IdempotencyRow.key.in_(_names)
)
_SUCCESSES = (
    select(EvaluationRow.tenant, EvaluationRow.fingerprint, EvaluationRow.id)
    .where(
        EvaluationRow.tenant.in_(_tenants), EvaluationRow.fingerprint.in_(_names), EvaluationRow.state == "succeeded"
    )
    .with_for_update(read=True)  # nobody forgets it while a key is made for it
)
_NEW_ROWS, _NEW_KEYS = insert(EvaluationRow), insert(IdempotencyRow)


def create(
    db: Session, tenant: str, asked: Asked, key: str | None = None, allowed: quotas.Allowed | None = None
) -> tuple[EvaluationRow, bool]:
    """Queue one evaluation, or find the one that answers already. Returns the row and whether it is new.

    Raises `NotFound` if an upload is gone, `IdempotencyReused` for a key of another request, `QuotaExceeded`,
    `QueueFull`.
    """
    [outcome] = enter(db, [Submission(tenant, asked, key)], allowed)
    if isinstance(outcome, Problem):
        raise outcome
    return outcome.row, outcome.new


def enter(db: Session, lot: Sequence[Submission], allowed: quotas.Allowed | None = None) -> list[Outcome]:
    """Queue evaluations, or find those that answer already, in the order in which they were asked for.

    An earlier answer is what the same Idempotency-Key made, or a success with the same fingerprint.
    """
    if all(one.key is None for one in lot):  # then nothing can collide: ids are random, and uploads are held
        return _Lot(db, lot, allowed).entered()
    try:
        with db.begin_nested():
            return _Lot(db, lot, allowed).entered()
    except IntegrityError:  # somebody else entered one of the keys at the same moment, and now we see it
        if len(lot) > 1:
            return [outcome for one in lot for outcome in enter(db, [one], allowed)]
        return _Lot(db, lot, allowed).entered()


@dataclass
class _Lot:
    """What is known of a lot while it is entered."""

    db: Session
    lot: Sequence[Submission]
    allowed: quotas.Allowed | None
    now: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # request and evaluation by tenant, key
    new_keys: list[dict[str, Any]] = field(default_factory=list)
    made: dict[str, EvaluationRow] = field(default_factory=dict)
    room: dict[str, quotas.Room] = field(default_factory=dict)

    def entered(self) -> list[Outcome]:
        self.uploads = artifacts.hold(self.db, {place for one in self.lot for place in one.places})
        self.keys = self._keys()
        self.successes = self._successes()
        self.now = now(self.db)
        outcomes = [self._outcome(one) for one in self.lot]
        connection = self.db.connection()
        if self.rows:
            connection.execute(_NEW_ROWS, self.rows)
        if self.new_keys:  # in one order, so that no two lots wait for each other
            connection.execute(_NEW_KEYS, sorted(self.new_keys, key=lambda each: (each["tenant"], each["key"])))
        return outcomes

    def _keys(self) -> dict[tuple[str, str], tuple[str, str]]:
        wanted = {(one.tenant, one.key) for one in self.lot if one.key is not None}
        if not wanted:
            return {}
        found = self.db.connection().execute(_KEYS, _by_column(wanted))
        return {(tenant, key): (request, evaluation) for tenant, key, request, evaluation in found}

    def _successes(self) -> dict[tuple[str, str], str]:
        wanted = {(one.tenant, one.asked.fingerprint) for one in self.lot}
        found: dict[tuple[str, str], str] = {}
        for tenant, fingerprint, evaluation in self.db.connection().execute(_SUCCESSES, _by_column(wanted)):
            found[tenant, fingerprint] = min(evaluation, found.get((tenant, fingerprint), evaluation))
        return found

    def _outcome(self, one: Submission) -> Outcome:
        try:
            return self._enter(one)
        except Problem as problem:
            return problem

    def _enter(self, one: Submission) -> Entered:
        if one.key is not None and (known := self.keys.get((one.tenant, one.key))) is not None:
            request, evaluation = known
            if request != (one.asked.request or one.asked.fingerprint):
                raise problems.IdempotencyReused("Use a new Idempotency-Key, or repeat the first request unchanged.")
            return Entered(self._row(one.tenant, evaluation), new=False)
        if one.named:
            self._all_there(one)
        success = self.successes.get((one.tenant, one.asked.fingerprint))
        entered = self._new(one) if success is None else Entered(self._row(one.tenant, success), new=False)
        if one.key is not None:
            self.keys[one.tenant, one.key] = (one.asked.request or one.asked.fingerprint, entered.row.id)
            place = {"tenant": one.tenant, "key": one.key, "created_at": self.now}
            self.new_keys.append(
                {**place, "request": one.asked.request or one.asked.fingerprint, "evaluation": entered.row.id}
            )
        return entered

    def _row(self, tenant: str, evaluation: str) -> EvaluationRow:
        return self.made.get(evaluation) or evaluations.get(self.db, tenant, evaluation)

    def _all_there(self, one: Submission) -> None:
        for _, kind, digest in (place for place in one.places if place not in self.uploads):
            raise problems.NotFound(f"There is no {kind} {digest}; upload it with POST /v1/{kind}s first.")

    def _new(self, one: Submission) -> Entered:
        model, dataset = one.places
        if not (model in self.uploads and dataset in self.uploads):
            raise problems.NotFound(REMOVED)
        one.suits(self.uploads[model], self.uploads[dataset])
        if self.allowed is not None:
            if one.tenant not in self.room:
                self.room[one.tenant] = quotas.Room(self.db, one.tenant, self.allowed)
            self.room[one.tenant].take()
        asked = one.asked
        values: dict[str, Any] = {
            "id": ids.new("ev"),
            "tenant": one.tenant,
            "fingerprint": asked.fingerprint,
            "model_kind": "model",
            "model": asked.model,
            "dataset_kind": "dataset",
            "dataset": asked.dataset,
            "config": asked.config,
            "workers": asked.workers,
            "state": "queued",
            "epoch": 0,
            "created_at": self.now,
            "hinted_at": self.now,
        }
        self.rows.append(values)
        row = self.made[values["id"]] = EvaluationRow(**values)
        return Entered(row, new=True)


def _by_column(pairs: set[tuple[str, str]]) -> dict[str, list[str]]:
    return {"tenants": sorted({tenant for tenant, _ in pairs}), "names": sorted({name for _, name in pairs})}
