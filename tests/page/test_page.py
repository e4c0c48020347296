"""The page at `/` in a real browser: upload, watch, read, compare, cancel, and what goes wrong is shown well."""

import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from service import examples
from service.client import Client
from tests.page.conftest import PATIENCE

expect.set_options(timeout=PATIENCE)
LEARNED = examples.paths("learned")
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1280, 900)}
FOREVER = {"precision": 0.0005, "limits": {"trials": 100_000_000}}


def score(address: str, config: dict[str, object]) -> str:
    """An evaluation of the network that learned, from its end on; asked again, it is known."""
    with Client(address) as client:
        evaluation = client.evaluate(*LEARNED, config)
        evaluation.wait(timeout=60)
        return evaluation.id


def choose(page: Page, model: Path, dataset: Path) -> None:
    """Both files, as the form's own buttons take them."""
    page.get_by_label("Model", exact=True).set_input_files(model)
    page.get_by_label("Dataset", exact=True).set_input_files(dataset)


def settings(page: Page, config: dict[str, object]) -> None:
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Anything else, as JSON").fill(json.dumps(config))


def test_a_network_is_uploaded_watched_and_read(page):
    """From two files to a score, its meaning, a curve that can be read off, and the line that gives it again."""
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("half its neurons gone")
    choose(page, *LEARNED)
    expect(page.get_by_text("learned.onnx (353.9 KiB)")).to_be_visible()
    settings(page, {"precision": 0.02, "seed": 11})
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="learned.onnx on learned.npz")).to_be_visible()
    expect(page.locator(".heading .badge")).to_have_text(re.compile("succeeded"))
    shown = page.locator(".big").inner_text()
    assert 0.3 < float(shown) < 0.5
    expect(page.locator(".meaning")).to_contain_text("of its lead over the best constant answer")

    slider = page.get_by_role("slider", name="Read off by fraction of units removed")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator(".reading")).to_contain_text("0 % removed")
    page.keyboard.press("End")
    expect(page.locator(".reading")).to_have_text(re.compile(r"9\d % removed"))
    page.get_by_text("The numbers, as a table").click()
    assert page.get_by_role("region", name="The curve's numbers").get_by_role("row").count() > 10

    line = page.get_by_label("This evaluation", exact=True).inner_text()
    assert re.fullmatch(r"curl -s 'http://127\.0\.0\.1:\d+/v1/evaluations/ev_\w+'", line)


def test_files_are_dropped_and_sorted_by_their_kind(page):
    """Both files dropped at once land where they belong, wherever they are dropped."""
    page.goto("/")
    page.get_by_role("button", name="Start").wait_for()
    drop = """(form) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(["d"], "test.npz"));
        transfer.items.add(new File(["m"], "net.onnx"));
        form.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }"""
    page.locator("form.submission").evaluate(drop)
    expect(page.locator("[data-kind=model]")).to_contain_text("net.onnx")
    expect(page.locator("[data-kind=dataset]")).to_contain_text("test.npz")
    expect(page.locator("#announcer")).to_have_text("Chosen: net.onnx; test.npz.")


def test_one_under_way_shows_its_interval_and_is_cancelled(page):
    """While it runs, the interval is there with the trials behind it; Cancel ends it, and says so."""
    page.goto("/")
    choose(page, *LEARNED)
    settings(page, FOREVER)
    page.get_by_role("button", name="Start").click()
    now = page.locator(".now")
    expect(now).to_have_text(re.compile(r"0\.\d{3} \[.*\] ± 0\.\d{3} after [\d,]+ trials; asked for ± 0\.0005"))
    before = now.inner_text()
    expect(now).not_to_have_text(before)
    expect(page.get_by_role("img", name=re.compile("interval over the trials"))).to_be_visible()
    slider = page.get_by_role("slider", name="Read off by trials")
    slider.press("Home")
    reading = page.locator(".reading").inner_text()
    grown = slider.get_attribute("max")
    expect(slider).not_to_have_attribute("max", grown)  # more came in, and whoever reads is not disturbed
    expect(slider).to_be_focused()
    expect(page.locator(".reading")).to_have_text(reading)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".heading .badge")).to_have_text(re.compile("cancelled"))
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Evaluations", exact=True)).to_be_visible()


