"""When two networks count as the same."""

from typing import Any

import numpy as np
import pytest

from worker.formats import fidelity
from worker.formats.refusals import Refused

LOGITS = np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32)


def compared(ours: Any, theirs: Any) -> dict[str, float]:
    """The comparison of one batch of one output."""
    return fidelity.compared([[ours]], [[theirs]])


def test_rounding_is_agreement() -> None:
    """Differences within the tolerance pass, with the largest reported; a tie broken otherwise is no disagreement."""
    assert compared(LOGITS, LOGITS) == {"max_difference": 0.0, "agreement": 1.0}
    found = compared(LOGITS, LOGITS + np.float32(1e-4))
    assert found["max_difference"] == pytest.approx(1e-4, rel=1e-2)
    assert found["agreement"] == 1.0
    tie = np.ones((10, 2), np.float32)
    assert compared(tie, tie + np.array([0, 1e-6], np.float32))["agreement"] == 1.0


def test_a_large_difference_is_refused_even_if_the_classes_agree() -> None:
    """All logits twice as large choose the same classes, and are another network's."""
    with pytest.raises(Refused, match=r"differs by up to .* and 100\.0% of the answers agree"):
        compared(LOGITS, LOGITS * 2)


def test_other_classes_are_refused_even_if_the_values_hardly_differ() -> None:
    """One value of a thousand is large, so that the tolerance is; classes that differ by more than it still count."""
    ours = np.zeros((100, 3), np.float32)
    ours[:, 0] = 1e-3
    theirs = np.roll(ours, 1, 1)
    with pytest.raises(Refused, match=r"0\.0% of the answers agree"):
        compared(ours, theirs)


@pytest.mark.parametrize("shape", [(20, 3, 7), (20, 7, 1, 1), (20, 1), (20,), ()])
def test_every_shape_of_answer_is_compared(shape: tuple[int, ...]) -> None:
    """Tokens, maps of one pixel, single values and scalars: equal is equal, and other is other."""
    ours = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    assert compared(ours, ours.copy()) == {"max_difference": 0.0, "agreement": 1.0}
    with pytest.raises(Refused):
        compared(ours, -ours)


def test_nan_and_infinity_agree_with_themselves_alone() -> None:
    """A NaN that both have is no difference; one that only one has is an infinite one."""
    ours = LOGITS.copy()
    ours[3, 1], ours[4, 2] = np.nan, np.inf
    assert compared(ours, ours.copy())["agreement"] == 1.0
    for theirs in (np.nan_to_num(ours, nan=0.0, posinf=np.inf), np.where(np.isinf(ours), 0, ours)):
        with pytest.raises(Refused, match="differs by up to inf"):
            compared(ours, theirs)


def test_other_shapes_and_other_numbers_of_outputs_are_refused() -> None:
    """What cannot be compared is no conversion."""
    with pytest.raises(Refused, match=r"gives output 0 the shape \[200, 4\] where the original has \[200, 5\]"):
        compared(LOGITS, LOGITS[:, :4])
    with pytest.raises(Refused, match="not as many outputs"):
        fidelity.compared([[LOGITS]], [[LOGITS, LOGITS]])


def test_what_onnxruntime_cannot_run_is_refused() -> None:
    """Its reason is passed on."""
    with pytest.raises(Refused, match="onnxruntime cannot run what the model was converted to"):
        fidelity.answers(b"no model", [[LOGITS]])
