"""How often a waiting request looks at its evaluation: soon after the end, and not too often."""

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from service.api import waiting


@pytest.mark.parametrize("ends", [0.1, 0.7, 3.0, 30.0])
def test_an_end_is_heard_of_soon(ends: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A twentieth of what was waited later, a quarter of a second at most; sixty looks in the first second."""
    clock = [0.0]
    looks: list[float] = []

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    async def look(_tenant: str, _evaluation: str) -> Any:
        looks.append(clock[0])
        return SimpleNamespace(over=clock[0] >= ends)

    monkeypatch.setattr(waiting, "sleep", sleep)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    looking: Any = SimpleNamespace(look=look)
    anyio.run(waiting.ended, looking, "default", "ev_1", 60.0)
    assert ends <= clock[0] <= ends + min(max(ends / 20, 0.02), 0.25) + 1e-9
    assert sum(at < 1 for at in looks) <= 60
