"""What the API answers: evaluations and problems."""

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.config import Config
from service.schemas.result import Progress, Result
from service.schemas.words import Digest, State


class ProblemBody(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str


class Links(BaseModel):
    """Where to go from here."""

    self: str
    events: str
    curve: dict[str, str]
    report: dict[str, str] = Field({}, description="`xml`: JUnit, `md`: Markdown; once it has ended.")
    analyses: dict[str, dict[str, str]] = Field(
        {}, description="Of each of the config's `analyses`: `json`, `csv`, `svg` and `png`; once it has succeeded."
    )


class Signature(BaseModel):
    """One signature of an envelope."""

    keyid: str = Field(description="sha256 of the public key; GET /v1/signing-keys has it.")
    sig: str = Field(description="Base64.")


class Envelope(BaseModel):
    """A DSSE envelope: a signed in-toto statement about artifacts, named by their digests."""

    payload: str = Field(description="The statement: base64 of JSON.")
    payloadType: str  # noqa: N815 - DSSE's own name
    signatures: list[Signature]


class SigningKey(BaseModel):
    """The public half of a key that results are signed with."""

    keyid: str
    algorithm: str
    public_key: str = Field(description="PEM.")


class SigningKeys(BaseModel):
    """All keys that this service signs with."""

    data: list[SigningKey]


class Evaluation(BaseModel):
    """One run: model x dataset x config -> result."""

    id: str
    state: State
    model: Digest
    dataset: Digest
    config: Config
    created_at: str
    started_at: str | None
    ended_at: str | None
    progress: Progress
    result: Result | None
    result_digest: str | None = Field(description="sha256 of the result as canonical JSON, without cost.seconds.")
    signature: Envelope | None = Field(
        None, description="Of a succeeded evaluation; `lesion verify` checks it offline, without trusting the way here."
    )
    verdict_signature: Envelope | None = Field(
        None, description="Of a gate's verdict: an in-toto test-result about the model, to be kept beside it."
    )
    problem: ProblemBody | None = Field(description="Why the evaluation failed, if it did.")
    links: Links


class Evaluations(BaseModel):
    """A page of evaluations, newest first."""

    data: list[Evaluation]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")
