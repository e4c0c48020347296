"""`make load`, or `python -m benchmarks.load [--case reads] [--database sqlite] [--processes 2] [--json FILE]`.

Each case has a service of its own, on a fresh folder. Its line says what was seen, the next one what was promised and
does not hold; it exits with 1 if there is any. The callers share the machine with the service.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.load import promises, site, slow, soak, traffic, uploading
from benchmarks.load.site import Site

Case = Callable[[Site, float], dict[str, Any]]
CASES: dict[str, Case] = {
    "reads": traffic.reads,
    "submits": traffic.submits,
    "list": traffic.lists,
    "upload": uploading.upload,
    "overload": traffic.overload,
    "slow": slow.slow,
    "soak": soak.soak,
}
DATABASES = ("sqlite", "postgresql")
SOAK_SECONDS = 1200.0


def main() -> None:
    """Run cases; print and save what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append", help="one or several; all but the soak by default")
    parser.add_argument("--database", choices=DATABASES, action="append", help="both by default")
    parser.add_argument("--processes", type=int, default=2, help="of the API; two by default, as for two cores")
    parser.add_argument("--seconds", type=float, help="of load; 10, and 20 minutes for the soak")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found = []
    for name in options.case or [each for each in CASES if each != "soak"]:
        seconds = options.seconds or (SOAK_SECONDS if name == "soak" else 10.0)
        for database in options.database or DATABASES:
            with site.running(database, api_processes=options.processes) as place:
                seen = CASES[name](place, seconds)
            broken = promises.broken(name, seen)
            found.append({"case": name, "database": database, **seen, "broken": broken})
            print(promises.told(name, database, seen, broken), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    sys.exit(any(each["broken"] for each in found))


if __name__ == "__main__":
    main()