def test_a_gate_shows_each_check_with_its_interval(page, address):
    """The verdict, and in a table what each rule asked for, what was measured, and how that came out."""
    id = score(address, {"gate": {"min_score": 0.3, "min_accuracy": 0.999999}, "precision": 0.1})
    page.goto(f"/#/evaluations/{id}")
    table = page.get_by_role("region", name="The gate")
    rows = table.get_by_role("row")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_have_text(re.compile(r"Score at least.*0\.300.*0\.\d{3} \[0\.\d{3}, 0\.\d{3}\].*pass"))
    expect(rows.nth(2)).to_have_text(re.compile(r"Accuracy at least.*1\.000 \[0\.9\d\d, 1\.000\].*inconclusive"))
    expect(page.locator(".row .badge.inconclusive").first).to_be_visible()
    expect(page.get_by_text("with 95 % confidence")).to_be_visible()


def test_single_units_are_drawn_layer_by_layer_and_listed(page, address):
    """A picture for each layer, with a dot for each unit that fires; tables of units, of layers, of classes; curves."""
    wanted = ["selectivity", "importance", "relation", "targeted", "classes"]
    id = score(address, {"precision": 0.1, "analyses": wanted, "top": 5})
    with Client(address) as client:
        found = client.get(id).model_dump()["result"]["analyses"]
    page.goto(f"/#/evaluations/{id}")
    expect(page.get_by_role("heading", name="Do selective units matter more?")).to_be_visible()
    expect(page.get_by_text(found["relation"]["finding"])).to_be_visible()
    pictures = page.get_by_role("img", name=re.compile("selectivity against importance"))
    expect(pictures).to_have_count(4)
    firing = found["units"]["units"] - sum(site["dead"] for site in found["selectivity"])
    expect(page.locator(".scatter .unit")).to_have_count(firing)
    expect(page.locator(".scatter .unit.top")).to_have_count(4)
    top = page.get_by_role("region", name="The units that matter most").get_by_role("row")
    expect(top).to_have_count(6)
    first = found["importance"]["top"][0]
    expect(top.nth(1)).to_contain_text(f"{first['site']}{first['unit']}")
    expect(page.get_by_role("region", name="How the layers are tuned").get_by_role("row")).to_have_count(5)
    expect(page.get_by_role("region", name="Which classes break first").get_by_role("row")).to_have_count(11)
    expect(page.get_by_text(found["targeted"]["finding"]).first).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save classes as CSV").click()
    assert saved.value.suggested_filename == f"{id}-classes.csv"
    assert saved.value.path().read_text().startswith("label,examples,fraction,value\n")
    expect(page.get_by_role("button", name=re.compile("^Save .* as SVG$"))).to_have_count(len(wanted))
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_two_are_compared_and_judged(page, address):
    """Ticked in the list, two evaluations give their difference; a drop that may be gives a verdict."""
    ids = [score(address, {"precision": 0.02, "seed": seed}) for seed in (1, 2)]
    page.goto("/")
    for id in ids:
        page.locator(f"#pick-{id}").check()
    page.get_by_role("button", name="Compare two").click()
    expect(page.get_by_role("heading", name="Comparison")).to_be_visible()
    expect(page.locator(".meaning")).to_contain_text("No difference is shown")
    page.get_by_label("The score may drop by").fill("0.3")
    page.get_by_role("button", name="Judge").click()
    expect(page.locator(".badge.pass")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Curve"))).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the comparison as SVG").click()
    assert "against" in saved.value.path().read_text()


def test_what_cannot_be_compared_says_why(page, address):
    """Another scope is another quantity: the service's own words are shown, with the way to more of them."""
    one, other = score(address, {"precision": 0.02, "seed": 1}), score(address, {"precision": 0.02, "scope": "paper"})
    page.goto(f"/#/compare/{one}/{other}")
    expect(page.get_by_role("alert")).to_contain_text("scope (network against paper)")
    expect(page.get_by_role("link", name="What this means")).to_have_attribute("href", "/problems/not-comparable")


def test_a_refused_model_says_what_to_do(page, tmp_path):
    """A pickle is refused in the service's words, and the form stays as it was."""
    pickle = tmp_path / "weights.pkl"
    pickle.write_bytes(b"\x80\x04}q\x00.")
    page.goto("/")
    choose(page, pickle, LEARNED[1])
    page.get_by_role("button", name="Start").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This file format is not read")
    expect(alert).to_contain_text(re.compile("pickle", re.IGNORECASE))
    expect(page.locator("[data-kind=model]")).to_contain_text("weights.pkl")
    expect(page.get_by_role("button", name="Start")).to_be_enabled()


