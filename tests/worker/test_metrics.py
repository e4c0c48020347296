"""What a metric makes of raw outputs and labels, against figures worked out by hand and by other libraries."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import problems
from service.schemas import Config
from worker import answers, lots, metrics

NAN = math.nan


def output(classes: int, kind: str = "classes", probabilities: bool = False) -> dict[str, Any]:
    """An output as found in a model."""
    return {"name": "out", "classes": classes, "kind": kind, "probabilities": probabilities}


def f4(values: Any) -> np.ndarray:
    return np.array(values, np.float32)


def valued(
    metric: str, given: Any, labels: Any, found: dict[str, Any], k: int | None = None, weights: Any = None
) -> Any:
    """Each example's value, every example pushed once."""
    of = metrics.target(metric, k, found, np.array(labels), None if weights is None else np.array(weights, float))
    return of.values(f4(given), np.arange(len(labels)))


@pytest.mark.parametrize("tail", [(3,), (3, 1, 1)])
def test_accuracy_reads_rows_of_scores(tail: tuple[int, ...]) -> None:
    """The highest score's class is the answer, the first of equals, with or without axes of length 1 behind."""
    given = f4([[1, 3, 2], [5, 5, 1], [0, 0, 0]]).reshape(3, *tail)
    assert valued("accuracy", given, [1, 1, 0], output(3)).tolist() == [True, False, True]


@pytest.mark.parametrize("tail", [(), (1,)])
@pytest.mark.parametrize(("probabilities", "border"), [(True, 0.5), (False, 0.0)])
def test_one_number_is_two_classes(tail: tuple[int, ...], probabilities: bool, border: float) -> None:
    """A single output is the second class from the border on: 0.5 for a probability, 0 for a logit."""
    given = f4([border - 0.1, border + 0.1, border, NAN]).reshape(4, *tail)
    found = valued("accuracy", given, [0, 1, 0, 0], output(2, "binary", probabilities))
    assert found.tolist() == [True, True, True, False]


def test_outputs_that_are_no_number_are_never_right() -> None:
    """A NaN anywhere in a row makes it wrong, whichever class argmax would have named, and costs the most."""
    given = [[NAN, 0, 0], [0, NAN, 9], [math.inf, 0, 0]]
    assert valued("accuracy", given, [0, 2, 0], output(3)).tolist() == [False, False, True]
    assert valued("top_k", given, [0, 2, 0], output(3), k=2).tolist() == [False, False, True]
    costs = valued("cross_entropy", given, [0, 2, 1], output(3))
    assert costs.tolist() == pytest.approx([-math.log(1e-12)] * 3)


def test_top_k_takes_the_first_of_equals() -> None:
    """The label is right if fewer than k classes come before it, equal scores in the order of the classes."""
    given = [[4, 3, 2, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert valued("top_k", given, [1, 1, 2], output(4), k=2).tolist() == [True, True, False]


@given(st.lists(st.lists(st.floats(-80, 80, width=32), min_size=4, max_size=4), min_size=1, max_size=8), st.data())
def test_top_1_is_accuracy(rows: list[list[float]], data: st.DataObject) -> None:
    """With k = 1, top-k is accuracy, ties and all."""
    labels = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    one, other = (valued(metric, rows, labels, output(4), k=1) for metric in ("top_k", "accuracy"))
    assert one.tolist() == other.tolist()


def test_cross_entropy_of_logits_and_probabilities_is_the_same() -> None:
    """It is -log softmax in nats, stable for large logits, and of probabilities their plain -log, clipped at 1e-12."""
    logits = np.array([[2.0, 1.0, 0.0], [1000.0, 0.0, -1000.0], [1000.0, 0.0, -1000.0]])
    softmax = np.exp(logits[0]) / np.exp(logits[0]).sum()
    found = valued("cross_entropy", logits, [1, 0, 2], output(3))
    assert found.tolist() == pytest.approx([-math.log(softmax[1]), 0.0, -math.log(1e-12)])
    chances = np.array([softmax, [1, 0, 0], [1, 0, 0]])
    assert valued("cross_entropy", chances, [1, 0, 2], output(3, probabilities=True)).tolist() == pytest.approx(
        found.tolist(), abs=1e-6
    )
    logit = math.log(0.8 / 0.2)
    for second, probabilities in ((0.8, True), (logit, False)):
        [cost] = valued("cross_entropy", [second], [1], output(2, "binary", probabilities))
        assert cost == pytest.approx(-math.log(0.8), abs=1e-6)


def test_tokens_count_where_they_are_labelled() -> None:
    """An example's value is the mean over its labelled tokens, and it weighs as much as it has of them."""
    given = np.zeros((2, 3, 2))
    given[:, :, 1] = 1  # every token answers 1
    of = metrics.target("accuracy", None, output(2, "tokens"), np.array([[1, 0, -100], [1, -100, -100]]), None)
    values = of.values(f4(given), np.arange(2))
    assert values.tolist() == [0.5, 1.0]
    assert of.weights is not None
    assert of.weights.tolist() == pytest.approx([4 / 3, 2 / 3])
    assert of.intact(values).value == pytest.approx(2 / 3)  # 2 of 3 tokens
    assert of.chance == pytest.approx(2 / 3)
    assert (of.labelled, of.counts) == (3, False)


LABELS = [0] * 6 + [1] * 3 + [2]


@pytest.mark.parametrize(
    ("metric", "chance"),
    [
        ("accuracy", 0.6),
        ("top_k", 0.9),
        ("balanced_accuracy", 1 / 3),
        ("cross_entropy", -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1))),
    ],
)
def test_chance_is_what_the_best_constant_answer_gets(metric: str, chance: float) -> None:
    """No constant answer does better than `chance`, and one does as well."""
    found = output(4)
    of = metrics.target(metric, 2, found, np.array(LABELS), None)
    assert of.chance == pytest.approx(chance)
    best = np.log([0.6, 0.3, 0.1, 1e-9])
    constant = of.intact(of.values(f4(np.tile(best, (10, 1))), np.arange(10)))
    assert constant.value == pytest.approx(chance, abs=1e-6)


