"""The thread that works an inbox off: nothing that goes wrong with one version keeps it from the others."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.client import Client
from service.registries import checker
from service.registries.checker import Choice
from service.registries.checking import Plan
from service.registries.flavours import UnusableModelError
from service.registries.inbox import Inbox
from service.registries.names import Named
from service.registries.versions import Version, WentWrongError
from tests.conftest import wait_until


@dataclass
class Shelf:
    """A place whose versions fail each in its own way, so many times; then they are of no use, and judged so."""

    faults: dict[str, list[Exception]]
    noted: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def version(self, named: Named) -> Version:
        waiting = self.faults.get(named.name, [])
        if waiting:
            raise waiting.pop()
        return Version(named.name, named.version or "")

    def fetch(self, version: Version, folder: Path) -> list[Path]:
        raise UnusableModelError("no flavour")

    def record(self, version: Version, metrics: list[tuple[str, float, int]], files: Path) -> str:
        return "run"

    def note(self, version: Version, tags: Mapping[str, str]) -> None:
        self.noted[version.name] = tags

    def promote(self, version: Version, alias: str, *, only_forward: bool = False) -> bool:
        return True


@contextmanager
def working(inbox: Inbox, shelf: Shelf) -> Iterator[None]:
    wake, stop = threading.Event(), threading.Event()
    with Client("http://127.0.0.1:1") as nobody:
        arguments = (inbox, {"models": shelf}, nobody, Plan(Path("none.npz")), wake, stop, 0.0)
        thread = threading.Thread(target=checker.work_off, args=arguments)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            wake.set()
            thread.join()


def test_a_version_is_tried_again_and_keeps_none_waiting(tmp_path):
    """MLflow away, a fault of our own, a scheme that nobody serves: the next version is judged all the same."""
    shelf = Shelf({"away": [WentWrongError("away")] * 3, "broken": [RuntimeError("a fault"), KeyError("another")]})
    with closing(Inbox(tmp_path / "inbox.db")) as inbox:
        for place in ("models:/away/1", "models:/broken/1", f"hf://no/body@{'0' * 40}", "models:/good/1"):
            inbox.take(place, place)
        with working(inbox, shelf):
            wait_until(lambda: set(shelf.noted) == {"away", "broken", "good"}, "each is judged in the end")
            wait_until(lambda: inbox.waiting() == 0, "and what nobody serves is given up")
    assert {tags["verdict"] for tags in shelf.noted.values()} == {"not judged"}


@pytest.mark.parametrize(
    ("name", "tags", "chosen"),
    [
        ("digits", {"stage": "new"}, True),
        ("digits", {"stage": "new", "lesion.verdict": "pass"}, False),
        ("digits", {"stage": "old"}, False),
        ("digits", {}, False),
        ("words", {"stage": "new"}, False),
    ],
)
def test_who_has_a_verdict_or_another_name_or_tag_is_not_looked_at(name, tags, chosen):
    """What `--model` and `--tag` choose, less what was judged before."""
    choice = Choice(("dig*", "x"), {"stage": "new"})
    assert choice.unjudged(Version(name, "1", tags=tags)) is chosen
