"""Digests that come with a body (RFC 9530), held against the bytes as they come in."""

import base64
import binascii
import hashlib
import re
from typing import Any

from fastapi import Request

from service import problems

FIELDS = ("content-digest", "repr-digest")  # one and the same here, where no body has a content coding
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}  # all that RFC 9530 calls active
ENTRY = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*")


class Promised:
    """The digests that a request's headers promise, and those of what came so far."""

    def __init__(self, request: Request) -> None:
        self._wanted: list[tuple[str, bytes, Any]] = []
        for field in FIELDS:
            for value in request.headers.getlist(field):
                self._read(field, value)

    def _read(self, field: str, value: str) -> None:
        for entry in value.split(","):
            found = ENTRY.fullmatch(entry)
            if found is None:
                raise _unreadable(field)
            algorithm = found[1]
            if algorithm in ALGORITHMS:  # others may be sent, and say nothing to us
                self._wanted.append((algorithm, _decoded(field, found[2]), ALGORITHMS[algorithm]()))

    def update(self, data: bytes) -> None:
        """Some more of the body."""
        for _, _, state in self._wanted:
            state.update(data)

    def check(self) -> None:
        """The body is whole; raises `DigestMismatch`."""
        for algorithm, wanted, state in self._wanted:
            if state.digest() != wanted:
                came = base64.b64encode(state.digest()).decode()
                raise problems.DigestMismatch(
                    f"The {algorithm} of the body that came is :{came}:, and not what was sent with it. Send it again."
                )


def _decoded(field: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _unreadable(field) from error


def _unreadable(field: str) -> problems.BadRequest:
    return problems.BadRequest(f"{field.title()} cannot be read; write it as sha-256=:BASE64:, or leave it out.")
