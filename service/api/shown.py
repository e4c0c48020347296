"""Evaluations as the bytes of their JSON, made and signed once for each state that they are seen in."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from service import schemas
from service.api import answers
from service.signing import Signer
from service.store.listing import Changing, changing
from service.store.tables import EvaluationRow

ROOM = 16 * 1024**2  # bytes of JSON that are kept
AROUND = 1024  # bytes that keeping one costs beside its JSON, about


@dataclass(frozen=True)
class Shown:
    """An evaluation as callers see it."""

    id: str
    state: str
    body: bytes

    @property
    def over(self) -> bool:
        """Has it ended?"""
        return self.state in schemas.ENDED


class Showing:
    """Shows rows, and remembers how. To validate and sign a result takes longer than all else about a read.

    What is remembered answers only for a row that was just read, so that nothing deleted or foreign is ever shown.
    """

    def __init__(self, signer: Signer, room: int = ROOM) -> None:
        self._signer, self._left = signer, room
        self._known: OrderedDict[Changing, Shown] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def remembered(self, now: Changing) -> Shown | None:
        """How a row that was just seen like this is shown, if that is known; called from several threads."""
        with self._one_at_a_time:
            if (known := self._known.get(now)) is not None:
                self._known.move_to_end(now)
            return known

    def show(self, row: EvaluationRow) -> Shown:
        """The row as it is; called from several threads."""
        now = changing(row)
        if (known := self.remembered(now)) is not None:
            return known
        shown = Shown(row.id, row.state, answers.evaluation(row, self._signer).model_dump_json().encode())
        with self._one_at_a_time:
            if now not in self._known:
                self._known[now] = shown
                self._left -= len(shown.body) + AROUND
            while self._left < 0:
                _, oldest = self._known.popitem(last=False)
                self._left += len(oldest.body) + AROUND
        return shown
