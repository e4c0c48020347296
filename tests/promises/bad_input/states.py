"""What clashes with what is there already: keys that were used before, and things that are in another state."""

from typing import Any

from service import problems, schemas
from service.store import evaluations
from service.store.session import transaction
from tests.promises.bad_input.request import EVALUATIONS, NOBODY, Answer, Asked
from tests.promises.bad_input.served import Served
from tests.promises.misdeeds import DATASET, MODEL
from tests.service import answers

States = dict[str, str]  # ids: of a model, a dataset, and an evaluation in each state


def prepared(served: Served) -> States:
    """A model and a dataset, and an evaluation in each state, ended by hand as a worker would."""
    made: States = {}
    for kind, path in (("model", MODEL), ("dataset", DATASET)):
        answer = served.uploaded(kind, path.read_bytes())
        assert answer.status_code in (200, 201), answer.text
        made[kind] = answer.json()["id"]
    for place, state in enumerate(("queued", "running", "succeeded", "failed", "cancelled")):
        made[state] = asked(served, made, seed=place, key=f"key of {state}").json()["id"]
    with transaction(served.engine) as db:
        for state in ("running", "succeeded", "failed"):
            claim = evaluations.claim(db, made[state], "nobody", 3600)
            assert claim is not None
            if state == "succeeded":
                result = answers.result()
                result.cost.seconds = None
                evaluations.finish(db, claim, schemas.canonical(result.model_dump(mode="json")), chunks=0)
            elif state == "failed":
                evaluations.fail(db, claim, problems.ModelCrashed("It died."))
    assert served.client.delete(f"{EVALUATIONS}/{made['cancelled']}").status_code == 200
    return made


def asked(served: Served, states: States, seed: int, key: str | None = None, **config: Any) -> Any:
    """POST an evaluation of the model on the dataset."""
    wanted = {"model": states["model"], "dataset": states["dataset"], "config": {"seed": seed, **config}}
    return served.client.post(EVALUATIONS, json=wanted, headers={} if key is None else {"Idempotency-Key": key})


def again(state: str, seed: int, **config: Any) -> Any:
    """The key that an evaluation was made with, sent with some request."""
    return lambda served: asked(served, served.states, seed, f"key of {state}", **config)


def key(text: str) -> Any:
    """A request with this key."""
    return lambda served: asked(served, served.states, 0, text)


def at(state: str, path: str, method: str = "GET") -> Any:
    """An address below an evaluation in some state."""

    def send(served: Served) -> Answer:
        return served.client.request(method, f"{EVALUATIONS}/{served.states[state]}{path}")

    return send


USED = "idempotency-key-reused"
KEYS = (
    *(
        Asked(f"the key of a {state} evaluation with another seed", again(state, 77), 422, USED, "Idempotency-Key")
        for state in ("queued", "running", "succeeded", "failed", "cancelled")
    ),
    Asked("its key with another config", again("queued", 0, clamp="mean"), 422, USED, "Idempotency-Key"),
    Asked(
        "its key with another model",
        lambda served: asked(served, {**served.states, "model": NOBODY}, 0, "key of queued"),
        422,
        "idempotency-key-reused",
        "Use a new Idempotency-Key",
    ),
    Asked("an empty key", key(""), 422, "validation-error", "Idempotency-Key"),
    Asked("a key of 256 letters", key("k" * 256), 422, "validation-error", "Idempotency-Key"),
)
CONFLICTS = (
    *(
        Asked(f"the curve of a {state} evaluation", at(state, "/curve.csv"), 409, "not-ready", "not ended")
        for state in ("queued", "running")
    ),
    *(
        Asked(f"the curve of a {state} evaluation", at(state, "/curve.svg"), 409, "conflict", state)
        for state in ("failed", "cancelled")
    ),
    *(
        Asked(f"cancelling a {state} evaluation", at(state, "", "DELETE"), 409, "conflict", state)
        for state in ("succeeded", "failed")
    ),
    Asked("the picture of a running one", at("running", "/curve.png"), 409, "not-ready", "not ended"),
    Asked("the numbers of a cancelled one", at("cancelled", "/curve.json"), 409, "conflict", "cancelled"),
    Asked("another kind of curve", at("succeeded", "/curve.pdf"), 422, "validation-error", "kind"),
    Asked("a method it does not take", at("succeeded", "", "PUT"), 405, "method-not-allowed", "methods"),
)
