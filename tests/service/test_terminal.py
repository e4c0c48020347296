"""What the command line prints: the numbers, the curve, and nothing that could steer a terminal."""

import io
from collections.abc import Mapping

import pytest
from rich.console import Console

from service import terminal
from service.schemas import CurvePoint, GateResult, Measured, Progress, Result
from tests.service import answers


def printed(*things: object, width: int = 80) -> str:
    """What a console without a terminal prints."""
    out = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    for thing in things:
        out.print(thing)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def plotted(results: Mapping[str, Result], encoding: str = "utf-8", width: int = 80, colour: bool = False) -> str:
    """The curves as written to a file or terminal of this encoding and width."""
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding)
    out = Console(file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None)
    terminal.curves(out, results)
    file.flush()
    return buffer.getvalue().decode(encoding)


def test_the_summary_says_the_intact_accuracy_first():
    """A score means little without the accuracy it starts from."""
    lines = printed(terminal.summary(answers.evaluation(), answers.result())).splitlines()
    assert lines[0].startswith("intact accuracy   0.982 [0.974, 0.988]")
    assert "best constant answer: 0.114" in lines[0]
    assert lines[1].startswith("score             0.612 [0.602, 0.622]")
    assert max(map(len, lines)) <= 80


def test_the_summary_has_cost_half_life_warnings_and_layers():
    """Nothing of the result that a reader needs is left out."""
    result = answers.result(warnings=["conv9 cannot matter"], layers=[answers.layer("conv1", None)])
    said = printed(terminal.summary(answers.evaluation(), result))
    for part in (
        "5,120 passes",
        "12.3 s on cpu",
        "half-life",
        "0.645",
        "Warning: conv9 cannot matter",
        "conv1",
        "none",
    ):
        assert part in said


def test_the_summary_says_the_verdict():
    """With the reasons, none of which can steer the terminal."""
    gate = GateResult(verdict="fail", reasons=["It is\x1b low."], checks=[], confidence=0.95, looks=1, level=0.95)
    said = printed(terminal.summary(answers.evaluation(), answers.result(gate=gate)))
    assert "Gate: fail. It is? low." in said


def test_the_summary_says_what_was_done_to_the_examples():
    """A wrong normalisation is found where it is shown; what does nothing by itself is left out."""
    none = printed(terminal.summary(answers.evaluation(), answers.result()))
    assert "preprocessing     none: the examples went in as they are" in none
    idle = {"interpolation": "bilinear", "pad_value": 0.0, "mean": None}
    assert "none: the" in printed(terminal.summary(answers.evaluation(), answers.result(preprocessing=idle)))
    done = idle | {"resize": [48, 64], "scale": 1 / 255, "mean": [0.485, 0.5]}
    said = printed(terminal.summary(answers.evaluation(), answers.result(preprocessing=done)), width=120)
    assert "resize [48, 64], interpolation bilinear, scale 0.00392157, mean [0.485, 0.5]" in said
    assert "pad_value" not in said


@pytest.mark.parametrize(
    ("name", "measured", "called"),
    [
        ("top_k", Measured(name="top_k", k=5), "intact top-5 accuracy"),
        ("balanced_accuracy", Measured(name="balanced_accuracy"), "intact balanced accuracy"),
        ("cross_entropy", Measured(name="cross_entropy", unit="nats", rising=True), "intact cross entropy in nats"),
        ("agreement", None, "intact agreement"),
    ],
)
def test_the_metric_is_called_by_its_name(name, measured, called):
    """Not every A(0) is an accuracy."""
    result = answers.result(metric=name, measured=measured)
    assert printed(terminal.summary(answers.evaluation(), result)).startswith(called)


def test_a_curve_beyond_0_and_1_is_drawn_whole():
    """Cross-entropy rises above 1, and R2 falls below 0: the axis goes as far as they do."""
    rising = [CurvePoint(fraction=f, value=4 * f, low=3.9 * f, high=4.1 * f, trials=9) for f in (0, 0.5, 1)]
    said = plotted({"m": answers.result(metric="cross_entropy", curve=rising, chance=2.3)})
    assert "4.1┤" in said
    falling = [CurvePoint(fraction=f, value=1 - 3 * f, low=1 - 3 * f, high=1 - 3 * f, trials=9) for f in (0, 0.5, 1)]
    said = plotted({"m": answers.result(metric="r2", curve=falling, chance=0.0)})
    assert "-2.0┤" in said
    assert "1.0┤" in said


