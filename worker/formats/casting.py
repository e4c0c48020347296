"""From the numbers of a dataset to those a model takes, if nothing is lost that matters."""

from typing import Any

import numpy as np

from worker.formats.tables import Array, malformed, mismatch


def cast(values: Array, dtype: str, name: str, start: int) -> Array:
    """values [n, ...] as little-endian `dtype`. name, start: of the array and its first example, for a refusal.

    Floats may lose digits, and nothing else: NaN, infinity, fractions where whole numbers are wanted, and numbers out
    of range are refused.
    """
    wanted = np.dtype(dtype)
    check_finite(values, name, start)
    if wanted.kind in "iub" and values.dtype != wanted:
        _check_whole(values, wanted, name, start)
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(values, wanted.newbyteorder("<"))
    if wanted.kind == "f" and values.dtype.kind != "b":
        check_finite(made, f"{name}, as {dtype},", start)
    return made


def check_finite(values: Array, name: str, start: int) -> None:
    """Refuse NaN and infinity, with the example that has it."""
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if not finite.all():
        example = start + int(np.argmin(finite.reshape(len(values), -1).all(axis=1)))
        raise malformed(f"{name} holds NaN or infinity, first in example {example}; remove or replace such values.")


def _check_whole(values: Array, wanted: np.dtype[Any], name: str, start: int) -> None:
    if values.dtype.kind == "f" and not (values == np.rint(values)).all():
        raise mismatch(
            f"The model takes {wanted} for {name}, which holds fractions, in the examples from {start} on. Give it "
            "whole numbers, or export the model for float32."
        )
    low, high = (0, 1) if wanted.kind == "b" else (int(np.iinfo(wanted).min), int(np.iinfo(wanted).max))
    least, most = int(values.min()), int(values.max())
    if least < low or most > high:
        raise mismatch(
            f"{name} runs from {least} to {most} in the examples from {start} on, and the model takes {wanted}, {low} "
            f"to {high}."
        )
