"""Does an ONNX file answer as the program it was converted from? numpy and onnxruntime; no torch here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from worker.formats.refusals import Refused

TOLERANCES = {np.dtype(np.float16): 1e-2}  # relative to the largest output
TOLERANCE = 1e-3
AGREEMENT = 0.99  # share of examples that must have the same answer
Array = NDArray[Any]


def answers(onnx: bytes, batches: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Outputs of an ONNX file for each batch, whose arrays are its inputs in order.

    Raises `Refused` if onnxruntime cannot run it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        return [session.run(None, dict(zip(names, batch, strict=True))) for batch in batches]
    except Exception as error:  # onnxruntime's own errors share no class
        reason = (str(error).splitlines() or ["it gives no reason"])[0][:300]
        raise Refused(
            "model-unsupported", f"onnxruntime cannot run what the model was converted to: {reason}"
        ) from error


def compared(original: Sequence[Sequence[Array]], converted: Sequence[Sequence[Array]]) -> dict[str, float]:
    """{"max_difference": absolute, "agreement": share of examples with the same answer}, the worst of all outputs.

    Both hold outputs of the same batches. Raises `Refused` where they differ by more than rounding.
    """
    worst, agreement = 0.0, 1.0
    for position, name in enumerate(_positions(original, converted)):
        ours = [np.asarray(batch[position]) for batch in original]
        theirs = [np.asarray(batch[position]) for batch in converted]
        difference, agrees, scale = _one(name, ours, theirs)
        tolerance = TOLERANCES.get(ours[0].dtype, TOLERANCE)
        if not (difference <= tolerance * scale and agrees >= AGREEMENT):
            raise Refused(
                "model-unsupported",
                f"The model converted to ONNX does not answer as the original does: {name} differs by up to "
                f"{difference:.3g} (the largest value is {scale:.3g}), and {agrees:.1%} of the answers agree. "
                "Export it to ONNX yourself and upload that.",
            )
        worst, agreement = max(worst, difference), min(agreement, agrees)
    return {"max_difference": worst, "agreement": agreement}


def _positions(original: Sequence[Sequence[Array]], converted: Sequence[Sequence[Array]]) -> list[str]:
    numbers = {len(batch) for batch in [*original, *converted]}
    if len(numbers) != 1:
        raise Refused("model-unsupported", "The model converted to ONNX has not as many outputs as the original.")
    return [f"output {position}" for position in range(numbers.pop())]


def _one(name: str, ours: Sequence[Array], theirs: Sequence[Array]) -> tuple[float, float, float]:
    """Largest absolute difference, share of agreeing answers, and largest absolute value, over all batches."""
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape != other.shape:
            raise Refused(
                "model-unsupported",
                f"The model converted to ONNX gives {name} the shape {list(other.shape)} where the original has "
                f"{list(mine.shape)}. Export it to ONNX yourself and upload that.",
            )
    scale = max((float(np.max(np.abs(each[np.isfinite(each)]), initial=0)) for each in map(_float, ours)), default=0.0)
    pairs = [(_float(mine), _float(other)) for mine, other in zip(ours, theirs, strict=True)]
    difference = max((_difference(*pair) for pair in pairs), default=0.0)
    tolerance = TOLERANCES.get(ours[0].dtype, TOLERANCE) * scale
    agreeing = np.concatenate([_agreeing(*pair, tolerance) for pair in pairs])
    return difference, float(agreeing.mean()) if agreeing.size else 1.0, scale


def _float(array: Array) -> NDArray[np.float64]:
    return np.atleast_1d(np.asarray(array, np.float64))


def _difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """NaN against NaN, and infinity against the same, count as equal; against anything else they are infinitely far."""
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(ours - theirs))
    return float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0.0))


def _agreeing(ours: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    """Is the converted model's class also the original's best, but for rounding? One bool an answer.

    The classes are on axis 1 of [N, C, 1, ..], else on the last axis; a single value has to be the same.
    """
    axis = 1 if ours.ndim > 2 and all(size == 1 for size in ours.shape[2:]) else ours.ndim - 1
    if ours.ndim < 2 or ours.shape[axis] < 2:
        return np.asarray((np.abs(ours - theirs) <= tolerance) | (np.isnan(ours) & np.isnan(theirs))).reshape(-1)
    chosen = np.take_along_axis(ours, np.expand_dims(theirs.argmax(axis), axis), axis)
    best, reached = ours.max(axis, keepdims=True), theirs.max(axis, keepdims=True)
    with np.errstate(invalid="ignore"):  # infinity less infinity, which the first comparison knows
        same = (best == chosen) | (best - chosen <= tolerance) | (np.isnan(best) & np.isnan(reached))
    return np.asarray(same).reshape(-1)
