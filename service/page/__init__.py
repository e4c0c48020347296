"""The page at `/`: HTML, CSS and ES modules, served as they lie here, with no build and no outside asset."""

from pathlib import Path

FOLDER = Path(__file__).parent
INDEX = FOLDER / "index.html"