def test_weights_move_chance_and_the_mean() -> None:
    """A(0) and chance of weighted examples are what repeating each example as often as it weighs gives."""
    rng = np.random.default_rng(0)
    labels, weights = rng.integers(0, 3, 50), rng.integers(0, 4, 50).astype(float)
    given = f4(rng.standard_normal((50, 3)))
    often = np.repeat(np.arange(50), weights.astype(int))
    for metric in ("accuracy", "top_k", "balanced_accuracy", "cross_entropy"):
        one = metrics.target(metric, 2, output(3), labels, weights)
        other = metrics.target(metric, 2, output(3), labels[often], None)
        intact = one.intact(one.values(given, np.arange(50)))
        repeated = other.intact(other.values(given[often], np.arange(len(often))))
        assert intact.value == pytest.approx(repeated.value)
        assert one.chance == pytest.approx(other.chance)
        assert one.weights is not None
        assert one.weights.mean() == pytest.approx(1)


def test_balanced_accuracy_is_the_mean_of_recalls() -> None:
    """Each class counts the same, however rare: recalls of 1, 2/3 and 0 make 5/9."""
    given = np.eye(3)[[0] * 6 + [1, 1, 0] + [0]]
    of = metrics.target("balanced_accuracy", None, output(3), np.array(LABELS), None)
    intact = of.intact(of.values(f4(given), np.arange(10)))
    assert intact.value == pytest.approx(5 / 9)
    assert intact.error is not None
    # Only class 1 varies: its recall's variance is (2/3)(1/3)/3, and it is a third of the figure.
    assert intact.error == pytest.approx(math.sqrt(2 / 9 / 3) / 3, rel=0.06)


def test_r2_is_the_textbooks() -> None:
    """1 - residual / total sum of squares, of each column, and then their mean; weighted as by repetition."""
    rng = np.random.default_rng(1)
    labels = rng.standard_normal((40, 2)) * (1, 5)
    given = labels + rng.standard_normal((40, 2))
    total = ((labels - labels.mean(axis=0)) ** 2).sum(axis=0)
    wanted = (1 - ((labels - given) ** 2).sum(axis=0) / total).mean()
    of = metrics.target("r2", None, output(2), labels, None)
    assert of.intact(of.values(given, np.arange(40))).value == pytest.approx(wanted)
    assert of.chance == 0
    weights = rng.integers(1, 4, 40)
    often = np.repeat(np.arange(40), weights)
    one, other = (
        metrics.target("r2", None, {}, labels, weights.astype(float)),
        metrics.target("r2", None, {}, labels[often], None),
    )
    repeated = other.intact(other.values(given[often], np.arange(len(often)))).value
    assert one.intact(one.values(given, np.arange(40))).value == pytest.approx(repeated)


def test_r2_of_outputs_beyond_measure_is_bad_but_finite() -> None:
    """No number, or one far outside the labels' range, counts as one range beyond them."""
    labels = np.array([0.0, 1.0, 0.5, 0.5])
    of = metrics.target("r2", None, {}, labels, None)
    found = of.values(f4([[NAN], [math.inf], [-1e30], [0.5]]), np.arange(4))
    assert found.tolist() == pytest.approx([1 - 4 / 0.125, 1 - 1 / 0.125, 1 - 2.25 / 0.125, 1.0])


