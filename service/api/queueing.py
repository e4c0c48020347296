"""How long the queue of all tenants is, counted at most once a second: a cap against collapse need not be exact."""

import time

from sqlalchemy import Engine

from service.settings import Settings
from service.store import quotas
from service.store.quotas import Allowed
from service.store.session import reading

TRUSTED = 1.0  # seconds a count serves


class Queue:
    """The queue as one API process sees it."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._full, self._until = False, 0.0

    def allowed(self) -> Allowed:
        """What may be added now. Enters the database now and then, so not for the event loop."""
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + TRUSTED
            with reading(self._engine) as db:
                self._full = quotas.queued(db) >= self._settings.max_queued
        return Allowed(self._settings.max_evaluations, self._full)
