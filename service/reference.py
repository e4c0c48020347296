"""docs/api.md and docs/cli.md, made from what the API's own document and the command line's own help say."""

import json
import re
from collections.abc import Iterator
from typing import Any

import typer
import typer.cli

from service.app import create_app
from service.cli import app
from service.settings import Settings

METHODS = ("get", "post", "put", "patch", "delete")
API = """# The API

Every address and every schema, from the service's own OpenAPI document (`/openapi.json`; `/docs` to try it). Errors are
the problems of [errors.md](errors.md). This page is made by `scripts/reference`.
"""
CLI = """# The command line

Every command, from its own help. This page is made by `scripts/reference`. What is read from the environment is in
[settings.md](settings.md).

"""


def cli() -> str:
    """docs/cli.md."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="lesion")
    told = typer.cli.get_docs_for_click(obj=command, ctx=context, name="lesion")
    return re.sub(r"\n{3,}", "\n\n", CLI + told).rstrip() + "\n"


def api() -> str:
    """docs/api.md."""
    document = create_app(Settings()).openapi()
    lines = [API]
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                lines += _operation(method, path, operations[method])
    lines += ["# Schemas", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _operation(method: str, path: str, told: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {method.upper()} {path}", "", told.get("description", told.get("summary", "")).strip(), "")
    if parameters := told.get("parameters"):
        yield from ("| parameter | in | type | |", "|---|---|---|---|")
        for each in parameters:
            needed = "needed. " if each.get("required") and each["in"] != "path" else ""
            yield _row(f"`{each['name']}`", each["in"], _type(each["schema"]), needed + _about(each))
        yield ""
    for media, content in told.get("requestBody", {}).get("content", {}).items():
        yield from (f"Body, `{media}`: {_type(content.get('schema', {}))}", "")
        yield from _fields(content.get("schema", {}))
    yield from ("| status | |", "|---|---|")
    for status, answer in told["responses"].items():
        kinds = {
            f"`{media}`" if not _named(content) else _type(content["schema"])
            for media, content in answer.get("content", {}).items()
        }
        yield _row(status, ", ".join([answer["description"].strip().rstrip("."), *sorted(kinds)]))
    yield ""


def _named(content: dict[str, Any]) -> bool:
    return "$ref" in content.get("schema", {})


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {name}", "", schema.get("description", "").strip(), "")
    if "enum" in schema:
        yield from (", ".join(f"`{value}`" for value in schema["enum"]), "")
    yield from _fields(schema)


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    if not (fields := schema.get("properties")):
        return
    yield from ("| field | type | default | |", "|---|---|---|---|")
    for name, field in fields.items():
        default = "needed" if name in schema.get("required", ()) else _default(field)
        yield _row(f"`{name}`", _type(field), default, _about(field))
    yield ""


def _default(field: dict[str, Any]) -> str:
    return f"`{json.dumps(field['default'])}`" if field.get("default") is not None else ""


def _about(told: dict[str, Any]) -> str:
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    schema = told.get("schema", told)
    options = [schema, *schema.get("anyOf", ())]
    bounds = [f"{sign} {option[name]:g}" for option in options for name, sign in limits.items() if name in option]
    return " ".join([*told.get("description", "").split(), *([f"({', '.join(bounds)})"] if bounds else [])])


def _type(schema: dict[str, Any]) -> str:
    """A type in words; a schema of ours as a link."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for many in ("anyOf", "oneOf", "allOf"):
        if many in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[many]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    kind = schema.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
