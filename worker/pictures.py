"""What to say where a model of pictures is often wrong: most likely it was shown other pictures than it knows."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from service.schemas import Config

LOOKED_AT = 1_000_000  # values of the first examples
DARK = 2.0  # pictures that nowhere exceed it have been scaled


def hint(inputs: Path, dataset: dict[str, Any], config: Config) -> str | None:
    """A sentence on preprocessing if the first input holds pictures, [N, C, H, W] or [N, H, W, C]; else None.

    inputs: the raw file; dataset: what was written to it.
    """
    [written, *_] = dataset["inputs"]
    if len(written["shape"]) != 4 or np.dtype(written["dtype"]).kind not in "fu":
        return None
    told = "check the layout, the scale and the order of the channels; `preprocessing` can mend each."
    if not _unscaled(inputs, written):
        return told
    asked = config.preprocessing
    if asked is not None and (asked.scale or asked.mean or asked.std):
        return told
    return f"{told} The values run from 0 to 255, and most networks want them scaled: `scale` 0.003921568627, which is \
1/255, or the `mean` and `std` of their training."


def _unscaled(inputs: Path, written: dict[str, Any]) -> bool:
    count = min(math.prod(written["shape"]), LOOKED_AT)
    dtype = np.dtype(written["dtype"]).newbyteorder("<")
    values = np.fromfile(inputs, dtype, count).astype(np.float32)
    whole = bool((values == np.rint(values)).all())
    return whole and float(values.min(initial=0)) >= 0 and DARK < float(values.max(initial=0)) <= 255
