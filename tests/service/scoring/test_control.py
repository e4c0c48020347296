"""What the intact network gave, as a control: unbiased, narrower where networks err, and the same where they do not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.scoring import Reference, Tally, auc
from service.scoring.control import controlled
from tests.service.scoring import simulation
from worker.ablation.trials import cells, draw

CNN = [(16, 12, 3, 5), (24, 16, 4, 7)]
WRONG = simulation.needs("wrong", CNN, wrong=0.2)


def tallied(network: simulation.Network, seed: int, chunks: int = 4, *, told: bool = True) -> Tally:
    plan = simulation.design(network, seed)
    tally = Tally.empty(cells(plan))
    for index in range(chunks):
        payload: dict[str, Any] = dict(network.count(draw(plan, index), plan, index))
        if not told:
            del payload["intact"]
        tally = tally.add(payload)
    return tally


def width(tally: Tally, reference: Reference) -> float:
    found = auc(tally, estimator="adaptive", reference=reference, confidence=0.95)
    assert found is not None
    return found.high - found.low


def test_it_narrows_the_interval_and_moves_no_mean() -> None:
    """On 1,000 examples of which a fifth is wrong: narrower by a tenth or more, and right on average."""
    known = simulation.truth(WRONG)
    gained = [
        width(tallied(WRONG, s), known.reference) / width(tallied(WRONG, s, told=False), known.reference)
        for s in range(5)
    ]
    assert max(gained) < 0.9
    values = []
    for seed in range(200):
        tally = controlled(tallied(WRONG, seed, 2), known.reference).tally
        values.append(float((tally.total / tally.trials).mean()))
    assert abs(np.mean(values) - known.auc) < 3 * np.std(values, ddof=1) / np.sqrt(len(values))


def test_a_network_that_never_errs_is_read_as_it_is() -> None:
    """Where the intact network gives the same to all examples, there is nothing to tell them apart by."""
    network = simulation.needs("right", CNN, wrong=0.0)
    known, tally = simulation.truth(network), tallied(network, 1)
    assert controlled(tally, known.reference).plain
    assert width(tally, known.reference) == width(tallied(network, 1, told=False), known.reference)


def test_few_wrong_answers_have_no_slope() -> None:
    """Where one in a hundred is wrong, blocks would have two or three of them: too few, until there are more trials."""
    network = simulation.needs("nearly right", CNN, wrong=0.01)
    known = simulation.truth(network)
    assert controlled(tallied(network, 1, 2), known.reference).plain
    assert not controlled(tallied(network, 1, 8), known.reference).plain


def test_chunks_that_do_not_tell_are_read_as_they_are() -> None:
    """Of an evaluation that began before chunks told, or whose intact pass saw other examples, the counts are read."""
    known = simulation.truth(WRONG)
    tally = tallied(WRONG, 1).plus(tallied(WRONG, 2, told=False))
    found = controlled(tally, known.reference)
    assert found.plain
    assert found.tally is tally
    assert found.share == 0.5


def test_a_payload_must_tell_of_each_cell() -> None:
    """Sums of another length than the cells, or that are no numbers, are refused."""
    payload: dict[str, Any] = dict(WRONG.count(draw(simulation.design(WRONG, 1), 0), simulation.design(WRONG, 1), 0))
    empty = Tally.empty(cells(simulation.design(WRONG, 1)))
    for wrong in (payload["intact"]["total"][1:], [float("nan"), *payload["intact"]["total"][1:]]):
        with pytest.raises(ValueError, match="intact network"):
            empty.add(payload | {"intact": payload["intact"] | {"total": wrong}})


def test_kurtosis_of_right_and_wrong() -> None:
    """Of shares p and q it is 1/(pq) - 3; without what the intact network gave, infinite."""
    reference = simulation.truth(WRONG).reference
    assert reference.kurtosis == pytest.approx(1 / (0.2 * 0.8) - 3)
    assert replace(reference, seen=None).kurtosis == np.inf


def test_values_scatter_less() -> None:
    """The value itself lies nearer to the truth, as the interval says; no example comes twice here."""
    network = simulation.needs("large", CNN, examples=20_000, wrong=0.3)
    known = simulation.truth(network)
    raw, read = [], []
    for seed in range(60):
        tally = tallied(network, seed, 2)
        raw.append(float((tally.total / tally.trials).mean()))
        found = controlled(tally, known.reference).tally
        read.append(float((found.total / found.trials).mean()))
    assert np.std(read) < 0.8 * np.std(raw)
