"""Charts of a result: what is in them, that they are the same each time, and that no upload can break them."""

import csv
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

from PIL import Image

from service import plots
from service.schemas import CurvePoint, Measured
from tests.service import answers


def words(svg: bytes) -> str:
    """All text of an SVG document."""
    return "\n".join(ElementTree.fromstring(svg).itertext())


def test_svg_says_what_it_shows():
    """The picture names its axes, its score with the interval, chance, the intact network and the half-life."""
    said = words(plots.svg(answers.result(), "digits.onnx"))
    for part in (
        "digits.onnx",
        "fraction of units ablated",
        "accuracy",
        "score 0.612 [0.602, 0.622] at 95 %",
        "chance 0.114",
        "intact network 0.982 [0.974, 0.988]",
        "half-life 0.540",
        "scope network",
    ):
        assert part in said


def test_png_is_a_picture_of_the_promised_size():
    """The PNG opens, is 1200 x 675, and is not blank."""
    with Image.open(io.BytesIO(plots.png(answers.result(), "digits.onnx"))) as picture:
        assert picture.size == (1200, 675)
        assert len(picture.convert("RGB").getcolors(100_000) or []) > 50


def test_equal_results_give_equal_bytes():
    """No date, no random id: neither here nor in another process do the bytes change."""
    here = [draw(answers.result(), "digits.onnx") for draw in (plots.svg, plots.png)]
    assert here == [draw(answers.result(), "digits.onnx") for draw in (plots.svg, plots.png)]
    code = (
        "import sys; from service import plots; from tests.service import answers;"
        "sys.stdout.buffer.write(plots.svg(answers.result(), 'digits.onnx'))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert there == here[0]


def test_drawing_from_many_threads_changes_nothing():
    """matplotlib is not thread-safe, and the API draws from a pool of threads."""
    expected = plots.svg(answers.result(), "digits.onnx")
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: plots.svg(answers.result(), "digits.onnx"), range(8)))
    assert set(drawn) == {expected}


def test_csv_reads_back_exactly():
    """A line for each fraction, with every digit."""
    shown = answers.result()
    rows = list(csv.DictReader(io.StringIO(plots.csv(shown))))
    assert len(rows) == len(shown.curve)
    assert [float(row["value"]) for row in rows] == [point.value for point in shown.curve]
    assert list(rows[0]) == ["fraction", "value", "low", "high", "trials"]


def test_a_refused_score_is_drawn_with_its_reason():
    """Where there is no curve, the picture says why."""
    said = words(plots.svg(answers.refused(), "digits.onnx")).replace("\n", " ")
    assert "no score" in said
    assert "nothing to lose" in said
    assert plots.csv(answers.refused()) == "fraction,value,low,high,trials\n"


def test_a_metric_that_is_no_share_has_an_axis_of_its_own():
    """Cross-entropy rises above 1: the picture says what it is, in which unit, and shows all of it."""
    points = [CurvePoint(fraction=f, value=4 * f, low=3 * f, high=5 * f, trials=9) for f in (0, 0.5, 1)]
    measured = Measured(name="cross_entropy", unit="nats", rising=True)
    result = answers.result(metric="cross_entropy", measured=measured, curve=points, chance=2.3)
    said = plots.svg(result, "digits").decode()
    assert "cross entropy in nats" in said
    assert ">5</text>" in said


def test_layers_get_a_panel_of_their_own():
    """Each site is named with its units; one without a score is marked as such."""
    sites = [answers.layer("conv1", 0.7), answers.layer("conv2", None)]
    said = words(plots.svg(answers.result(layers=sites, scope="layer"), "digits.onnx"))
    assert "conv1 (32)" in said
    assert "conv2 (32)" in said
    assert "hollow square" in said


def test_hundreds_of_layers_still_make_a_picture():
    """The panel ends where nobody could read on, and says so."""
    sites = [answers.layer(f"block{i}", 0.5) for i in range(300)]
    drawn = plots.svg(answers.result(layers=sites, scope="layer"), "deep.onnx")
    assert "and 220 more" in words(drawn)
    assert float(ElementTree.fromstring(drawn).attrib["height"].removesuffix("pt")) < 20 * 72


def test_no_name_from_an_upload_can_break_a_picture():
    """Titles and sites come from strangers: control signs, markup, formulas and endless names are just text."""
    nasty = "a\x00\x1b[31m<script>&amp; $\\frac{1}{0}$ \ud800" + "x" * 10_000
    shown = answers.result(layers=[answers.layer(nasty, 0.5)], scope="layer")
    said = words(plots.svg(shown, nasty))
    assert "<script>&amp; $\\frac{1}{0}$" in said
    assert "x" * 200 not in said
    with Image.open(io.BytesIO(plots.png(shown, nasty))) as picture:
        assert picture.size[0] < 2_000


def test_importing_the_module_does_not_import_matplotlib():
    """matplotlib takes most of a second, and only drawing needs it."""
    code = "import sys; import service.plots; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
