"""JSON: nested, huge, no numbers, names twice, unknown and contradictory fields; as a body and as a form's config."""

import json
from typing import Any

from tests.promises.bad_input.request import EVALUATIONS, NOBODY, Asked, file, form, post

KIND = "validation-error"


def sent(text: str | bytes) -> Any:
    """A body of JSON."""
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return post(EVALUATIONS, content, Content_Type="application/json")


def config(text: str) -> str:
    """A request with this config."""
    return f'{{"model": "{NOBODY}", "dataset": "{NOBODY}", "config": {text}}}'


def of_config(name: str, text: str, says: str) -> Asked:
    """A config that is refused."""
    return Asked(name, sent(config(text)), 422, KIND, says)


WHOLE = (
    Asked("no JSON", sent("{"), 422, KIND, "JSON"),
    Asked("nothing", sent(""), 422, KIND, "JSON"),
    Asked("a list", sent("[]"), 422, KIND, "object"),
    Asked("a number", sent("1"), 422, KIND, "object"),
    Asked("null", sent("null"), 422, KIND, "object"),
    Asked("a comment", sent("{} // done"), 422, KIND, "JSON"),
    Asked("two objects", sent("{}{}"), 422, KIND, "JSON"),
    Asked("bytes that are no UTF-8", sent(b'{"model": "\xff"}'), 422, KIND, "JSON"),
    Asked("UTF-16", sent("{}".encode("utf-16")), 422, KIND, "JSON"),
    Asked("30,000 brackets", sent("[" * 30_000), 422, KIND, "deep"),
    Asked("30,000 objects in each other", sent('{"a":' * 10_000), 422, KIND, "deep"),
    Asked("a config 1,000 deep", sent(config('{"a":' * 1000 + "1" + "}" * 1000)), 422, KIND, "JSON"),
    Asked("a name twice", sent(f'{{"model": "{NOBODY}", "model": "{NOBODY}"}}'), 422, KIND, "'model' comes twice"),
    Asked("an unknown field", sent('{"modell": 1}'), 422, KIND, "/modell"),
    Asked("no model", sent(json.dumps({"dataset": NOBODY})), 422, KIND, "/model"),
    Asked("a model that is no digest", sent(json.dumps({"model": "../x", "dataset": NOBODY})), 422, KIND, "/model"),
    Asked("a model that is a number", sent(json.dumps({"model": 1, "dataset": NOBODY})), 422, KIND, "/model"),
    Asked(
        "a digest with a line behind",
        sent(json.dumps({"model": NOBODY + "\n", "dataset": NOBODY})),
        422,
        KIND,
        "/model",
    ),
    Asked("a model nobody uploaded", sent(config("{}")), 404, "not-found", NOBODY),
)
CONFIGS = (
    of_config("NaN", '{"precision": NaN}', "NaN"),
    of_config("infinity", '{"limits": {"seconds": Infinity}}', "Infinity"),
    of_config("1e999", '{"limits": {"seconds": 1e999}}', "/config/limits/seconds"),
    of_config("a seed of 5,000 digits", '{"seed": ' + "9" * 5000 + "}", "JSON"),
    of_config("a seed beyond 53 bits", '{"seed": 9007199254740993}', "/config/seed"),
    of_config("a seed below zero", '{"seed": -1}', "/config/seed"),
    of_config("a seed with a fraction", '{"seed": 0.5}', "/config/seed"),
    of_config("a name twice within", '{"seed": 1, "seed": 2}', "'seed' comes twice"),
    of_config("half of a surrogate", '{"site": "\\ud800", "scope": "layer"}', "hex escape"),
    of_config("an unknown field within", '{"speed": 1}', "/config/speed"),
    of_config("a scope that is none", '{"scope": "all"}', "/config/scope"),
    of_config("a name of 600 letters", json.dumps({"output": "o" * 600}), "/config/output"),
    of_config("300 sites", json.dumps({"sites": ["a"] * 300}), "/config/sites"),
    of_config("no sites", '{"sites": []}', "/config/sites"),
    of_config("both precision and a grid", '{"estimator": "grid", "precision": 0.1}', "precision"),
    of_config("a million workers", '{"limits": {"workers": 1000000}}', "/config/limits/workers"),
    of_config("preprocessing to a gigapixel", '{"preprocessing": {"resize": 100000}}', "resize"),
    of_config("a deviation of zero", '{"preprocessing": {"std": 0}}', "std"),
    of_config("text for a number", '{"precision": "narrow"}', "/config/precision"),
    of_config("null for an object", '{"limits": null}', "/config/limits"),
)
IN_FORMS = tuple(
    Asked(f"a form's config: {name}", form(file("model", b"x"), ("name=config", text.encode())), 422, KIND, says)
    for name, text, says in (
        ("no JSON", "{", "/config"),
        ("nothing", "", "/config"),
        ("a list", "[]", "/config"),
        ("30,000 brackets", "[" * 30_000, "deep"),
        ("NaN", '{"precision": NaN}', "NaN"),
        ("a name twice", '{"seed": 1, "seed": 1}', "comes twice"),
        ("an unknown field", '{"speed": 1}', "/config/speed"),
    )
)
