"""Too much at once is refused at once, typed, and only as long as it is too much."""

import asyncio
import json
from typing import Any

from starlette.types import Receive, Scope, Send

from service.api import admission
from service.api.admission import Admission, Crowds


async def asked(app: Admission, method: str, path: str = "/v1/evaluations") -> list[dict[str, Any]]:
    """What one request is answered."""
    said: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await app({"type": "http", "method": method, "path": path}, receive, send)
    return said


class Held:
    """An application that answers when it is told to, and may stand aside meanwhile."""

    def __init__(self, aside: bool = False) -> None:
        self.aside, self.go, self.began = aside, asyncio.Event(), 0

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.began += 1
        if self.aside:
            with admission.aside():
                await self.go.wait()
        else:
            await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def begun(app: Held, count: int) -> None:
    async with asyncio.timeout(30):
        while app.began < count:
            await asyncio.sleep(0)


def test_too_much_is_refused() -> None:
    """The request beyond the limit hears 503, in problem+json, with Retry-After; those before it are served."""

    async def scene() -> None:
        held = Held()
        app = Admission(held, Crowds(reads=2, writes=1))
        first = [asyncio.create_task(asked(app, method)) for method in ("GET", "GET", "POST")]
        await begun(held, 3)
        for method in ("GET", "POST"):
            start, body = await asked(app, method)
            assert start["status"] == 503
            assert dict(start["headers"])[b"retry-after"] == b"1"
            assert json.loads(body["body"])["type"] == "/problems/busy"
        assert held.began == 3
        held.go.set()
        assert [said[0]["status"] for said in await asyncio.gather(*first)] == [200, 200, 200]
        assert (await asked(app, "GET"))[0]["status"] == 200

    asyncio.run(scene())


def test_who_waits_is_in_nobodys_way() -> None:
    """Requests that stand aside count for nothing, and give back no more than they took."""

    async def scene() -> None:
        held = Held(aside=True)
        crowds = Crowds(reads=1, writes=1)
        app = Admission(held, crowds)
        waiting = [asyncio.create_task(asked(app, "GET")) for _ in range(5)]
        await begun(held, 5)
        held.go.set()
        assert {said[0]["status"] for said in await asyncio.gather(*waiting)} == {200}
        assert (crowds.reads.inside, crowds.writes.inside) == (0, 0)

    asyncio.run(scene())


def test_a_failing_request_leaves_its_place() -> None:
    """An error takes no place with it."""

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError

    async def scene() -> None:
        app = Admission(fails, Crowds(reads=1))
        for _ in range(3):
            try:
                await asked(app, "GET")
            except ValueError:
                continue
            raise AssertionError("it did not get through")

    asyncio.run(scene())


def test_life_signs_are_never_too_much() -> None:
    """`/healthz` answers however much there is to do."""

    async def scene() -> None:
        held = Held()
        held.go.set()
        assert (await asked(Admission(held, Crowds(reads=0)), "GET", "/healthz"))[0]["status"] == 200

    asyncio.run(scene())
