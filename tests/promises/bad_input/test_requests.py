"""Every request that is refused gets its own problem over real HTTP, and changes nothing."""

import httpx2
import pytest

from service import problems
from tests.promises.bad_input import bodies, heads, json_texts, small, states
from tests.promises.bad_input.request import Asked
from tests.promises.bad_input.served import Served, check_problem

# Classes of requests, and how many cases each must have at least. What keys, scopes, quotas and full queues refuse is a
# matrix of its own: tests/service/api/test_auth_matrix.py.
TABLE: dict[str, tuple[int, tuple[Asked, ...]]] = {
    "bodies beyond their limit": (8, bodies.TOO_LARGE),
    "lengths and digests": (8, bodies.LENGTHS),
    "content types": (10, bodies.TYPES),
    "forms": (20, bodies.FORMS),
    "JSON": (20, (*json_texts.WHOLE, *json_texts.CONFIGS, *json_texts.IN_FORMS)),
    "heads": (16, (*heads.LONG, *heads.HEADS)),
    "addresses": (20, heads.ADDRESSES),
    "small bodies": (20, small.BODIES),
    "webhook addresses": (40, small.ADDRESSES),
}
STATEFUL: dict[str, tuple[int, tuple[Asked, ...]]] = {
    "idempotency keys": (8, states.KEYS),
    "states": (10, states.CONFLICTS),
}


def named(table: dict[str, tuple[int, tuple[Asked, ...]]]) -> list[object]:
    return [pytest.param(each, id=f"{name}: {each.name}") for name, (_, cases) in table.items() for each in cases]


def check(served: Served, asked: Asked) -> None:
    """The answer is the one that is expected; nothing is left, and nothing was told that is nobody's business."""
    before = served.standing()
    answer = asked.send(served)
    told = as_response(answer) if isinstance(answer, bytes) else answer
    check_problem(told, asked.status, asked.kind, asked.says)
    assert told.status_code < 500
    served.check_standing(before)
    served.check_told(told.text)
    assert served.client.get("/healthz").is_success


def as_response(answer: bytes) -> httpx2.Response:
    """What came over a socket."""
    head, found, body = answer.partition(b"\r\n\r\n")
    assert found, answer
    first, *lines = head.decode().split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return httpx2.Response(int(first.split()[1]), headers=headers, content=body)


@pytest.mark.parametrize("asked", named(TABLE))
def test_a_request_is_refused(served: Served, asked: Asked) -> None:
    """With its documented status and type, never 5xx, in words, and without a row or a file left behind."""
    check(served, asked)


@pytest.mark.parametrize("asked", named(STATEFUL))
def test_a_clash_is_refused(stateful: Served, asked: Asked) -> None:
    """What does not go with what is there already is refused in the same way, and changes none of it."""
    check(stateful, asked)


@pytest.mark.parametrize("name", [*TABLE, *STATEFUL])
def test_the_table_is_complete(name: str) -> None:
    """No class has fewer cases than were promised, none comes twice, and each is a documented problem."""
    least, cases = (TABLE | STATEFUL)[name]
    assert len(cases) >= least
    assert len({each.name for each in cases}) == len(cases)
    assert all(problems.BY_TYPE[each.kind].status == each.status for each in cases)


def test_what_is_right_is_taken(served: Served) -> None:
    """Digests that are right, lengths that are right: the walls stop nobody else."""
    from tests.promises.bad_input.request import digest

    told = {"Content-Digest": f"sha-256={digest(b'x')}, md5=:AAAA:", "Repr-Digest": f"sha-512={digest(b'x', 'sha512')}"}
    answer = served.client.post("/v1/datasets", content=b"x", headers=told)
    assert answer.status_code == 415, "it came as far as the reader, which knows no such dataset"


@pytest.mark.parametrize(
    ("ranges", "status"),
    [("bytes=0-0,1-1", 206), ("bytes=99999999-", 416), ("bytes=x-", 400), ("bytes=" + ",".join(["0-"] * 5000), 200)],
)
def test_ranges_are_answered_within_bounds(served: Served, ranges: str, status: int) -> None:
    """Only the documentation's own files have ranges, which Starlette answers; many of them cost no more than one."""
    answer = served.client.get("/static-offline-docs/swagger-ui.css", headers={"Range": ranges})
    assert answer.status_code in (status, 200)
    assert len(answer.content) < 2**20