def test_a_refused_score_is_explained():
    """Where there is no score, the reason stands in its place."""
    said = printed(terminal.summary(answers.evaluation(), answers.refused()))
    assert "No score: A(0) is 0.12" in said
    assert "1: unhurt" not in said


def test_progress_shows_the_interval_closing():
    """While it runs: the score so far, half its interval's width, and how many trials that took."""
    assert terminal.found_so_far(answers.evaluation("queued")) == "waiting for a worker"
    running = terminal.found_so_far(answers.evaluation("running"))
    assert running == "score 0.611 [0.588, 0.634] ±0.023, 3,072 trials"
    assert terminal.found_so_far(answers.evaluation("running", progress=Progress())) == "reading the model"


def test_live_progress_is_silent_without_a_terminal():
    """A log file gets no bars and no control sequences."""
    out = Console(file=io.StringIO(), force_terminal=False)
    with terminal.live(out) as show:
        show("digits.onnx", answers.evaluation("running"))
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue() == ""


def test_live_progress_draws_a_bar_for_each_name():
    """On a terminal each evaluation has its own line."""
    xterm = {"TERM": "xterm"}  # not the caller's: on a dumb terminal nothing is drawn over
    out = Console(file=io.StringIO(), force_terminal=True, width=120, force_interactive=True, _environ=xterm)
    with terminal.live(out) as show:
        for name in ("first", "second"):
            show(name, answers.evaluation("running"))
    assert isinstance(out.file, io.StringIO)
    for part in ("first", "second", "±0.023"):
        assert part in out.file.getvalue()


def test_two_curves_in_one_plot_are_told_apart_without_colour():
    """Each curve has a sign of its own, named below; no line is wider than the terminal."""
    said = plotted({"learned": answers.result(), "memorised": answers.result(curve=answers.curve(9, 0.15))})
    assert "● learned" in said
    assert "○ memorised" in said
    assert said.count("●") > 20
    assert said.count("○") > 20
    assert "fraction of units ablated" in said
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) < 80


def test_the_curve_falls():
    """The plot is the right way up: the first columns are high, the last ones low."""
    rows = [row for row in plotted({"learned": answers.result()}).splitlines() if "│" in row or "┤" in row]
    places = [(row.index("●"), height) for height, row in enumerate(rows) if "●" in row[5:]]
    assert places == sorted(places)
    assert len(places) > 5


def test_colour_only_where_the_terminal_has_it():
    """A terminal with colours gets them."""
    assert "\x1b[" in plotted({"learned": answers.result()}, colour=True)


def test_a_terminal_without_unicode_gets_ascii():
    """Nothing is lost or raised in a plain old locale."""
    said = plotted({"learned": answers.result()}, "ascii")
    assert said.isascii()
    assert "* learned" in said


def test_no_plot_where_there_is_no_room_or_no_curve():
    """Thirty columns say nothing, and neither does an empty curve."""
    assert plotted({"learned": answers.result()}, width=30) == ""
    assert plotted({"learned": answers.refused()}) == ""


def test_nothing_from_an_upload_can_steer_the_terminal():
    """Names and messages may hold escape sequences and markup; they are printed, not obeyed."""
    nasty = "\x1b[2J\x07[bold]x\r"
    problem = {"type": "/problems/x", "title": nasty, "status": 422, "detail": nasty}
    said = printed(
        terminal.failure(answers.evaluation("failed", problem=problem)),
        terminal.summary(answers.evaluation(), answers.result(warnings=[nasty], layers=[answers.layer(nasty, 0.5)])),
        terminal.comparison({nasty: answers.evaluation()}),
    ) + plotted({nasty: answers.result()})
    assert not set(said) & set("\x1b\x07\r")
    assert "[bold]x" in said
