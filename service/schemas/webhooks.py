"""Webhooks: where callers are told that an evaluation ended, what they are told, and what became of it."""

from typing import Literal

from pydantic import BaseModel, Field

from service.schemas.evaluation import ProblemBody
from service.schemas.gate import Verdict
from service.schemas.words import Digest, Estimate, State, Strict

EventType = Literal["evaluation.succeeded", "evaluation.failed", "evaluation.cancelled"]
EVENTS: tuple[EventType, ...] = ("evaluation.succeeded", "evaluation.failed", "evaluation.cancelled")
TEST: Literal["webhook.test"] = "webhook.test"


class NewWebhook(Strict):
    """Where to send what."""

    url: str = Field(
        description="https://HOST/PATH, on port 443 or 8443, at a public address.",
        min_length=1,
        max_length=2_000,
        examples=["https://hooks.example.org/lesion"],
    )
    events: list[EventType] = Field(
        default_factory=lambda: list(EVENTS), description="What to tell of; all of these, if left out.", min_length=1
    )


class Webhook(BaseModel):
    """An address that is told when evaluations end."""

    id: str
    url: str
    events: list[EventType]
    created_at: str
    disabled_at: str | None = Field(description="When the receiver answered 410 Gone; nothing is sent since then.")


class WebhookMade(Webhook):
    """A new webhook, with its secret, which is shown this once."""

    secret: str = Field(description="Verifies deliveries, as Standard Webhooks has it; keep it like a password.")


class Webhooks(BaseModel):
    """A page of webhooks, newest first."""

    data: list[Webhook]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class Attempt(BaseModel):
    """One time that a delivery was sent."""

    at: str
    status: int | None = Field(description="What the receiver answered; 2xx means that it took the delivery.")
    error: str | None = Field(description="Why there is no status, or why one is no success.")
    seconds: float | None = Field(description="How long it took.")
    next_attempt_at: str | None = Field(description="When it was to be sent again after this one.")


class Delivery(BaseModel):
    """One event on its way to one webhook. Its id is the header `webhook-id`, the same at each attempt."""

    id: str
    event: EventType | Literal["webhook.test"]
    evaluation: str | None
    state: Literal["pending", "delivered", "failed"] = Field(description="`failed`: it is not sent again.")
    created_at: str
    next_attempt_at: str | None = Field(description="Null once nothing more will be sent.")
    attempts: list[Attempt] = Field(description="First to last.")


class Deliveries(BaseModel):
    """A page of deliveries, newest first."""

    data: list[Delivery]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class EventLinks(BaseModel):
    """Where to ask for more, below the address of this service."""

    self: str


class EventData(BaseModel):
    """The evaluation that ended, in outline."""

    id: str
    state: State
    model: Digest
    dataset: Digest
    created_at: str
    ended_at: str
    score: Estimate | None = Field(description="Null if it did not succeed, or there is nothing to lose.")
    verdict: Verdict | None = Field(None, description="The gate's, if the config has one.")
    result_digest: Digest | None = Field(description="sha256 of the result, as GET shows it.")
    problem: ProblemBody | None
    links: EventLinks


class Event(BaseModel):
    """The body of a delivery."""

    type: EventType
    timestamp: str
    data: EventData


class TestEvent(BaseModel):
    """The body of a delivery that was asked for by POST /v1/webhooks/{id}/test."""

    type: Literal["webhook.test"] = TEST
    timestamp: str
    data: dict[str, str]
