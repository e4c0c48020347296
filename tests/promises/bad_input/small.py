"""Small JSON bodies of other routes, and addresses that webhooks may not be sent to."""

import json

from tests.promises.bad_input.request import Asked, digest, flood, post
from tests.service.test_targets import ENCODINGS

WEBHOOKS, COMPARISONS = "/v1/webhooks", "/v1/comparisons"
JSON = {"Content_Type": "application/json"}
# What needs a name server, which the tests of its own have, and what the schema refuses before.
ELSEWHERE = ("example.org", "nip.io")


def refused(path: str) -> tuple[Asked, ...]:
    """Bodies that are refused before anything in them is looked at."""
    return (
        Asked(f"{path}: 65 KiB", post(path, b" " * 66_000, **JSON), 413, "content-too-large", "65,536"),
        Asked(
            f"{path}: chunks without end", post(path, flood(b" " * 9000, 9), **JSON), 413, "content-too-large", "65,536"
        ),
        Asked(
            f"{path}: another digest",
            post(path, b"{}", Content_Digest=f"sha-256={digest(b'[]')}", **JSON),
            400,
            "digest-mismatch",
            "again",
        ),
        Asked(
            f"{path}: gzip",
            post(path, b"{}", Content_Encoding="gzip", **JSON),
            415,
            "unsupported-media-type",
            "Encoding",
        ),
        Asked(f"{path}: 30,000 brackets", post(path, b"[" * 30_000, **JSON), 422, "validation-error", "deep"),
        Asked(f"{path}: NaN", post(path, b'{"url": NaN}', **JSON), 422, "validation-error", "NaN"),
        Asked(f"{path}: a name twice", post(path, b'{"url": 1, "url": 1}', **JSON), 422, "validation-error", "twice"),
        Asked(f"{path}: no JSON", post(path, b"{", **JSON), 422, "validation-error", "JSON"),
        Asked(f"{path}: nothing", post(path, b"", **JSON), 422, "validation-error", "body"),
        Asked(f"{path}: no UTF-8", post(path, b'{"url": "\xff"}', **JSON), 422, "validation-error", "UTF-8"),
        Asked(f"{path}: an unknown field", post(path, b'{"secret": 1}', **JSON), 422, "validation-error", "secret"),
    )


BODIES = (*refused(WEBHOOKS), *refused(COMPARISONS))
ADDRESSES = tuple(
    Asked(name, post(WEBHOOKS, json.dumps({"url": url}).encode(), **JSON), 422, "webhook-url-forbidden", "")
    for name, url in ENCODINGS.items()
    if url and not any(word in url for word in ELSEWHERE)
)
