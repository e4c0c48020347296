"""Heads of requests: too long, ambiguous, not HTTP at all, and addresses and ranges that are none."""

import base64
import json

from tests.promises.bad_input.request import EVALUATIONS, MODELS, Asked, get, head, raw

GET, POST = "GET /healthz HTTP/1.1", f"POST {MODELS} HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"
STYLE = "/static-offline-docs/swagger-ui.css"  # the one kind of answer that has ranges


def unreadable(name: str, *parts: bytes) -> Asked:
    """Bytes that are no request."""
    return Asked(name, raw(*parts), 400, "bad-request", "HTTP/1.1")


def long(name: str, *parts: bytes) -> Asked:
    """Bytes that go on for too long."""
    return Asked(name, raw(*parts), 431, "headers-too-large", "65,536")


def lost(name: str, path: str) -> Asked:
    """An address where there is nothing."""
    return Asked(name, raw(head(f"GET {path} HTTP/1.1")), 404, "not-found", "")


def cursor(value: object) -> str:
    """A page's end, as nobody but us should write it."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


LONG = (
    long("a header of 64 KiB", head(GET, "X: " + "a" * 65_536)),
    long("a header without end", head(GET)[:-2] + b"X: " + b"a" * 400_000),
    long("a header's name without end", head(GET)[:-2] + b"a" * 400_000),
    long("20,000 headers", head(GET, *[f"X{n}: y" for n in range(20_000)])),
    long("an address of 64 KiB", head(f"GET /{'a' * 65_536} HTTP/1.1")),
    long("an address without end", b"GET /" + b"a" * 400_000),
    long("a chunk's extension without end", head(POST, CHUNKED), b"1;" + b"a" * 400_000),
    long("a trailer without end", head(POST, CHUNKED), b"1\r\na\r\n0\r\nT: " + b"a" * 400_000),
)
HEADS = (
    Asked("no Host", raw(head(GET, host="")), 400, "bad-request", "Host"),
    Asked("two Hosts", raw(head(GET, "Host: other")), 400, "bad-request", "Host"),
    Asked("a Host with a path", raw(head(GET, host="Host: a/v1/../x")), 400, "bad-request", "Host"),
    Asked("a Host with a user", raw(head(GET, host="Host: a@b")), 400, "bad-request", "Host"),
    Asked("a Host of several words", raw(head(GET, host="Host: a b")), 400, "bad-request", "Host"),
    unreadable("two lengths", head(POST, "Content-Length: 3", "Content-Length: 4"), b"abcd"),
    unreadable("the same length twice", head(POST, "Content-Length: 3", "Content-Length: 3"), b"abc"),
    unreadable("a length and chunks", head(POST, "Content-Length: 3", CHUNKED), b"0\r\n\r\n"),
    unreadable("chunks and a length", head(POST, CHUNKED, "Content-Length: 3"), b"0\r\n\r\n"),
    unreadable("an unknown transfer coding", head(POST, "Transfer-Encoding: xchunked"), b"0\r\n\r\n"),
    unreadable("chunks that are not the last coding", head(POST, "Transfer-Encoding: chunked, gzip"), b"0\r\n\r\n"),
    unreadable("a chunk's size that is none", head(POST, CHUNKED), b"zz\r\n"),
    unreadable("a chunk's size that overflows", head(POST, CHUNKED), b"F" * 17 + b"\r\n"),
    unreadable("a carriage return in a header", head(GET, "X: a\rSet-Cookie: b")),
    unreadable("a line feed in a header", head(GET, "X: a\nY: b")),
    unreadable("NUL in a header", head(GET, "X: a\0b")),
    unreadable("a folded header", head(GET, " folded: x")),
    unreadable("a blank before the colon", head(GET, "X : a")),
    unreadable("a version of the future", head("GET /healthz HTTP/3.7")),
    unreadable("a method that is none", head("BREW /healthz HTTP/1.1")),
    unreadable("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    unreadable("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    unreadable("bytes beyond ASCII in an address", b"GET /v1/\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    Asked("another method", raw(head("TRACE /healthz HTTP/1.1")), 405, "method-not-allowed", "methods"),
    Asked("a method of another address", raw(head("PATCH /v1/models HTTP/1.1")), 405, "method-not-allowed", "methods"),
)
ADDRESSES = (
    lost("nothing there", "/v2/models"),
    lost("a folder above", "/v1/../../etc/passwd"),
    lost("a folder above, in disguise", "/static-offline-docs/..%2f..%2fetc%2fpasswd"),
    lost("an evaluation that is none", f"{EVALUATIONS}/none"),
    lost("an evaluation of NUL", f"{EVALUATIONS}/%00"),
    lost("an evaluation of no UTF-8", f"{EVALUATIONS}/%ff%fe"),
    lost("an evaluation of 4,000 letters", f"{EVALUATIONS}/{'e' * 4000}"),
    lost("an evaluation that quotes", f"{EVALUATIONS}/'%20OR%201=1--"),
    Asked("cancelling NUL", raw(head(f"DELETE {EVALUATIONS}/%00 HTTP/1.1")), 404, "not-found", "evaluation"),
    Asked("a digest that is none", get(f"{MODELS}/sha256:xyz"), 422, "validation-error", "/path/digest"),
    Asked("a curve that is none", get(f"{EVALUATIONS}/none/curve.pdf"), 422, "validation-error", "kind"),
    Asked("a page of a thousand", get(f"{MODELS}?limit=1000"), 422, "validation-error", "limit"),
    Asked("a page of none", get(f"{MODELS}?limit=0"), 422, "validation-error", "limit"),
    Asked("a state that is none", get(f"{EVALUATIONS}?state=lost"), 422, "validation-error", "state"),
    Asked("a negative wait", get(f"{EVALUATIONS}/none?wait=-1"), 422, "validation-error", "wait"),
    *(
        Asked(f"a cursor of {name}", get(f"{path}?cursor={cursor(value)}"), 422, "validation-error", "`cursor`")
        for name, path, value in (
            ("nothing", EVALUATIONS, []),
            ("a number", EVALUATIONS, [1]),
            ("NUL", EVALUATIONS, ["\0"]),
            ("half of a surrogate", EVALUATIONS, ["\ud800"]),
            ("a list for a time", MODELS, [[1], "x"]),
            ("a truth for a time", MODELS, [True, "x"]),
            ("no number for a time", MODELS, [float("nan"), "x"]),
            ("an endless time", MODELS, [float("inf"), "x"]),
            ("a time of 4,000 digits", MODELS, [10**200, "x"]),
        )
    ),
    Asked("a cursor that is no base64", get(f"{EVALUATIONS}?cursor=%21"), 422, "validation-error", "cursor"),
    Asked("a cursor that is no JSON", get(f"{EVALUATIONS}?cursor=aaaa"), 422, "validation-error", "`cursor`"),
)
