"""The page before a service that wants keys: it asks for one, keeps it in the tab alone, and forgets it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from service import local, schemas
from service.store import keys, tenants
from service.store.session import connect, transaction
from tests.page.conftest import PATIENCE, with_keys

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lesion-page-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with local.embedded(with_keys(folder)) as address:
        yield address


@pytest.fixture(scope="module")
def secret(folder: Path, address: str) -> str:
    """A key, as `lesion keys create` makes one."""
    engine = connect(with_keys(folder).database)
    with transaction(engine) as db:
        made = keys.create(db, tenants.ensure(db, "page").id, "page", list(schemas.SCOPES))
    engine.dispose()
    return made.secret


def test_a_key_is_asked_for_kept_in_the_tab_and_forgotten(page, context, secret):
    """A wrong key is asked for again, a good one opens all, uploads and events too; no other tab has it."""
    page.goto("/")
    dialog = page.get_by_role("dialog", name="A key is needed")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key", exact=True).fill("lsn_wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_contain_text("That is no key of Lesion")
    dialog.get_by_label("Key", exact=True).fill(secret)
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_be_hidden()

    page.get_by_role("button", name="the one that learned").click()
    expect(page.locator(".big")).to_be_visible()
    expect(page.get_by_label("This evaluation", exact=True)).to_contain_text("Bearer $LESION_KEY")
    assert secret not in page.content()
    stored = "() => [Object.values(sessionStorage), Object.values(localStorage), document.cookie].map(String)"
    session, lasting, cookies = page.evaluate(stored)
    assert secret in session
    assert secret not in lasting + cookies

    other = context.new_page()
    other.goto("/")
    expect(other.get_by_role("dialog")).to_be_visible()

    page.get_by_role("button", name="Forget key").click()
    expect(dialog).to_be_visible()
    assert page.evaluate("Object.values(sessionStorage).length") == 0


def test_who_has_no_key_can_leave_the_question(page):
    """Cancel shows the service's own words and a way to try again."""
    page.goto("/")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("A key is needed")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("dialog")).to_be_visible()
