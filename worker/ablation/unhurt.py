"""What the intact network answers, kept: every ordering of a grid begins with nothing lost."""

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
KEPT_BYTES = 64 * 1024**2  # of outputs of a whole dataset; those of larger ones are computed anew


class Unhurt:
    """Outputs for those examples of a dataset that were answered so far."""

    def __init__(self) -> None:
        self._has: Bools = np.zeros(0, np.bool_)
        self._outputs: Floats | None = None

    def keep(self, dataset: int, examples: Ints, outputs: Floats) -> None:
        """Outputs float32[T, *tail] for these of `dataset` examples, if there is room for all of them."""
        if dataset * outputs[:1].nbytes > KEPT_BYTES or not len(outputs):
            return
        if self._outputs is None:
            self._has = np.zeros(dataset, np.bool_)
            self._outputs = np.empty((dataset, *outputs.shape[1:]), np.float32)
        self._outputs[examples] = outputs
        self._has[examples] = True

    def find(self, examples: Ints) -> Floats | None:
        """Outputs float32[T, *tail] for these examples, if all of them are known."""
        if self._outputs is None or not self._has[examples].all():
            return None
        found: Floats = self._outputs[examples]
        return found
