"""Analyses as CSV and as pictures: numbers read back, pictures say what they show, and no upload breaks them."""

import csv
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from service import analysis_plots, analysis_tables, schemas
from tests.service import answers

NAMES = list(schemas.NEEDS)
ROWS = [unit.model_dump(mode="json") for unit in answers.units()]
SAID: dict[schemas.Analysis, list[str]] = {
    "selectivity": ["conv1 (10, 1 never fire)", "class selectivity"],
    "importance": ["conv1, unit 0", "the most important units: certain", "all 20 units"],
    "relation": ["No <relation> was found.", "Spearman +0.10 [-0.10, +0.30]"],
    "targeted": ["at random", "the least selective first", "500 examples"],
    "classes": ["class 3 (half is lost at 0.21)", "class 1 (never)", "(and 1 more)"],
    "noise": ["mean 0.700 [0.690, 0.710]", "standard deviations of each unit"],
}


def read(name: schemas.Analysis) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(analysis_tables.written(name, answers.analyses()))))


@pytest.mark.parametrize("name", NAMES)
def test_pictures_say_what_they_show(name: schemas.Analysis) -> None:
    """Names, intervals and what is left out, as text; the same bytes each time; and no empty PNG."""
    drawn = analysis_plots.svg(name, answers.analyses(), ROWS, "digits.onnx")
    said = " ".join(ElementTree.fromstring(drawn).itertext())
    for part in ("digits.onnx", *SAID[name]):
        assert part in said
    assert drawn == analysis_plots.svg(name, answers.analyses(), ROWS, "digits.onnx")
    with Image.open(io.BytesIO(analysis_plots.png(name, answers.analyses(), ROWS, "digits.onnx"))) as picture:
        assert np.asarray(picture).std() > 1


@pytest.mark.parametrize("name", NAMES)
def test_any_names_and_many_sites_make_a_picture(name: schemas.Analysis) -> None:
    """Names of an upload are text, whatever is in them."""
    sites = tuple(f"<b>&$x_{number}\x00" for number in range(90))
    rows = [unit.model_dump(mode="json") for unit in answers.units(sites)]
    ElementTree.fromstring(analysis_plots.svg(name, answers.analyses(sites), rows, "$\\frac{"))


@pytest.mark.parametrize("name", ["relation", "importance", "selectivity"])
def test_tens_of_thousands_of_units_make_a_small_picture(name: schemas.Analysis) -> None:
    """Each dot of its own would make megabytes."""
    rows = [unit.model_dump(mode="json") for unit in answers.units(each=15_000)]
    assert len(analysis_plots.svg(name, answers.analyses(), rows, "large")) < 500_000


def test_curves_are_a_line_a_point() -> None:
    """Of each order, class and strength of noise; numbers read back exactly."""
    found = answers.analyses()
    assert found.targeted is not None
    assert found.noise is not None
    targeted = read("targeted")
    assert len(targeted) == 5 * 21
    told = [float(row["value"]) for row in targeted if row["order"] == "largest"]
    assert told == [point.value for point in found.targeted.orders[3].curve]
    assert [row["label"] for row in read("classes")] == ["3"] * 21 + ["1"] * 21
    assert {float(row["high"]) for row in read("noise")} == {point.high for point in found.noise.curve}


def test_sites_units_and_correlations_are_a_line_each() -> None:
    """What is not known is an empty cell."""
    assert [(row["site"], row["dead"], row["information"]) for row in read("selectivity")] == [
        ("conv1", "1", ""),
        ("fc", "1", ""),
    ]
    assert [(row["rank"], row["site"], row["unit"]) for row in read("importance")] == [
        ("1", "conv1", "0"),
        ("2", "fc", "0"),
        ("3", "conv1", "1"),
    ]
    overall, *layers = read("relation")
    assert (overall["site"], overall["spearman"], overall["kendall_low"]) == ("", "0.1", "")
    assert [row["site"] for row in layers] == ["conv1", "fc"]
