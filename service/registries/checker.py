"""Versions checked one after the other: those in the receiver's inbox, or those that nobody has judged yet."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import structlog

from service.client import Client, ClientError
from service.registries import names
from service.registries.checking import Checked, Plan, check
from service.registries.inbox import Inbox
from service.registries.names import Named
from service.registries.registry import TAG, Registry
from service.registries.versions import Place, Version, WentWrongError

PAUSE = 30.0  # seconds until a version is tried again because MLflow or the service did not answer
IDLE = 5.0  # seconds after which the inbox is looked at without being woken

log = structlog.get_logger()


@dataclass(frozen=True)
class Choice:
    """Which versions are checked: of models with one of these names or patterns, and with all of these tags."""

    models: tuple[str, ...] = ("*",)
    tags: Mapping[str, str] | None = None

    def named(self, uri: str) -> bool:
        """Is it one of these models, by its name alone?"""
        name = names.read(uri).name
        return any(fnmatchcase(name, pattern) for pattern in self.models)

    def unjudged(self, version: Version) -> bool:
        """Is it to be checked, by what is known of it, and without a verdict so far?"""
        tagged = all(version.tags.get(key) == value for key, value in (self.tags or {}).items())
        return self.named(version.uri) and tagged and f"{TAG}verdict" not in version.tags


def work_off(
    inbox: Inbox,
    places: Mapping[str, Place],
    client: Client,
    plan: Plan,
    wake: threading.Event,
    stop: threading.Event,
    pause: float = PAUSE,
) -> None:
    """Check what is in the inbox until `stop`, in a thread of its own; nothing that goes wrong ends it.

    `places` are named by the scheme of their versions: models, hf.
    """
    while not stop.is_set():
        found = inbox.next()
        if found is None:
            wake.wait(IDLE)
            wake.clear()
            continue
        work, uri = found
        try:
            named = names.read(uri)
            checked = checked_or_not(places[named.scheme], client, named, plan)
        except Exception as error:  # a fault of ours in one version must not leave the others unchecked
            log.error("version.failed", version=uri, exc_info=error)
            checked = None
        if checked is not None:
            inbox.done(work)
        elif not inbox.later(work, pause):
            log.error("version.given_up", version=uri)


def unjudged(registry: Registry, choice: Choice) -> Iterator[Version]:
    """Versions that no verdict was written to, oldest first. Raises `WentWrongError`."""
    yield from reversed([version for version in registry.versions() if choice.unjudged(version)])


def watch(
    registry: Registry,
    client: Client,
    plan: Plan,
    choice: Choice,
    seconds: float,
    stop: threading.Event,
    told: Callable[[Checked], None] = lambda checked: None,
) -> None:
    """Ask every `seconds` for versions without a verdict, and check them, until `stop`. 0 seconds: ask once."""
    while True:
        try:
            for version in unjudged(registry, choice):
                if stop.is_set():
                    return
                checked = checked_or_not(registry, client, Named(version.name, version.version), plan)
                if checked is not None:
                    told(checked)
        except WentWrongError as error:
            if not seconds:
                raise
            log.warning("registry.unavailable", error=str(error))
        if not seconds or stop.wait(seconds):
            return


def checked_or_not(place: Place, client: Client, named: Named, plan: Plan) -> Checked | None:
    """Check a version; None if MLflow or the service was in the way, so that it is worth another try."""
    try:
        checked = check(place, client, named, plan)
    except (WentWrongError, ClientError, TimeoutError, OSError) as error:
        log.warning("version.not_checked", version=str(named), error=str(error))
        return None
    verdict = checked.judged.verdict
    log.info(
        "version.checked", version=str(named), verdict=verdict, reason=checked.judged.reason, promoted=checked.promoted
    )
    return checked
