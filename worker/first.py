"""Chunk 0 as it is stored: what the intact network gave, which every later chunk is held against."""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import problems, scoring

Means = list[NDArray[np.float32]]
Ints = NDArray[np.int64]
ANSWERS_LIMIT = 64 * 1024**2  # bytes of packed answers that a row of the database may hold


def payload(
    intact: scoring.Intact,
    chance: float,
    binary: bool,
    means: Means | None,
    answers: Ints | None,
    seen: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """What of the intact pass is stored, as JSON.

    binary: every trial's value will be 0 or 1. means: each unit's, where the clamp needs them. answers: int64[N, P],
    what the intact network picked, for `agreement`; stored, so that all workers hold their trials against the same.
    seen: [n], the values of the first n trials' examples, where the pass took those alone; else [N], of all.
    Raises `ResourceExhausted` for more answers than can be stored.
    """
    bounded = {} if intact.of is None else {"of": intact.of, "doubt": intact.doubt}
    return {
        "total": intact.total,
        "examples": intact.examples,
        "effective": intact.effective,
        "error": intact.error,
        "chance": chance,
        "binary": binary,
        "means": None if means is None else [_text(mean.astype("<f4").tobytes()) for mean in means],
        "answers": None if answers is None else {"shape": list(answers.shape), "packed": _packed(answers)},
        **bounded,
        **({} if seen is None else {"seen": scoring.packed(seen)}),
    }


def means(payload: dict[str, Any]) -> Means | None:
    """Each site's means, float32[units] or a multiple of it."""
    stored = payload["means"]
    return None if stored is None else [np.frombuffer(base64.b64decode(each), "<f4") for each in stored]


def answers(payload: dict[str, Any]) -> Ints | None:
    """What the intact network picked, int64[N, P]."""
    stored = payload["answers"]
    if stored is None:
        return None
    plain = np.frombuffer(zlib.decompress(base64.b64decode(stored["packed"])), "<i4")
    return plain.astype(np.int64).reshape(stored["shape"])


def _packed(answers: Ints) -> str:
    packed = zlib.compress(answers.astype("<i4").tobytes())
    if len(packed) > ANSWERS_LIMIT:
        raise problems.ResourceExhausted(
            f"The model gives {answers.size:,} answers, more than can be kept to compare with. Use fewer examples, or "
            "a dataset with labels."
        )
    return _text(packed)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
