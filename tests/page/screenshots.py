"""Pictures of the page at three sizes in both schemes, of the real service: scripts/screenshots [FOLDER]."""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image
from playwright.sync_api import Browser, Page

from service import examples, local
from tests.page.conftest import CHROMIUM, NO_BROWSER, PATIENCE, chromium
from tests.page.test_page import SIZES, choose, settings

COLOURS = 96  # of a palette: a third of the bytes, and nobody sees it
# What each picture shows; so few, since they are kept in the repository.
SHOWN = {
    ("desktop", "light"): "result",
    ("desktop", "dark"): "comparison",
    ("tablet", "light"): "result",
    ("tablet", "dark"): "home",
    ("phone", "light"): "result",
    ("phone", "dark"): "home",
}


def main(folder: Path) -> None:
    """Start the service, score the shipped networks through the page, and take the pictures."""
    if CHROMIUM is None:
        raise SystemExit(NO_BROWSER)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        local.embedded(local.private(Path(data))) as address,
        chromium() as browser,
    ):
        worn = _worn(Path(data))
        for (size, scheme), shown in SHOWN.items():
            picture = _taken(browser, address, size, scheme, shown, worn)
            file = folder / f"{size}-{scheme}.png"
            Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(file, optimize=True)
            print(file, file.stat().st_size, "bytes")


def _worn(folder: Path) -> Path:
    """The network that learned with noise on its weights: something to compare it with, on the same dataset."""
    model = onnx.load(examples.paths("learned")[0])
    random = np.random.default_rng(1)
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.ndim > 1:
            noise = 0.6 * values.std() * random.standard_normal(values.shape)
            weights.CopyFrom(numpy_helper.from_array((values + noise).astype(values.dtype), weights.name))
    path = folder / "noisy.onnx"
    onnx.save(model, path)
    return path


def _taken(browser: Browser, address: str, size: str, scheme: str, shown: str, worn: Path) -> bytes:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=address,
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    _by_click(page, "memorised")
    noisy = _by_hand(page, worn)
    learned = _by_click(page, "learned")
    match shown:
        case "home":
            page.goto("/#/")
            page.get_by_role("heading", name="Score a network").wait_for()
        case "comparison":
            page.goto(f"/#/compare/{learned}/{noisy}")
            page.locator(".meaning").wait_for()
        case _:
            page.locator(".chart").wait_for()
    page.mouse.move(0, 0)
    picture = page.screenshot(full_page=shown == "home")
    context.close()
    return picture


def _by_click(page: Page, name: str) -> str:
    """The id of the evaluation of a shipped network; the same again is known."""
    page.goto("/#/")
    page.get_by_role("button", name=f"the one that {name}").click()
    return _scored(page)


def _by_hand(page: Page, model: Path) -> str:
    page.goto("/#/")
    choose(page, model, examples.paths("learned")[1])
    settings(page, {"precision": 0.02})
    page.get_by_role("button", name="Start").click()
    return _scored(page)


def _scored(page: Page) -> str:
    page.locator(".big").wait_for()
    return page.url.rpartition("/")[2]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
