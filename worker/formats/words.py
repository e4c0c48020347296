"""The strings in a model: protobuf takes any bytes for them, and whoever reads one that is no text falls over it."""

from typing import Any

from google.protobuf.message import Message

from worker.formats import weights
from worker.formats.refusals import Refused

PARTS_LIMIT = 500_000  # nodes, attributes, values, axes, names; ten times those of the largest networks
REMARKS = "doc_string"  # for people, in whatever encoding they had


def check(message: Message) -> None:
    """Take remarks out, and raise `Refused` for a name that is no text; in the message and all that it holds.

    And for more parts than any network has: to look at each takes time.
    """
    left = _check(message, PARTS_LIMIT)
    assert left >= 0, "else it was refused"


def _check(message: Message, left: int) -> int:
    """How many more parts may be looked at."""
    if REMARKS in message.DESCRIPTOR.fields_by_name:
        message.ClearField(REMARKS)
    for field, value in _fields(message):
        several = field.is_repeated
        if several and field.type in (field.TYPE_MESSAGE, field.TYPE_STRING):
            left -= len(value)
        if left < 0:
            raise Refused(
                "model-too-large", f"The file has more than {PARTS_LIMIT:,} parts, and no network needs as many."
            )
        if field.type == field.TYPE_MESSAGE:
            for each in value if several else [value]:
                left = _check(each, left)
        elif field.type == field.TYPE_STRING and not all(map(_is_text, _listed(value, several))):
            raise _no_text(field.name)
    return left


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


def _is_text(word: Any) -> bool:
    return isinstance(word, str) and "\0" not in word  # which no database keeps


def _no_text(where: str) -> Refused:
    told = f"A name in the file ({where}) is no UTF-8 text, or has a zero byte in it."
    return Refused("model-malformed", f"{told} {weights.DAMAGED}")
