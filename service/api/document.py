"""The OpenAPI document: what FastAPI writes, made true.

By hand: request bodies that FastAPI cannot see because we stream them, examples with null in them, which it would drop,
and 422, which is a problem here as every error is.
"""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from service import problems
from service.api.deps import Responses, documented
from service.schemas import Config, DatasetFound, ModelFound, NewEvaluation

_MODEL = "sha256:" + "1a" * 32
_DATASET = "sha256:" + "2b" * 32
_CONFIG = {
    "scope": "network",
    "precision": 0.02,
    "preprocessing": {"scale": 0.00392156862745098, "mean": [0.1307], "std": [0.3081]},
    "seed": 7,
}

MODELS = """Upload a model: its bytes as the body (`curl -T`), or a form field `file`.

Taken are ONNX files (opset 7 and newer), `.pt2` files of `torch.export.save` and TorchScript files; the latter two are
converted to ONNX. A model whose weights lie in other files comes as several parts `file`, each with its file name, or
as a zip of them. State dicts and pickles are refused, with what to do instead.

The answer says what was found in it: inputs, outputs, which output is taken for the classes, sites with their units,
cost, warnings. Its id is the sha256 of its bytes; the same bytes again are not stored twice."""
DATASETS = """Upload a dataset: its bytes as the body (`curl -T`), or a form field `file`.

Taken are `.npz`, parquet, safetensors, CSV, and a zip or tar of images in class folders. An array or column is matched
to a model when both are evaluated, so the same dataset serves many models.

The answer says what was found in it. Its id is the sha256 of its bytes; the same bytes again are not stored twice."""
_FILE = {"type": "string", "format": "binary", "minLength": 1}
_FILES = {"type": "array", "items": _FILE, "minItems": 1}
_MODEL_FILES = _FILES | {"description": "A model; or its .onnx and the files its weights lie in, each with its name."}
_DATASET_FILE = _FILE | {"description": "A dataset: .npz, parquet, safetensors, CSV, or a zip or tar of images."}


def _form(required: list[str], properties: dict[str, Any], encoding: dict[str, str]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "additionalProperties": False, "properties": properties}
    return {"schema": schema, "encoding": {name: {"contentType": media} for name, media in encoding.items()}}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """What pydantic nests, OpenAPI keeps among its components."""
    return {name: value for name, value in schema.items() if name != "$defs"}


def _upload(file: dict[str, Any]) -> dict[str, Any]:
    form = _form(["file"], {"file": file}, {"file": "application/octet-stream"})
    return {"required": True, "content": {"application/octet-stream": {"schema": _FILE}, "multipart/form-data": form}}


MODEL_BODY, DATASET_BODY = _upload(_MODEL_FILES), _upload(_DATASET_FILE)