def test_a_form_without_files_or_with_odd_settings_says_so(page):
    """What is missing is named before anything is sent."""
    page.goto("/")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a model and a dataset first.")
    choose(page, *LEARNED)
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Anything else, as JSON").fill("seed: 7")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("Write a JSON object")


def test_an_address_of_nothing_says_so(page):
    """An evaluation that is not there is a problem shown well, with a way on."""
    page.goto("/#/evaluations/ev_none")
    expect(page.get_by_role("alert")).to_contain_text("No such thing")
    page.get_by_role("link", name="Evaluations").click()
    expect(page.get_by_role("heading", name="Score a network")).to_be_visible()


def test_layers_are_shown_one_by_one(page, address):
    """With scope `layer` each site has its own little picture and its own score."""
    page.goto(f"/#/evaluations/{score(address, {'precision': 0.1, 'scope': 'layer'})}")
    expect(page.locator(".multiple")).to_have_count(4)
    expect(page.locator(".multiple").first).to_contain_text(re.compile(r"units.*0\.\d{3} \[", re.DOTALL))


def test_the_report_is_saved_and_needs_nothing_else(page, address, tmp_path):
    """One HTML file with the score and the picture; it opens without the service, and asks nobody for anything."""
    page.goto(f"/#/evaluations/{score(address, {'precision': 0.02, 'seed': 1})}")
    shown = page.locator(".big").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    file = tmp_path / "report.html"
    download.value.save_as(file)
    text = file.read_text()
    assert f'<p class="score">{shown} [' in text
    assert [place for place in re.findall(r'(?:src|href)="([^"]*)"', text) if not place.startswith("data:")] == []
    for place in (file.as_uri(), f"{page.url.partition('#')[2]}/report.html".replace("/ev", "/v1/ev", 1)):
        page.goto(place)
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Robustness of"))
        assert page.locator("img").evaluate("(picture) => picture.naturalWidth") > 0
        assert (
            page.locator(".score").evaluate("(node) => getComputedStyle(node).fontSize") == "40px"
        )  # its style counts


def test_the_shipped_networks_are_a_click_away(page):
    """Who has no network at hand sees what Lesion does all the same."""
    page.goto("/")
    page.get_by_role("button", name="the one that memorised").click()
    expect(page.locator(".big")).to_have_text(re.compile(r"0\.[01]\d\d"))


def test_the_keyboard_is_enough(page):
    """From the top, Tab reaches the skip link, the form and the list; the list's first link opens by Enter."""
    page.goto("/")
    page.get_by_role("button", name="Start").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Model", exact=True)).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_everybody_can_use_it(browser, address, size, scheme):
    """axe-core finds nothing that keeps people out, and no size scrolls sideways: list, result, comparison, error."""
    one, other = (score(address, {"precision": 0.02, "seed": seed}) for seed in (1, 2))
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=address, viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    ready = {
        "/": "table",
        f"/#/evaluations/{one}": ".chart",
        f"/#/compare/{one}/{other}": "#max-drop",
        "/#/no": ".problem",
    }
    for path, part in ready.items():
        page.goto(path)
        page.locator(part).first.wait_for()
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    context.close()


def test_an_evaluation_is_listed_with_state_and_score(page, address):
    """The list shows what was asked of whom, and the score with its interval."""
    id = score(address, {"precision": 0.02, "seed": 1})
    page.goto("/")
    row = page.get_by_role("row").filter(has=page.locator(f"#link-{id}"))
    expect(row).to_contain_text("succeeded")
    expect(row).to_contain_text(re.compile(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]"))


def test_an_error_explains_itself(page, address):
    """From a problem on the page one click leads to what it means and what to do next, in the page's looks."""
    page.goto("/#/evaluations/ev_none")
    page.get_by_role("link", name="What this means").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("No such thing")
    assert page.locator(".card").evaluate("(card) => getComputedStyle(card).borderRadius") == "12px"
    assert Axe().run(page).violations_count == 0
    page.get_by_role("link", name="All errors").click()
    expect(page.get_by_role("heading", name="validation-error")).to_be_visible()
