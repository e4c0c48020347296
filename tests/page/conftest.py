"""The whole service as `lesion serve` runs it, and a real Chromium in front of it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from service import local
from service.settings import Settings

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PATIENCE = 30_000  # milliseconds; two busy cores take their time
NO_BROWSER = "no Chromium on the PATH: scripts/browser installs one where it can"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser there is nothing to test here, and it is said why."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A running service with workers, that wants no key."""
    folder = Path(tempfile.mkdtemp(prefix="lesion-page-"))
    with local.embedded(local.private(folder)) as address:
        yield address
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of its own; `--no-sandbox`, since root has no other, and all it shows is our own page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Watch:
    """What a browser complained of while a test ran."""

    def __init__(self, context: BrowserContext) -> None:
        self.faults: list[str] = []
        self.asked: list[str] = []
        context.on("weberror", lambda fault: self.faults.append(str(fault.error)))
        context.on("console", self._said)
        context.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message: Any) -> None:
        # An answer of 4xx is no fault of the page: some tests ask for one.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(message.text)


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A browser that was never here; at its end nothing was refused by the policy, and nothing asked of elsewhere."""
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    watch = Watch(context)
    yield context
    context.close()
    assert watch.faults == []
    assert [url for url in watch.asked if not url.startswith((address, "blob:", "data:", "file:"))] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty tab."""
    return context.new_page()


def with_keys(folder: Path) -> Settings:
    """Settings for a stack of our own that wants a key on loopback, too."""
    return local.private(folder).model_copy(update={"keys": "required"})