def test_agreement_with_itself_is_perfect() -> None:
    """The intact answers are the labels, chance is the most frequent one's share, and A(0) is 1 without an interval."""
    given = f4([[2, 1], [0, 1], [0, 3], [NAN, 0]])
    picked = metrics.answered(given, output(2))
    assert picked.ravel().tolist() == [0, 1, 1, answers.BROKEN]
    of = metrics.target("agreement", None, output(2), picked, None)
    intact = of.intact(np.ones(4, bool))
    assert (intact.value, intact.effective) == (1.0, None)
    assert of.chance == pytest.approx(2 / 3)  # an answer that was none can be no answer's label
    assert of.values(given, np.arange(4)).tolist() == [True, True, True, False]


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "r2"])
def test_lots_draw_the_weighted_mean(metric: str) -> None:
    """Plain means of trials drawn by lot are the weighted mean over the dataset, in every part of an epoch."""
    rng = np.random.default_rng(2)
    labels = rng.permutation([0] * 180 + [1] * 20) if metric != "r2" else rng.standard_t(3, 200)
    of = metrics.target(metric, None, output(2), labels, rng.integers(0, 20, 200).astype(float))
    given = f4(rng.standard_normal((200, 1 if metric == "r2" else 2)))
    values = of.values(given, np.arange(200)).astype(float)
    assert of.lots is not None
    ends = lots.shelves(of.lots)
    means = []
    for seed in range(300):
        examples = lots.drawn(ends, rng.permutation(200), seed, 0)
        means.append(of.drawn(values[examples], examples).mean())
    wanted = of.intact(values).value
    assert np.mean(means) == pytest.approx(wanted, abs=4 * np.std(means) / math.sqrt(300))


def test_lots_are_drawn_again_and_spare_what_weighs_nothing() -> None:
    """The same chunk draws the same examples; an example of weight 0 never; another chunk draws others."""
    ends = lots.shelves(np.array([0.0, 3.0, 0.0, 1.0, 0.0]))
    places = np.tile(np.arange(5), 200)
    one, again, other = lots.drawn(ends, places, 7, 0), lots.drawn(ends, places, 7, 0), lots.drawn(ends, places, 7, 1)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert set(one) == {1, 3}
    assert np.mean(one == 1) == pytest.approx(0.75, abs=0.01)


def test_equal_weights_are_none() -> None:
    """Weights that are all the same change nothing, and right answers stay plain counts."""
    of = metrics.target("accuracy", None, output(2), np.array([0, 1]), np.array([3.0, 3.0]))
    assert of.weights is None
    assert of.intact(np.array([True, False])).error is None


@pytest.mark.parametrize(
    ("labels", "weights", "told"),
    [
        ([0, 3], None, "go up to 3"),
        ([0, 1], [1.0, -1.0], "none below 0"),
        ([0, 1], [1.0, NAN], "finite"),
        ([0, 1], [0.0, 0.0], "not all"),
        ([-1, -1], None, "nothing to measure"),
        ([[0, 1], [1, 0]], None, "2 an example"),
        ([[0, 1, 0], [1, 0, 0]], None, "argmax"),
    ],
)
def test_labels_and_weights_that_cannot_be_are_refused(labels: Any, weights: Any, told: str) -> None:
    """Whatever the dataset's process claims, labels beyond the classes and weights that weigh nothing are refused."""
    given = None if weights is None else np.array(weights)
    with pytest.raises(problems.DatasetMismatch, match=told):
        metrics.target("accuracy", None, output(3), np.array(labels), given)


@pytest.mark.parametrize("labels", [[1.0, 1.0], [1.0, NAN], [0.0, 1e300]])
def test_r2_needs_labels_that_vary(labels: list[float]) -> None:
    """A constant column has no variance to explain."""
    with pytest.raises(problems.DatasetMismatch, match="vary"):
        metrics.target("r2", None, {}, np.array(labels), None)


def test_the_metric_follows_the_labels() -> None:
    """Without labels it is agreement, with a warning, unless another was asked for, which is refused."""
    assert metrics.chosen(Config(), True) == "accuracy"
    assert metrics.chosen(Config(), False) == "agreement"
    assert metrics.chosen(Config(metric="agreement"), True) == "agreement"
    assert "agreement" in metrics.warned("agreement", Config())[0]
    assert metrics.warned("accuracy", Config()) == []
    with pytest.raises(problems.DatasetMismatch, match="`accuracy` needs labels"):
        metrics.chosen(Config(metric="accuracy"), False)


def test_items_and_labels_must_be_as_many() -> None:
    """A label for each answer: tokens by their number, values by the output's columns."""
    metrics.fit("accuracy", output(3, "tokens"), (5, 3), np.zeros((2, 5), int))
    metrics.fit("r2", output(2), (1,), np.zeros(2))
    with pytest.raises(problems.DatasetMismatch, match="gives 5 tokens"):
        metrics.fit("accuracy", output(3, "tokens"), (5, 3), np.zeros((2, 4), int))
    with pytest.raises(problems.DatasetMismatch, match="gives 3 values"):
        metrics.fit("r2", output(3), (3,), np.zeros(2))
