"""docs/api.md and docs/cli.md are what the code says of itself now."""

import re
from collections.abc import Callable

import pytest

from service import reference
from tests.pages import ROOT


@pytest.mark.parametrize(("page", "made"), [("api", reference.api), ("cli", reference.cli)])
def test_the_pages_are_up_to_date(page: str, made: Callable[[], str]) -> None:
    """Run scripts/reference and commit, if not."""
    assert (ROOT / "docs" / f"{page}.md").read_text() == made()


def test_links_within_the_api_lead_somewhere() -> None:
    """Each schema that is named has its heading."""
    text = reference.api()
    headings = {heading.lower() for heading in re.findall(r"^## (\w+)$", text, re.MULTILINE)}
    linked = set(re.findall(r"\]\(#(\w+)\)", text))
    assert linked
    assert linked <= headings
