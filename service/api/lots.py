"""Work that is done for many requests at once: while one lot is under way in a thread, the next one gathers.

One thread and one transaction for each request were most of what it cost; the more is asked, the less each costs now.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from anyio import CapacityLimiter, to_thread

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Lots(Generic[Asked, Answer]):
    """Who asks what, and whether somebody is at work already. Belongs to one event loop.

    `work` answers a lot, each place with its answer or with what to raise. What it raises itself, all of the lot get.
    `pause`: seconds to wait for more before the next lot, where somebody waits already; who comes alone never does.
    """

    def __init__(
        self, work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]], most: int, pause: float = 0.0
    ) -> None:
        self._work, self._most, self._pause = work, most, pause
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer | Exception]]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._thread = CapacityLimiter(1)  # of our own: nobody else's work comes first

    async def ask(self, asked: Asked) -> Answer:
        """The answer to one; raises what was given instead. Who leaves early changes nothing: the work is done."""
        place: asyncio.Future[Answer | Exception] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, place))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work_off())
        answer = await place
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                lot = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                answers: Sequence[Answer | Exception]
                try:
                    answers = await to_thread.run_sync(self._work, [asked for asked, _ in lot], limiter=self._thread)
                except Exception as error:  # whatever it is belongs to those who wait for the answer
                    answers = [error] * len(lot)
                for (_, place), answer in zip(lot, answers, strict=True):
                    if not place.done():  # else its caller has gone
                        place.set_result(answer)
                if self._pause and 0 < len(self._waiting) < self._most:
                    await asyncio.sleep(self._pause)
        finally:
            self._worker = None
