"""The strings in a model: protobuf takes any bytes for them, and whoever reads one that is no text falls over it."""

from typing import Any

from google.protobuf.message import Message

from worker.formats import weights
from worker.formats.refusals import Refused

REMARKS = "doc_string"  # for people, in whatever encoding they had


def check(message: Message) -> None:
    """Take remarks out, and raise `Refused` for a name that is no text; in the message and all that it holds."""
    if REMARKS in message.DESCRIPTOR.fields_by_name:
        message.ClearField(REMARKS)
    for field, value in _fields(message):
        several = field.is_repeated
        if field.type == field.TYPE_MESSAGE:
            for each in value if several else [value]:
                check(each)
        elif field.type == field.TYPE_STRING and not all(isinstance(each, str) for each in _listed(value, several)):
            raise _no_text(field.name)


def _fields(message: Message) -> list[tuple[Any, Any]]:
    try:
        return list(message.ListFields())
    except UnicodeDecodeError as error:
        raise _no_text(message.DESCRIPTOR.name) from error


def _listed(value: Any, several: bool) -> list[Any]:
    try:
        return list(value) if several else [value]
    except UnicodeDecodeError:
        return [None]


def _no_text(where: str) -> Refused:
    return Refused("model-malformed", f"A name in the file ({where}) is no UTF-8 text. {weights.DAMAGED}")
