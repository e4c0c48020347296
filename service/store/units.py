"""The table of an evaluation's units, in pages. It lies beside the result, which names it by its digest."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.store.tables import UnitPageRow

PAGE = 500  # units of one row; some 400 bytes each


def keep(db: Session, evaluation: str, lines: Sequence[str]) -> None:
    """Store the table, a line of JSON for each unit. In the transaction that ends the evaluation, after its end."""
    rows = [
        {"evaluation": evaluation, "page": start // PAGE, "lines": "".join(lines[start : start + PAGE])}
        for start in range(0, len(lines), PAGE)
    ]
    if rows:
        db.execute(insert(UnitPageRow), rows)


def page(db: Session, evaluation: str, number: int) -> str | None:
    """The lines of one page, from 0; None beyond the last."""
    of_it = (UnitPageRow.evaluation == evaluation, UnitPageRow.page == number)
    return db.scalar(select(UnitPageRow.lines).where(*of_it))


def some(db: Session, evaluation: str, start: int, count: int) -> list[str]:
    """So many lines from unit `start` on; fewer where the table ends."""
    found: list[str] = []
    for number in range(start // PAGE, (start + count - 1) // PAGE + 1):
        found += (page(db, evaluation, number) or "").splitlines()
    first = start % PAGE
    return found[first : first + count]


def every(db: Session, evaluation: str) -> Iterator[str]:
    """All pages, one at a time."""
    number = 0
    while (lines := page(db, evaluation, number)) is not None:
        yield lines
        number += 1


def rows(db: Session, evaluation: str) -> list[dict[str, Any]]:
    """The whole table, a row for each unit; empty where there is none."""
    return [json.loads(line) for lines in every(db, evaluation) for line in lines.splitlines()]
