"""Writes the figures in docs/promises.md from what the harnesses wrote: `python -m benchmarks.promises chaos.jsonl`."""

import json
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "promises.md"
BLOCK = re.compile(r"(<!-- chaos:[^\n]*-->\n(?:\|[^\n]*\n){2})(.*?)(<!-- end of chaos -->)", re.DOTALL)
COLUMNS = "class database lease faults accepted lost doubled stale orphans p50 p99 max seed".split()


def main() -> None:
    """Replace the table by the last run of each class, database and lease."""
    last: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in Path(sys.argv[1]).read_text().splitlines():
        told = json.loads(line)
        last[told["class"], told["database"], told["lease"]] = told
    rows = [f"| {' | '.join(_cell(told[column]) for column in COLUMNS)} |\n" for told in last.values()]
    PAGE.write_text(BLOCK.sub(lambda found: found[1] + "".join(rows) + found[3], PAGE.read_text()))


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