def body(schema: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The `requestBody` of a route that reads JSON itself."""
    written = _plain(schema.model_json_schema(ref_template="#/components/schemas/{model}"))
    return {"required": required, "content": {"application/json": {"schema": written}}}


CREATE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": _form(
            ["model", "dataset"],
            {
                "model": _MODEL_FILES,
                "dataset": _DATASET_FILE,
                "config": _plain(Config.model_json_schema(ref_template="#/components/schemas/{model}")),
            },
            {
                "model": "application/octet-stream",
                "dataset": "application/octet-stream",
                "config": "application/json",
            },
        ),
        "application/json": {
            "schema": _plain(NewEvaluation.model_json_schema(ref_template="#/components/schemas/{model}")),
            "example": {"model": _MODEL, "dataset": _DATASET, "config": _CONFIG},
        },
    },
}


def _estimate(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": round(value - half, 4), "high": round(value + half, 4)}


_FULL_CONFIG = Config.model_validate(_CONFIG).model_dump()
_HERE = "/v1/evaluations/ev_019aa0b1c2d34f1e2d3c4b5a69788796"

EVALUATION: dict[str, Any] = {
    "id": _HERE.rpartition("/")[2],
    "state": "succeeded",
    "model": _MODEL,
    "dataset": _DATASET,
    "config": _FULL_CONFIG,
    "created_at": "2026-11-23T10:00:00.000Z",
    "started_at": "2026-11-23T10:00:00.120Z",
    "ended_at": "2026-11-23T10:00:02.470Z",
    "progress": {"trials": 1536, "score": _estimate(0.61, 0.02), "intact": 0.99, "share": 1.0},
    "result": {
        "score": _estimate(0.61, 0.02),
        "score_refused": None,
        "auc": _estimate(0.643, 0.0176),
        "intact": _estimate(0.99, 0.002),
        "chance": 0.11,
        "half_life": _estimate(0.64, 0.03),
        "metric": "accuracy",
        "split": None,
        "scope": "network",
        "clamp": "zero",
        "estimator": "adaptive",
        "curve": [{"fraction": 0.0, "value": 0.99, "low": 0.99, "high": 0.99, "trials": 10_000}],
        "layers": [],
        "sites": [{"site": "conv1", "op": "Conv", "units": 32, "convolutional": True}],
        "warnings": [],
        "gate": None,
        "cost": {"passes": 1536, "intact_passes": 10_000, "seconds": 2.35, "device": "cpu"},
        "provenance": {
            "model": _MODEL,
            "dataset": _DATASET,
            "config": _FULL_CONFIG,
            "seed": 7,
            "versions": {"lesion": "0.1.0"},
        },
    },
    "result_digest": "sha256:" + "3c" * 32,
    "signature": {
        "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJzdWJqZWN0IjpbXX0=",
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": "sha256:" + "5e" * 32, "sig": "MEUCIQ=="}],
    },
    "problem": None,
    "links": {
        "self": _HERE,
        "events": f"{_HERE}/events",
        "curve": {kind: f"{_HERE}/curve.{kind}" for kind in ("json", "csv", "svg", "png")},
        "report": {kind: f"{_HERE}/report.{kind}" for kind in ("xml", "md")},
    },
}


# FastAPI writes `itemSchema` here, a word of OpenAPI 3.2, into a document that says it is 3.1.
EVENTS: dict[str, Any] = {
    "schema": {
        "type": "object",
        "description": "Each event: `progress` whenever something changed, `ended` once; its data is an Evaluation.",
        "required": ["event", "data"],
        "properties": {"event": {"enum": ["progress", "ended"]}, "data": {"type": "string"}},
    },
    "example": 'event: progress\ndata: {"id": "ev_…", "state": "running", …}\n\n',
}


def complete(app: FastAPI) -> None:
    """Let the application answer with the completed document."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        new = app.openapi_schema is None
        document = written()
        if new:
            _complete(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    invalid = documented(problems.Invalid)[422]
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            if operation.get("security"):
                _add(answers, documented(problems.Unauthorized, problems.Forbidden, problems.RateLimited))
            if "HTTPValidationError" in str(answers.get("422")):
                answers["422"] = invalid
            shown = answers.get("200", {}).get("content", {}).get("application/json", {})
            if shown.get("schema", {}).get("$ref", "").endswith("/Evaluation"):
                shown["example"] = EVALUATION
            if "text/event-stream" in answers.get("200", {}).get("content", {}):
                answers["200"]["content"]["text/event-stream"] = EVENTS
    for kind in (DatasetFound, ModelFound):
        document["components"]["schemas"][kind.__name__] |= kind.model_config["json_schema_extra"]
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _add(answers: dict[str, Any], more: Responses) -> None:
    """Document problems that a whole class of routes has, beside those of the route itself."""
    for status, answer in more.items():
        mine = answers.setdefault(str(status), answer)
        if mine is not answer:
            mine["description"] = "; ".join([mine["description"], answer["description"]])
            for media, content in answer["content"].items():
                mine["content"][media]["examples"].update(content["examples"])
